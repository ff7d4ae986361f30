//! [`LayerIndex`]: what a layer says of every path it touches, without the bytes of its files.

mod changes;
mod form;

pub use changes::Changes;
pub(crate) use form::IndexWriter;

use crate::change::{Change, Node};
use crate::meta::{Kind, Metadata};
use crate::path::TreePath;
use form::MAGIC;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

/// Files whose bytes an index keeps, because names of users and groups are looked up in them.
pub const ACCOUNT_FILES: [&str; 2] = ["etc/passwd", "etc/group"];

/// Longest account file whose bytes are kept, in bytes.
pub const MAX_ACCOUNT_FILE: u64 = 10 << 20;

/// What a layer says of every path it touches: each path once, in order of [`TreePath`]. The directories above a path
/// are in it too (stated or implied), but for the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerIndex {
    /// The changes, sorted by path.
    pub changes: Changes,
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
        let index = Self { changes: changes.into(), opaque, accounts, implied };
        index.check()?;
        Ok(index)
    }

    /// Returns the change at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Change> {
        self.position(path).map(|at| &self.changes[at])
    }

    /// Returns the place of `path` in `changes`.
    pub fn position(&self, path: &TreePath) -> Option<usize> {
        self.changes.find(path.as_bytes())
    }

    /// Returns the places in `changes` of everything below `directory`, itself left out.
    pub fn below(&self, directory: &TreePath) -> Range<usize> {
        if directory.is_root() {
            let root = self.changes.iter().next().is_some_and(|change| change.path.is_root());
            return usize::from(root)..self.changes.len();
        }
        let start = self.changes.partition_point(|path| path.cmp_below(directory).is_lt());
        let end = self.changes.partition_point(|path| path.cmp_below(directory).is_le());
        start..end
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
        for (one, next) in self.changes.iter().zip(self.changes.iter().skip(1)) {
            match one.path.cmp(&next.path) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(IndexError::Duplicate(next.path.clone())),
                std::cmp::Ordering::Greater => return Err(IndexError::Damaged),
            }
        }
        // Siblings stand beside each other, so that most have the directory of the one before.
        let mut directory: &[u8] = b"";
        for change in self.changes.iter() {
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
        let found = self.changes.find(path);
        found.is_some_and(|at| self.changes[at].node.metadata().is_some_and(Metadata::is_directory))
    }

    fn is_linkable(&self, path: &TreePath) -> bool {
        self.get(path).and_then(|change| change.node.metadata()).is_some_and(|metadata| !metadata.is_directory())
    }

    /// Returns the bytes of the index as they are kept.
    ///
    /// # Panics
    /// Never: memory takes whatever is written.
    pub fn encode(&self) -> Vec<u8> {
        self.write(Vec::new()).expect("memory takes whatever is written")
    }

    /// Writes the index as it is kept, and returns what was written to.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write<W: Write>(&self, out: W) -> io::Result<W> {
        let mut writer = IndexWriter::begin(out)?;
        self.changes.iter().try_for_each(|change| writer.push(change))?;
        writer.finish(self)
    }

    /// Returns the index that `bytes` hold. What [`LayerIndex::check`] checks is believed, but for the order of the changes:
    /// who wrote the bytes saw to it, and their file verifies itself.
    ///
    /// # Errors
    /// [`IndexError::Version`], [`IndexError::Damaged`].
    pub fn decode(bytes: Vec<u8>) -> Result<Self, IndexError> {
        form::read(bytes)
    }
}

fn is_account(path: &TreePath, bytes: &[u8]) -> bool {
    bytes.len() as u64 <= MAX_ACCOUNT_FILE && ACCOUNT_FILES.iter().any(|file| file.as_bytes() == path.as_bytes())
}

#[cfg(test)]
mod tests;
