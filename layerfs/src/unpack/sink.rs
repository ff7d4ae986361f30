//! [`Sink`]: where an unpacked layer goes: a directory, or nowhere.

use crate::meta::Metadata;
use crate::path::TreePath;
use crate::tar::Segment;
use crate::unpack::{LayerError, Unpacked};
use std::fmt::Debug;
use std::io::Read;

/// The content of a regular file.
pub(super) struct Content<'a> {
    /// The bytes; of a sparse file those of its segments, one after the other.
    pub(super) bytes: &'a mut dyn Read,
    /// The segments, if it is sparse.
    pub(super) segments: Option<&'a [Segment]>,
    /// Where in the tar the bytes begin; nothing for bytes that are no longer read from there.
    pub(super) at: Option<u64>,
}

impl Content<'_> {
    /// Returns how many bytes there are to write of a file of `size` bytes.
    pub(super) fn stored(&self, size: u64) -> u64 {
        self.segments.map_or(size, |segments| segments.iter().map(|segment| segment.length).sum())
    }
}

/// Where an unpacked layer goes. Paths are resolved: no link is on their way, and the directories above them were made.
pub(super) trait Sink: Debug {
    /// Makes a directory where nothing stands; its metadata comes with the end.
    fn directory(&mut self, path: &TreePath) -> Result<(), LayerError>;
    /// Makes anything but a directory where nothing stands.
    fn inode(&mut self, path: &TreePath, metadata: &Metadata, content: Content<'_>) -> Result<(), LayerError>;
    /// Makes one more name of the file at `target`.
    fn hardlink(&mut self, path: &TreePath, target: &TreePath) -> Result<(), LayerError>;
    /// Takes away what stands at `path`, with everything below it.
    fn remove(&mut self, path: &TreePath) -> Result<(), LayerError>;
    /// Makes whiteouts, and gives directories their metadata.
    fn finish(&mut self, unpacked: &Unpacked) -> Result<(), LayerError>;
}

/// The sink of who wants the index alone.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Sink for Nowhere {
    fn directory(&mut self, _: &TreePath) -> Result<(), LayerError> {
        Ok(())
    }
    fn inode(&mut self, _: &TreePath, _: &Metadata, _: Content<'_>) -> Result<(), LayerError> {
        Ok(())
    }
    fn hardlink(&mut self, _: &TreePath, _: &TreePath) -> Result<(), LayerError> {
        Ok(())
    }
    fn remove(&mut self, _: &TreePath) -> Result<(), LayerError> {
        Ok(())
    }
    fn finish(&mut self, _: &Unpacked) -> Result<(), LayerError> {
        Ok(())
    }
}
