//! [`State`]: where a stage stands between two steps; [`StageCell`]: where those who read a stage wait for its end.

use crate::cache::Record;
use crate::key::CacheKey;
use layerfs::layer::{ExecutionId, Layer};
use std::sync::{Condvar, Mutex, PoisonError};

/// Where a stage stands between two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Key of what came before.
    pub key: CacheKey,
    /// Keys and executions of the steps that made it, other stages' through FROM included; the nearest last.
    pub chain: Vec<(CacheKey, ExecutionId)>,
    /// Its layers, the lowest first.
    pub stack: Vec<Layer>,
}

impl State {
    /// Returns the state of a stage that has run no step: a base's key and layers.
    pub fn base(key: CacheKey, stack: Vec<Layer>) -> Self {
        Self { key, chain: Vec::new(), stack }
    }

    /// Returns the state after the step of `record`; its base layers are those of `self`, which are this build's own
    /// (a record may have been made from the same layers in other blobs).
    pub fn after(&self, record: &Record) -> Self {
        let bases = self.stack.iter().filter(|layer| matches!(layer, Layer::Base { .. }));
        let built = record.stack.iter().filter(|layer| matches!(layer, Layer::Built { .. }));
        let mut chain = record.ancestors.clone();
        chain.push((record.key, record.execution));
        Self { key: record.key, chain, stack: bases.chain(built).cloned().collect() }
    }

    /// Returns the execution of the last step, or nothing if no step was run.
    pub fn execution(&self) -> Option<ExecutionId> {
        self.chain.last().map(|link| link.1)
    }
}

/// Where those who read a stage wait for its end: its last state, or nothing if it will never have one.
#[derive(Debug, Default)]
pub struct StageCell {
    value: Mutex<Option<Option<State>>>,
    changed: Condvar,
}

impl StageCell {
    /// Sets the end, once; nothing for a stage that failed.
    pub fn set(&self, state: Option<State>) {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        if value.is_none() {
            *value = Some(state);
            self.changed.notify_all();
        }
    }

    /// Returns the end if it is there.
    pub fn peek(&self) -> Option<State> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone().flatten()
    }

    /// Waits for the end; nothing if the stage failed.
    pub fn wait(&self) -> Option<State> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*value {
                Some(state) => return state.clone(),
                None => value = self.changed.wait(value).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
