//! [`Layers`]: layer directories and their indexes, as the worker makes, reads and checks them.

use crate::channel::MOST_DESCRIPTORS;
use crate::worker::call::Call;
use crate::worker::comparison::Comparison;
use crate::worker::error::WorkerError;
use crate::worker::protocol::Reply;
use layerfs::ahead::ahead;
use layerfs::compress::decompress;
use layerfs::diff::opener;
use layerfs::digest::{ChainId, DiffId, HashWriter};
use layerfs::directories::LayerDirectories;
use layerfs::flight::Flight;
use layerfs::holes::{HoleReader, HoleWriter};
use layerfs::index::LayerIndex;
use layerfs::indexes::IndexStore;
use layerfs::io_error::{IoContext, IoError};
use layerfs::layer::LayerKey;
use layerfs::path::TreePath;
use layerfs::rootdir::RootDir;
use layerfs::stack::Stack;
use layerfs::tar::{TarError, write_layer};
use layerfs::trace::Phase;
use layerfs::unpack::{Borrowed, LayerError, LayerStream, UnpackLimits, Unpacked, complete, unpack};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often one who waits for another layer looks whether the front still wants it.
const PATIENCE: Duration = Duration::from_millis(50);

/// How a layer of an image came out of its first unpacking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alone {
    /// It stands alone and is published.
    Yes,
    /// It leans on what lies below it: whoever wants it completes one for its chain.
    No,
}

/// A directory that is not yet a layer; deleted unless it becomes one.
#[derive(Debug)]
struct Draft<'a> {
    layers: &'a Layers,
    name: String,
    kept: bool,
}

impl Draft<'_> {
    fn path(&self) -> PathBuf {
        self.layers.directories.root().join(&self.name)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.kept && self.layers.remove(&self.name).is_err() {
            // What is left is in no stack, and gc finds it among the directories without a name.
        }
    }
}

/// Layer directories and their indexes.
#[derive(Debug)]
pub(super) struct Layers {
    directories: LayerDirectories,
    indexes: IndexStore,
    names: Mutex<HashMap<LayerKey, String>>,
    unpacking: Flight<DiffId, Alone>,
    chains: Flight<ChainId, LayerKey>,
    published: (Mutex<u64>, Condvar),
}

impl Layers {
    /// Opens the layers of the id map `map` in `store`.
    pub(super) fn open(store: &Path, map: &str) -> Result<Self, IoError> {
        Ok(Self {
            directories: LayerDirectories::open(&store.join("layers"), map)?,
            indexes: IndexStore::new(&store.join("index"), &store.join("tmp")),
            names: Mutex::default(),
            unpacking: Flight::default(),
            chains: Flight::default(),
            published: (Mutex::new(0), Condvar::new()),
        })
    }

    /// Returns the directory in which layers have their names.
    pub(super) fn root(&self) -> &Path {
        self.directories.root()
    }

    /// Returns directories and indexes of a stack.
    pub(super) fn stack(&self, keys: &[LayerKey]) -> Result<(Vec<String>, Stack), WorkerError> {
        let mut names = Vec::with_capacity(keys.len());
        let mut indexes = Vec::with_capacity(keys.len());
        for key in keys {
            names.push(self.name(key)?);
            indexes.push(self.index(key)?);
        }
        Ok((names, Stack::new(indexes)))
    }

    /// Returns the name of a layer's directory. What was found once stays: who asks holds the layer.
    fn name(&self, key: &LayerKey) -> Result<String, WorkerError> {
        let names = || self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names().get(key) {
            return Ok(name.clone());
        }
        let name = self.directories.find(key)?.ok_or(WorkerError::NoLayer(*key))?;
        names().insert(*key, name.clone());
        Ok(name)
    }

    fn index(&self, key: &LayerKey) -> Result<Arc<LayerIndex>, WorkerError> {
        self.indexes.get(key)?.ok_or(WorkerError::NoLayer(*key))
    }

    /// Returns a name for a directory that is to become a layer.
    pub(super) fn fresh_name(&self) -> String {
        self.directories.fresh_name()
    }

