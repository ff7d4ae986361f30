//! [`RegistrySource`]: an image of a registry, asked for at its mirrors first.
//!
//! ```text
//! name ─HEAD or GET→ descriptor ─(index → candidate)→ manifest → config      kept in the store, asked for once
//!                                                        layers              streamed when somebody wants them
//! ```
//! Where a place does not answer, the next one is asked; it is asked last from then on. What a name led to is remembered
//! ([`crate::store::Remembered`]): a tag that still leads there costs one HEAD, and where no registry answers at all it
//! serves, with a warning.

mod error;
mod places;
mod stream;
#[cfg(test)]
mod tests;

pub use error::PullError;

use super::ImageSource;
use super::choose::{Choice, Documents};
use crate::blobs::BlobStore;
use crate::descriptor::{Descriptor, is_index, is_manifest};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::image::{Image, ImageError};
use crate::platform::Platform;
use crate::reference::{DEFAULT_TAG, ImageRef};
use crate::registry::observer::Observer;
use crate::registry::remote::{Remote, RemoteManifest};
use crate::store::Store;
use crate::verify::{VerifiedReader, unwrap_error};
use places::{Place, Places};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use stream::Stream;

/// An image of a registry. Nothing is asked until somebody wants to know.
#[derive(Debug)]
pub struct RegistrySource {
    name: ImageRef,
    store: Store,
    places: Arc<Places>,
    observer: Arc<dyn Observer>,
    is_fresh: bool,
    top: Mutex<Option<Descriptor>>,
}

impl RegistrySource {
    /// Returns the image `name` of the places `remotes`, the first to be asked first; documents are kept in `store`.
    pub fn new(name: ImageRef, store: Store, remotes: Vec<Remote>, observer: Arc<dyn Observer>) -> Self {
        let count = remotes.len();
        // Only the last place is worth waiting for: where one asks us to, the next is asked at once.
        let patient = |(at, remote): (usize, Remote)| if at + 1 == count { remote } else { remote.without_waiting() };
        let remotes = remotes.into_iter().enumerate().map(patient);
        let places = remotes.map(|remote| Box::new(remote) as Box<dyn Place>).collect();
        Self::at(name, store, places, observer)
    }

    fn at(name: ImageRef, store: Store, places: Vec<Box<dyn Place>>, observer: Arc<dyn Observer>) -> Self {
        let places = Arc::new(Places::new(name.to_string(), places, Arc::clone(&observer)));
        Self { name, store, places, observer, is_fresh: false, top: Mutex::default() }
    }

    /// Fails where no registry can be reached, also if what the name led to before is known: it serves only where a
    /// registry answers that it was asked too often.
    pub fn fresh(self) -> Self {
        Self { is_fresh: true, ..self }
    }

    /// Returns the descriptor of the manifest or index that the name leads to; asked for once.
    ///
    /// # Errors
    /// [`StoreError::Pull`]; [`StoreError`].
    pub fn top(&self) -> Result<Descriptor, StoreError> {
        let mut top = self.top.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*top {
            return Ok(known.clone());
        }
        let found = self.look_up()?;
        self.store.remembered().put(&self.name, &found)?;
        *top = Some(found.clone());
        Ok(found)
    }

    fn look_up(&self) -> Result<Descriptor, StoreError> {
        let known = self.store.remembered().get(&self.name)?.filter(|known| self.has(known));
        match (self.name.digest, known) {
            // What has the digest cannot have changed.
            (Some(_), Some(known)) => Ok(known),
            (None, Some(known)) if self.places.is_empty() => Ok(known),
            (Some(digest), None) => self.fetch_top(&digest.to_string(), true),
            (None, None) => self.fetch_top(self.tag(), false),
            (None, Some(known)) => self.look_again(known),
        }
    }

