//! [`Sink`]: where an unpacked layer goes: a directory, or nowhere.

use crate::meta::Metadata;
use crate::path::TreePath;
use crate::unpack::{LayerError, Unpacked};
use std::fmt::Debug;
use std::io::Read;

/// Where an unpacked layer goes. Paths are resolved: no link is on their way, and the directories above them were made.
pub(super) trait Sink: Debug {
    /// Makes a directory where nothing stands; its metadata comes with the end.
    fn directory(&mut self, path: &TreePath) -> Result<(), LayerError>;
    /// Makes anything but a directory where nothing stands.
    fn inode(&mut self, path: &TreePath, metadata: &Metadata, content: &mut dyn Read) -> Result<(), LayerError>;
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
    fn inode(&mut self, _: &TreePath, _: &Metadata, _: &mut dyn Read) -> Result<(), LayerError> {
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
