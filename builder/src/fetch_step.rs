//! [`FetchStep`]: the fetching of a context or Dockerfile, shown as a step.

use crate::progress::{Event, Outcome, ProgressSink, StepId};
use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

/// Time between two reports.
const BEAT: Duration = Duration::from_millis(100);

/// The fetching of a context or Dockerfile, shown as a step.
pub(crate) struct FetchStep<'a> {
    sink: &'a dyn ProgressSink,
    step: StepId,
    what: String,
    began: Instant,
    told: Cell<Instant>,
}

impl fmt::Debug for FetchStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchStep").field("step", &self.step).field("what", &self.what).finish_non_exhaustive()
    }
}

impl<'a> FetchStep<'a> {
    /// Begins a step called `name` that fetches `what`.
    pub(crate) fn begin(sink: &'a dyn ProgressSink, step: StepId, name: String, what: String) -> Self {
        sink.event(Event::StepStarted { step, name });
        Self { sink, step, what, began: Instant::now(), told: Cell::new(Instant::now()) }
    }

    /// Tells that `done` bytes are here, unless that was told just now.
    pub(crate) fn moved(&self, done: u64, total: Option<u64>) {
        if total == Some(done) || self.told.get().elapsed() >= BEAT {
            self.told.set(Instant::now());
            self.sink.event(Event::Transfer { step: self.step, what: self.what.clone(), done, total });
        }
    }

    /// Ends the step.
    pub(crate) fn end(self, outcome: Outcome) {
        self.sink.event(Event::StepFinished { step: self.step, took: self.began.elapsed(), outcome });
    }
}
