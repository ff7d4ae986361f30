//! [`Stack`]: the tree that layers give when laid over one another, seen through their indexes; it touches no disk.
//!
//! The rules are overlayfs's (Documentation/filesystems/overlayfs.rst): whiteouts and opaque directories hide what lies
//! in lower layers, what is no directory hides everything below its path, directories merge and show the metadata of the
//! highest. A directory that a layer only implies shows that of the next directory below it, if there is one.
//! All of it leans on the promise of [`LayerIndex`] that the directories above a change are in the index too.

mod merge;
mod resolve;

use crate::change::{Change, Node};
use crate::index::{LayerIndex, MAX_ACCOUNT_FILE};
use crate::meta::{Kind, Metadata};
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

/// What is seen at one path, gathered from the layers that change it, the highest first.
#[derive(Debug, Default)]
struct View<'a> {
    found: Option<Found<'a>>,
    /// `found` is a directory that its layer only implies.
    borrows: bool,
    /// Lowest layer that is still seen below this path.
    floor: usize,
    /// Nothing of lower layers counts, here or below.
    closed: bool,
}

impl<'a> View<'a> {
    /// Takes the `change` that `layer`, number `number`, makes to the path; it is lower than all taken before.
    fn take(&mut self, number: usize, layer: &'a LayerIndex, change: &'a Change) {
        if self.closed {
            return;
        }
        let found =
            inode_of(layer, change).map(|(inode, metadata)| Found { layer: number, inode: inode.clone(), metadata });
        let is_directory = found.as_ref().is_some_and(|found| found.metadata.is_directory());
        if is_directory && (self.found.is_none() || self.borrows) {
            self.borrows = layer.is_implied(&change.path);
            self.found = found;
        } else if !is_directory && self.found.is_none() {
            self.found = found;
        }
        self.closed = !is_directory || (!layer.opaque.is_empty() && layer.is_opaque(&change.path));
        if self.closed {
            // Below what is no directory its own layer has nothing to show.
            self.floor = number;
        }
    }
}

/// Returns path and metadata of the inode that `change` gives its path, in its own layer.
fn inode_of<'a>(layer: &'a LayerIndex, change: &'a Change) -> Option<(&'a TreePath, &'a Metadata)> {
    match &change.node {
        Node::Inode(metadata) => Some((&change.path, metadata)),
        Node::Hardlink { target } => Some((target, layer.get(target)?.node.metadata()?)),
        Node::Whiteout => None,
    }
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
    pub fn lookup(&self, path: &TreePath) -> Option<Found<'_>> {
        self.view(path).found
    }

    fn view(&self, path: &TreePath) -> View<'_> {
        let above = path.ancestors();
        let mut view = View::default();
        for (number, layer) in self.layers.iter().enumerate().rev() {
            if let Some(change) = layer.get(path) {
                view.take(number, layer, change);
            }
            if view.closed {
                break;
            }
            if let Some(floor) = floor_of(number, layer, &above) {
                view.floor = floor;
                break;
            }
        }
        view
    }

    /// Returns the bytes of an account file ([`crate::index::ACCOUNT_FILES`]), links followed; nothing if it is missing,
    /// no regular file, or longer than 10 MiB.
    pub fn account_file(&self, path: &TreePath) -> Option<&[u8]> {
        // A path that cannot be resolved is a file that is missing, to whoever opens it.
        let path = self.resolve(path, true).ok()?;
        let found = self.lookup(&path)?;
        let Kind::File { size } = found.metadata.kind else {
            return None;
        };
        let accounts = &self.layers[found.layer].accounts;
        let bytes = accounts.get(&path).or_else(|| accounts.get(&found.inode))?;
        (size <= MAX_ACCOUNT_FILE).then_some(bytes)
    }
}

/// Returns the lowest layer that is seen below the directories `above` (from the root down) where `layer`, number
/// `number`, hides those below it; nothing where it hides none.
fn floor_of(number: usize, layer: &LayerIndex, above: &[TreePath]) -> Option<usize> {
    if !layer.opaque.is_empty() && above.iter().any(|path| layer.is_opaque(path)) {
        return Some(number);
    }
    // What stands above a directory of a layer is a directory too: the lowest one tells.
    let lowest = above.iter().rev().find_map(|path| layer.get(path))?;
    let is_directory = lowest.node.metadata().is_some_and(Metadata::is_directory);
    (!is_directory).then_some(number)
}

#[cfg(test)]
mod tests;
