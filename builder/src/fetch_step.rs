//! [`FetchStep`]: the fetching of a context, a Dockerfile or a file of the web, shown as a step.

use crate::progress::{Event, Outcome, ProgressSink, StepId};
use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

/// Time between two reports.
const BEAT: Duration = Duration::from_millis(100);

/// The fetching of a context, a Dockerfile or a file of the web, shown as a step.
pub(crate) struct FetchStep<'a> {
    sink: &'a dyn ProgressSink,
    step: StepId,
    /// Its name, until it is told.
    name: Cell<Option<String>>,
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
        let step = Self::at_first_byte(sink, step, name, what);
        step.tell_begin();
        step
    }

    /// Begins a step that is told of once something comes: nothing does of what is known already.
    pub(crate) fn at_first_byte(sink: &'a dyn ProgressSink, step: StepId, name: String, what: String) -> Self {
        let (began, told) = (Instant::now(), Cell::new(Instant::now()));
        Self { sink, step, name: Cell::new(Some(name)), what, began, told }
    }

    fn tell_begin(&self) {
        if let Some(name) = self.name.take() {
            self.sink.event(Event::StepStarted { step: self.step, name });
        }
    }

    /// Tells that `done` bytes are here, unless that was told just now.
    pub(crate) fn moved(&self, done: u64, total: Option<u64>) {
        self.tell_begin();
        if total == Some(done) || self.told.get().elapsed() >= BEAT {
            self.told.set(Instant::now());
            self.sink.event(Event::Transfer { step: self.step, what: self.what.clone(), done, total });
        }
    }

    /// Ends the step, if it was told of.
    pub(crate) fn end(self, outcome: Outcome) {
        if self.name.take().is_some() {
            return;
        }
        self.sink.event(Event::StepFinished { step: self.step, took: self.began.elapsed(), outcome });
    }
}
