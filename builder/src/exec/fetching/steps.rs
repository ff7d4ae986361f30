//! [`Steps`]: fetching an image, shown as a step.

use crate::error::StepError;
use crate::progress::{Event, Outcome, ProgressSink, StepId};
use layerfs::descriptor::Descriptor;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two reports of one layer.
const BEAT: Duration = Duration::from_millis(100);

/// Shows the fetching of each image as a step that lasts as long as any layer of it is on its way.
#[derive(Default)]
pub(super) struct Steps<'a> {
    sink: Option<&'a dyn ProgressSink>,
    running: Mutex<HashMap<usize, Running>>,
}

#[derive(Debug)]
struct Running {
    began: Instant,
    layers: usize,
    failure: Option<String>,
}

/// One layer of an image on its way.
#[derive(Debug)]
pub(super) struct Part<'a> {
    steps: &'a Steps<'a>,
    image: usize,
    blob: &'a Descriptor,
    told: Mutex<Option<Instant>>,
}

impl fmt::Debug for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").field("running", &self.running).finish_non_exhaustive()
    }
}

impl<'a> Steps<'a> {
    /// Returns steps of `sink`.
    pub(super) fn of(sink: &'a dyn ProgressSink) -> Self {
        Self { sink: Some(sink), running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<usize, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        if let Some(sink) = self.sink {
            sink.event(event);
        }
    }

    /// Begins a layer of the image number `image`, called `name`.
    pub(super) fn begin<'b>(&'b self, image: usize, name: &str, blob: &'b Descriptor) -> Part<'b> {
        let mut running = self.running();
        let step = running.entry(image).or_insert_with(|| {
            self.tell(Event::StepStarted { step: StepId::pull(image), name: format!("pull {name}") });
            Running { began: Instant::now(), layers: 0, failure: None }
        });
        step.layers += 1;
        Part { steps: self, image, blob, told: Mutex::new(None) }
    }
}

impl Part<'_> {
    /// Tells that `done` bytes are here, unless that was told just now.
    pub(super) fn moved(&self, done: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if done == self.blob.size || told.is_none_or(|told| told.elapsed() >= BEAT) {
            *told = Some(Instant::now());
            let (step, what) = (StepId::pull(self.image), self.blob.digest.to_string());
            self.steps.tell(Event::Transfer { step, what, done, total: Some(self.blob.size) });
        }
    }

    /// Ends the layer; with the last one the step ends.
    pub(super) fn end(self, error: Option<&StepError>) {
        let mut running = self.steps.running();
        let Some(step) = running.get_mut(&self.image) else { return };
        step.layers -= 1;
        if let Some(error) = error {
            step.failure.get_or_insert(error.to_string());
        }
        if step.layers == 0
            && let Some(ended) = running.remove(&self.image)
        {
            let outcome = ended.failure.map_or(Outcome::Done, Outcome::Failed);
            let (step, took) = (StepId::pull(self.image), ended.began.elapsed());
            self.steps.tell(Event::StepFinished { step, took, outcome });
        }
    }
}
