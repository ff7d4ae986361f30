//! [`Change`]: one line of a layer.

use crate::meta::Metadata;
use crate::path::TreePath;
use serde::{Deserialize, Serialize};

/// One change that a layer makes to the tree below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where.
    pub path: TreePath,
    /// What stands there after it.
    pub node: Node,
}

/// What a layer puts at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// A file, directory, link or device of its own. A regular file's bytes are where the change comes from.
    Inode(Metadata),
    /// One more name of the inode that stands at `target` in the same layer; never a name of another `Hardlink`.
    Hardlink {
        /// The first name of the inode; sorts anywhere, and is written before this one.
        target: TreePath,
    },
    /// Nothing: what lies below at this path is gone (image-spec layer.md, "Whiteouts").
    Whiteout,
}

impl Node {
    /// Returns the metadata of an inode.
    pub fn metadata(&self) -> Option<&Metadata> {
        match self {
            Node::Inode(metadata) => Some(metadata),
            Node::Hardlink { .. } | Node::Whiteout => None,
        }
    }
}
