//! [`Table`]: what a layer says so far, by path, while its entries come.
//!
//! The table alone decides where an entry goes, so that unpacking and mere indexing cannot differ; the disk follows it.

use crate::change::{Change, Node};
use crate::index::LayerIndex;
use crate::meta::{Metadata, Timestamp};
use crate::path::{FollowError, TreePath, Waypoint, follow};
use crate::unpack::{Borrowed, Unpacked};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

/// What a layer says so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    nodes: BTreeMap<TreePath, Node>,
    /// Further names of an inode, by its first.
    names: HashMap<TreePath, BTreeSet<TreePath>>,
    /// Hardlinks to what this layer does not have so far.
    unbound: BTreeMap<TreePath, TreePath>,
    implied: BTreeSet<TreePath>,
    whiteouts: BTreeSet<TreePath>,
    opaque: BTreeSet<TreePath>,
    /// Bytes of account files.
    pub(super) accounts: BTreeMap<TreePath, Vec<u8>>,
}

impl Table {
    /// Returns `path` with the links on its way followed, as far as this layer has them; the last component is not.
    pub(super) fn resolve(&self, path: &TreePath) -> Result<TreePath, String> {
        let look = |path: &TreePath| Ok(self.inode(path).map_or(Waypoint::Way, |metadata| metadata.kind.waypoint()));
        follow(path, false, look).map_err(|error| match error {
            FollowError::Loop(_) => "too many levels of symbolic links".to_owned(),
            FollowError::NotADirectory(path) => format!("`{path}` is no directory in this layer"),
            FollowError::<Infallible>::Look(never) => match never {},
        })
    }

    /// Returns the metadata of the inode at `path`, by whichever of its names.
    pub(super) fn inode(&self, path: &TreePath) -> Option<&Metadata> {
        match self.nodes.get(path)? {
            Node::Inode(metadata) => Some(metadata),
            Node::Hardlink { target } => self.nodes.get(target)?.metadata(),
            Node::Whiteout => None,
        }
    }

