//! [`StoreExporter`]: names for an image in the store.

use super::{ExportLayer, Exporter, FinishedImage, hold};
use crate::blobs::BlobStore;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::store::Store;
use std::collections::BTreeSet;

/// Puts images into the store they were built in. Layers stay as they are there.
///
/// Everything the image needs is on disk before a name leads to it, so that a kill or a power cut at any time leaves the
/// names as they were, or with the whole image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreExporter {
    /// The names to give; an image without any stays until the next gc.
    pub names: Vec<ImageRef>,
}

impl Exporter for StoreExporter {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let (manifest, bytes) = image.manifest(image.layers.iter().map(ExportLayer::descriptor).collect());
        // gc must not take config and manifest between here and the names.
        let _lease = hold(image, &[image.id(), manifest.digest], store)?;
        for layer in &image.layers {
            check_size(&layer.blob, store)?;
        }
        store.blobs().put(&image.config_bytes)?;
        store.blobs().put(&bytes)?;
        let layers = image.layers.iter().map(|layer| layer.blob.digest);
        let blobs: BTreeSet<Digest> = layers.chain([image.id(), manifest.digest]).collect();
        store.blobs().sync(&Vec::from_iter(blobs))?;
        if !self.names.is_empty() {
            store.refs().set(&self.names, &manifest)?;
            self.names.iter().try_for_each(|name| store.sparse().remove(name).map(|_| ()))?;
        }
        Ok(manifest)
    }
}

/// Checks that a blob is there with the size that its descriptor states.
pub(super) fn check_size(blob: &Descriptor, store: &Store) -> Result<(), StoreError> {
    match store.blobs().size(&blob.digest)? {
        None => Err(StoreError::NoBlob(blob.digest)),
        Some(size) if size == blob.size => Ok(()),
        Some(got) => Err(StoreError::SizeMismatch { what: format!("blob {}", blob.digest), wanted: blob.size, got }),
    }
}
