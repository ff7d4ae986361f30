//! Trees of a [`Shelf`]: what stacks of layers hold, as the layers' indexes say it.

use super::{Shelf, base_diff_ids, chain_of};
use crate::error::StepError;
use crate::worker::WorkerError;
use layerfs::ahead::ahead;
use layerfs::compress::decompress;
use layerfs::descriptor::Descriptor;
use layerfs::digest::DiffId;
use layerfs::index::LayerIndex;
use layerfs::layer::{ExecutionId, Layer, LayerKey};
use layerfs::lease::Held;
use layerfs::stack::Stack;
use layerfs::unpack::{LayerError, LayerStream, Unpacked, complete, index_tar};
use std::io::Read;
use std::sync::Arc;

impl Shelf<'_> {
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

    pub(super) fn built_index(&self, execution: ExecutionId) -> Result<Arc<LayerIndex>, StepError> {
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
}
