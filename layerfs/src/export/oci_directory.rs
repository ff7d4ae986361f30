//! [`OciDirectory`]: an OCI image layout as a directory.

use super::layout::{Blob, INDEX_FILE, LAYOUT, LAYOUT_FILE, Layout, NamedImage};
use super::{Exporter, FinishedImage, LayerCompression};
use crate::blobs::{BlobStore, DiskBlobs};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::image::Index;
use crate::io_error::IoContext;
use crate::reference::ImageRef;
use crate::refs::{FULL_NAME, REF_NAME, parse_index};
use crate::sealed::{self, Durability};
use crate::store::Store;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Writes an image into a directory that is an OCI image layout, or becomes one (FEATURES 4-19, `tar=false`).
///
/// Images that are there stay, save that a name that the new one gets is taken from them. `index.json` is replaced at
/// once, after everything that it leads to is on disk; the directory is locked meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciDirectory {
    /// The directory; it is made if it is missing.
    pub path: PathBuf,
    /// Names for `index.json`.
    pub names: Vec<ImageRef>,
    /// How layers are compressed.
    pub compression: LayerCompression,
}

impl Exporter for OciDirectory {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let named = NamedImage { image, names: &self.names };
        Ok(write(&[named], &self.path, self.compression, store)?.remove(0))
    }
}

/// Writes images into the layout in `path`; returns the descriptors of their manifests.
pub(super) fn write(
    images: &[NamedImage<'_>],
    path: &Path,
    compression: LayerCompression,
    store: &Store,
) -> Result<Vec<Descriptor>, StoreError> {
    let layout = Layout::of(images, compression, store)?;
    write_layout(path, &layout)?;
    Ok(layout.manifests())
}

/// Writes a layout into a directory that is one, or becomes one.
pub(super) fn write_layout(path: &Path, layout: &Layout) -> Result<(), StoreError> {
    let directory = path.join("blobs/sha256");
    fs::create_dir_all(&directory).at("create", &directory)?;
    let blobs = DiskBlobs::new(&path.join("blobs"), &directory);
    for blob in layout.blobs.values() {
        add(&blobs, blob)?;
    }
    blobs.sync(&layout.blobs.keys().copied().collect::<Vec<Digest>>())?;
    let locked = File::open(path).at("open", path)?;
    locked.lock().at("lock", path)?;
    update(path, &layout.entries)
}

/// Writes a blob unless it is there and whole.
fn add(blobs: &DiskBlobs, blob: &Blob) -> Result<(), StoreError> {
    let digest = &blob.descriptor.digest;
    match blobs.verify(digest) {
        Ok(_) => return Ok(()),
        Err(StoreError::NoBlob(_)) => {}
        Err(StoreError::DigestMismatch { .. }) => {
            blobs.remove(digest)?;
        }
        Err(error) => return Err(error),
    }
    blobs.import(&mut blob.reader(), &blob.descriptor)
}

/// Brings `entries` into the `index.json` of the layout in `path`.
fn update(path: &Path, entries: &[Descriptor]) -> Result<(), StoreError> {
    let file = path.join(INDEX_FILE);
    let mut index = if file.exists() { parse_index(&file)? } else { Index::new(Vec::new()) };
    let before = index.clone();
    index.manifests.retain(|old| !entries.iter().any(|new| displaces(new, old)));
    index.manifests.extend_from_slice(entries);
    let mark = path.join(LAYOUT_FILE);
    if !mark.exists() {
        sealed::replace(&mark, path, LAYOUT, Durability::Durable)?;
    }
    if index != before {
        sealed::replace(&file, path, &index.print(), Durability::Durable)?;
    }
    Ok(())
}

/// Reports whether `new` takes the place of `old`: it has its full name, or, where another tool wrote none, its tag. An
/// image without a name takes the place of itself only.
fn displaces(new: &Descriptor, old: &Descriptor) -> bool {
    let name = |entry: &Descriptor, key: &str| entry.annotations.get(key).cloned();
    match (name(new, FULL_NAME), name(old, FULL_NAME)) {
        (Some(new), Some(old)) => new == old,
        (None, None) if name(new, REF_NAME) == name(old, REF_NAME) => new.digest == old.digest,
        (Some(_), None) => name(old, REF_NAME).is_some() && name(new, REF_NAME) == name(old, REF_NAME),
        _ => false,
    }
}
