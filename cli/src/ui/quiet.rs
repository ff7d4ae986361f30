//! [`Quiet`]: shows nothing.

use builder::progress::{Event, ProgressSink};

/// Shows nothing; what went wrong is reported at the end.
#[derive(Debug, Default)]
pub struct Quiet;

impl ProgressSink for Quiet {
    fn event(&self, _event: Event) {}
}
