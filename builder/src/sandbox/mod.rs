//! Sandboxes: run a command in namespaces of its own, as Docker would.
//!
//! ```text
//! worker --Instructions, secrets--> helper (mounts the root, makes stubs) --fork--> init = the command, process 1
//!        <-------Report------------        (waits, takes stubs away)
//! ```

mod attach;
pub mod capabilities;
pub mod error;
mod helper;
mod init;
mod launch;
pub mod limits;
pub mod message;
pub mod mounts;
pub mod seccomp;
pub mod spec;
pub mod supply;
mod target;
pub mod user;

/// The name (`argv[0]`) under which this program is re-executed as the helper of one sandbox.
pub const HELPER_NAME: &str = "lbuild-sandbox";

/// Runs the helper of one sandbox; standard input is the worker's socket.
pub fn sandbox_main() -> ! {
    helper::main()
}
