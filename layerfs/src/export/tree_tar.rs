//! [`TreeTar`]: the files of images as one tar.

use super::{Destination, FinishedImage, hold};
use crate::cancel::Cancel;
use crate::error::StoreError;
use crate::flat::Flat;
use crate::io_error::IoError;
use crate::meta::{Kind, Metadata, Timestamp};
use crate::meter::Course;
use crate::path::TreePath;
use crate::stack::Found;
use crate::store::Store;
use crate::tar::{TarError, TarWriter};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

/// Writes root file systems of images as a tar, directory by directory, with owners, modes, times and xattrs as they are in
/// the image (FEATURES 4-22). Nothing is unpacked for it, and no rights are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeTar {
    /// Where to.
    pub destination: Destination,
    /// Times after this one become this one.
    pub latest: Option<Timestamp>,
}

impl TreeTar {
    /// Writes the tar: each image below its directory, which may be the root. Contract: as [`super::Exporter`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn export(
        &self,
        images: &[(TreePath, &FinishedImage)],
        store: &Store,
        cancel: &Cancel,
    ) -> Result<(), StoreError> {
        let place = self.destination.place();
        self.destination.write(|out| {
            let mut tar = TarWriter::new(out);
            for (directory, image) in images {
                let _lease = hold(image, &[], store)?;
                let flat = Flat::open(&image.layers, store, cancel)?;
                let files = in_depth(flat.walk());
                let course = flat.course(&files, store, place);
                let first_names = HashMap::new();
                let mut tree = Tree { flat: &flat, directory, tar: &mut tar, first_names, place, course };
                tree.add_directory(self.latest)?;
                for (path, found) in files {
                    if cancel.is_cancelled() {
                        return Err(IoError::new("write", place, &io::Error::other("interrupted")).into());
                    }
                    tree.add(directory.join(path.as_bytes()), &found, self.latest)?;
                }
            }
            let out = tar.finish().map_err(|error| tar_error(error, place))?;
            out.flush().map_err(|error| IoError::new("write", place, &error).into())
        })
    }
}

struct Tree<'a, W> {
    flat: &'a Flat,
    directory: &'a TreePath,
    tar: &'a mut TarWriter<W>,
    first_names: HashMap<(usize, TreePath), TreePath>,
    place: &'a Path,
    course: Course,
}

impl<W: Write> Tree<'_, W> {
    /// Adds the directory that an image is below; the root of a tar has no entry.
    fn add_directory(&mut self, latest: Option<Timestamp>) -> Result<(), StoreError> {
        if self.directory.is_root() {
            return Ok(());
        }
        let metadata = Metadata::directory(latest.unwrap_or(Timestamp::from_seconds(0)));
        self.tar.inode(self.directory, &metadata, &mut io::empty()).map_err(|error| tar_error(error, self.place))
    }

    fn add(&mut self, path: TreePath, found: &Found<'_>, latest: Option<Timestamp>) -> Result<(), StoreError> {
        let metadata = clamped(found.metadata, latest);
        let written = match self.first_names.get(&(found.layer, found.inode.clone())) {
            Some(first) if !metadata.is_directory() => self.tar.hardlink(&path, first, &metadata),
            _ if matches!(metadata.kind, Kind::File { .. }) => {
                let content = self.flat.content(found.layer, &found.inode)?;
                self.tar.inode(&path, &metadata, &mut self.course.reading(content))
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
