//! [`LayerIndex`]: what a layer says of every path it touches, without the bytes of its files.

use crate::change::Change;
use crate::path::TreePath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Files whose bytes an index keeps, because names of users and groups are looked up in them.
pub const ACCOUNT_FILES: [&str; 2] = ["etc/passwd", "etc/group"];

/// What a layer says of every path it touches: each path once, in order of [`TreePath`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct LayerIndex {
    /// The changes, sorted by path.
    pub changes: Vec<Change>,
    /// Directories among them that hide everything below them in lower layers (only layers of images have any), sorted.
    pub opaque: Vec<TreePath>,
    /// Bytes of the [`ACCOUNT_FILES`] that this layer writes as regular files of at most 10 MiB.
    pub accounts: BTreeMap<TreePath, Vec<u8>>,
    /// Directories that the tar did not state, only implied, sorted; each is in `changes` with borrowed or assumed metadata.
    pub implied: Vec<TreePath>,
}
