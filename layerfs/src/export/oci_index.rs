//! [`OciIndex`]: images of several platforms under one name, as an OCI image layout.

use super::layout::{Layout, NamedImage};
use super::oci_directory::write_layout;
use super::{Destination, Dress, FinishedImage, LayerCompression};
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::store::Store;

/// Writes images and an index of them as an OCI image layout: `index.json` leads to the index (image-spec image-index.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciIndex {
    /// Where to.
    pub destination: Destination,
    /// A tar archive; else a directory, which may be a layout already.
    pub archive: bool,
    /// Names for `index.json`.
    pub names: Vec<ImageRef>,
    /// How layers are compressed.
    pub compression: LayerCompression,
    /// How the index looks.
    pub dress: Dress,
}

impl OciIndex {
    /// Writes the images, whose layers are in `store`, and returns the descriptor of the index.
    ///
    /// # Errors
    /// As [`super::Exporter::export`].
    pub fn export(&self, images: &[FinishedImage], store: &Store) -> Result<Descriptor, StoreError> {
        let unnamed: Vec<NamedImage<'_>> = images.iter().map(|image| NamedImage { image, names: &[] }).collect();
        let mut layout = Layout::of(&unnamed, self.compression, store)?;
        let index = layout.join(&self.names, &self.dress);
        match &self.destination {
            Destination::Path(path) if !self.archive => write_layout(path, &layout)?,
            destination => destination.write(|out| layout.write_tar(&[], out, destination.place()))?,
        }
        Ok(index)
    }
}
