//! [`TreeTar`]: the files of an image as one tar.

use super::{Destination, FinishedImage, hold};
use crate::cancel::Cancel;
use crate::error::StoreError;
use crate::flat::Flat;
use crate::io_error::IoError;
use crate::meta::{Kind, Metadata, Timestamp};
use crate::path::TreePath;
use crate::stack::Found;
use crate::store::Store;
use crate::tar::{TarError, TarWriter};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

/// Writes the root file system of an image as a tar, directory by directory, with owners, modes, times and xattrs as they are in
/// the image (FEATURES 4-22). Nothing is unpacked for it, and no rights are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeTar {
    /// Where to.
    pub destination: Destination,
    /// Times after this one become this one.
    pub latest: Option<Timestamp>,
}

impl TreeTar {
    /// Writes the tar. Contract: as [`super::Exporter`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn export(&self, image: &FinishedImage, store: &Store, cancel: &Cancel) -> Result<(), StoreError> {
        let _lease = hold(image, &[], store)?;
        let flat = Flat::open(&image.layers, store, cancel)?;
        let place = self.destination.place();
        self.destination.write(|out| {
            let mut tree = Tree { flat: &flat, tar: TarWriter::new(out), first_names: HashMap::new(), place };
            for (path, found) in in_depth(flat.walk()) {
                if cancel.is_cancelled() {
                    return Err(IoError::new("write", place, &io::Error::other("interrupted")).into());
                }
                tree.add(path, &found, self.latest)?;
            }
            let out = tree.tar.finish().map_err(|error| tar_error(error, place))?;
            out.flush().map_err(|error| IoError::new("write", place, &error).into())
        })
    }
}

struct Tree<'a, W> {
    flat: &'a Flat,
    tar: TarWriter<W>,
    first_names: HashMap<(usize, TreePath), TreePath>,
    place: &'a Path,
}

impl<W: Write> Tree<'_, W> {
    fn add(&mut self, path: TreePath, found: &Found<'_>, latest: Option<Timestamp>) -> Result<(), StoreError> {
        let metadata = clamped(found.metadata, latest);
        let written = match self.first_names.get(&(found.layer, found.inode.clone())) {
            Some(first) if !metadata.is_directory() => self.tar.hardlink(&path, first, &metadata),
            _ if matches!(metadata.kind, Kind::File { .. }) => {
                let mut content = self.flat.content(found.layer, &found.inode)?;
                self.tar.inode(&path, &metadata, &mut content)
            }
            _ => self.tar.inode(&path, &metadata, &mut io::empty()),
        };
        written.map_err(|error| tar_error(error, self.place))?;
        self.first_names.entry((found.layer, found.inode.clone())).or_insert(path);
        Ok(())
    }
}

/// Returns what is below the root with what each directory holds right after it: who unpacks gives a directory its time when
/// another begins.
fn in_depth(mut files: Vec<(TreePath, Found<'_>)>) -> Vec<(TreePath, Found<'_>)> {
    files.retain(|(path, _)| !path.is_root());
    // No name has a NUL in it, which comes before every other byte.
    let key = |path: &TreePath| path.as_bytes().iter().map(|&byte| if byte == b'/' { 0 } else { byte }).collect();
    files.sort_by_cached_key(|(path, _)| -> Vec<u8> { key(path) });
    files
}

/// Returns metadata with a time that is not after `latest`.
pub(super) fn clamped(metadata: &Metadata, latest: Option<Timestamp>) -> Metadata {
    let mut metadata = metadata.clone();
    if let Some(latest) = latest {
        let time = |time: &Timestamp| (time.seconds, time.nanoseconds);
        metadata.mtime = std::cmp::min_by_key(metadata.mtime, latest, time);
    }
    metadata
}

/// Returns the error of writing a tar to `place`.
pub(super) fn tar_error(error: TarError, place: &Path) -> StoreError {
    match error {
        TarError::Stream { source, .. } => IoError::new("write", place, &source).into(),
        other => StoreError::Malformed { place: place.display().to_string(), why: other.to_string() },
    }
}