    /// Makes the directory `name` the layer `key`.
    pub(super) fn publish(&self, name: &str, key: &LayerKey, index: LayerIndex) -> Result<(), WorkerError> {
        // The index first: a layer that is found has one.
        self.indexes.put(key, Arc::new(index))?;
        let counts = self.directories.publish(name, key)?;
        if counts != name {
            self.remove(name)?;
        }
        *self.published.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.published.1.notify_all();
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), IoError> {
        match RootDir::open(self.directories.root())?.remove_tree(&TreePath::from(name)) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn is_present(&self, key: &LayerKey) -> Result<bool, WorkerError> {
        Ok(self.directories.find(key)?.is_some() && self.indexes.get(key)?.is_some())
    }

    fn present(&self, diff_id: DiffId, chain: ChainId) -> Result<Option<LayerKey>, WorkerError> {
        for key in [LayerKey::Diff(diff_id), LayerKey::Chain(chain)] {
            if self.is_present(&key)? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Unpacks a layer of an image, once however many ask.
    pub(super) fn unpack(
        &self,
        call: &Call,
        blob: OwnedFd,
        diff_id: DiffId,
        chain: ChainId,
        below: &[DiffId],
    ) -> Result<LayerKey, WorkerError> {
        if let Some(key) = self.present(diff_id, chain)? {
            return Ok(key);
        }
        let mut blob = Some(blob);
        let mut take = || blob.take().ok_or_else(|| WorkerError::Lost("a layer was asked for twice".to_owned()));
        let key = self.chains.get_or_try(chain, || self.unpack_once(call, take()?, diff_id, chain, below))?;
        if self.is_present(&key)? {
            return Ok(key);
        }
        // It was unpacked by this worker, and has been deleted since.
        self.unpack_now(call, take()?, diff_id, chain, below)
    }

    fn unpack_once(
        &self,
        call: &Call,
        blob: OwnedFd,
        diff_id: DiffId,
        chain: ChainId,
        below: &[DiffId],
    ) -> Result<LayerKey, WorkerError> {
        let mut blob = Some(blob);
        let mut leaning = None;
        let alone = self.unpacking.get_or_try(diff_id, || {
            let blob = blob.take().ok_or(WorkerError::Cancelled)?;
            let (draft, unpacked) = self.draft(call, blob, Some(diff_id))?;
            if !unpacked.borrowed.is_empty() {
                leaning = Some((draft, unpacked));
                return Ok(Alone::No);
            }
            self.keep(draft, &LayerKey::Diff(diff_id), unpacked.index)?;
            Ok::<_, WorkerError>(Alone::Yes)
        })?;
        let key = LayerKey::Diff(diff_id);
        match (alone, leaning, blob) {
            // Completed outside the flight: it waits for layers below, one of which may be this very one.
            (Alone::No, Some((draft, unpacked)), _) => self.finish(call, draft, unpacked, chain, below),
            (Alone::Yes, _, _) if self.is_present(&key)? => Ok(key),
            (_, _, Some(blob)) => self.unpack_now(call, blob, diff_id, chain, below),
            (_, _, None) => Err(WorkerError::NoLayer(key)),
        }
    }

    /// Unpacks whoever else is at it.
    fn unpack_now(
        &self,
        call: &Call,
        blob: OwnedFd,
        diff_id: DiffId,
        chain: ChainId,
        below: &[DiffId],
    ) -> Result<LayerKey, WorkerError> {
        let (draft, unpacked) = self.draft(call, blob, Some(diff_id))?;
        if !unpacked.borrowed.is_empty() {
            return self.finish(call, draft, unpacked, chain, below);
        }
        let key = LayerKey::Diff(diff_id);
        self.keep(draft, &key, unpacked.index)?;
        Ok(key)
    }

    /// Fills in what a layer borrows, once the layers below are there.
    fn finish(
        &self,
        call: &Call,
        draft: Draft<'_>,
        unpacked: Unpacked,
        chain: ChainId,
        below: &[DiffId],
    ) -> Result<LayerKey, WorkerError> {
        let mut keys = Vec::with_capacity(below.len());
        for number in 0..below.len() {
            keys.push(self.wait_for(call, &below[..=number])?);
        }
        let (names, stack) = self.stack(&keys)?;
        let directory = RootDir::open(&draft.path())?;
        let open = opener(self.directories.root().to_owned(), names);
        let index = complete(unpacked, Some(&directory), &stack, &open)?;
        let key = LayerKey::Chain(chain);
        self.keep(draft, &key, index)?;
        Ok(key)
    }

    /// Waits until the topmost layer of `chain` is there; another call unpacks it.
    fn wait_for(&self, call: &Call, chain: &[DiffId]) -> Result<LayerKey, WorkerError> {
        let diff_id = *chain.last().expect("a chain has a layer");
        let chain = ChainId::of(chain).expect("a chain has a layer");
        let _waiting = call.begin(Phase::Waiting, || format!("layer {diff_id}"));
        let count = || self.published.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let seen = *count();
            if let Some(key) = self.present(diff_id, chain)? {
                return Ok(key);
            }
            call.check()?;
            let nothing_new = |count: &mut u64| *count == seen;
            // Poisoned or timed out, the next round looks for itself.
            drop(self.published.1.wait_timeout_while(count(), PATIENCE, nothing_new));
        }
    }

    fn keep(&self, mut draft: Draft<'_>, key: &LayerKey, index: LayerIndex) -> Result<(), WorkerError> {
        self.publish(&draft.name, key, index)?;
        draft.kept = true;
        Ok(())
    }

    /// Unpacks into a directory that is no layer yet, and checks the diff ID if one is wanted.
    fn draft(&self, call: &Call, blob: OwnedFd, wanted: Option<DiffId>) -> Result<(Draft<'_>, Unpacked), WorkerError> {
        let mut unpacking =
            call.begin(Phase::Unpacking, || wanted.map_or_else(String::new, |diff_id| diff_id.to_string()));
        let draft = Draft { layers: self, name: self.fresh_name(), kept: false };
        std::fs::create_dir(draft.path()).at("make", draft.path())?;
        let directory = RootDir::open(&draft.path())?;
        let plain = decompress(Box::new(File::from(blob))).at("read", "a layer")?;
        // Beside decompressing, what came of it is hashed and written.
        let unpacked = ahead(plain, |plain| {
            // The plain bytes are watched: a little that is compressed may be very much.
            let mut plain = LayerStream::new(call.watch(plain), UnpackLimits::default());
            unpack(&mut plain, &directory).and_then(|unpacked| Ok((unpacked, plain.finish()?)))
        });
        let (unpacked, got) =
            unpacked.map_err(|error| if call.is_cancelled() { WorkerError::Cancelled } else { error.into() })?;
        match wanted {
            Some(wanted) if wanted != got => Err(WorkerError::DiffIdMismatch { wanted, got }),
            _ => {
                unpacking.bytes(|| unpacked.index.bytes());
                Ok((draft, unpacked))
            }
        }
    }

    /// Unpacks a layer that was made here.
    pub(super) fn unpack_as(&self, call: &Call, blob: OwnedFd, key: LayerKey) -> Result<(), WorkerError> {
        if self.is_present(&key)? {
            return Ok(());
        }
        let (draft, unpacked) = self.draft(call, blob, None)?;
        let Unpacked { index, borrowed: Borrowed { directories, links } } = unpacked;
        if !directories.is_empty() || !links.is_empty() {
            return Err(WorkerError::NotSelfContained(key));
        }
        self.keep(draft, &key, index)
    }

    /// Writes a layer as a plain tar.
    pub(super) fn write_tar(&self, call: &Call, key: LayerKey, out: OwnedFd) -> Result<(DiffId, u64), WorkerError> {
        let mut writing = call.begin(Phase::Writing, || format!("tar of {key}"));
        let index = self.index(&key)?;
        let directory = RootDir::open(&self.root().join(self.name(&key)?))?;
        let out = HashWriter::new(HoleWriter::new(File::from(out)));
        let mut open = |path: &TreePath| -> Result<Box<dyn Read>, LayerError> {
            if call.is_cancelled() {
                return Err(IoError::new("write", path.to_string(), &std::io::Error::other("cancelled")).into());
            }
            Ok(Box::new(HoleReader::new(directory.open_file(path)?)))
        };
        let written = write_layer(&index, out, &mut open);
        let written =
            written.map_err(|error| if call.is_cancelled() { WorkerError::Cancelled } else { error.into() })?;
        let (mut out, digest, size) = written.finish();
        out.flush().at("write", "a layer's tar")?;
        writing.bytes(|| size);
        Ok((DiffId(digest), size))
    }

    /// Opens files of layers and hands them over, as many at a time as a frame carries; returns the last answer.
    pub(super) fn open_files(&self, call: &Call, files: &[(LayerKey, TreePath)]) -> Result<Reply, WorkerError> {
        let mut roots: HashMap<LayerKey, RootDir> = HashMap::new();
        for batch in files.chunks(MOST_DESCRIPTORS) {
            let mut opened = Vec::with_capacity(batch.len());
            for (key, path) in batch {
                if !roots.contains_key(key) {
                    roots.insert(*key, RootDir::open(&self.root().join(self.name(key)?))?);
                }
                opened.push(roots[key].open_file(path)?);
            }
            let descriptors: Vec<_> = opened.iter().map(AsFd::as_fd).collect();
            call.reply(&Reply::Opened { count: batch.len() }, &descriptors)?;
        }
        Ok(Reply::Done)
    }

    /// Compares a layer's directory with its index; returns a line for each difference.
    pub(super) fn check(&self, call: &Call, key: LayerKey) -> Result<Vec<String>, WorkerError> {
        let index = self.index(&key)?;
        let directory = RootDir::open(&self.root().join(self.name(&key)?))?;
        Comparison::new(&index, &directory).run(&mut || call.check())
    }
}

impl From<TarError> for WorkerError {
    fn from(error: TarError) -> Self {
        LayerError::from(error).into()
    }
}
