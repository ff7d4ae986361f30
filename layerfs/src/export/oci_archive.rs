//! [`OciArchive`]: a tar of an OCI image layout.

use super::layout::{Layout, NamedImage};
use super::{Destination, Exporter, FinishedImage, LayerCompression};
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::store::Store;

/// Writes an image as a tar of an OCI image layout: `blobs/sha256/…`, `index.json`, `oci-layout` (FEATURES 4-19).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciArchive {
    /// Where to.
    pub destination: Destination,
    /// Names for `index.json`, each with a descriptor of its own.
    pub names: Vec<ImageRef>,
    /// How layers are compressed.
    pub compression: LayerCompression,
}

impl Exporter for OciArchive {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let named = NamedImage { image, names: &self.names };
        Ok(write(&[named], &self.destination, self.compression, store)?.remove(0))
    }
}

/// Writes images into one archive; returns the descriptors of their manifests.
pub(super) fn write(
    images: &[NamedImage<'_>],
    to: &Destination,
    compression: LayerCompression,
    store: &Store,
) -> Result<Vec<Descriptor>, StoreError> {
    let layout = Layout::of(images, compression, store)?;
    to.write(|out| layout.write_tar(&[], out, to.place()))?;
    Ok(layout.manifests())
}
