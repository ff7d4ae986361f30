//! [`LazyWorker`]: the worker of a build, started by the first step that needs one.

use crate::error::StepError;
use crate::worker::id_map::IdMap;
use crate::worker::{Worker, WorkerOptions};
use layerfs::cancel::Cancel;
use layerfs::trace::{Phase, Trace};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The worker of a build, started by the first step that needs one. It is ended when this is dropped.
#[derive(Debug)]
pub struct LazyWorker<'a> {
    store: &'a Path,
    map: &'a IdMap,
    cancel: &'a Cancel,
    trace: Trace,
    worker: Mutex<Option<Arc<Worker>>>,
}

impl<'a> LazyWorker<'a> {
    /// Returns a worker for the store at `store` that is not started yet.
    pub fn new(store: &'a Path, map: &'a IdMap, cancel: &'a Cancel) -> Self {
        Self { store, map, cancel, trace: Trace::default(), worker: Mutex::new(None) }
    }

    /// Lets `trace` be told where the worker's time goes.
    pub fn traced(mut self, trace: &Trace) -> Self {
        self.trace = trace.clone();
        self
    }

    /// Returns the worker, started if it was not.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn get(&self) -> Result<Arc<Worker>, StepError> {
        let mut slot = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = &*slot {
            return Ok(Arc::clone(worker));
        }
        let _starting = self.trace.begin(Phase::Waiting, || "start of the worker".to_owned());
        let options = WorkerOptions { id_map: self.map.clone(), trace: self.trace.clone() };
        let worker = Arc::new(Worker::start(self.store, options)?);
        *slot = Some(Arc::clone(&worker));
        Ok(worker)
    }

    /// Returns why the worker has only one id and what to do about it, if it has only one.
    pub fn one_id_help(&self) -> Option<String> {
        self.map.one_id_help()
    }

    /// Returns what ends the build.
    pub fn cancel(&self) -> &'a Cancel {
        self.cancel
    }
}
