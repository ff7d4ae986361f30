//! [`Changes`]: the changes of a layer, in memory, or in blocks of a file that are decoded when they are first looked at.

use crate::change::{Change, Node};
use crate::path::TreePath;
use std::fmt;
use std::ops::Index;
use std::sync::OnceLock;

/// Changes of a block; the last block may have fewer.
pub(super) const BLOCK: usize = 64;

/// The changes of a layer, sorted by path, each path once.
#[derive(Clone)]
pub struct Changes {
    form: Form,
    /// Inodes with further names, sorted.
    linked: OnceLock<Box<[TreePath]>>,
}

#[derive(Clone)]
enum Form {
    /// In memory.
    Made(Vec<Change>),
    /// Encoded, as a file has them: who asks for a few paths of a large base decodes a few blocks.
    Read { bytes: Vec<u8>, blocks: Box<[Block]>, count: usize },
}

/// A block of encoded changes.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Path of its first change.
    pub first: TreePath,
    /// Where it begins in the bytes, where the one before ends.
    pub start: usize,
    /// Its changes, once they were looked at.
    pub changes: OnceLock<Box<[Change]>>,
}

impl Changes {
    /// Returns the changes that `bytes` hold in `blocks`, `count` of them, the inodes in `linked` with further names. The
    /// caller has seen that they can be decoded.
    pub(super) fn read(bytes: Vec<u8>, blocks: Box<[Block]>, count: usize, linked: Box<[TreePath]>) -> Self {
        Self { form: Form::Read { bytes, blocks, count }, linked: linked.into() }
    }

    fn made(changes: Vec<Change>) -> Self {
        Self { form: Form::Made(changes), linked: OnceLock::new() }
    }

    /// Reports whether the inode at `path` has further names.
    pub fn is_linked(&self, path: &TreePath) -> bool {
        let linked = self.linked.get_or_init(|| sorted(self.iter().filter_map(target).cloned().collect()));
        linked.binary_search(path).is_ok()
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Made(changes) => changes.len(),
            Form::Read { count, .. } => *count,
        }
    }

    /// Reports whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the changes in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Change> {
        (0..self.len().div_ceil(BLOCK)).flat_map(|number| self.block(number))
    }

    /// Returns the place of the change at the path that `path` are the bytes of.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        let at = self.partition_point(|other| other.as_bytes() <= path).checked_sub(1)?;
        (self[at].path.as_bytes() == path).then_some(at)
    }

    /// Returns the place of the first change whose path is not `before`; all that are stand before all that are not.
    pub fn partition_point(&self, before: impl Fn(&TreePath) -> bool) -> usize {
        match &self.form {
            Form::Made(changes) => changes.partition_point(|change| before(&change.path)),
            Form::Read { blocks, .. } => match blocks.partition_point(|block| before(&block.first)) {
                0 => 0,
                some => {
                    let number = some - 1;
                    number * BLOCK + self.block(number).partition_point(|change| before(&change.path))
                }
            },
        }
    }

    /// Returns how many blocks were looked at.
    #[cfg(test)]
    pub(super) fn decoded(&self) -> usize {
        match &self.form {
            Form::Made(_) => 0,
            Form::Read { blocks, .. } => blocks.iter().filter(|block| block.changes.get().is_some()).count(),
        }
    }

    /// Returns the changes of the block of this number.
    fn block(&self, number: usize) -> &[Change] {
        match &self.form {
            Form::Made(changes) => &changes[number * BLOCK..changes.len().min((number + 1) * BLOCK)],
            Form::Read { bytes, blocks, count } => {
                let held = BLOCK.min(count - number * BLOCK);
                blocks[number].changes.get_or_init(|| decoded(&bytes[blocks[number].start..], held))
            }
        }
    }
}

/// Returns the inode that `change` is a further name of.
pub(super) fn target(change: &Change) -> Option<&TreePath> {
    match &change.node {
        Node::Hardlink { target } => Some(target),
        Node::Inode(_) | Node::Whiteout => None,
    }
}

/// Returns inodes with further names, each once.
pub(super) fn sorted(mut linked: Vec<TreePath>) -> Box<[TreePath]> {
    linked.sort_unstable();
    linked.dedup();
    linked.into()
}

fn decoded(mut bytes: &[u8], count: usize) -> Box<[Change]> {
    let mut next = || {
        let (change, rest) =
            postcard::take_from_bytes(bytes).expect("a block is looked through when its index is read");
        bytes = rest;
        change
    };
    (0..count).map(|_| next()).collect()
}

impl Index<usize> for Changes {
    type Output = Change;

    fn index(&self, at: usize) -> &Change {
        &self.block(at / BLOCK)[at % BLOCK]
    }
}

impl From<Vec<Change>> for Changes {
    fn from(changes: Vec<Change>) -> Self {
        Self::made(changes)
    }
}

impl From<Changes> for Vec<Change> {
    fn from(changes: Changes) -> Self {
        match changes.form {
            Form::Made(changes) => changes,
            Form::Read { .. } => changes.iter().cloned().collect(),
        }
    }
}

impl FromIterator<Change> for Changes {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        Self::made(changes.into_iter().collect())
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::made(Vec::new())
    }
}

impl PartialEq for Changes {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Changes {}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
