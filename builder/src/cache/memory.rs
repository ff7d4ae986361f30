//! [`MemoryCache`]: records that end with the process.

use super::{CacheBackend, Record, Turn};
use crate::key::CacheKey;
use layerfs::digest::Digest;
use layerfs::io_error::IoError;
use layerfs::layer::ExecutionId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Records that end with the process; for tests, and for builds that are to leave nothing behind.
#[derive(Debug, Default)]
pub struct MemoryCache {
    records: Mutex<HashMap<CacheKey, Record>>,
    memos: Mutex<HashMap<Digest, Vec<u8>>>,
}

impl CacheBackend for MemoryCache {
    fn get(&self, key: &CacheKey) -> Result<Option<Record>, IoError> {
        Ok(lock(&self.records).get(key).cloned())
    }

    fn put(&self, record: &Record) -> Result<(), IoError> {
        lock(&self.records).insert(record.key, record.clone());
        Ok(())
    }

    fn strike(&self, executions: &[ExecutionId]) -> Result<usize, IoError> {
        let mut records = lock(&self.records);
        let before = records.len();
        records.retain(|_, record| !record.passes_through(executions));
        Ok(before - records.len())
    }

    /// Steps of one process are kept apart by the session.
    fn lock(&self, _key: &CacheKey, _give_up: &dyn Fn() -> bool) -> Result<Option<Box<dyn Turn>>, IoError> {
        Ok(Some(Box::new(())))
    }

    fn memo_get(&self, name: &Digest) -> Result<Option<Vec<u8>>, IoError> {
        Ok(lock(&self.memos).get(name).cloned())
    }

    fn memo_put(&self, name: &Digest, value: &[u8]) -> Result<(), IoError> {
        lock(&self.memos).insert(*name, value.to_vec());
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
