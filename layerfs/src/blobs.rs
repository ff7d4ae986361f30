//! [`BlobStore`]: bytes by their digest.

use crate::digest::Digest;
use crate::error::StoreError;
use std::fmt::Debug;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Bytes by their digest. Contract: `put` of bytes and `open` of their digest gives these bytes; a blob is there whole
/// or not at all; what is there is never changed.
pub trait BlobStore: Debug + Send + Sync {
    /// Reports whether a blob is there, and its size.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError>;
}

/// Blobs in a directory: `blobs/sha256/<hex>` of an image layout.
#[derive(Debug, Clone)]
pub struct DiskBlobs {
    root: PathBuf,
    temporary: PathBuf,
}

/// A blob being written: a file in `tmp/` without its name yet; dropped, it is gone.
#[derive(Debug)]
pub struct NewBlob {
    file: File,
}

impl NewBlob {
    /// Returns the file to write to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

impl DiskBlobs {
    /// Returns the blobs below `root` (`blobs/`), written beside in `temporary`.
    pub fn new(root: &Path, temporary: &Path) -> Self {
        Self { root: root.to_owned(), temporary: temporary.to_owned() }
    }

    /// Begins a blob.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(&self) -> Result<NewBlob, StoreError> {
        todo!()
    }

    /// Gives a written blob its name. The caller vouches for digest and size (it hashed what it wrote).
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::SizeMismatch`].
    pub fn commit(&self, _blob: NewBlob, _digest: &Digest, _size: u64) -> Result<(), StoreError> {
        todo!()
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Io`].
    pub fn open(&self, _digest: &Digest) -> Result<File, StoreError> {
        todo!()
    }

    /// Returns the bytes of a small blob (at most `limit` bytes), checked against the digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&self, _digest: &Digest, _limit: u64) -> Result<Vec<u8>, StoreError> {
        todo!()
    }
}
