//! [`Stack`]: the tree that layers give when laid over one another, seen through their indexes; it touches no disk.

use crate::index::LayerIndex;
use crate::meta::Metadata;
use crate::path::TreePath;
use std::sync::Arc;

/// Layers laid over one another, the lowest first, seen through their indexes.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    layers: Vec<Arc<LayerIndex>>,
}

/// What stands at a path of a [`Stack`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// Number of the layer that has it, 0 the lowest.
    pub layer: usize,
    /// Path of the inode in that layer: for one of several names of an inode, the first. Two paths of a stack are names
    /// of one inode if both `layer` and `inode` are equal.
    pub inode: TreePath,
    /// What it is.
    pub metadata: &'a Metadata,
}

/// Why a path could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// More than 40 links in the way.
    #[error("`{0}`: too many levels of symbolic links")]
    Loop(TreePath),
    /// Something that is no directory stands in the way.
    #[error("`{0}` is not a directory")]
    NotADirectory(TreePath),
}

impl Stack {
    /// Returns the stack of `layers`, the lowest first.
    pub fn new(layers: Vec<Arc<LayerIndex>>) -> Self {
        Self { layers }
    }

    /// Lays one more layer on top.
    pub fn push(&mut self, layer: Arc<LayerIndex>) {
        self.layers.push(layer);
    }

    /// Returns the layers, the lowest first.
    pub fn layers(&self) -> &[Arc<LayerIndex>] {
        &self.layers
    }

    /// Returns what stands at `path`, no link followed; nothing if no layer has it or a layer hides it. The root is
    /// there if any layer states it.
    pub fn lookup(&self, _path: &TreePath) -> Option<Found<'_>> {
        todo!()
    }

    /// Returns `path` with every link in it followed inside the root, the last component too if `last`; components that
    /// do not exist stay as they are.
    ///
    /// # Errors
    /// [`StackError::Loop`]; [`StackError::NotADirectory`] if a file stands where a directory is needed.
    pub fn resolve(&self, _path: &TreePath, _last: bool) -> Result<TreePath, StackError> {
        todo!()
    }

    /// Returns the names in the directory `path` with what they are, sorted by name; empty if it is no directory.
    pub fn children(&self, _path: &TreePath) -> Vec<(Box<[u8]>, Found<'_>)> {
        todo!()
    }

    /// Returns everything at and below `top`, sorted by path, no link followed; empty if nothing stands there.
    pub fn walk(&self, _top: &TreePath) -> Vec<(TreePath, Found<'_>)> {
        todo!()
    }

    /// Returns the bytes of an account file ([`crate::index::ACCOUNT_FILES`]), links followed; nothing if it is missing,
    /// no regular file, or longer than 10 MiB.
    pub fn account_file(&self, _path: &TreePath) -> Option<&[u8]> {
        todo!()
    }
}
