//! [`Record`]: what a step ended with; [`CacheBackend`]: where records are.

mod local;
mod memory;

pub use local::LocalCache;
pub use memory::MemoryCache;

use crate::key::{CacheKey, Component};
use layerfs::digest::Digest;
use layerfs::io_error::IoError;
use layerfs::layer::{ExecutionId, Layer};
use layerfs::turn::Held;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

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

impl Record {
    /// Reports whether it is of one of `executions`, or stands on one.
    fn passes_through(&self, executions: &[ExecutionId]) -> bool {
        executions.contains(&self.execution) || self.ancestors.iter().any(|link| executions.contains(&link.1))
    }
}

/// Keeps a lock until it is dropped.
pub trait Turn {}

impl Turn for Held {}
impl Turn for () {}

/// Where records are. Contract: `get` gives what the last `put` of the key filed, unless it was struck since, or
/// nothing; never anything else. Called from several threads and processes.
pub trait CacheBackend: Debug + Send + Sync {
    /// Returns the record of a key.
    ///
    /// # Errors
    /// The operating system's; a damaged record is no record.
    fn get(&self, key: &CacheKey) -> Result<Option<Record>, IoError>;

    /// Files a record, in place of the one its key had.
    ///
    /// # Errors
    /// The operating system's.
    fn put(&self, record: &Record) -> Result<(), IoError>;

    /// Strikes every record that is of one of `executions` or stands on one; returns how many there were.
    ///
    /// # Errors
    /// The operating system's.
    fn strike(&self, executions: &[ExecutionId]) -> Result<usize, IoError>;

    /// Waits until nobody else runs the step of `key`, and keeps others from it until the turn is dropped; nothing if
    /// `give_up` says so meanwhile.
    ///
    /// # Errors
    /// The operating system's.
    fn lock(&self, key: &CacheKey, give_up: &dyn Fn() -> bool) -> Result<Option<Box<dyn Turn>>, IoError>;

    /// Returns what was remembered under `name`.
    ///
    /// # Errors
    /// The operating system's.
    fn memo_get(&self, name: &Digest) -> Result<Option<Vec<u8>>, IoError>;

    /// Remembers `value` under `name`.
    ///
    /// # Errors
    /// The operating system's.
    fn memo_put(&self, name: &Digest, value: &[u8]) -> Result<(), IoError>;
}

#[cfg(test)]
mod tests;
