//! [`Fetching`]: the layers of bases on their way here, each fetched once however many want it.

mod lanes;
mod steps;

use crate::bases::Bases;
use crate::error::StepError;
use crate::progress::ProgressSink;
use lanes::Lanes;
use layerfs::beside::each_beside;
use layerfs::blobs::BlobStore;
use layerfs::cancel::Cancel;
use layerfs::descriptor::Descriptor;
use layerfs::digest::Digest;
use layerfs::download::{Download, Fetch, Follower};
use layerfs::error::StoreError;
use layerfs::flight::Flight;
use layerfs::lease::{Held, Lease};
use layerfs::source::{ImageSource, Origin};
use layerfs::store::Store;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use steps::Steps;

/// Bytes that a pipe to the worker holds; the kernel may grant fewer.
const PIPE: usize = 1 << 20;
/// Bytes that are moved at a time.
const PIECE: usize = 256 << 10;

/// Where a layer of a base comes from.
#[derive(Debug, Clone)]
struct Provenance {
    source: Arc<dyn ImageSource>,
    image: String,
    /// Numbers of the images that have it.
    numbers: Vec<usize>,
    /// Its bytes will be needed here: whoever reads it keeps it.
    wanted: bool,
}

/// The layers of bases on their way here.
#[derive(Debug)]
pub(crate) struct Fetching<'a> {
    store: &'a Store,
    lease: &'a Lease,
    cancel: &'a Cancel,
    provenance: HashMap<Digest, Provenance>,
    imports: Flight<Digest, ()>,
    downloads: Mutex<HashMap<Digest, Arc<Download>>>,
    lanes: Lanes,
    steps: Steps<'a>,
}

impl<'a> Fetching<'a> {
    /// Returns the layers of `bases`, all of which are wanted, and of which nothing is shown.
    pub(crate) fn new(store: &'a Store, bases: &Bases, lease: &'a Lease, cancel: &'a Cancel) -> Self {
        let mut provenance: HashMap<Digest, Provenance> = HashMap::new();
        for (number, base) in bases.images.iter().enumerate() {
            for layer in &base.image.manifest.layers {
                let from = provenance.entry(layer.digest).or_insert_with(|| Provenance {
                    source: Arc::clone(&base.source),
                    image: base.name.clone(),
                    numbers: Vec::new(),
                    wanted: true,
                });
                from.numbers.push(number);
            }
        }
        let (imports, downloads, lanes, steps) = Default::default();
        Self { store, lease, cancel, provenance, imports, downloads, lanes, steps }
    }

    /// Shows what is fetched as steps of `sink`.
    pub(crate) fn tell(&mut self, sink: &'a dyn ProgressSink) {
        self.steps = Steps::of(sink);
    }

    /// Says of which images, by number, bytes will be needed.
    pub(crate) fn want(&mut self, images: &HashSet<usize>) {
        for layer in self.provenance.values_mut() {
            layer.wanted = layer.numbers.iter().any(|number| images.contains(number));
        }
    }

    /// Returns the image that a layer belongs to, as the Dockerfile has it.
    pub(crate) fn image_of(&self, blob: &Digest) -> Option<&str> {
        self.provenance.get(blob).map(|from| from.image.as_str())
    }

    /// Returns who has a layer.
    pub(crate) fn origin_of(&self, blob: &Digest) -> Option<Origin> {
        self.provenance.get(blob).map(|from| Origin(Arc::clone(&from.source)))
    }

    fn is_here(&self, blob: &Descriptor) -> Result<bool, StepError> {
        self.lease.hold(&[Held::Blob(blob.digest)])?;
        Ok(self.store.blobs().size(&blob.digest)? == Some(blob.size))
    }

    fn from(&self, blob: &Descriptor) -> Result<&Provenance, StepError> {
        self.provenance.get(&blob.digest).ok_or(StepError::BlobGone(blob.digest))
    }

    /// Makes sure that a layer is in the store.
    ///
    /// # Errors
    /// The source's, the store's.
    pub(crate) fn import(&self, blob: &Descriptor) -> Result<(), StepError> {
        self.import_unless(blob, self.cancel)
    }

    /// Makes sure that all these layers are in the store, side by side; where one fails, the rest is given up.
    ///
    /// # Errors
    /// As [`Self::import`], the first in their order.
    pub(crate) fn import_all(&self, blobs: &[Descriptor]) -> Result<(), StepError> {
        let stop = self.cancel.child().map_err(|error| StepError::io("make", "an eventfd", &error))?;
        let import = |blob: &Descriptor| self.import_unless(blob, &stop).inspect_err(|_| stop.cancel());
        let mut failures: Vec<StepError> = each_beside(blobs, import).into_iter().filter_map(Result::err).collect();
        // Those that were given up say nothing.
        failures.sort_by_key(|error| matches!(error, StepError::Cancelled));
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    fn import_unless(&self, blob: &Descriptor, cancel: &Cancel) -> Result<(), StepError> {
        self.imports.get_or_try(blob.digest, || {
            if self.is_here(blob)? {
                return Ok(());
            }
            let download = self.download(&blob.digest);
            let result = self.moving(blob, |from, progress| {
                let (store, source) = (self.store, &*from.source);
                Fetch { store, source, blob, cancel, progress }.run(&download)
            });
            self.downloads.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob.digest);
            result.map_err(|error| if cancel.is_cancelled() { StepError::Cancelled } else { error })
        })
    }

