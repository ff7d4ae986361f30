//! [`SparseSource`]: an image of the store of which some blobs are in a registry only.

use super::{ImageSource, RegistrySource, StoreSource};
use crate::blobs::BlobStore;
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::image::Image;
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::registry::Registries;
use crate::registry::observer::Observer;
use crate::store::{SparseImage, Store};
use crate::verify::VerifiedReader;
use std::io::Read;
use std::sync::Arc;

/// An image of the store of which some blobs are in a registry only.
#[derive(Debug)]
pub struct SparseSource {
    image: SparseImage,
    store: Store,
    registries: Registries,
    observer: Arc<dyn Observer>,
}

impl SparseSource {
    /// Returns the image `image` of `store`.
    pub fn new(image: SparseImage, store: Store, registries: Registries, observer: Arc<dyn Observer>) -> Self {
        Self { image, store, registries, observer }
    }

    /// Returns images in whose repositories a blob may be: those it was seen in, and the image itself, if it was pushed.
    fn origins(&self, blob: &Descriptor) -> impl Iterator<Item = &ImageRef> {
        self.image.origins.get(&blob.digest).into_iter().flatten().chain([&self.image.name])
    }
}

impl ImageSource for SparseSource {
    fn resolve(&self, platform: &Platform) -> Result<Image, StoreError> {
        StoreSource::new(self.store.clone(), self.image.manifest.clone()).resolve(platform)
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(VerifiedReader::new(self.open_from(blob, 0)?, blob)))
    }

    fn open_from(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        if self.store.blobs().size(&blob.digest)? == Some(blob.size) {
            return StoreSource::new(self.store.clone(), self.image.manifest.clone()).open_from(blob, offset);
        }
        let mut first = None;
        for name in self.origins(blob) {
            let remotes = self.registries.pull_from(name)?;
            let source = RegistrySource::new(name.clone(), self.store.clone(), remotes, Arc::clone(&self.observer));
            match source.open_from(blob, offset) {
                Ok(reader) => return Ok(reader),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or(StoreError::NoBlob(blob.digest)))
    }

    fn location(&self) -> String {
        self.image.name.to_string()
    }

    fn repository(&self) -> Option<ImageRef> {
        Some(self.image.name.clone())
    }
}
