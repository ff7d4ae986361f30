//! [`LocalCache`]: records as files in a store.
//!
//! ```text
//! cache/records/ab/<key>     a record: JSON, self-verifying (layerfs::sealed)
//! cache/memos/ab/<digest>    what was remembered: self-verifying
//! steps.lock                 one byte for each key, locked while its step runs
//! ```

use super::{CacheBackend, RECORD_VERSION, Record, Turn};
use crate::key::CacheKey;
use layerfs::digest::Digest;
use layerfs::io_error::IoError;
use layerfs::layer::ExecutionId;
use layerfs::sealed;
use layerfs::store::Store;
use layerfs::turn::Turns;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Records in a store's `cache/`.
#[derive(Debug)]
pub struct LocalCache {
    directory: PathBuf,
    temporary: PathBuf,
    locks: Turns,
}

impl LocalCache {
    /// Returns the records of `store`.
    pub fn new(store: &Store) -> Self {
        Self {
            directory: store.cache(),
            temporary: store.temporary(),
            locks: Turns::new(&store.root().join("steps.lock")),
        }
    }

    fn path(&self, kind: &str, name: &str) -> PathBuf {
        self.directory.join(kind).join(&name[..2]).join(name)
    }

    /// Returns every record with the time it was last used.
    ///
    /// # Errors
    /// The operating system's.
    pub fn list(&self) -> Result<Vec<(Record, SystemTime)>, IoError> {
        let mut records = Vec::new();
        for path in files_below(&self.directory.join("records"))? {
            if let Some(record) = read_record(&path)? {
                let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
                records.push((record, used.unwrap_or(SystemTime::UNIX_EPOCH)));
            }
        }
        Ok(records)
    }
}

impl CacheBackend for LocalCache {
    fn get(&self, key: &CacheKey) -> Result<Option<Record>, IoError> {
        let path = self.path("records", &key.to_string());
        let record = read_record(&path)?.filter(|record| record.key == *key);
        if record.is_some() {
            note_use(&path);
        }
        Ok(record)
    }

    fn put(&self, record: &Record) -> Result<(), IoError> {
        let bytes = serde_json::to_vec(record).expect("a record is plain data");
        sealed::write(&self.path("records", &record.key.to_string()), &self.temporary, &bytes)
    }

    fn strike(&self, executions: &[ExecutionId]) -> Result<usize, IoError> {
        let mut struck = 0;
        for (record, _) in self.list()? {
            if record.passes_through(executions) {
                struck += usize::from(sealed::remove(&self.path("records", &record.key.to_string()))?);
            }
        }
        Ok(struck)
    }

    fn lock(&self, key: &CacheKey, give_up: &dyn Fn() -> bool) -> Result<Option<Box<dyn Turn>>, IoError> {
        let turn = self.locks.take(&key.0, give_up)?;
        Ok(turn.map(|turn| Box::new(turn) as Box<dyn Turn>))
    }

    fn memo_get(&self, name: &Digest) -> Result<Option<Vec<u8>>, IoError> {
        sealed::read(&self.path("memos", &name.hex()))
    }

    fn memo_put(&self, name: &Digest, value: &[u8]) -> Result<(), IoError> {
        sealed::write(&self.path("memos", &name.hex()), &self.temporary, value)
    }
}

/// Notes that a record was used, if that was not noted within the last hour: a build from the cache should write little.
fn note_use(path: &Path) {
    const FRESH: Duration = Duration::from_secs(3600);
    let noted = || {
        let file = fs::File::open(path)?;
        let used = file.metadata()?.modified()?;
        if used.elapsed().unwrap_or_default() >= FRESH { file.set_modified(SystemTime::now()) } else { Ok(()) }
    };
    if noted().is_err() {
        // It goes earlier than it need, and its step is run again.
    }
}

fn read_record(path: &Path) -> Result<Option<Record>, IoError> {
    let record: Option<Record> = sealed::read(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(record.filter(|record| record.version == RECORD_VERSION))
}

/// Returns every file two levels below `directory`.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>, IoError> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(directory).min_depth(2).max_depth(2) {
        match entry {
            Ok(entry) => files.push(entry.into_path()),
            Err(error) if error.io_error().is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound) => {}
            Err(error) => return Err(IoError::new("read", directory, &error.into())),
        }
    }
    Ok(files)
}