    /// Moves a layer in a lane of its host, shown as part of its image's step.
    fn moving<T, E: Into<StepError>>(
        &self,
        blob: &Descriptor,
        work: impl FnOnce(&Provenance, &(dyn Fn(u64) + Sync)) -> Result<T, E>,
    ) -> Result<T, StepError> {
        let from = self.from(blob)?;
        let Some(name) = from.source.repository() else { return work(from, &|_| {}).map_err(Into::into) };
        let _lane = self.lanes.take(&name.host, self.cancel).ok_or(StepError::Cancelled)?;
        let part = self.steps.begin(from.numbers[0], &from.image, blob);
        let result = work(from, &|done| part.moved(done)).map_err(Into::into);
        part.end(result.as_ref().err());
        result
    }

    /// Returns what a layer is followed by while it is fetched.
    fn download(&self, blob: &Digest) -> Arc<Download> {
        let mut downloads = self.downloads.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(downloads.entry(*blob).or_default())
    }

    /// Brings a layer into the store and calls `work` with a file or pipe of its bytes meanwhile.
    ///
    /// # Errors
    /// The source's, the store's; what `work` failed with.
    pub(crate) fn read<T>(
        &self,
        blob: &Descriptor,
        work: &(dyn Fn(BorrowedFd<'_>) -> Result<T, StepError> + Sync),
    ) -> Result<T, StepError> {
        let from_store = || work(self.store.blobs().open(&blob.digest)?.as_fd());
        if self.is_here(blob)? {
            return from_store();
        }
        let arriving = self.beside_import(blob, |follower| through_pipe(follower, work))?;
        arriving.map_or_else(from_store, Ok)
    }

    /// Calls `work` with the bytes of a layer, plain from its source if nobody wants to keep it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn skim<T>(
        &self,
        blob: &Descriptor,
        work: &dyn Fn(Box<dyn Read + Send>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let from_store = || work(Box::new(self.store.blobs().open(&blob.digest)?));
        if self.is_here(blob)? {
            return from_store();
        }
        if !self.from(blob)?.wanted {
            return self.stream(blob, work);
        }
        let arriving = self.beside_import(blob, |follower| work(Box::new(follower)))?;
        arriving.map_or_else(from_store, Ok)
    }

    /// Imports a layer beside `work`, which follows it. Returns nothing where `work` could not end because bytes were
    /// wrong that have been replaced by right ones since.
    fn beside_import<T>(
        &self,
        blob: &Descriptor,
        work: impl FnOnce(Follower) -> Result<T, StepError>,
    ) -> Result<Option<T>, StepError> {
        let stop = self.cancel.child().map_err(|error| StepError::io("make", "an eventfd", &error))?;
        let download = self.download(&blob.digest);
        std::thread::scope(|scope| {
            let import = scope.spawn(|| {
                let result = self.import_unless(blob, &stop);
                download.settle(self.store, blob, &result);
                result
            });
            let worked = work(download.follow(blob));
            let failed_itself = worked.is_err() && !download.has_failed();
            if failed_itself {
                // Nobody is to wait for the rest of a layer that is refused.
                stop.cancel();
            }
            let imported = import.join().expect("importing does not panic");
            match worked {
                Ok(done) => imported.map(|()| Some(done)),
                Err(error) if failed_itself => Err(error),
                Err(_) => imported.map(|()| None),
            }
        })
    }

    /// Calls `work` with the bytes of a layer from its source, again from another place if they were wrong.
    fn stream<T>(
        &self,
        blob: &Descriptor,
        work: &dyn Fn(Box<dyn Read + Send>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        loop {
            let result = self.moving(blob, |from, progress| {
                let counted = Counted { inner: from.source.open(blob)?, count: 0, progress };
                // The reader of a layer may own what it reads from, and this lasts only as long as `work`.
                let (pipe, feed) = io_pipe()?;
                std::thread::scope(|scope| {
                    let fed = scope.spawn(move || pour(counted, feed));
                    let result = work(Box::new(File::from(pipe)));
                    let fed = fed.join().expect("reading does not panic");
                    match (fed, result) {
                        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => {
                            Err(layerfs::verify::unwrap_error(error, "read", blob.digest.to_string().as_ref()).into())
                        }
                        (_, result) => result,
                    }
                })
            });
            match result {
                Err(StepError::Store(StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. }))
                    if self.from(blob)?.source.reject(blob) => {}
                Err(_) if self.cancel.is_cancelled() => return Err(StepError::Cancelled),
                other => return other,
            }
        }
    }
}

/// Counts what is read.
struct Counted<'a> {
    inner: Box<dyn Read + Send>,
    count: u64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        (self.progress)(self.count);
        Ok(count)
    }
}

fn io_pipe() -> Result<(OwnedFd, OwnedFd), StepError> {
    let ends = pipe_with(PipeFlags::CLOEXEC).map_err(|error| StepError::io("make", "a pipe", &error.into()))?;
    // A smaller pipe serves, too.
    fcntl_setpipe_size(&ends.1, PIPE).ok();
    Ok(ends)
}

/// Copies all of `reader` into a pipe, in large pieces.
fn pour(reader: impl Read, feed: OwnedFd) -> io::Result<u64> {
    io::copy(&mut BufReader::with_capacity(PIECE, reader), &mut File::from(feed))
}

/// Calls `work` with a pipe of what `reader` gives.
fn through_pipe<T>(
    reader: impl Read + Send,
    work: &(dyn Fn(BorrowedFd<'_>) -> Result<T, StepError> + Sync),
) -> Result<T, StepError> {
    let (pipe, feed) = io_pipe()?;
    std::thread::scope(|scope| {
        // Where it ends early, the other end sees a stump, and whoever reads the source knows why.
        scope.spawn(move || pour(reader, feed).ok());
        let result = work(pipe.as_fd());
        drop(pipe);
        result
    })
}

#[cfg(test)]
mod tests;