    fn tag(&self) -> &str {
        self.name.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    fn has(&self, entry: &Descriptor) -> bool {
        self.store.blobs().size(&entry.digest).is_ok_and(|size| size == Some(entry.size))
    }

    fn fetch_top(&self, reference: &str, by_digest: bool) -> Result<Descriptor, StoreError> {
        let found = self.places.ask(by_digest, |place| place.manifest(reference))?;
        if let Some(wanted) = self.name.digest.filter(|wanted| *wanted != found.descriptor.digest) {
            let (what, got) = (format!("manifest of `{}`", self.name), found.descriptor.digest);
            return Err(StoreError::DigestMismatch { what, wanted, got });
        }
        self.keep(&found)?;
        Ok(found.descriptor)
    }

    /// Asks whether a tag still leads to `known`.
    fn look_again(&self, known: Descriptor) -> Result<Descriptor, StoreError> {
        let head = self.places.ask(false, |place| match place.head(self.tag())? {
            Some(descriptor) => Ok(descriptor),
            // The whole question tells why, and which tags there are.
            None => Ok(place.manifest(self.tag())?.descriptor),
        });
        match head {
            Ok(found) if found.digest == known.digest => Ok(known),
            Ok(_) => self.fetch_top(self.tag(), false),
            Err(StoreError::Pull(error)) if error.is_limit() || (error.is_silence() && !self.is_fresh) => {
                self.observer.warning(&format!(
                    "`{}` is taken as it was when it was last asked for, {}: {error}",
                    self.name.familiar(),
                    known.digest
                ));
                Ok(known)
            }
            Err(error) => Err(error),
        }
    }

    fn keep(&self, found: &RemoteManifest) -> Result<(), StoreError> {
        let kind = &found.descriptor.media_type;
        if !is_manifest(kind) && !is_index(kind) {
            let source = ImageError::MediaType { what: "image", found: kind.clone() };
            return Err(StoreError::Image { place: self.name.to_string(), source });
        }
        self.store.blobs().put(&found.bytes).map(drop)
    }

    fn fetch(&self, entry: &Descriptor) -> Result<Vec<u8>, StoreError> {
        if is_index(&entry.media_type) || is_manifest(&entry.media_type) {
            let reference = entry.digest.to_string();
            return Ok(self.places.ask(true, |place| place.manifest(&reference))?.bytes);
        }
        let mut bytes = Vec::new();
        let read = self.open(entry)?.read_to_end(&mut bytes);
        read.map_err(|error| unwrap_error(error, "read", Path::new(&entry.digest.to_string())))?;
        Ok(bytes)
    }
}

impl Documents for RegistrySource {
    fn read(&self, entry: &Descriptor, limit: u64) -> Result<Vec<u8>, StoreError> {
        if entry.size > limit {
            return Err(StoreError::TooLong { what: format!("blob {}", entry.digest), limit });
        }
        if self.has(entry) {
            match self.store.blobs().read(&entry.digest, limit) {
                // It is damaged, or a gc took it just now.
                Err(StoreError::DigestMismatch { .. } | StoreError::NoBlob(_)) => {
                    self.store.blobs().remove(&entry.digest)?;
                }
                other => return other,
            }
        }
        let bytes = self.fetch(entry)?;
        check(entry, &bytes)?;
        self.store.blobs().put(&bytes)?;
        Ok(bytes)
    }
}

fn check(entry: &Descriptor, bytes: &[u8]) -> Result<(), StoreError> {
    let (what, got) = (format!("blob {}", entry.digest), bytes.len() as u64);
    if got != entry.size {
        return Err(StoreError::SizeMismatch { what, wanted: entry.size, got });
    }
    let got = Digest::of(bytes);
    if got != entry.digest {
        return Err(StoreError::DigestMismatch { what, wanted: entry.digest, got });
    }
    Ok(())
}

impl ImageSource for RegistrySource {
    fn resolve(&self, platform: &Platform) -> Result<Image, StoreError> {
        Choice::new(self, platform, &self.location()).image(&self.top()?)
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(VerifiedReader::new(self.open_from(blob, 0)?, blob)))
    }

    fn open_from(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(Stream::open(Arc::clone(&self.places), blob.clone(), offset)?))
    }

    fn reject(&self, blob: &Descriptor) -> bool {
        self.places.reject(&blob.digest)
    }

    fn location(&self) -> String {
        self.name.to_string()
    }

    fn repository(&self) -> Option<ImageRef> {
        Some(self.name.clone())
    }
}
