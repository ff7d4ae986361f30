//! [`Shelf`]: the layers of a build in whatever form a step needs them: blob, directory, index, diff ID.

mod tars;
mod trees;

use crate::bases::Bases;
use crate::error::StepError;
use crate::exec::fetching::Fetching;
use crate::exec::lazy_worker::LazyWorker;
use crate::progress::ProgressSink;
use crate::worker::Worker;
use layerfs::descriptor::Descriptor;
use layerfs::digest::{ChainId, DiffId, Digest};
use layerfs::directories::LayerDirectories;
use layerfs::export::EarlyForms;
use layerfs::flight::Flight;
use layerfs::indexes::TarFacts;
use layerfs::layer::{ExecutionId, Layer, LayerKey};
use layerfs::lease::{Held, Lease};
use layerfs::store::Store;
use layerfs::unpack::{UnpackLimits, Unpacked};
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

/// The layers of a build in whatever form a step needs them. Each form of a layer is made once, however many ask.
#[derive(Debug)]
pub struct Shelf<'a> {
    store: &'a Store,
    directories: LayerDirectories,
    worker: &'a LazyWorker<'a>,
    fetching: Fetching<'a>,
    /// Layers that were read for their index, with what leans on layers below.
    readings: Flight<Digest, Option<Arc<Unpacked>>>,
    unpacks: Flight<LayerKey, LayerKey>,
    /// Layers that are known to have a directory and an index.
    found: Mutex<HashSet<LayerKey>>,
    tars: Flight<ExecutionId, TarFacts>,
    lease: &'a Lease,
    limits: UnpackLimits,
    early: Option<&'a EarlyForms<'a>>,
}

/// Where a layer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// It is none of the image's.
    Outside,
    /// Others of the image's come above it.
    Below,
    /// The image's uppermost.
    Top,
}

impl<'a> Shelf<'a> {
    /// Returns the layers of a build from `bases`, kept in `store`, their directories in `directories`.
    pub fn new(
        store: &'a Store,
        directories: LayerDirectories,
        worker: &'a LazyWorker<'a>,
        bases: &Bases,
        lease: &'a Lease,
    ) -> Self {
        let fetching = Fetching::new(store, bases, lease, worker.cancel());
        let (readings, unpacks, found, tars) = Default::default();
        let limits = UnpackLimits::default();
        Self { store, directories, worker, fetching, readings, unpacks, found, tars, lease, limits, early: None }
    }

    /// Says what follows the tars of the image's layers while they are written.
    pub fn followed_by(self, early: Option<&'a EarlyForms<'a>>) -> Self {
        Self { early, ..self }
    }

    /// Shows what is fetched as steps of `sink`.
    pub fn telling(mut self, sink: &'a dyn ProgressSink) -> Self {
        self.fetching.tell(sink);
        self
    }

    /// Says which images' bytes will be needed, by number: of others, no layer is kept that is read for its index.
    pub fn wanting(mut self, images: &HashSet<usize>) -> Self {
        self.fetching.want(images);
        self
    }

