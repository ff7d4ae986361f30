//! [`SparseExporter`]: names for an image whose base is in a registry only.

use super::{ExportLayer, Exporter, FinishedImage, StoreExporter, hold};
use crate::blobs::BlobStore;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::store::{SparseImage, Store};
use std::collections::BTreeMap;

/// Keeps an image that goes to registries, without fetching what it has of its base: what was built here is on disk
/// before a name leads to it, of the rest it is noted who has it. An image that lacks nothing is kept as any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseExporter {
    /// The names to give.
    pub names: Vec<ImageRef>,
}

impl Exporter for SparseExporter {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let lease = hold(image, &[image.id()], store)?;
        let origins = missing(image, store)?;
        if origins.is_empty() {
            return StoreExporter { names: self.names.clone() }.export(image, store);
        }
        let (manifest, bytes) = image.manifest(image.layers.iter().map(ExportLayer::descriptor).collect());
        lease.hold(&[crate::lease::Held::Blob(manifest.digest)])?;
        store.blobs().put(&image.config_bytes)?;
        store.blobs().put(&bytes)?;
        let there = image.layers.iter().map(|layer| layer.blob.digest).filter(|digest| !origins.contains_key(digest));
        store.blobs().sync(&Vec::from_iter(there.chain([image.id(), manifest.digest])))?;
        for name in &self.names {
            let (name, manifest, origins) = (name.clone(), manifest.clone(), origins.clone());
            store.sparse().put(&SparseImage { name: name.clone(), manifest, origins })?;
            // One name, one image: what had it until now has it no more.
            store.refs().remove(&name)?;
        }
        Ok(manifest)
    }
}

/// Returns the layers that are not in the store, with the images in whose repositories they are. One that no registry has
/// is brought into the store: there would be no way to it later.
fn missing(image: &FinishedImage, store: &Store) -> Result<BTreeMap<Digest, Vec<ImageRef>>, StoreError> {
    let mut missing = BTreeMap::new();
    for layer in &image.layers {
        let blob = &layer.blob;
        if store.blobs().size(&blob.digest)? == Some(blob.size) || missing.contains_key(&blob.digest) {
            continue;
        }
        match &layer.source {
            None => return Err(StoreError::NoBlob(blob.digest)),
            Some(origin) => match origin.0.repository() {
                Some(name) => drop(missing.insert(blob.digest, vec![name])),
                None => store.blobs().import(&mut origin.0.open(blob)?, blob)?,
            },
        }
    }
    Ok(missing)
}
