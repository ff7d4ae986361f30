//! The worker: a process in a user namespace that owns layer directories, mounts, sandboxes and diffs.
//!
//! The front holds a [`Worker`]: its end of the pipe. Each call has a socket of its own, so calls run side by side,
//! stream what they have to say, and end when the front closes the socket.
//!
//! ```text
//! front --control: far end of a new socket per call--> worker
//! front --call: Request, descriptors--> thread of the worker
//!       <-------Reply, descriptors----   (one or more, then the end)
//! ```

mod blocks;
mod cache_mounts;
mod call;
mod client;
mod comparison;
mod entry;
mod error;
mod heard;
mod helpers;
pub mod id_map;
mod layers;
mod milestones;
mod program;
pub mod protocol;
mod run;
mod scratch;
mod serve;
mod start;

pub use client::{Worker, WorkerOptions, files_at_once};
pub use error::WorkerError;
pub use start::{Obstacle, WORKER_NAME, WorkerStartError};

use crate::sandbox;

/// Returns what this process is to do if it was started by lbuild itself, as a worker or a sandbox: the first thing that
/// `main` asks, before any thread is there.
pub fn reexec_entry() -> Option<fn() -> !> {
    match std::env::args_os().next()?.to_str()? {
        WORKER_NAME => Some(entry::main),
        sandbox::HELPER_NAME => Some(sandbox::sandbox_main),
        _ => None,
    }
}
