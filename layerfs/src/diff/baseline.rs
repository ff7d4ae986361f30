//! [`Baseline`]: what a copied tree was like before a command ran in it.

use crate::meta::Timestamp;
use crate::meta::disk::OnDisk;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::unpack::LayerError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What a copied tree was like before a command ran in it: a file that has not changed since, in a directory that is
/// still the same one, need not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// A change time that no later change comes before.
    taken: Timestamp,
    /// Inode numbers of the directories.
    directories: HashMap<TreePath, u64>,
}

impl Baseline {
    /// Takes the baseline of `tree`, whose directories are `directories`. `stamp` is a file of the same file system made
    /// after the last change to it.
    pub(crate) fn take<'a>(
        tree: &RootDir,
        directories: impl Iterator<Item = &'a TreePath>,
        stamp: Timestamp,
    ) -> Result<Self, LayerError> {
        let mut numbers = HashMap::new();
        for path in directories {
            numbers.insert(path.clone(), tree.inspect(path)?.inode.1);
        }
        Ok(Self { taken: stamp, directories: numbers })
    }

    /// Reports whether the directory found at `path` is the one that stood there.
    pub(super) fn is_in_place(&self, path: &TreePath, found: &OnDisk) -> bool {
        self.directories.get(path) == Some(&found.inode.1)
    }

    /// Reports whether nothing of this inode changed. Clocks tick: what changed within the tick counts as changed.
    pub(super) fn is_untouched(&self, found: &OnDisk) -> bool {
        found.changed < self.taken
    }
}
