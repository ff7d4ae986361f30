//! [`Shelf`]: the layers of a build in whatever form a step needs them: blob, directory, index, diff ID.

use crate::bases::Bases;
use crate::error::StepError;
use crate::exec::fetching::Fetching;
use crate::exec::lazy_worker::LazyWorker;
use crate::progress::ProgressSink;
use crate::worker::{Worker, WorkerError};
use layerfs::ahead::ahead;
use layerfs::blobs::BlobStore;
use layerfs::compress::decompress;
use layerfs::descriptor::{Descriptor, media_type};
use layerfs::digest::{ChainId, DiffId, Digest};
use layerfs::directories::LayerDirectories;
use layerfs::export::{EarlyForms, ExportLayer};
use layerfs::flight::Flight;
use layerfs::index::LayerIndex;
use layerfs::indexes::TarFacts;
use layerfs::layer::{ExecutionId, Layer, LayerKey};
use layerfs::lease::{Held, Lease};
use layerfs::stack::Stack;
use layerfs::store::Store;
use layerfs::unpack::{LayerError, LayerStream, UnpackLimits, Unpacked, complete, index_tar};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
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

    /// Returns diff ID and size of a built layer whose tar is in the store.
    fn tar_in_store(&self, key: &LayerKey) -> Result<Option<TarFacts>, StepError> {
        let Some(known) = self.store.indexes().tar(key)? else { return Ok(None) };
        self.hold_blob(known.diff_id.0)?;
        Ok((self.store.blobs().size(&known.diff_id.0)? == Some(known.size)).then_some(known))
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

    /// Returns the tree of a stack as its layers' indexes give it. Layers that have none are read once as a stream, side
    /// by side.
    ///
    /// # Errors
    /// [`StepError::LayerGone`]; the store's; a layer that is wrong.
    pub fn indexes(&self, stack: &[Layer]) -> Result<Stack, StepError> {
        let below = base_diff_ids(stack);
        self.read_missing(stack, &below)?;
        let mut tree = Stack::default();
        for (at, layer) in stack.iter().enumerate() {
            let index = match layer {
                Layer::Base { diff_id, blob } => {
                    self.base_index(blob, *diff_id, &below[..at], &tree).map_err(|error| self.named(blob, error))?
                }
                Layer::Built { execution, .. } => self.built_index(*execution)?,
            };
            tree.push(index);
        }
        Ok(tree)
    }

    /// Reads the base layers that have no index side by side, the topmost first.
    fn read_missing(&self, stack: &[Layer], below: &[DiffId]) -> Result<(), StepError> {
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (at, layer) in stack.iter().enumerate().rev() {
                if let Layer::Base { diff_id, blob } = layer
                    && self.known_index(*diff_id, &below[..at])?.is_none()
                {
                    threads.push(scope.spawn(move || {
                        self.read_index(blob, *diff_id).map(drop).map_err(|error| self.named(blob, error))
                    }));
                }
            }
            threads.into_iter().try_for_each(|thread| thread.join().expect("reading a layer does not panic"))
        })
    }

    fn known_index(&self, diff_id: DiffId, below: &[DiffId]) -> Result<Option<Arc<LayerIndex>>, StepError> {
        for key in [LayerKey::Diff(diff_id), LayerKey::Chain(chain_of(below, diff_id))] {
            self.hold(Held::Layer(key))?;
            if let Some(index) = self.store.indexes().get(&key)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn base_index(
        &self,
        blob: &Descriptor,
        diff_id: DiffId,
        below: &[DiffId],
        tree: &Stack,
    ) -> Result<Arc<LayerIndex>, StepError> {
        if let Some(index) = self.known_index(diff_id, below)? {
            return Ok(index);
        }
        let Some(leaning) = self.read_index(blob, diff_id)? else {
            return self.known_index(diff_id, below)?.ok_or(StepError::BlobGone(blob.digest));
        };
        let no_file = |_: usize, _: &layerfs::path::TreePath| unreachable!("an index needs no bytes of files");
        let index = Arc::new(complete((*leaning).clone(), None, tree, &no_file)?);
        self.store.indexes().put(&LayerKey::Chain(chain_of(below, diff_id)), Arc::clone(&index))?;
        Ok(index)
    }

    /// Reads a base layer for its headers, once however many ask, and files its index; returns what leans on layers
    /// below and has to be completed first.
    fn read_index(&self, blob: &Descriptor, diff_id: DiffId) -> Result<Option<Arc<Unpacked>>, StepError> {
        self.readings.get_or_try(blob.digest, || {
            let (unpacked, got) = self.fetching.skim(blob, &|bytes| {
                let plain = decompress(bytes).map_err(StepError::stream)?;
                ahead(plain, |plain| self.index_of(plain)).map_err(|error| self.unless_cancelled(error))
            })?;
            if got != diff_id {
                // What a manifest states of a blob must not stand for another image's layer.
                return Err(WorkerError::DiffIdMismatch { wanted: diff_id, got }.into());
            }
            if !unpacked.borrowed.is_empty() {
                return Ok(Some(Arc::new(unpacked)));
            }
            self.store.indexes().put(&LayerKey::Diff(diff_id), Arc::new(unpacked.index))?;
            Ok(None)
        })
    }

    /// Reads a layer's plain tar for its index and diff ID.
    fn index_of(&self, plain: impl Read) -> Result<(Unpacked, DiffId), LayerError> {
        let mut plain = LayerStream::new(self.worker.cancel().watch(plain), self.limits);
        let unpacked = index_tar(&mut plain)?;
        Ok((unpacked, plain.finish()?))
    }

    /// Returns what an error of reading stands for: a stream ends early where the build was ended.
    fn unless_cancelled(&self, error: impl Into<StepError>) -> StepError {
        if self.worker.cancel().is_cancelled() { StepError::Cancelled } else { error.into() }
    }

    fn built_index(&self, execution: ExecutionId) -> Result<Arc<LayerIndex>, StepError> {
        let key = LayerKey::Execution(execution);
        if let Some(index) = self.store.indexes().get(&key)? {
            return Ok(index);
        }
        let tar = self.tar_in_store(&key)?.ok_or(StepError::LayerGone(execution))?;
        let file = self.store.blobs().open(&tar.diff_id.0)?;
        let (unpacked, _) = self.index_of(file).map_err(|error| self.unless_cancelled(error))?;
        let index = Arc::new(unpacked.index);
        self.store.indexes().put(&key, Arc::clone(&index))?;
        Ok(index)
    }

    /// Returns the layers of a stack as an output takes them: base layers as they came, built ones as plain tars, written
    /// side by side. All are in the store then, but for base layers if no output `needs_bytes`.
    ///
    /// # Errors
    /// [`StepError::LayerGone`]; the worker's, the store's.
    pub fn blobs(&self, stack: &[Layer], needs_bytes: bool) -> Result<Vec<ExportLayer>, StepError> {
        let known = stack.iter().map(|layer| self.known_blob(layer)).collect::<Result<Vec<_>, _>>()?;
        std::thread::scope(|scope| {
            // A thread costs more than what is known.
            let begin = |(layer, known): (_, Option<ExportLayer>)| {
                known.ok_or_else(|| scope.spawn(move || self.blob(layer, needs_bytes)))
            };
            let begun: Vec<_> = stack.iter().zip(known).map(begin).collect();
            let end = |thread: ScopedJoinHandle<'_, _>| thread.join().expect("writing a tar does not panic");
            begun.into_iter().map(|layer| layer.or_else(end)).collect()
        })
    }

    /// Returns a built layer whose tar is in the store.
    fn known_blob(&self, layer: &Layer) -> Result<Option<ExportLayer>, StepError> {
        let Layer::Built { execution, .. } = layer else { return Ok(None) };
        let key = LayerKey::Execution(*execution);
        self.hold(Held::Layer(key))?;
        Ok(self.tar_in_store(&key)?.map(plain_layer))
    }

    /// Returns one layer as an output takes it.
    ///
    /// # Errors
    /// As [`Shelf::blobs`].
    pub fn blob(&self, layer: &Layer, needs_bytes: bool) -> Result<ExportLayer, StepError> {
        match layer {
            Layer::Base { diff_id, blob } => {
                self.hold_blob(blob.digest)?;
                if needs_bytes {
                    self.import(blob)?;
                }
                let source = self.fetching.origin_of(&blob.digest);
                Ok(ExportLayer { diff_id: *diff_id, blob: blob.clone(), source })
            }
            Layer::Built { execution, .. } => {
                let write = || self.write_tar(*execution, Position::Outside);
                Ok(plain_layer(self.tars.get_or_try(*execution, write)?))
            }
        }
    }

    /// Writes the tar of a layer that was built, unless it is there.
    ///
    /// # Errors
    /// As [`Shelf::blobs`].
    pub fn begin_tar(&self, execution: ExecutionId, position: Position) -> Result<(), StepError> {
        self.tars.get_or_try(execution, || self.write_tar(execution, position)).map(drop)
    }

    fn write_tar(&self, execution: ExecutionId, position: Position) -> Result<TarFacts, StepError> {
        let key = LayerKey::Execution(execution);
        self.hold(Held::Layer(key))?;
        if let Some(known) = self.tar_in_store(&key)? {
            return Ok(known);
        }
        if self.directories.find(&key)?.is_none() {
            return Err(StepError::LayerGone(execution));
        }
        let known = self.store.indexes().tar(&key)?;
        self.keep_tar(&key, position, |file| {
            let (diff_id, size) = self.worker.get()?.write_tar(key, file.as_fd(), self.worker.cancel())?;
            let facts = TarFacts { diff_id, size };
            match known.is_none_or(|known| known == facts) {
                true => Ok((facts, facts)),
                false => Err(StepError::LayerGone(execution)),
            }
        })
    }

    /// Keeps the tar of a layer as a blob, and notes diff ID and size of what `write` appends to a file; returns what it
    /// returned beside these.
    ///
    /// # Errors
    /// Those of `write`; the store's.
    pub fn keep_tar<T>(
        &self,
        key: &LayerKey,
        position: Position,
        write: impl FnOnce(&mut File) -> Result<(TarFacts, T), StepError>,
    ) -> Result<T, StepError> {
        let mut blob = self.store.blobs().create()?;
        let follower = match (self.early, position) {
            (None, _) | (_, Position::Outside) => None,
            (Some(early), _) => early.follow(blob.file(), key.to_string(), position == Position::Top)?,
        };
        let (facts, value) = write(blob.file())?;
        self.hold_blob(facts.diff_id.0)?;
        self.store.blobs().commit(blob, &facts.diff_id.0, facts.size)?;
        if let Some(follower) = follower {
            follower.ended(facts);
        }
        self.store.indexes().put_tar(key, facts)?;
        Ok(value)
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

/// Returns a layer whose blob is its plain tar.
fn plain_layer(TarFacts { diff_id, size }: TarFacts) -> ExportLayer {
    ExportLayer { diff_id, blob: Descriptor::new(media_type::OCI_LAYER, diff_id.0, size), source: None }
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
