//! [`LayoutSource`]: an image of an OCI image layout (image-spec image-layout.md).

use super::ImageSource;
use super::choose::Choice;
use crate::blobs::DiskBlobs;
use crate::descriptor::{Descriptor, is_index, is_manifest};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::image::Image;
use crate::io_error::{IoContext, IoError};
use crate::platform::Platform;
use crate::reference::{DEFAULT_TAG, ImageRef, ReferenceError};
use crate::refs::{FULL_NAME, REF_NAME, parse_index};
use crate::verify::VerifiedReader;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest `oci-layout` file that is read, in bytes.
pub(super) const LONGEST_LAYOUT_FILE: u64 = 64 << 10;

/// An image of an OCI image layout, which may be hostile: everything is checked as it is read.
#[derive(Debug)]
pub struct LayoutSource {
    directory: PathBuf,
    reference: Option<String>,
}

impl LayoutSource {
    /// Returns the image `reference` of the layout in `directory`: a tag, a name, or a digest (`@` before it or not).
    /// With none it is the only image there, or else the one tagged `latest`.
    pub fn new(directory: PathBuf, reference: Option<String>) -> Self {
        Self { directory, reference }
    }

    fn blobs(&self) -> DiskBlobs {
        DiskBlobs::new(&self.directory.join("blobs"), &self.directory)
    }

    /// Checks `oci-layout`, so that a folder that is something else is told so.
    fn check_version(&self) -> Result<(), StoreError> {
        let path = self.directory.join("oci-layout");
        let malformed = |why: &str| {
            Err(StoreError::Malformed { place: self.location(), why: format!("not an OCI image layout: {why}") })
        };
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).at("open", &path);
        let file = match file {
            Err(error) if error.is_not_found() => return malformed("it has no file `oci-layout`"),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(LONGEST_LAYOUT_FILE).read_to_end(&mut bytes).at("read", &path)?;
        check_layout_file(&bytes).or_else(|why| malformed(&why))
    }

    /// Returns every image of the layout in `directory`, as [`images`] does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn all(directory: &Path) -> Result<Vec<(Vec<ImageRef>, Self)>, StoreError> {
        let place = Self::new(directory.to_owned(), None);
        place.check_version()?;
        let entries = parse_index(&directory.join("index.json"))?.manifests;
        let one = |(entry, names): (Descriptor, Vec<ImageRef>)| {
            (names, Self::new(directory.to_owned(), Some(entry.digest.to_string())))
        };
        Ok(images(&entries, &place.location())?.into_iter().map(one).collect())
    }

    /// Returns the entry of `index.json` that is meant.
    fn entry(&self) -> Result<Descriptor, StoreError> {
        let entries = parse_index(&self.directory.join("index.json"))?.manifests;
        let found = match &self.reference {
            Some(reference) => entries.iter().find(|entry| is_called(entry, reference)),
            None => {
                let different: BTreeSet<Digest> = entries.iter().map(|entry| entry.digest).collect();
                match different.len() {
                    1 => entries.first(),
                    _ => entries.iter().find(|entry| is_called(entry, DEFAULT_TAG)),
                }
            }
        };
        found.cloned().ok_or_else(|| self.missing(&entries))
    }

    fn missing(&self, entries: &[Descriptor]) -> StoreError {
        let names = entries.iter().map(|entry| entry.annotations.get(REF_NAME).cloned());
        let there = names.zip(entries).map(|(name, entry)| name.unwrap_or_else(|| entry.digest.to_string())).collect();
        match &self.reference {
            None if !entries.is_empty() => StoreError::SeveralImages { place: self.location(), there },
            reference => {
                StoreError::NoImage { place: self.location(), name: reference.clone().unwrap_or_default(), there }
            }
        }
    }
}

/// Checks the content of an `oci-layout` file; says what is wrong with it.
pub(super) fn check_layout_file(bytes: &[u8]) -> Result<(), String> {
    let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    match json.as_ref().and_then(|json| json.get("imageLayoutVersion")).and_then(serde_json::Value::as_str) {
        Some("1.0.0") => Ok(()),
        Some(version) => Err(format!("version `{version}` is not 1.0.0")),
        None => Err("`oci-layout` states no version".to_owned()),
    }
}

/// Returns each image that an `index.json` lists once, with its names: full ones, or those that other tools write into
/// the ref name. A ref name that is a tag alone is none.
///
/// # Errors
/// [`StoreError::Malformed`] for a name that is none.
pub(super) fn images(entries: &[Descriptor], place: &str) -> Result<Vec<(Descriptor, Vec<ImageRef>)>, StoreError> {
    let mut images: Vec<(Descriptor, Vec<ImageRef>)> = Vec::new();
    // Signatures and other documents may stand beside images.
    for entry in entries.iter().filter(|entry| is_manifest(&entry.media_type) || is_index(&entry.media_type)) {
        let at = images.iter().position(|(known, _)| known.digest == entry.digest).unwrap_or(images.len());
        if at == images.len() {
            images.push((entry.clone(), Vec::new()));
        }
        if let Some(name) = name_of(entry, place)?
            && !images[at].1.contains(&name)
        {
            images[at].1.push(name);
        }
    }
    Ok(images)
}

fn name_of(entry: &Descriptor, place: &str) -> Result<Option<ImageRef>, StoreError> {
    let short = || entry.annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    let Some(text) = entry.annotations.get(FULL_NAME).or_else(short) else { return Ok(None) };
    parse_name(text, place).map(Some)
}

/// Returns the name that stands in `place`.
///
/// # Errors
/// [`StoreError::Malformed`].
pub(super) fn parse_name(text: &str, place: &str) -> Result<ImageRef, StoreError> {
    text.parse().map_err(|error: ReferenceError| StoreError::Malformed {
        place: place.to_owned(),
        why: format!("an image in it is called `{text}`: {}", error.why),
    })
}

/// Reports whether `reference` means this entry of an `index.json`.
fn is_called(entry: &Descriptor, reference: &str) -> bool {
    if let Ok(digest) = reference.strip_prefix('@').unwrap_or(reference).parse::<Digest>() {
        return entry.digest == digest;
    }
    let is_named = |key: &str| entry.annotations.get(key).is_some_and(|name| name == reference);
    let full = reference.parse::<ImageRef>().map(|name| name.to_string());
    is_named(REF_NAME) || full.is_ok_and(|full| entry.annotations.get(FULL_NAME) == Some(&full))
}

impl ImageSource for LayoutSource {
    fn resolve(&self, platform: &Platform) -> Result<Image, StoreError> {
        self.check_version()?;
        Choice::new(&self.blobs(), platform, &self.location()).image(&self.entry()?)
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let file = match self.blobs().open(&blob.digest) {
            // "not in the store" would be misleading here.
            Err(StoreError::NoBlob(digest)) => {
                let error = std::io::Error::from_raw_os_error(libc::ENOENT);
                return Err(IoError::new("open", self.blobs().path(&digest), &error).into());
            }
            other => other?,
        };
        Ok(Box::new(VerifiedReader::new(file, blob)))
    }

    fn location(&self) -> String {
        format!("oci-layout:{}", self.directory.display())
    }
}
