//! What keeps a store in order: check it, and delete what nothing needs; directories through the worker.

use crate::error::StepError;
use crate::exec::LazyWorker;
use crate::worker::WorkerError;
use crate::worker::id_map::{Caller, IdMap};
use layerfs::cancel::Cancel;
use layerfs::error::StoreError;
use layerfs::io_error::IoError;
use layerfs::layer::LayerKey;
use layerfs::store::{FsckReport, Remover, Store};
use std::path::PathBuf;

/// Checks every object of a store. With `repair`, what is damaged is removed, so that the next build makes it again.
///
/// # Errors
/// Where the store cannot be read at all, or the worker cannot look at its layers.
pub fn check(store: &Store, repair: bool, cancel: &Cancel) -> Result<FsckReport, StepError> {
    let map = IdMap::detect(&Caller::read(None));
    let worker = LazyWorker::new(store.root(), &map, cancel);
    let mut failure = None;
    let mut check_layer = |own: &str, key: &LayerKey| {
        if own != map.digest {
            // Unpacked before the user's ranges changed: their files cannot be read, and no build of today uses them.
            return Ok(Vec::new());
        }
        compare(&worker, key, cancel).map_err(|error| {
            let text = error.to_string();
            failure = Some(error);
            as_store_error(StepError::Worker(WorkerError::Lost(text)))
        })
    };
    let mut remove = |paths: &[PathBuf]| remove(&worker, paths, cancel).map_err(as_store_error);
    let remover: Option<&mut Remover<'_>> = if repair { Some(&mut remove) } else { None };
    let result = store.fsck(&mut check_layer, remover);
    result.map_err(|error| failure.unwrap_or(StepError::Store(error)))
}

/// Returns what differs between a layer's directory and its index. An error says nothing about the layer.
fn compare(worker: &LazyWorker<'_>, key: &LayerKey, cancel: &Cancel) -> Result<Vec<String>, StepError> {
    match worker.get()?.check(*key, cancel) {
        Ok(differences) => Ok(differences),
        Err(WorkerError::NoLayer(_)) => Ok(vec!["it has no index".to_owned()]),
        Err(WorkerError::Io(error)) => Ok(vec![error.to_string()]),
        Err(error) => Err(error.into()),
    }
}

/// Deletes directories through the worker, and returns the bytes that freed.
pub(crate) fn remove(worker: &LazyWorker<'_>, paths: &[PathBuf], cancel: &Cancel) -> Result<u64, StepError> {
    let paths: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let worker = worker.get()?;
    let bytes = worker.measure(paths.clone(), cancel)?;
    worker.delete(paths, cancel)?;
    Ok(bytes)
}

pub(crate) fn as_store_error(error: StepError) -> StoreError {
    match error {
        StepError::Store(error) => error,
        other => StoreError::Io(IoError {
            act: "delete".into(),
            path: "layers".into(),
            errno: None,
            message: other.to_string(),
        }),
    }
}
