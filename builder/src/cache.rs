//! [`Record`]: what a step ended with; [`CacheBackend`]: where records are.

use crate::key::{CacheKey, Component};
use layerfs::layer::{ExecutionId, Layer};
use serde::{Deserialize, Serialize};

/// Version of the record format; part of every key too.
pub const RECORD_VERSION: u32 = 1;

/// What a step ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`] at the time of writing; another is no record.
    pub version: u32,
    /// The step's key.
    pub key: CacheKey,
    /// The execution that this record is of.
    pub execution: ExecutionId,
    /// Keys and executions of every step it stands on: its own stage's and, through FROM, those of other stages;
    /// the nearest last. With the step itself they are, in order, the built layers of `stack`.
    pub ancestors: Vec<(CacheKey, ExecutionId)>,
    /// The whole stack it ended with, the lowest first; the last is the step's own.
    pub stack: Vec<Layer>,
    /// What the key was made of.
    pub components: Vec<Component>,
}
