//! [`StoreSource`]: an image of the store.

use super::ImageSource;
use super::choose::Choice;
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::image::Image;
use crate::platform::Platform;
use crate::store::Store;
use crate::verify::VerifiedReader;
use std::io::Read;

/// An image, or index of images, that the store has.
#[derive(Debug)]
pub struct StoreSource {
    store: Store,
    manifest: Descriptor,
}

impl StoreSource {
    /// Returns the image `manifest` of `store`.
    pub fn new(store: Store, manifest: Descriptor) -> Self {
        Self { store, manifest }
    }
}

impl ImageSource for StoreSource {
    fn resolve(&self, platform: &Platform) -> Result<Image, StoreError> {
        Choice::new(self.store.blobs(), platform, &self.location()).image(&self.manifest)
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(VerifiedReader::new(self.store.blobs().open(&blob.digest)?, blob)))
    }

    fn location(&self) -> String {
        "the store".to_owned()
    }
}
