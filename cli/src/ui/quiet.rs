//! [`Quiet`]: shows nothing.

use super::watch::Screen;
use builder::progress::{Event, ProgressSink};

/// Shows nothing; what went wrong is reported at the end.
#[derive(Debug, Default)]
pub struct Quiet;

impl Screen for Quiet {
    fn as_sink(&self) -> &dyn ProgressSink {
        self
    }
}

impl ProgressSink for Quiet {
    fn event(&self, _event: Event) {}
}
