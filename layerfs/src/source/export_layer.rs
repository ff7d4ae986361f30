//! [`ExportLayer`]: a layer of an image that goes somewhere, and where its bytes are.

use super::Origin;
use crate::blobs::BlobStore;
use crate::compress::Compression;
use crate::descriptor::{Descriptor, to_oci};
use crate::digest::DiffId;
use crate::error::StoreError;
use crate::store::Store;
use std::io::Read;

/// A layer of an image that is to be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportLayer {
    /// Digest of its plain tar.
    pub diff_id: DiffId,
    /// The blob in the store: a plain tar if the layer was built here; as it came, if it is a base image's.
    pub blob: Descriptor,
    /// Who has the blob of a base image's layer. It need not be in the store if the image goes to registries only.
    pub source: Option<Origin>,
}

impl ExportLayer {
    /// Returns the blob as an OCI manifest states it. Layers that a registry may not hand out become usual ones: their
    /// bytes are there. Annotations of a base image's manifest stay behind.
    pub(crate) fn descriptor(&self) -> Descriptor {
        let kind = &self.blob.media_type;
        let kind = match Compression::of_media_type(kind) {
            Some(form) => form.oci_media_type(),
            None => to_oci(kind),
        };
        Descriptor::new(kind, self.blob.digest, self.blob.size)
    }

    /// Opens the blob for one read from start to end, verified as it is read: in the store, or else where it comes from.
    pub(crate) fn open(&self, store: &Store) -> Result<Box<dyn Read + Send>, StoreError> {
        match (store.blobs().reader(&self.blob.digest), &self.source) {
            (Err(StoreError::NoBlob(_)), Some(origin)) => origin.0.open(&self.blob),
            (found, _) => found,
        }
    }
}
