//! [`BlobStore`]: bytes by their digest.
//!
//! ```text
//! blobs/sha256/<64 digits>   mode 0600 until it is known to be on disk, then 0444
//! ```
//! A blob is written to a file without a name and linked when it is whole, so that kill -9 leaves nothing behind. It is
//! fsynced only before an image that holds it gets a name ([`DiskBlobs::sync`]); the mode remembers that, so that it is
//! done once. A blob that is not known to be on disk and is older than this boot may be damaged: `sync` reads it again.
//! Whether it still has the bytes it was hashed with is seen by its time (`seal`): then it is not hashed again.

pub(crate) mod seal;

use crate::descriptor::Descriptor;
use crate::digest::{Digest, HashReader};
use crate::error::StoreError;
use crate::io_error::{IoContext, IoError};
use crate::sealed;
use crate::verify::{VerifiedReader, unwrap_error};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use seal::SYNCED;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

const UNSYNCED: u32 = 0o600;

/// Bytes by their digest. Contract: `put` of bytes and `reader` of their digest gives these bytes; a blob is there whole
/// or not at all; what is there is never changed.
pub trait BlobStore: Debug + Send + Sync {
    /// Reports whether a blob is there, and its size.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError>;

    /// Stores bytes and returns their digest.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError>;

    /// Stores what `from` gives, which must be what `blob` describes.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`], [`StoreError::SizeMismatch`], [`StoreError::Io`]; nothing is stored then.
    fn import(&self, from: &mut dyn Read, blob: &Descriptor) -> Result<(), StoreError>;

    /// Opens a blob for one read from start to end; it is verified as it is read, unless it is known to be as it was
    /// hashed when it was written.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Io`].
    fn reader(&self, digest: &Digest) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Removes a blob; reports whether it was there. Who reads it goes on reading.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn remove(&self, digest: &Digest) -> Result<bool, StoreError>;

    /// Returns the digests of all blobs, sorted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn list(&self) -> Result<Vec<Digest>, StoreError>;

    /// Returns the bytes of a small blob (at most `limit` bytes), checked against the digest.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::TooLong`]; [`StoreError::DigestMismatch`]; [`StoreError::Io`].
    fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        if self.size(digest)?.ok_or(StoreError::NoBlob(*digest))? > limit {
            return Err(StoreError::TooLong { what: format!("blob {digest}"), limit });
        }
        let mut bytes = Vec::new();
        let place = PathBuf::from(digest.to_string());
        self.reader(digest)?.read_to_end(&mut bytes).map_err(|error| unwrap_error(error, "read blob", &place))?;
        Ok(bytes)
    }
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
    /// Its temporary name, on file systems without O_TMPFILE.
    name: Option<PathBuf>,
}

impl NewBlob {
    /// Returns the file to write to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    fn path(&self) -> PathBuf {
        self.name.clone().unwrap_or_else(|| PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd())))
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // It may have got its real name; what stays is a leftover that gc deletes.
            fs::remove_file(name).ok();
        }
    }
}

impl DiskBlobs {
    /// Returns the blobs below `root` (`blobs/`), written beside in `temporary`.
    pub fn new(root: &Path, temporary: &Path) -> Self {
        Self { root: root.to_owned(), temporary: temporary.to_owned() }
    }

