//! [`Upper`]: the changes of a layer in the making, seen together with the stack below.

use super::archive::Archive;
use super::plan::{ContentSource, CopyPlan, Expected, PlannedChange};
use super::run::{Run, Seen};
use layerfs::change::{Change, Node};
use layerfs::meta::Metadata;
use layerfs::path::{FollowError, TreePath, Waypoint, follow};
use layerfs::stack::{Stack, StackError};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Something that the layer holds, under one name or several.
#[derive(Debug)]
pub(super) struct NewInode {
    pub metadata: Metadata,
    pub source: Option<ContentSource>,
    pub expected: Option<Expected>,
}

/// So many directories are kept as [`Run`]s: each is asked for every path that comes after it.
const MOST_RUNS: usize = 8;

/// The changes of a layer in the making, over the stack below.
///
/// Paths are in `paths`, but for those of large directories, which are in `runs`. Of a path that is in several the one in
/// `paths` counts, else that of the last run.
#[derive(Debug)]
pub(super) struct Upper<'a> {
    below: &'a Stack,
    paths: BTreeMap<TreePath, usize>,
    inodes: Vec<NewInode>,
    runs: Vec<(Run, RefCell<Seen>)>,
}

impl<'a> Upper<'a> {
    pub fn new(below: &'a Stack) -> Self {
        Self { below, paths: BTreeMap::new(), inodes: Vec::new(), runs: Vec::new() }
    }

    /// Reports whether there may be one more run.
    pub fn takes_run(&self) -> bool {
        self.runs.len() < MOST_RUNS
    }

    /// Begins a run: its paths are told by [`Upper::run_on`], in their order, until [`Upper::end_run`].
    pub fn begin_run(&mut self, run: Run) {
        self.runs.push((run, RefCell::default()));
    }

    /// Puts at `path` what the run under way has at `source`, which is no directory where there is one, nor the reverse.
    pub fn run_on(&mut self, path: &TreePath, source: &[u8]) {
        self.paths.remove(path);
        self.run().reach(source);
    }

    /// Says that the directory at `source` of the run under way goes elsewhere.
    pub fn leave_run(&mut self, source: &[u8]) {
        self.run().goes_elsewhere(source);
    }

    /// Ends the run under way.
    pub fn end_run(&mut self) {
        self.run().complete();
    }

    fn run(&mut self) -> &mut Run {
        &mut self.runs.last_mut().expect("a run is under way").0
    }

