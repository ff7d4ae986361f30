//! Unpacks a layer's tar into a directory in overlay form.

use crate::index::LayerIndex;
use crate::io_error::IoError;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::Stack;
use crate::tar::TarError;
use std::fs::File;
use std::io::Read;

/// What can go wrong when a layer is unpacked, compared or mounted.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The tar is wrong.
    #[error(transparent)]
    Tar(#[from] TarError),
}

/// A layer unpacked alone.
#[derive(Debug)]
pub struct Unpacked {
    /// What it says.
    pub index: LayerIndex,
    /// What it leans on.
    pub borrowed: Borrowed,
}

/// What a layer leans on below it; empty for a self-contained layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Borrowed {
    /// Directories that the tar only implies, whose metadata is that of the layers below (or 0755 0:0).
    pub directories: Vec<TreePath>,
    /// Hardlinks to files of layers below: the new name, and the target.
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
pub fn unpack(_tar: &mut dyn Read, _destination: &RootDir) -> Result<Unpacked, LayerError> {
    todo!()
}

/// Reads a plain tar for its headers (and account files) only, as [`unpack`] would index it.
///
/// # Errors
/// [`LayerError::Tar`].
pub fn index_tar(_tar: &mut dyn Read) -> Result<Unpacked, LayerError> {
    todo!()
}

/// Fills in what `unpacked` borrows, in `destination` (if there is one) and in the index: metadata of implied
/// directories, and files behind hardlinks to lower layers, which `open` opens (layer number in `below`, path).
///
/// # Errors
/// [`LayerError`]; a link to nothing is one.
pub fn complete(
    _unpacked: Unpacked,
    _destination: Option<&RootDir>,
    _below: &Stack,
    _open: &dyn Fn(usize, &TreePath) -> Result<File, IoError>,
) -> Result<LayerIndex, LayerError> {
    todo!()
}
