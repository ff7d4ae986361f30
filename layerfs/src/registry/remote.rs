//! [`Remote`]: a repository at a host: manifests, blobs, uploads.

use super::error::RegistryError;
use super::routing::Endpoint;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use std::io::Read;

/// A repository at a host. Every call retries what is worth it, within the patience of the settings, and ends when the
/// build is cancelled. Clones share connections and tokens.
#[derive(Debug, Clone)]
pub struct Remote {}

/// A manifest or index as the registry gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteManifest {
    /// Its media type, digest (of the bytes, checked against what was asked for) and size.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// How an upload begins.
#[derive(Debug)]
pub enum Start {
    /// The registry has the blob now: nothing is to be sent.
    Mounted,
    /// Send it.
    Upload(Upload),
}

/// A blob on its way to a registry, chunk by chunk. Dropped before its end, it is given up (and the registry told).
#[derive(Debug)]
pub struct Upload {}

impl Remote {
    /// Returns the place.
    pub fn endpoint(&self) -> &Endpoint {
        todo!()
    }

    /// Returns the descriptor of `reference` (a tag, or a digest in text form); nothing if there is no such manifest.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn head_manifest(&self, reference: &str) -> Result<Option<Descriptor>, RegistryError> {
        todo!("{reference}")
    }

    /// Returns the manifest or index `reference`, at most 8 MiB.
    ///
    /// # Errors
    /// [`RegistryError`]: no such manifest (near tags among its facts), Docker's schema 1, a digest mismatch.
    pub fn manifest(&self, reference: &str) -> Result<RemoteManifest, RegistryError> {
        todo!("{reference}")
    }

    /// Returns the repository's tags, at most 1,000.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        todo!()
    }

    /// Returns the size of a blob; nothing if the repository does not have it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        todo!("{digest}")
    }

    /// Opens a blob for one read from start to end. After a cut the reader goes on where it was (Range), or skips what it
    /// had where the registry knows no ranges. Digest and size are checked by the caller
    /// (`VerifiedReader`); no more bytes than stated are read.
    ///
    /// # Errors
    /// [`RegistryError`]; reading fails with one inside an [`std::io::Error`].
    pub fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, RegistryError> {
        todo!("{blob:?}")
    }

    /// Opens a blob as [`Self::blob`] does, but from byte `offset` on.
    ///
    /// # Errors
    /// As [`Self::blob`].
    pub fn blob_from(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, RegistryError> {
        todo!("{blob:?} {offset}")
    }

    /// Mounts a blob from repository `from` of the same host, or begins its upload.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn start(&self, digest: Option<&Digest>, from: Option<&str>) -> Result<Start, RegistryError> {
        todo!("{digest:?} {from:?}")
    }

    /// Sends a blob in one request, for registries that take no chunks. `open` is called for every attempt.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn upload_whole(
        &self,
        digest: &Digest,
        size: u64,
        open: &dyn Fn() -> std::io::Result<Box<dyn Read>>,
    ) -> Result<(), RegistryError> {
        todo!("{digest} {size} {}", std::mem::size_of_val(&open))
    }

    /// Stores a manifest or index under `reference`.
    ///
    /// # Errors
    /// [`RegistryError`]: denied, immutable, refused with the registry's own words.
    pub fn put_manifest(&self, reference: &str, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        todo!("{reference} {media_type} {}", bytes.len())
    }
}

impl Upload {
    /// The bytes of a chunk that is worth a request; the last may be shorter.
    pub const CHUNK: usize = 8 << 20;

    /// Sends the next bytes. After a cut the registry is asked how far it came, and only the rest of these is sent again.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        todo!("{}", bytes.len())
    }

    /// Ends the upload: the registry checks the digest.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn finish(self, digest: &Digest) -> Result<(), RegistryError> {
        todo!("{digest}")
    }
}