    /// Reports whether every layer of a stack can be had in some form without running its step again.
    ///
    /// # Errors
    /// The store's.
    pub fn are_available(&self, stack: &[Layer]) -> Result<bool, StepError> {
        let built = stack.iter().filter_map(|layer| match layer {
            Layer::Base { .. } => None,
            Layer::Built { execution, .. } => Some(LayerKey::Execution(*execution)),
        });
        // Noted at once: each note is a write.
        self.lease.hold(&built.clone().map(Held::Layer).collect::<Vec<_>>())?;
        for key in built {
            if !self.is_unpacked(&key)? && self.tar_in_store(&key)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reports whether a layer, which is held, has a directory and, by its name alone, an index: without one it cannot be
    /// mounted. What was found once stays, since it is held: each step of a stage asks for every layer below it.
    fn is_unpacked(&self, key: &LayerKey) -> Result<bool, StepError> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found().contains(key) {
            return Ok(true);
        }
        let unpacked = self.directories.find(key)?.is_some() && self.store.indexes().path(key).exists();
        if unpacked {
            found().insert(*key);
        }
        Ok(unpacked)
    }

    /// Makes sure that the blob of a base layer is in the store.
    ///
    /// # Errors
    /// The source's, the store's.
    pub fn import(&self, blob: &Descriptor) -> Result<(), StepError> {
        self.fetching.import(blob)
    }

    /// Makes sure that the blobs of base layers are in the store, side by side.
    ///
    /// # Errors
    /// As [`Self::import`].
    pub fn import_all(&self, blobs: &[Descriptor]) -> Result<(), StepError> {
        self.fetching.import_all(blobs)
    }

    /// Returns the keys of the layers' directories, the lowest first, unpacking side by side those that have none.
    ///
    /// # Errors
    /// [`StepError::LayerGone`] for a built layer that is in no form; the worker's, the store's.
    pub fn directories(&self, stack: &[Layer]) -> Result<Vec<LayerKey>, StepError> {
        let base = base_diff_ids(stack);
        let below = |at: usize| &base[..at.min(base.len())];
        let known = stack.iter().enumerate().map(|(at, layer)| self.known_directory(layer, below(at)));
        let known = known.collect::<Result<Vec<_>, _>>()?;
        std::thread::scope(|scope| {
            // A thread costs more than what is known, and a stack may have hundreds of layers.
            let begin = |(at, known): (usize, Option<LayerKey>)| {
                known.ok_or_else(|| scope.spawn(move || self.directory(&stack[at], below(at))))
            };
            let begun: Vec<_> = known.into_iter().enumerate().map(begin).collect();
            let end = |thread: ScopedJoinHandle<'_, _>| thread.join().expect("unpacking does not panic");
            begun.into_iter().map(|layer| layer.or_else(end)).collect()
        })
    }

    /// Returns the key of a layer's directory, if there is one.
    fn known_directory(&self, layer: &Layer, below: &[DiffId]) -> Result<Option<LayerKey>, StepError> {
        match layer {
            Layer::Base { diff_id, .. } => self.base_directory(below, *diff_id),
            Layer::Built { execution, .. } => {
                let key = LayerKey::Execution(*execution);
                self.hold(Held::Layer(key))?;
                Ok(self.is_unpacked(&key)?.then_some(key))
            }
        }
    }

    fn directory(&self, layer: &Layer, below: &[DiffId]) -> Result<LayerKey, StepError> {
        match layer {
            Layer::Base { diff_id, blob } => {
                if let Some(key) = self.base_directory(below, *diff_id)? {
                    return Ok(key);
                }
                let chain = chain_of(below, *diff_id);
                let unpack = || {
                    let worker = self.worker.get()?;
                    self.fetching.read(blob, &|file| {
                        Ok(worker.unpack(file, *diff_id, chain, below.to_vec(), self.worker.cancel())?)
                    })
                };
                self.unpacks.get_or_try(LayerKey::Chain(chain), unpack).map_err(|error| self.named(blob, error))
            }
            Layer::Built { execution, .. } => {
                let key = LayerKey::Execution(*execution);
                self.hold(Held::Layer(key))?;
                if self.is_unpacked(&key)? {
                    return Ok(key);
                }
                self.unpacks.get_or_try(key, || {
                    if self.directories.find(&key)?.is_some() {
                        // Only the index was lost.
                        self.built_index(*execution)?;
                        return Ok(key);
                    }
                    let tar = self.tar_in_store(&key)?.ok_or(StepError::LayerGone(*execution))?;
                    let file = self.store.blobs().open(&tar.diff_id.0)?;
                    self.worker.get()?.unpack_as(file.as_fd(), key, self.worker.cancel())?;
                    Ok(key)
                })
            }
        }
    }

    /// Returns an error of a base's layer with the names of both.
    fn named(&self, blob: &Descriptor, error: StepError) -> StepError {
        match self.fetching.image_of(&blob.digest) {
            Some(image) => error.of_base_layer(image, blob.digest),
            None => error,
        }
    }

    fn base_directory(&self, below: &[DiffId], diff_id: DiffId) -> Result<Option<LayerKey>, StepError> {
        for key in [LayerKey::Diff(diff_id), LayerKey::Chain(chain_of(below, diff_id))] {
            self.hold(Held::Layer(key))?;
            if self.directories.find(&key)?.is_some() && self.store.indexes().get(&key)?.is_some() {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Keeps gc from a blob that this build is about to write or to need.
    ///
    /// # Errors
    /// The store's.
    pub fn hold_blob(&self, digest: Digest) -> Result<(), StepError> {
        self.hold(Held::Blob(digest))
    }

    /// Keeps gc from a layer that this build is about to make.
    ///
    /// # Errors
    /// The store's.
    pub fn hold_layer(&self, key: LayerKey) -> Result<(), StepError> {
        self.hold(Held::Layer(key))
    }

    fn hold(&self, thing: Held) -> Result<(), StepError> {
        Ok(self.lease.hold(&[thing])?)
    }

    /// Makes the layer directory `key` by `unpack`, unless it is there; once, however many ask.
    ///
    /// # Errors
    /// What `unpack` failed with.
    pub fn unpack_once(
        &self,
        key: LayerKey,
        unpack: impl FnOnce(&Worker) -> Result<(), StepError>,
    ) -> Result<LayerKey, StepError> {
        self.unpacks.get_or_try(key, || {
            self.hold(Held::Layer(key))?;
            if self.directories.find(&key)?.is_none() {
                unpack(&*self.worker.get()?)?;
            }
            Ok(key)
        })
    }
}

/// Returns the diff IDs of the base layers of a stack, the lowest first: bases are always at the bottom.
fn base_diff_ids(stack: &[Layer]) -> Vec<DiffId> {
    let diff_id = |layer: &Layer| match layer {
        Layer::Base { diff_id, .. } => Some(*diff_id),
        Layer::Built { .. } => None,
    };
    stack.iter().map_while(diff_id).collect()
}

fn chain_of(below: &[DiffId], diff_id: DiffId) -> ChainId {
    let mut chain = below.to_vec();
    chain.push(diff_id);
    ChainId::of(&chain).expect("a chain with a layer has an id")
}

#[cfg(test)]
mod tests;
