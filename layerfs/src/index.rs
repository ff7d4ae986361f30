//! [`LayerIndex`]: what a layer says of every path it touches, without the bytes of its files.
//!
//! On disk: `lbindex` and one byte of version, the index in postcard form; in a file that verifies itself, so that it has no
//! digest of its own.

use crate::change::{Change, Node};
use crate::meta::{Kind, Metadata};
use crate::path::TreePath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Files whose bytes an index keeps, because names of users and groups are looked up in them.
pub const ACCOUNT_FILES: [&str; 2] = ["etc/passwd", "etc/group"];

/// Longest account file whose bytes are kept, in bytes.
pub const MAX_ACCOUNT_FILE: u64 = 10 << 20;

pub(crate) const MAGIC: &[u8; 8] = b"lbindex\x02";

/// What a layer says of every path it touches: each path once, in order of [`TreePath`]. The directories above a path
/// are in it too (stated or implied), but for the root.
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

/// What makes an index none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The bytes are no index of this version.
    #[error("these bytes are no layer index of version {}", MAGIC[7])]
    Version,
    /// The bytes do not hold one index, in order.
    #[error("the layer index is damaged")]
    Damaged,
    /// Two changes of one path.
    #[error("`{0}` is twice in the layer index")]
    Duplicate(TreePath),
    /// A path whose directory is missing, or is none.
    #[error("`{0}` is in the layer index without its directory")]
    NoDirectory(TreePath),
    /// A directory said to be opaque or implied that is no directory of the layer.
    #[error("`{0}` is opaque or implied in the layer index, but no directory of it")]
    NotADirectory(TreePath),
    /// A hardlink to no inode of the layer.
    #[error("`{path}` is a hardlink to `{target}`, which is no file of its layer")]
    BrokenHardlink {
        /// The link.
        path: TreePath,
        /// Its target.
        target: TreePath,
    },
    /// An account file that is too long, or none.
    #[error("`{0}` is kept in the layer index, but is no account file of at most 10 MiB")]
    Account(TreePath),
}

impl LayerIndex {
    /// Returns the index of `changes`, sorted here, with directories that are `opaque` or `implied` among them and the
    /// bytes of account files.
    ///
    /// # Errors
    /// Every [`IndexError`] but those of [`LayerIndex::decode`].
    pub fn new(
        mut changes: Vec<Change>,
        mut opaque: Vec<TreePath>,
        mut implied: Vec<TreePath>,
        accounts: BTreeMap<TreePath, Vec<u8>>,
    ) -> Result<Self, IndexError> {
        changes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for list in [&mut opaque, &mut implied] {
            list.sort_unstable();
            list.dedup();
        }
        let index = Self { changes, opaque, accounts, implied };
        index.check()?;
        Ok(index)
    }

    /// Returns the change at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Change> {
        self.position(path).map(|at| &self.changes[at])
    }

    /// Returns the place of `path` in `changes`.
    pub fn position(&self, path: &TreePath) -> Option<usize> {
        self.changes.binary_search_by(|change| change.path.cmp(path)).ok()
    }

    /// Returns the places in `changes` of everything below `directory`, itself left out.
    pub fn below(&self, directory: &TreePath) -> Range<usize> {
        if directory.is_root() {
            let root = self.changes.first().is_some_and(|change| change.path.is_root());
            return usize::from(root)..self.changes.len();
        }
        let start = self.changes.partition_point(|change| change.path.cmp_below(directory).is_lt());
        let length = self.changes[start..].partition_point(|change| change.path.cmp_below(directory).is_eq());
        start..start + length
    }

    /// Reports whether the layer makes `directory` hide what lies below it in lower layers.
    pub fn is_opaque(&self, directory: &TreePath) -> bool {
        self.opaque.binary_search(directory).is_ok()
    }

    /// Returns the bytes of the layer's regular files.
    pub fn bytes(&self) -> u64 {
        let size = |change: &Change| match change.node.metadata().map(|metadata| &metadata.kind) {
            Some(Kind::File { size }) => *size,
            _ => 0,
        };
        self.changes.iter().map(size).sum()
    }

    /// Reports whether the layer's tar only implies `directory`.
    pub fn is_implied(&self, directory: &TreePath) -> bool {
        self.implied.binary_search(directory).is_ok()
    }

    /// Checks what every index promises.
    ///
    /// # Errors
    /// [`IndexError`], the first in order of paths.
    pub fn check(&self) -> Result<(), IndexError> {
        for pair in self.changes.windows(2) {
            match pair[0].path.cmp(&pair[1].path) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(IndexError::Duplicate(pair[1].path.clone())),
                std::cmp::Ordering::Greater => return Err(IndexError::Damaged),
            }
        }
        // Siblings stand beside each other, so that most have the directory of the one before.
        let mut directory: &[u8] = b"";
        for change in &self.changes {
            if change.path.parent_bytes() != directory {
                directory = change.path.parent_bytes();
                if !directory.is_empty() && !self.is_directory(directory) {
                    return Err(IndexError::NoDirectory(change.path.clone()));
                }
            }
            self.check_hardlink(change)?;
        }
        for list in [&self.opaque, &self.implied] {
            if !list.is_sorted() {
                return Err(IndexError::Damaged);
            }
            if let Some(path) = list.iter().find(|path| !self.is_directory(path.as_bytes())) {
                return Err(IndexError::NotADirectory((*path).clone()));
            }
        }
        match self.accounts.iter().find(|(path, bytes)| !is_account(path, bytes)) {
            Some((path, _)) => Err(IndexError::Account(path.clone())),
            None => Ok(()),
        }
    }

    fn check_hardlink(&self, change: &Change) -> Result<(), IndexError> {
        match &change.node {
            Node::Hardlink { target } if !self.is_linkable(target) => {
                Err(IndexError::BrokenHardlink { path: change.path.clone(), target: target.clone() })
            }
            _ => Ok(()),
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let found = self.changes.binary_search_by(|change| change.path.as_bytes().cmp(path));
        found.is_ok_and(|at| self.changes[at].node.metadata().is_some_and(Metadata::is_directory))
    }

    fn is_linkable(&self, path: &TreePath) -> bool {
        self.get(path).and_then(|change| change.node.metadata()).is_some_and(|metadata| !metadata.is_directory())
    }

    /// Returns the bytes of the index as they are kept.
    ///
    /// # Panics
    /// Never: memory takes whatever is written.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, MAGIC.to_vec()).expect("an index can always be encoded")
    }

    /// Returns the index that `bytes` hold.
    ///
    /// # Errors
    /// [`IndexError::Version`], [`IndexError::Damaged`]; any other [`IndexError`] for what was not made by
    /// [`LayerIndex::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let body = bytes.strip_prefix(MAGIC).ok_or(IndexError::Version)?;
        let (index, rest) = postcard::take_from_bytes::<Self>(body).map_err(|_| IndexError::Damaged)?;
        if !rest.is_empty() {
            return Err(IndexError::Damaged);
        }
        index.check()?;
        Ok(index)
    }
}

fn is_account(path: &TreePath, bytes: &[u8]) -> bool {
    bytes.len() as u64 <= MAX_ACCOUNT_FILE && ACCOUNT_FILES.iter().any(|file| file.as_bytes() == path.as_bytes())
}

#[cfg(test)]
mod tests;
