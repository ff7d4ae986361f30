//! The worker: a process in a user namespace that owns layer directories, mounts, sandboxes and diffs.
//!
//! The front holds a [`Worker`]: its end of the pipe. Each call has a socket of its own, so calls run side by side,
//! stream what they have to say, and end when the front closes the socket.

pub mod protocol;
