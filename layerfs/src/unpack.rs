//! Unpacks a layer's tar into a directory in overlay form.
//!
//! ```text
//! tar entries -> LayerReader (names, duplicates, links: decided in a Table) -> Sink (a directory, or nowhere)
//! ```
//! A layer is unpacked alone, so that layers unpack beside one another; what one leans on below it is filled in by
//! [`complete()`]. A name is refused if it climbs with `..`; a leading `/` means nothing, as in a chroot.
//!
//! A directory that a layer only implies looks as it does in the layers below. One that is nowhere below gets mode 0755,
//! owner 0:0 and the time 0: others give it the time of unpacking, but the same layer must be the same tree wherever and
//! whenever it is unpacked, or what is copied from it would differ from one machine to the next.

mod complete;
mod disk;
mod error;
mod layer;
mod limits;
mod places;
mod sink;
mod stream;
mod table;

pub use complete::complete;
pub use error::LayerError;
pub use limits::UnpackLimits;
pub use places::{FilePlace, Places};
pub use stream::LayerStream;

use crate::index::LayerIndex;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::tar::{EntryKind, TarError, TarReader};
use layer::Stated;
use sink::Content;
use std::io::Read;

/// A layer unpacked alone.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// What it says.
    pub index: LayerIndex,
    /// What it leans on.
    pub borrowed: Borrowed,
}

/// What a layer leans on below it; empty for a self-contained layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Borrowed {
    /// Directories that the tar only implies, whose metadata is that of the layers below (or 0755 0:0, of the time 0).
    pub directories: Vec<TreePath>,
    /// Hardlinks to files of layers below: the new name, and the target. Until [`complete()`] has copied the file, the
    /// index has a [`crate::change::Node::Hardlink`] there whose target the layer does not have.
    pub links: Vec<(TreePath, TreePath)>,
}

impl Borrowed {
    /// Reports whether the layer is self-contained.
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.links.is_empty()
    }
}

/// Unpacks a plain tar into `destination`, an empty directory, in overlay form.
///
/// # Errors
/// [`LayerError`]; `destination` is then to be deleted.
pub fn unpack(tar: &mut dyn Read, destination: &RootDir) -> Result<Unpacked, LayerError> {
    unpack_within(tar, destination, UnpackLimits::default())
}

/// Unpacks as [`unpack()`] does, with limits of the caller's.
///
/// # Errors
/// [`LayerError`]; `destination` is then to be deleted.
pub fn unpack_within(tar: &mut dyn Read, destination: &RootDir, limits: UnpackLimits) -> Result<Unpacked, LayerError> {
    read(tar, &mut disk::Disk::new(destination), limits)
}

/// Reads a plain tar for its headers (and account files) only, as [`unpack()`] would index it.
///
/// # Errors
/// [`LayerError`], but for what only a disk can refuse.
pub fn index_tar(tar: &mut dyn Read) -> Result<Unpacked, LayerError> {
    read(tar, &mut sink::Nowhere, UnpackLimits::default())
}

/// Reads a plain tar as [`index_tar`] does, and notes where in it the content of each file is.
///
/// # Errors
/// As [`index_tar`].
pub fn locate_tar(tar: &mut dyn Read) -> Result<(Unpacked, Places), LayerError> {
    let mut places = Places::default();
    let unpacked = read(tar, &mut places, UnpackLimits::default())?;
    Ok((unpacked, places))
}

fn read(tar: &mut dyn Read, sink: &mut impl sink::Sink, limits: UnpackLimits) -> Result<Unpacked, LayerError> {
    let mut reader = TarReader::new(tar);
    let mut layer = layer::LayerReader::new(sink, limits);
    while let Some(entry) = reader.next()? {
        let segments = entry.segments.as_deref();
        let at = Some(reader.position());
        let stated = match (entry.metadata(), &entry.kind) {
            (Some(metadata), _) => Stated::Inode(metadata),
            (None, EntryKind::Hardlink { target }) => Stated::Hardlink(target.clone()),
            (None, EntryKind::Inode(_)) => continue,
        };
        if segments.is_some() {
            layer.entry(&entry.path, stated, Content { bytes: &mut reader.packed(), segments, at })?;
        } else {
            layer.entry(&entry.path, stated, Content { bytes: &mut reader, segments, at })?;
        }
    }
    // The digest is of everything.
    reader.finish()?;
    layer.finish()
}

/// Returns the error of reading a layer's tar.
fn reading(source: std::io::Error) -> LayerError {
    TarError::Stream { act: "read", source }.into()
}

#[cfg(test)]
mod tests;
