//! The screen: [`ProgressSink`](builder::progress::ProgressSink)s that show a build.
//!
//! Progress goes to standard error, so that standard output holds what was asked for and nothing else.

mod age;
mod grouped;
mod known_source;
mod ledger;
mod lines;
mod live;
mod pass_through;
mod placed;
mod plain;
mod quiet;
mod raw;
mod recorder;
mod style;
mod terminal_line;
mod text;
mod view;
mod watch;

pub use age::{age, date, moment};
pub use grouped::annotation;
pub use known_source::KnownSource;
pub use ledger::{Ledger, Made};
pub use live::seconds;
pub use pass_through::PassThrough;
pub use placed::Placed;
pub use plain::bytes;
pub use quiet::Quiet;
pub use recorder::{FailedLog, Recorder};
pub use style::Style;
pub use text::{clipped, visible};
pub use view::View;
pub use watch::{Screen, Shared, Watched, Watcher};

#[cfg(test)]
mod tests;
