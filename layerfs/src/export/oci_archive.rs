//! [`OciArchive`]: a tar of an OCI image layout.

use super::layout::Layout;
use super::{Destination, Exporter, FinishedImage, LayerCompression, hold};
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
        let _lease = hold(image, &[], store)?;
        let layout = Layout::of(image, &self.names, self.compression, store)?;
        self.destination.write(|out| layout.write_tar(&[], out, self.destination.place()))?;
        Ok(layout.manifest)
    }
}