    /// Returns what stands at `path`, no link followed. The root always is a directory, stated or not.
    pub fn at(&self, path: &TreePath) -> Option<Cow<'_, Metadata>> {
        match self.paths.get(path) {
            Some(inode) => Some(Cow::Borrowed(&self.inodes[*inode].metadata)),
            None => match self.in_runs(path) {
                Some(metadata) => Some(Cow::Owned(metadata)),
                None => self.below.lookup(path).map(|found| Cow::Borrowed(found.metadata)),
            },
        }
    }

    fn in_runs(&self, path: &TreePath) -> Option<Metadata> {
        self.runs.iter().rev().find_map(|(run, seen)| run.metadata_at(path, &mut seen.borrow_mut()))
    }

    pub fn is_directory(&self, path: &TreePath) -> bool {
        path.is_root() || self.at(path).is_some_and(|found| found.is_directory())
    }

    /// Returns `path` with every link in it followed inside the root; components that do not exist stay.
    ///
    /// # Errors
    /// [`StackError`].
    pub fn resolve(&self, path: &TreePath) -> Result<TreePath, StackError> {
        let look = |path: &TreePath| {
            Ok(match self.at(path) {
                None => Waypoint::Way,
                Some(Cow::Borrowed(metadata)) => metadata.kind.waypoint(),
                Some(Cow::Owned(metadata)) => metadata.kind.into_waypoint(),
            })
        };
        follow(path, true, look).map_err(|error: FollowError| error.into())
    }

    /// Puts a new inode at `path`; what the layer had at or below it is gone, unless both are directories. Runs hold no
    /// directory that becomes something else.
    pub fn put(&mut self, path: TreePath, inode: NewInode) -> usize {
        if !inode.metadata.is_directory() {
            self.forget_below(&path);
        }
        self.inodes.push(inode);
        self.paths.insert(path, self.inodes.len() - 1);
        self.inodes.len() - 1
    }

    /// Makes `path` one more name of `inode`.
    pub fn link(&mut self, path: TreePath, inode: usize) {
        self.forget_below(&path);
        self.paths.insert(path, inode);
    }

    /// Returns the inode that the layer has at `path`.
    pub fn inode_at(&self, path: &TreePath) -> Option<usize> {
        self.paths.get(path).copied()
    }

    fn forget_below(&mut self, path: &TreePath) {
        if !self.paths.get(path).is_some_and(|inode| self.inodes[*inode].metadata.is_directory()) {
            return;
        }
        self.paths.retain(|other, _| other == path || !other.is_within(path));
    }

    /// Makes every directory that is missing down to `path`, which is resolved, with this metadata.
    ///
    /// # Errors
    /// [`StackError::NotADirectory`] if something else stands there.
    pub fn make_directories(&mut self, path: &TreePath, metadata: &Metadata) -> Result<(), StackError> {
        let mut all = path.ancestors();
        all.push(path.clone());
        for directory in all.into_iter().filter(|path| !path.is_root()) {
            match self.at(&directory) {
                Some(found) if found.is_directory() => {}
                Some(_) => return Err(StackError::NotADirectory(directory)),
                None => {
                    self.put(directory, NewInode { metadata: metadata.clone(), source: None, expected: None });
                }
            }
        }
        Ok(())
    }

    /// Returns the changes, each with its parents; the root is never among them. Of several names of an inode the first
    /// has it.
    pub fn finish(mut self, parent: &Metadata, archives: Vec<Archive>) -> CopyPlan {
        self.add_parents(parent);
        let mut uses = vec![0_u32; self.inodes.len()];
        self.paths.values().for_each(|inode| uses[*inode] += 1);
        let mut first: HashMap<usize, TreePath> = HashMap::new();
        let mut inodes: Vec<Option<NewInode>> = self.inodes.into_iter().map(Some).collect();
        let mut changes = Vec::with_capacity(self.paths.len());
        for (path, number) in self.paths {
            let change = match inodes[number].take() {
                Some(NewInode { metadata, source, expected }) => {
                    if uses[number] > 1 {
                        first.insert(number, path.clone());
                    }
                    PlannedChange { change: Change { path, node: Node::Inode(metadata) }, source, expected }
                }
                None => {
                    let target = first[&number].clone();
                    PlannedChange {
                        change: Change { path, node: Node::Hardlink { target } },
                        source: None,
                        expected: None,
                    }
                }
            };
            changes.push(change);
        }
        CopyPlan::new(self.runs.into_iter().map(|(run, _)| run).collect(), changes, archives)
    }

    fn states(&self, path: &TreePath) -> bool {
        self.paths.contains_key(path) || self.in_runs(path).is_some()
    }

    /// Adds the directories that changes lie in and that the layer does not state yet. Those of a run are in it.
    fn add_parents(&mut self, plain: &Metadata) {
        let mut missing: BTreeMap<TreePath, Metadata> = BTreeMap::new();
        let mut last = TreePath::root();
        for path in self.paths.keys() {
            let mut at = path.parent();
            if at.as_ref() == Some(&last) {
                continue;
            }
            last = at.clone().unwrap_or_default();
            while let Some(parent) = at.filter(|parent| !parent.is_root()) {
                if self.states(&parent) || missing.contains_key(&parent) {
                    break;
                }
                let found = self.below.lookup(&parent).map_or_else(|| plain.clone(), |found| found.metadata.clone());
                at = parent.parent();
                missing.insert(parent, found);
            }
        }
        for (path, metadata) in missing {
            self.put(path, NewInode { metadata, source: None, expected: None });
        }
    }
}
