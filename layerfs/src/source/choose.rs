//! Finds the image for a platform below a descriptor, through nested indexes (FEATURES 6-8).

use crate::blobs::{BlobStore, DiskBlobs};
use crate::descriptor::{Descriptor, is_index, is_manifest};
use crate::error::StoreError;
use crate::image::{Image, ImageError, Index, Manifest};
use crate::platform::Platform;
use crate::store::{LONGEST_CONFIG, LONGEST_MANIFEST};

/// Indexes that are looked into before giving up: a hostile one may lead to itself or fan out without end.
const MOST_INDEXES: usize = 64;

/// Where indexes, manifests and configs are read.
pub(super) trait Documents {
    /// Returns the bytes that `entry` describes, at most `limit`; their digest is checked.
    fn read(&self, entry: &Descriptor, limit: u64) -> Result<Vec<u8>, StoreError>;
}

impl Documents for DiskBlobs {
    fn read(&self, entry: &Descriptor, limit: u64) -> Result<Vec<u8>, StoreError> {
        match self.size(&entry.digest)? {
            Some(got) if got != entry.size => {
                Err(StoreError::SizeMismatch { what: format!("blob {}", entry.digest), wanted: entry.size, got })
            }
            _ => BlobStore::read(self, &entry.digest, limit),
        }
    }
}

/// Looks for the image for `platform` in `documents`.
pub(super) struct Choice<'a> {
    documents: &'a dyn Documents,
    platform: &'a Platform,
    place: &'a str,
    indexes: usize,
    there: Vec<String>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(documents: &'a dyn Documents, platform: &'a Platform, place: &'a str) -> Self {
        Self { documents, platform, place, indexes: 0, there: Vec::new() }
    }

    /// Returns the image that `entry` is or leads to.
    ///
    /// # Errors
    /// [`StoreError::NoPlatform`]; [`StoreError`].
    pub(super) fn image(mut self, entry: &Descriptor) -> Result<Image, StoreError> {
        if is_manifest(&entry.media_type) {
            return self.read(entry);
        }
        if !is_index(&entry.media_type) {
            let source = ImageError::MediaType { what: "image", found: entry.media_type.clone() };
            return Err(StoreError::Image { place: self.place.to_owned(), source });
        }
        match self.search(entry)? {
            Some(image) => Ok(image),
            None => Err(StoreError::NoPlatform {
                place: self.place.to_owned(),
                wanted: self.platform.to_string(),
                there: self.there,
            }),
        }
    }

    /// Looks into an index, the best candidates first.
    fn search(&mut self, entry: &Descriptor) -> Result<Option<Image>, StoreError> {
        self.indexes += 1;
        if self.indexes > MOST_INDEXES {
            let why = format!("more than {MOST_INDEXES} indexes lead to one another");
            return Err(StoreError::Malformed { place: self.place.to_owned(), why });
        }
        let wrong = |source| StoreError::Image { place: entry.digest.to_string(), source };
        let index = Index::parse(&self.documents.read(entry, LONGEST_MANIFEST)?).map_err(wrong)?;
        self.there.extend(index.platforms());
        for candidate in index.candidates(self.platform) {
            if let Some(image) = self.candidate(candidate)? {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    fn candidate(&mut self, candidate: &Descriptor) -> Result<Option<Image>, StoreError> {
        if is_index(&candidate.media_type) {
            return self.search(candidate);
        }
        let image = self.read(candidate)?;
        // An entry that states no platform says it in its config only.
        if candidate.platform.is_none() && self.platform.rank(&image.platform()).is_none() {
            self.there.push(image.platform().to_string());
            return Ok(None);
        }
        Ok(Some(image))
    }

    fn read(&self, entry: &Descriptor) -> Result<Image, StoreError> {
        let wrong = |source| StoreError::Image { place: entry.digest.to_string(), source };
        let manifest_bytes = self.documents.read(entry, LONGEST_MANIFEST)?;
        let config = Manifest::parse(&manifest_bytes).map_err(wrong)?.config;
        Image::parse(manifest_bytes, self.documents.read(&config, LONGEST_CONFIG)?).map_err(wrong)
    }
}
