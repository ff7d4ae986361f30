//! [`Fetch`]: brings a blob into the store; [`Download`]: a blob on its way, which others read as it comes.
//!
//! ```text
//! source ─→ tmp/part-<digits> (hashed as it comes) ─→ blobs/sha256/<digits>, once digest and size are right
//!                └─→ Follower: unpacking, indexing, beside the download
//! ```
//! What has arrived when a fetch is cut off stays, and the next one goes on from there. One process fetches a blob at a
//! time; the others wait and find it. A [`Follower`] never gets the last byte of a blob that is not what it should be.

mod landing;

use crate::blobs::BlobStore;
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::registry::error::RegistryError;
use crate::source::ImageSource;
use crate::store::Store;
use landing::Landing;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A blob on its way into the store.
#[derive(Debug, Default)]
pub struct Download {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<File>>,
    arrived: u64,
    /// How it ended: well, or why not.
    end: Option<Result<(), String>>,
}

impl Download {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.end.is_none() {
            change(&mut state);
            self.changed.notify_all();
        }
    }

    /// Returns a reader of the blob from its start, which waits for what has not come yet.
    pub fn follow(self: &Arc<Self>, blob: &Descriptor) -> Follower {
        Follower { download: Arc::clone(self), at: 0, size: blob.size }
    }

    /// Ends it as `result` says for whoever came too late to see it fetched: a blob that is in `store` is read from there.
    pub fn settle<E: ToString>(&self, store: &Store, blob: &Descriptor, result: &Result<(), E>) {
        let file = result
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|()| store.blobs().open(&blob.digest).map(Arc::new).map_err(|error| error.to_string()));
        self.change(|state| match file {
            Ok(file) => (state.file, state.arrived, state.end) = (Some(file), blob.size, Some(Ok(()))),
            Err(why) => state.end = Some(Err(why)),
        });
    }

    /// Reports whether it ended otherwise than well: who follows it cannot go on.
    pub fn has_failed(&self) -> bool {
        matches!(self.state().end, Some(Err(_)))
    }
}

/// Reads a blob while it comes.
#[derive(Debug)]
pub struct Follower {
    download: Arc<Download>,
    at: u64,
    size: u64,
}

impl Follower {
    /// Waits until there is something to read; returns the file and where what may be read ends.
    fn wait(&self) -> io::Result<(Arc<File>, u64)> {
        let mut state = self.download.state();
        loop {
            let is_whole = match &state.end {
                Some(Err(why)) => return Err(io::Error::other(why.clone())),
                Some(Ok(())) => true,
                None => false,
            };
            // The last byte comes when it is known that all are right.
            let end = if is_whole { self.size } else { state.arrived.min(self.size.saturating_sub(1)) };
            if let Some(file) = state.file.as_ref().filter(|_| is_whole || end > self.at) {
                return Ok((Arc::clone(file), end));
            }
            state = self.download.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, end) = self.wait()?;
        let most = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Brings one blob from its source into the store.
pub struct Fetch<'a> {
    /// The store.
    pub store: &'a Store,
    /// Who has the blob.
    pub source: &'a dyn ImageSource,
    /// Which blob.
    pub blob: &'a Descriptor,
    /// What ends it.
    pub cancel: &'a Cancel,
    /// Is told how many bytes are here, now and then.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl std::fmt::Debug for Fetch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").field("source", &self.source).field("blob", &self.blob.digest).finish_non_exhaustive()
    }
}

impl Fetch<'_> {
    /// Makes sure that the blob is in the store; whoever follows `download` reads it meanwhile. Bytes that are wrong are
    /// asked for again where the source knows of another place.
    ///
    /// # Errors
    /// The source's; [`StoreError::DigestMismatch`], [`StoreError::SizeMismatch`]: then nothing stays of it;
    /// [`RegistryError::Cancelled`]; [`StoreError::Io`].
    pub fn run(&self, download: &Download) -> Result<(), StoreError> {
        let result = self.bring(download);
        let end = result.as_ref().copied().map_err(ToString::to_string);
        download.change(|state| state.end = Some(end));
        result
    }

    fn bring(&self, download: &Download) -> Result<(), StoreError> {
        let turn = self.store.fetching().take(&self.blob.digest, &|| self.cancel.is_cancelled())?;
        let Some(_turn) = turn else { return Err(RegistryError::Cancelled.into()) };
        if self.store.blobs().size(&self.blob.digest)? == Some(self.blob.size) {
            let file = Arc::new(self.store.blobs().open(&self.blob.digest)?);
            download.change(|state| (state.file, state.arrived) = (Some(file), self.blob.size));
            return Ok(());
        }
        loop {
            let mut landing = Landing::open(self.store, self.blob, self.source.repository().is_some())?;
            let began_at = landing.count();
            let error = match self.pour(&mut landing, download) {
                Ok(()) => return landing.commit(),
                Err(error) => error,
            };
            let is_wrong = matches!(error, StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. });
            landing.leave(is_wrong)?;
            // What an earlier run left may be what is wrong, and no fault of the source.
            if !is_wrong || (began_at == 0 && !self.source.reject(self.blob)) {
                return Err(error);
            }
            download.change(|state| state.end = Some(Err(error.to_string())));
        }
    }

    /// Takes in what is missing.
    fn pour(&self, landing: &mut Landing<'_>, download: &Download) -> Result<(), StoreError> {
        let (file, arrived) = (landing.file(), landing.count());
        download.change(|state| (state.file, state.arrived) = (Some(file), arrived));
        if arrived == self.blob.size {
            return landing.check();
        }
        let mut from = self.cancel.watch(self.source.open_from(self.blob, arrived)?);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return landing.check(),
                Ok(count) => landing.take(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if self.cancel.is_cancelled() => return Err(RegistryError::Cancelled.into()),
                Err(error) => return Err(unwrap(error, self.blob)),
            }
            download.change(|state| state.arrived = landing.count());
            (self.progress)(landing.count());
        }
    }
}

/// Returns the error that reading a blob ended with.
fn unwrap(error: io::Error, blob: &Descriptor) -> StoreError {
    match error.downcast::<RegistryError>() {
        Ok(error) => error.into(),
        Err(error) => crate::verify::unwrap_error(error, "read", std::path::Path::new(&blob.digest.to_string())),
    }
}

#[cfg(test)]
mod tests;
