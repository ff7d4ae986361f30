//! [`ImageSource`]: where images come from: the store, a layout, a Docker archive.

mod archive;
mod choose;
mod docker;
mod layout;
mod store;
#[cfg(test)]
mod tests;

pub use docker::DockerArchiveSource;
pub use layout::LayoutSource;
pub use store::StoreSource;

use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::image::Image;
use crate::platform::Platform;
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

    /// Returns where it is, for messages: `oci-layout:/path`, `store`.
    fn location(&self) -> String;
}

/// STUB
#[derive(Debug)]
pub struct StoreSource {
    store: crate::store::Store,
    manifest: Descriptor,
}
impl StoreSource {
    /// x
    pub fn new(store: crate::store::Store, manifest: Descriptor) -> Self {
        Self { store, manifest }
    }
}
impl ImageSource for StoreSource {
    fn resolve(&self, _platform: &Platform) -> Result<Image, StoreError> {
        self.store.image(&self.manifest.digest)
    }
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(self.store.blobs().open(&blob.digest)?))
    }
    fn location(&self) -> String {
        "the store".into()
    }
}
/// STUB
#[derive(Debug)]
pub struct LayoutSource {
    dir: std::path::PathBuf,
}
impl LayoutSource {
    /// x
    pub fn new(dir: std::path::PathBuf, _reference: Option<String>) -> Self {
        Self { dir }
    }
    fn blobs(&self) -> crate::blobs::DiskBlobs {
        crate::blobs::DiskBlobs::new(&self.dir.join("blobs"), &self.dir)
    }
}
impl ImageSource for LayoutSource {
    fn resolve(&self, _platform: &Platform) -> Result<Image, StoreError> {
        let index = crate::image::Index::parse(&std::fs::read(self.dir.join("index.json")).unwrap()).unwrap();
        crate::store::read_image(&self.blobs(), &index.manifests[0].digest)
    }
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(self.blobs().open(&blob.digest)?))
    }
    fn location(&self) -> String {
        "layout".into()
    }
}
/// STUB
#[derive(Debug)]
pub struct DockerArchiveSource;
impl DockerArchiveSource {
    /// x
    pub fn new(_file: std::path::PathBuf, _tag: Option<String>) -> Self {
        Self
    }
}
impl ImageSource for DockerArchiveSource {
    fn resolve(&self, _platform: &Platform) -> Result<Image, StoreError> {
        todo!()
    }
    fn open(&self, _blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        todo!()
    }
    fn location(&self) -> String {
        "archive".into()
    }
}
