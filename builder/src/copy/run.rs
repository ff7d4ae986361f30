//! [`Run`]: what a large directory puts into a layer, as it was selected.

use super::entries::{Entries, Place, Record, bytes_below, tree_path};
use super::mode::ModeRule;
use super::owner::Owner;
use super::plan::{ContentSource, Expected, PlannedChange};
use super::select::is_file;
use layerfs::change::{Change, Node};
use layerfs::meta::Metadata;
use layerfs::path::TreePath;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What `--chown` and `--chmod` make of what is copied.
#[derive(Debug, Clone, Default)]
pub(super) struct Dress {
    pub owner: Option<Owner>,
    pub mode: Option<ModeRule>,
}

impl Dress {
    /// Returns `metadata` as they make it; links have no mode to change.
    pub fn dressed(&self, mut metadata: Metadata) -> Metadata {
        if let Some(Owner { uid, gid }) = self.owner {
            (metadata.uid, metadata.gid) = (uid, gid);
        }
        if let (Some(rule), false) = (&self.mode, metadata.is_symlink()) {
            metadata.mode = rule.apply(metadata.mode, metadata.is_directory());
        }
        metadata
    }
}

/// What a large directory puts into a layer: nothing is kept but what was selected, and the changes are made of it each
/// time they are asked for. What may have several names, and what goes elsewhere than its path says, is not in it.
#[derive(Debug)]
pub(super) struct Run {
    pub entries: Arc<Entries>,
    /// Where the directory stands in the source tree.
    root: TreePath,
    /// Where it goes.
    destination: TreePath,
    dress: Dress,
    /// Directories, by path in the source, that go elsewhere with all that they hold.
    elsewhere: BTreeSet<Vec<u8>>,
    /// The path, in the source, of the last entry that counts; with [`Run::complete`] all do.
    reached: Option<Vec<u8>>,
}

/// What a [`Run`] was asked for last, and the first entry that does not come before it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    asked: Option<Vec<u8>>,
    place: Place,
    record: Option<Record>,
}

impl Seen {
    /// Moves to `path`, or to the entry after it. What is asked for in order is found without going back.
    fn move_to(&mut self, entries: &Entries, path: Vec<u8>) {
        let is_further = self.asked.as_ref().is_some_and(|asked| *asked <= path);
        let is_there = is_further && (self.record.is_none() || self.place.path >= path);
        if !is_there {
            if entries.approach(&mut self.place, &path) {
                self.record = entries.next(&mut self.place);
            }
            while self.record.is_some() && self.place.path < path {
                self.record = entries.next(&mut self.place);
            }
        }
        self.asked = Some(path);
    }

    /// Returns the entry that was asked for.
    fn found(&self) -> Option<(&[u8], &Record)> {
        let asked = self.asked.as_ref().filter(|asked| **asked == self.place.path)?;
        Some((asked, self.record.as_ref()?))
    }
}

impl Run {
    /// Returns a run of which nothing counts yet.
    pub fn new(entries: Arc<Entries>, root: TreePath, destination: TreePath, dress: Dress) -> Self {
        Self { entries, root, destination, dress, elsewhere: BTreeSet::new(), reached: Some(Vec::new()) }
    }

    /// Lets the entry at `path` of the source count.
    pub fn reach(&mut self, path: &[u8]) {
        if let Some(reached) = &mut self.reached {
            reached.clear();
            reached.extend_from_slice(path);
        }
    }

    /// Says that the directory at `path` of the source goes elsewhere.
    pub fn goes_elsewhere(&mut self, path: &[u8]) {
        self.elsewhere.insert(path.to_vec());
    }

    /// Lets all count.
    pub fn complete(&mut self) {
        self.reached = None;
    }

    /// Returns the metadata of what it puts at `path`; quick for paths in their order.
    pub fn metadata_at(&self, path: &TreePath, seen: &mut Seen) -> Option<Metadata> {
        let relative = path.bytes_below(&self.destination).filter(|relative| !relative.is_empty())?;
        let source = below(&self.root, relative);
        if self.reached.as_ref().is_some_and(|reached| source.as_slice() > reached.as_slice()) {
            return None;
        }
        seen.move_to(&self.entries, source);
        let (source, record) = seen.found()?;
        self.holds(source, record).then(|| self.dress.dressed(record.metadata.clone()))
    }

    /// Reports whether an entry at `path` of the source is in it.
    fn holds(&self, path: &[u8], record: &Record) -> bool {
        record.link.is_none() && (self.elsewhere.is_empty() || !self.is_elsewhere(path))
    }

    fn is_elsewhere(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        slashes.chain([path.len()]).any(|end| self.elsewhere.contains(&path[..end]))
    }

    /// Returns the change after `place`.
    pub fn next(&self, place: &mut Place) -> Option<PlannedChange> {
        loop {
            let record = self.entries.next(place)?;
            let relative = bytes_below(&place.path, &self.root);
            if let Some(relative) = relative.filter(|_| self.holds(&place.path, &record)) {
                return Some(self.planned(relative, &place.path, record));
            }
        }
    }

    fn planned(&self, relative: &[u8], source: &[u8], record: Record) -> PlannedChange {
        let Record { metadata, digest, stamp, .. } = record;
        let is_file = is_file(&metadata);
        let node = Node::Inode(self.dress.dressed(metadata));
        PlannedChange {
            change: Change { path: tree_path(&below(&self.destination, relative)), node },
            source: is_file.then(|| ContentSource::Tree(tree_path(source))),
            expected: digest.map(|digest| Expected { digest, stamp }),
        }
    }
}

/// Returns the bytes of the path that is `relative` below `directory`.
pub(super) fn below(directory: &TreePath, relative: &[u8]) -> Vec<u8> {
    match directory.is_root() {
        true => relative.to_vec(),
        false => [directory.as_bytes(), b"/", relative].concat(),
    }
}

#[cfg(test)]
mod tests;