    /// Returns what stands at `path`.
    pub(super) fn get(&self, path: &TreePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Returns the first name of the inode at `path`.
    pub(super) fn first_name(&self, path: &TreePath) -> TreePath {
        match self.nodes.get(path) {
            Some(Node::Hardlink { target }) => target.clone(),
            _ => path.clone(),
        }
    }

    /// Adds the directories above `path` that no entry has stated, and returns them, the highest first.
    pub(super) fn imply_parents(&mut self, path: &TreePath) -> Vec<TreePath> {
        let missing = |above: &TreePath| !above.is_root() && !self.nodes.contains_key(above);
        let parent = path.parent().unwrap_or_default();
        if !missing(&parent) {
            return Vec::new();
        }
        let added: Vec<TreePath> = path.ancestors().into_iter().filter(missing).collect();
        for above in &added {
            self.nodes.insert(above.clone(), Node::Inode(Metadata::directory(Timestamp::default())));
            self.implied.insert(above.clone());
        }
        added
    }

    /// Puts an inode at `path`, where nothing stands or a directory that stays one.
    pub(super) fn put(&mut self, path: &TreePath, metadata: Metadata) {
        self.implied.remove(path);
        self.nodes.insert(path.clone(), Node::Inode(metadata));
    }

    /// Puts one more name of the inode whose first name is `target` at `path`, where nothing stands.
    pub(super) fn link(&mut self, path: &TreePath, target: &TreePath) {
        self.names.entry(target.clone()).or_default().insert(path.clone());
        self.nodes.insert(path.clone(), Node::Hardlink { target: target.clone() });
    }

    /// Puts a hardlink to something that this layer does not have so far.
    pub(super) fn link_unbound(&mut self, path: &TreePath, target: &TreePath) {
        self.unbound.insert(path.clone(), target.clone());
        self.nodes.insert(path.clone(), Node::Hardlink { target: target.clone() });
    }

    /// Returns what an unbound hardlink at `path` is to be linked to.
    pub(super) fn unbound(&self, path: &TreePath) -> Option<&TreePath> {
        self.unbound.get(path)
    }

    /// Binds hardlinks whose target came after them, and returns them with the targets' first names.
    pub(super) fn bind(&mut self) -> Vec<(TreePath, TreePath)> {
        let found: Vec<(TreePath, TreePath)> = self
            .unbound
            .iter()
            .filter_map(|(path, target)| Some((path.clone(), self.resolve(target).ok()?)))
            .filter(|(path, target)| {
                path != target
                    && !self.unbound.contains_key(target)
                    && self.inode(target).is_some_and(|m| !m.is_directory())
            })
            .map(|(path, target)| (path, self.first_name(&target)))
            .collect();
        for (path, target) in &found {
            self.unbound.remove(path);
            self.link(path, target);
        }
        found
    }

    /// Says that what lies below at `path` is gone.
    pub(super) fn white_out(&mut self, path: TreePath) {
        self.whiteouts.insert(path);
    }

    /// Says that the directory at `path` hides what it holds below.
    pub(super) fn make_opaque(&mut self, path: TreePath) {
        self.opaque.insert(path);
    }

    /// Takes away what stands at `path`, with everything that was said of what is below it.
    pub(super) fn remove(&mut self, path: &TreePath) {
        let gone: Vec<TreePath> = below(path, |start| self.nodes.range(start..).map(|(path, _)| path));
        for inner in gone.iter().rev() {
            self.detach(inner);
        }
        self.detach(path);
        for set in [&mut self.whiteouts, &mut self.opaque] {
            for inner in below(path, |start| set.range(start..)) {
                set.remove(&inner);
            }
        }
        self.opaque.remove(path);
    }

    /// Takes away one name; the next name of its inode, if there is one, becomes the first.
    fn detach(&mut self, path: &TreePath) {
        self.implied.remove(path);
        self.accounts.remove(path);
        let unbound = self.unbound.remove(path).is_some();
        match self.nodes.remove(path) {
            Some(Node::Hardlink { target }) if !unbound => {
                if let Some(names) = self.names.get_mut(&target) {
                    names.remove(path);
                }
            }
            Some(Node::Inode(metadata)) => self.promote(path, metadata),
            _ => {}
        }
    }

    fn promote(&mut self, path: &TreePath, metadata: Metadata) {
        let Some(mut names) = self.names.remove(path) else { return };
        let Some(first) = names.pop_first() else { return };
        for name in &names {
            self.nodes.insert(name.clone(), Node::Hardlink { target: first.clone() });
        }
        self.nodes.insert(first.clone(), Node::Inode(metadata));
        self.names.insert(first, names);
    }

    /// Returns the index: every path once, whiteouts beside an entry of their name left out (a directory is opaque then).
    pub(super) fn finish(mut self) -> Unpacked {
        for path in std::mem::take(&mut self.whiteouts) {
            if self.inode(&path).is_some_and(Metadata::is_directory) {
                self.opaque.insert(path);
            } else {
                self.nodes.entry(path).or_insert(Node::Whiteout);
            }
        }
        let implied: Vec<TreePath> = self.implied.into_iter().collect();
        let borrowed = Borrowed { directories: implied.clone(), links: self.unbound.into_iter().collect() };
        let index = LayerIndex {
            changes: self.nodes.into_iter().map(|(path, node)| Change { path, node }).collect(),
            opaque: self.opaque.into_iter().collect(),
            accounts: self.accounts,
            implied,
        };
        Unpacked { index, borrowed }
    }
}

/// Returns what is below `path` among the sorted paths that `from` gives from a start on.
fn below<'a, I: Iterator<Item = &'a TreePath>>(path: &TreePath, from: impl FnOnce(TreePath) -> I) -> Vec<TreePath> {
    // The lowest name there is, so that everything below the path stands together from here on.
    from(path.child(b"\x01")).take_while(|inner| inner.is_within(path)).cloned().collect()
}
