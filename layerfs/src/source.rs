//! [`ImageSource`]: where images come from: the store, a layout, an archive, a registry; [`Collection`]: all images of one
//! file or directory.

mod archive;
mod choose;
mod collection;
mod docker;
mod export_layer;
mod layout;
mod oci_archive;
mod origin;
mod registry;
mod sparse;
mod store;
#[cfg(test)]
mod tests;

pub use collection::{CollectedImage, Collection};
pub use docker::DockerArchiveSource;
pub use export_layer::ExportLayer;
pub use layout::LayoutSource;
pub use origin::Origin;
pub use registry::{PullError, RegistrySource};
pub use sparse::SparseSource;
pub use store::StoreSource;

use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::image::Image;
use crate::platform::Platform;
use crate::reference::ImageRef;
use std::fmt::Debug;
use std::io::Read;

/// Where one image comes from. Contract: bytes that were read to their end have the digest and size of their descriptor,
/// or reading fails.
pub trait ImageSource: Debug + Send + Sync {
    /// Returns manifest and config of the image for `platform`. Where there is one image and no choice, its platform may
    /// be another.
    ///
    /// # Errors
    /// [`StoreError`].
    fn resolve(&self, platform: &Platform) -> Result<Image, StoreError>;

    /// Opens a blob of it for one read from start to end, verified as it is read.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Opens a blob from byte `offset` on. What is read need not be verified.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open_from(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let mut reader = self.open(blob)?;
        let skipped = std::io::copy(&mut (&mut reader).take(offset), &mut std::io::sink());
        skipped.map_err(|error| crate::verify::unwrap_error(error, "read", blob.digest.to_string().as_ref()))?;
        Ok(reader)
    }

    /// Hears that the blob that was read last was wrong; reports whether to ask for it again, as there is another place.
    fn reject(&self, _blob: &Descriptor) -> bool {
        false
    }

    /// Returns where it is, for messages: `oci-layout:/path`, `store`.
    fn location(&self) -> String;

    /// Returns the image by its name in a registry, if that is where it comes from: whoever pushes to the same host need
    /// not send the blobs of that repository.
    fn repository(&self) -> Option<ImageRef> {
        None
    }
}
