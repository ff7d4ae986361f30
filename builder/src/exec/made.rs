//! [`Made`]: what the builds of one call have run already.

use layerfs::layer::ExecutionId;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The executions of one call, whatever platform they were for. `--no-cache` asks that every step runs, not that one that
/// several platforms share runs for each of them.
#[derive(Debug, Default)]
pub struct Made(Mutex<HashSet<ExecutionId>>);

impl Made {
    /// Notes that `execution` is of this call.
    pub fn note(&self, execution: ExecutionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(execution);
    }

    /// Reports whether `execution` is of this call.
    pub fn has(&self, execution: ExecutionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&execution)
    }
}
