//! [`Landing`]: the file that a blob arrives in.

use crate::blobs::NewBlob;
use crate::descriptor::Descriptor;
use crate::digest::{Digest, Hasher};
use crate::error::StoreError;
use crate::io_error::{IoContext, IoError};
use crate::sealed;
use crate::store::Store;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// The file that a blob arrives in, hashed as far as it has come.
#[derive(Debug)]
pub(super) struct Landing<'a> {
    store: &'a Store,
    blob: &'a Descriptor,
    file: Arc<File>,
    place: Place,
    hasher: Hasher,
    count: u64,
    /// Writing failed: the disk may be full, so that nothing should be kept on it.
    unwritable: bool,
}

#[derive(Debug)]
enum Place {
    /// It has a name, and stays if the blob is cut off.
    Part(PathBuf),
    /// It has none, and goes with this.
    New(NewBlob),
}

impl<'a> Landing<'a> {
    /// Opens the file for `blob`; if it `stays` when the blob is cut off, with what came before.
    pub(super) fn open(store: &'a Store, blob: &'a Descriptor, stays: bool) -> Result<Self, StoreError> {
        let (file, place) = match stays {
            true => {
                let path = store.part(&blob.digest);
                let mut options = File::options();
                let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
                (file.at("create", &path)?, Place::Part(path))
            }
            false => {
                let mut new = store.blobs().create()?;
                (new.file().try_clone().at("open", store.temporary())?, Place::New(new))
            }
        };
        let (hasher, file) = (Hasher::default(), Arc::new(file));
        let mut landing = Self { store, blob, file, place, hasher, count: 0, unwritable: false };
        landing.read_again()?;
        Ok(landing)
    }

    /// Hashes what came before; more than the blob is long cannot be right.
    fn read_again(&mut self) -> Result<(), StoreError> {
        let Place::Part(path) = &self.place else { return Ok(()) };
        let mut buffer = vec![0; 256 << 10];
        let mut before = (&*self.file).take(self.blob.size.saturating_add(1));
        loop {
            match before.read(&mut buffer).at("read", path)? {
                0 => break,
                count => self.hasher.update(&buffer[..count]),
            }
        }
        self.count = self.blob.size.saturating_add(1) - before.limit();
        if self.count >= self.blob.size && self.check().is_err() {
            self.file.set_len(0).at("truncate", path)?;
            (self.hasher, self.count) = (Hasher::default(), 0);
        }
        Ok(())
    }

    /// Returns the file, to read what has arrived.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Returns how many bytes have arrived.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let count = self.count.saturating_add(bytes.len() as u64);
        if count > self.blob.size {
            return Err(self.wrong_size(self.blob.size.saturating_add(1)));
        }
        if let Err(error) = self.file.write_all_at(bytes, self.count) {
            self.unwritable = true;
            return Err(IoError::new("write blob", self.blob.digest.to_string(), &error).into());
        }
        self.hasher.update(bytes);
        self.count = count;
        Ok(())
    }

    fn wrong_size(&self, got: u64) -> StoreError {
        StoreError::SizeMismatch { what: format!("blob {}", self.blob.digest), wanted: self.blob.size, got }
    }

    /// Checks that what has arrived is the blob.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.count != self.blob.size {
            return Err(self.wrong_size(self.count));
        }
        let got: Digest = self.hasher.clone().finish();
        if got != self.blob.digest {
            let what = format!("blob {}", self.blob.digest);
            return Err(StoreError::DigestMismatch { what, wanted: self.blob.digest, got });
        }
        Ok(())
    }

    /// Gives the blob, which was checked, its name in the store.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        match self.place {
            Place::New(new) => self.store.blobs().commit(new, &self.blob.digest, self.blob.size),
            Place::Part(part) => {
                let path = self.store.blobs().path(&self.blob.digest);
                Ok(fs::rename(&part, &path).at("rename", &path)?)
            }
        }
    }

    /// Leaves what has arrived for a later run, unless it is `wrong`, nothing, or more than the disk bears.
    pub(super) fn leave(self, wrong: bool) -> Result<(), StoreError> {
        match &self.place {
            Place::Part(path) if wrong || self.unwritable || self.count == 0 => {
                sealed::remove(path)?;
                Ok(())
            }
            Place::Part(_) | Place::New(_) => Ok(()),
        }
    }
}
