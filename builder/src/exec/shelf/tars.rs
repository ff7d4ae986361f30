//! Tars of a [`Shelf`]: the layers of stacks as outputs take them.

use super::{Position, Shelf};
use crate::error::StepError;
use layerfs::blobs::BlobStore;
use layerfs::descriptor::{Descriptor, media_type};
use layerfs::export::ExportLayer;
use layerfs::indexes::TarFacts;
use layerfs::layer::{ExecutionId, Layer, LayerKey};
use layerfs::lease::Held;
use std::fs::File;
use std::os::fd::AsFd;
use std::thread::ScopedJoinHandle;

impl Shelf<'_> {
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

    /// Returns diff ID and size of a built layer whose tar is in the store.
    pub(super) fn tar_in_store(&self, key: &LayerKey) -> Result<Option<TarFacts>, StepError> {
        let Some(known) = self.store.indexes().tar(key)? else { return Ok(None) };
        self.hold_blob(known.diff_id.0)?;
        Ok((self.store.blobs().size(&known.diff_id.0)? == Some(known.size)).then_some(known))
    }
}

/// Returns a layer whose blob is its plain tar.
fn plain_layer(TarFacts { diff_id, size }: TarFacts) -> ExportLayer {
    ExportLayer { diff_id, blob: Descriptor::new(media_type::OCI_LAYER, diff_id.0, size), source: None }
}