    /// Returns the file of a blob, which may not be there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.directory().join(digest.hex())
    }

    /// Returns the directory of the files.
    pub fn directory(&self) -> PathBuf {
        self.root.join("sha256")
    }

    /// Begins a blob.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(&self) -> Result<NewBlob, StoreError> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &self.temporary, flags, Mode::from_raw_mode(UNSYNCED)) {
            Ok(file) => Ok(NewBlob { file: file.into(), name: None }),
            // The file system has no O_TMPFILE (overlay before 6.3, NFS): open(2).
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                self.create_named()
            }
            Err(error) => Err(IoError::new("create a file in", &self.temporary, &error.into()).into()),
        }
    }

    fn create_named(&self) -> Result<NewBlob, StoreError> {
        let name = self.temporary.join(sealed::temporary_name());
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).mode(UNSYNCED).open(&name).at("create", &name)?;
        Ok(NewBlob { file, name: Some(name) })
    }

    /// Gives a written blob its name. The caller vouches for digest and size (it hashed what it wrote).
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::SizeMismatch`].
    pub fn commit(&self, blob: NewBlob, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let got = blob.file.metadata().at("stat", &self.temporary)?.len();
        if got != size {
            return Err(StoreError::SizeMismatch { what: format!("blob {digest}"), wanted: size, got });
        }
        let path = self.path(digest);
        seal::seal(&blob.file, digest);
        match link(&blob.path(), &path) {
            Ok(()) => Ok(()),
            // Another process was first, unless a power cut left a stump.
            Err(error) if error.errno == Some(libc::EEXIST) && self.size(digest)? == Some(size) => Ok(()),
            Err(error) if error.errno == Some(libc::EEXIST) => self.displace(&blob, &path),
            Err(error) => Err(error.into()),
        }
    }

    fn displace(&self, blob: &NewBlob, path: &Path) -> Result<(), StoreError> {
        let beside = self.temporary.join(sealed::temporary_name());
        link(&blob.path(), &beside)?;
        Ok(fs::rename(&beside, path).at("rename", path)?)
    }

    /// Opens a blob for reading, unverified.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Io`].
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.path(digest);
        // In a foreign layout a pipe may stand in the place of a blob.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).at("open", &path);
        match file {
            Err(error) if error.is_not_found() => Err(StoreError::NoBlob(*digest)),
            Err(error) => Err(error.into()),
            Ok(file) if file.metadata().at("stat", &path)?.is_file() => Ok(file),
            Ok(_) => Err(StoreError::Malformed { place: path.display().to_string(), why: "not a regular file".into() }),
        }
    }

    /// Returns the bytes of a small blob (at most `limit` bytes), checked against the digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        BlobStore::read(self, digest, limit)
    }

    /// Opens a blob if it is known to have the bytes it was hashed with when it was written.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_unchanged(&self, blob: &Descriptor) -> Result<Option<File>, StoreError> {
        match self.open(&blob.digest) {
            Ok(file) if seal::is_unchanged(&file, blob).at("stat", self.path(&blob.digest))? => Ok(Some(file)),
            Ok(_) | Err(StoreError::NoBlob(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a blob and checks its digest.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`]; [`StoreError::NoBlob`]; [`StoreError::Io`].
    pub fn verify(&self, digest: &Digest) -> Result<u64, StoreError> {
        let mut reader = HashReader::new(self.open(digest)?);
        std::io::copy(&mut reader, &mut std::io::sink()).at("read", self.path(digest))?;
        let (_, got, count) = reader.finish();
        if got == *digest {
            return Ok(count);
        }
        Err(StoreError::DigestMismatch { what: self.path(digest).display().to_string(), wanted: *digest, got })
    }

    /// Brings blobs and their names to disk: what comes before an image that holds them gets a name. Those known to be
    /// there cost one stat. One that is older than this boot and not known to be on disk is read and checked first, and
    /// removed if it is damaged.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::DigestMismatch`]; [`StoreError::Io`].
    pub fn sync(&self, digests: &[Digest]) -> Result<(), StoreError> {
        let mut files = Vec::new();
        for digest in digests {
            let (file, path) = (self.open(digest)?, self.path(digest));
            let metadata = file.metadata().at("stat", &path)?;
            if metadata.mode() & 0o777 != SYNCED {
                self.distrust(digest, metadata.modified().at("stat", &path)?)?;
                file.sync_all().at("fsync", &path)?;
                files.push((file, path));
            }
        }
        if files.is_empty() {
            return Ok(());
        }
        sealed::sync_directory(&self.directory())?;
        for (file, path) in files {
            file.set_permissions(Permissions::from_mode(SYNCED)).at("chmod", &path)?;
        }
        Ok(())
    }

    /// Checks a blob whose bytes may have been lost with the power.
    fn distrust(&self, digest: &Digest, modified: SystemTime) -> Result<(), StoreError> {
        if seal::is_of_this_boot(modified) {
            return Ok(());
        }
        let result = self.verify(digest);
        if let Err(StoreError::DigestMismatch { .. }) = &result {
            self.remove(digest)?;
        }
        result.map(|_| ())
    }
}

fn link(from: &Path, to: &Path) -> Result<(), IoError> {
    rustix::fs::linkat(CWD, from, CWD, to, AtFlags::SYMLINK_FOLLOW).at("link", to)
}

impl BlobStore for DiskBlobs {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        match fs::metadata(self.path(digest)).at("stat", self.path(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.size(&digest)? != Some(bytes.len() as u64) {
            let mut blob = self.create()?;
            blob.file().write_all(bytes).at("write blob", digest.to_string())?;
            self.commit(blob, &digest, bytes.len() as u64)?;
        }
        Ok(digest)
    }

    fn import(&self, from: &mut dyn Read, stated: &Descriptor) -> Result<(), StoreError> {
        let mut blob = self.create()?;
        let mut reader = VerifiedReader::new(from, stated);
        std::io::copy(&mut reader, blob.file())
            .map_err(|error| unwrap_error(error, "import blob", Path::new(&stated.digest.to_string())))?;
        self.commit(blob, &stated.digest, stated.size)
    }

    fn reader(&self, digest: &Digest) -> Result<Box<dyn Read + Send>, StoreError> {
        let file = self.open(digest)?;
        let size = file.metadata().at("stat", self.path(digest))?.len();
        let blob = Descriptor::new("", *digest, size);
        match seal::is_unchanged(&file, &blob).at("stat", self.path(digest))? {
            true => Ok(Box::new(file)),
            false => Ok(Box::new(VerifiedReader::new(file, &blob))),
        }
    }

    fn remove(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(sealed::remove(&self.path(digest))?)
    }

    fn list(&self) -> Result<Vec<Digest>, StoreError> {
        let names = sealed::names(&self.directory())?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(name).ok()).collect())
    }
}

/// Blobs in memory, for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<BTreeMap<Digest, Arc<[u8]>>>>,
}

impl MemoryBlobs {
    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Arc<[u8]>>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for MemoryBlobs {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        Ok(self.locked().get(digest).map(|bytes| bytes.len() as u64))
    }

    fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        self.locked().insert(digest, bytes.into());
        Ok(digest)
    }

    fn import(&self, from: &mut dyn Read, blob: &Descriptor) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let place = PathBuf::from(blob.digest.to_string());
        let mut reader = VerifiedReader::new(from, blob);
        reader.read_to_end(&mut bytes).map_err(|error| unwrap_error(error, "import blob", &place))?;
        self.put(&bytes).map(|_| ())
    }

    fn reader(&self, digest: &Digest) -> Result<Box<dyn Read + Send>, StoreError> {
        let bytes = self.locked().get(digest).cloned().ok_or(StoreError::NoBlob(*digest))?;
        Ok(Box::new(std::io::Cursor::new(bytes)))
    }

    fn remove(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.locked().remove(digest).is_some())
    }

    fn list(&self) -> Result<Vec<Digest>, StoreError> {
        Ok(self.locked().keys().copied().collect())
    }
}

#[cfg(test)]
mod tests;
