//! The screen: [`ProgressSink`](builder::progress::ProgressSink)s that show a build.
//!
//! Progress goes to standard error, so that standard output holds what was asked for and nothing else.

mod age;
mod lines;
mod pass_through;
mod placed;
mod plain;
mod quiet;
mod recorder;
mod text;
mod tty;

pub use age::{age, date, seconds};
pub use pass_through::PassThrough;
pub use placed::Placed;
pub use plain::{Plain, bytes};
pub use quiet::Quiet;
pub use recorder::{FailedLog, Recorder};
pub use text::{clipped, visible};
pub use tty::Tty;

#[cfg(test)]
mod tests;
