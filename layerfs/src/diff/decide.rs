//! [`Decision`]: what of an upper directory is a change.

use crate::diff::scan::Scan;
use crate::diff::{Baseline, OpenBelow};
use crate::io_error::IoContext;
use crate::meta::disk::{OnDisk, storable};
use crate::meta::{Kind, Metadata, Timestamp};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::{Found, Stack};
use crate::unpack::LayerError;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Read;

/// Bytes compared at a time.
const CHUNK: usize = 64 << 10;

/// What of an upper directory is a change.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// Whiteouts of the layer, also those still to be made.
    pub(super) whiteouts: BTreeSet<TreePath>,
    /// For each thing that was seen, whether it is an inode of the layer.
    pub(super) kept: Vec<bool>,
}

impl Decision {
    /// Compares `scan` with what lies below.
    pub(super) fn of(
        scan: &Scan,
        upper: &RootDir,
        below: &Stack,
        open: &OpenBelow<'_>,
        baseline: Option<&Baseline>,
    ) -> Result<Self, LayerError> {
        let comparison = Comparison { scan, upper, below, open, baseline, moved: moved(scan, baseline) };
        let whiteouts = comparison.whiteouts();
        let kept = comparison.kept(&whiteouts)?;
        Ok(Self { whiteouts, kept })
    }
}

/// Returns the directories that are not the ones that the baseline knows, and those below them.
fn moved<'a>(scan: &'a Scan, baseline: Option<&Baseline>) -> HashSet<&'a TreePath> {
    let mut moved: HashSet<&TreePath> = HashSet::new();
    let Some(baseline) = baseline else { return moved };
    for (path, found) in scan.seen.iter().filter(|(_, found)| found.metadata.is_directory()) {
        let above = path.parent().is_some_and(|parent| moved.contains(&parent));
        if above || !baseline.is_in_place(path, found) {
            moved.insert(path);
        }
    }
    moved
}

struct Comparison<'a> {
    scan: &'a Scan,
    upper: &'a RootDir,
    below: &'a Stack,
    open: &'a OpenBelow<'a>,
    baseline: Option<&'a Baseline>,
    moved: HashSet<&'a TreePath>,
}

impl Comparison<'_> {
    /// Returns the names that are below and gone.
    fn whiteouts(&self) -> BTreeSet<TreePath> {
        let mut whiteouts = BTreeSet::new();
        let mut hiding: HashSet<&TreePath> = HashSet::new();
        for (path, found) in &self.scan.seen {
            if Scan::is_gone(found) {
                if self.below.lookup(path).is_some() {
                    whiteouts.insert(path.clone());
                }
            } else if found.metadata.is_directory() {
                let above = path.parent().is_some_and(|parent| hiding.contains(&parent));
                if above || self.scan.is_opaque(path, found) {
                    hiding.insert(path);
                    self.expand(path, found, &mut whiteouts);
                }
            }
        }
        whiteouts
    }

    /// Adds a whiteout for each name that the hiding directory at `path` has below and not here.
    fn expand(&self, path: &TreePath, found: &OnDisk, whiteouts: &mut BTreeSet<TreePath>) {
        if self.is_untouched(path, found) {
            return;
        }
        for (name, below) in self.below.children(path) {
            let child = path.child(&name);
            // A copied tree never had the devices: that they are missing says nothing.
            let never_there = self.baseline.is_some()
                && matches!(below.metadata.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. });
            if !never_there && self.scan.position(&child).is_none() {
                whiteouts.insert(child);
            }
        }
    }

    /// Says of each thing seen whether it differs from what is below, or is a directory above a change.
    fn kept(&self, whiteouts: &BTreeSet<TreePath>) -> Result<Vec<bool>, LayerError> {
        let groups = self.groups();
        let mut decided = HashMap::new();
        let differs = |(path, found): &(TreePath, OnDisk)| {
            Ok(!Scan::is_gone(found)
                && match groups.get(&found.inode) {
                    None => !self.is_same(path, found)?,
                    Some(names) => match decided.get(&found.inode) {
                        Some(differs) => *differs,
                        None => *decided.entry(found.inode).or_insert(!self.is_same_group(names, found)?),
                    },
                })
        };
        let mut kept: Vec<bool> = self.scan.seen.iter().map(differs).collect::<Result<_, LayerError>>()?;
        // What stands above a thing was seen before it, so that what is above a kept directory is kept already.
        let mut last: Option<&[u8]> = None;
        for (at, (path, _)) in self.scan.seen.iter().enumerate() {
            let directory = path.as_bytes().strip_suffix(path.name());
            if kept[at] && directory != last {
                self.keep_above(path, &mut kept);
                last = directory;
            }
        }
        whiteouts.iter().for_each(|path| self.keep_above(path, &mut kept));
        Ok(kept)
    }

    /// Keeps the directories above `path`, up to one that is kept already; the root stands for itself.
    fn keep_above(&self, path: &TreePath, kept: &mut [bool]) {
        let mut above = path.parent();
        while let Some(directory) = above.filter(|directory| !directory.is_root()) {
            match self.scan.position(&directory) {
                Some(at) if !kept[at] => kept[at] = true,
                _ => return,
            }
            above = directory.parent();
        }
    }

    /// Returns the names of each inode that has several.
    fn groups(&self) -> HashMap<(u64, u64), Vec<&TreePath>> {
        let mut groups: HashMap<(u64, u64), Vec<&TreePath>> = HashMap::new();
        for (path, found) in &self.scan.seen {
            if found.links > 1 && !found.metadata.is_directory() && !Scan::is_gone(found) {
                groups.entry(found.inode).or_default().push(path);
            }
        }
        groups
    }

    /// Reports whether an inode with several names is the same below by each of them, and one inode there too.
    fn is_same_group(&self, names: &[&TreePath], found: &OnDisk) -> Result<bool, LayerError> {
        if names.iter().all(|path| self.is_untouched(&path.parent().unwrap_or_default(), found)) {
            return Ok(true);
        }
        let below: Vec<Option<Found<'_>>> = names.iter().map(|path| self.below.lookup(path)).collect();
        let inode = |found: &Option<Found<'_>>| found.as_ref().map(|found| (found.layer, found.inode.clone()));
        if below.windows(2).any(|pair| inode(&pair[0]) != inode(&pair[1])) {
            return Ok(false);
        }
        names.first().map_or(Ok(true), |path| self.is_same(path, found))
    }

    /// Reports whether `path` is the same below.
    fn is_same(&self, path: &TreePath, found: &OnDisk) -> Result<bool, LayerError> {
        let directory = if found.metadata.is_directory() { path.clone() } else { path.parent().unwrap_or_default() };
        if self.is_untouched(&directory, found) {
            return Ok(true);
        }
        let below = self.below.lookup(path);
        let root = Metadata::directory(Timestamp::default());
        let metadata = match &below {
            Some(below) => below.metadata,
            None if path.is_root() => &root,
            None => return Ok(false),
        };
        if !is_same_metadata(&found.metadata, metadata) {
            return Ok(false);
        }
        match below {
            Some(below) if metadata.size() > 0 => self.is_same_content(path, &below),
            _ => Ok(true),
        }
    }

    /// Reports whether nothing happened to a file in `directory`, or to that itself, since the baseline was taken.
    fn is_untouched(&self, directory: &TreePath, found: &OnDisk) -> bool {
        self.baseline.is_some_and(|baseline| baseline.is_untouched(found) && !self.moved.contains(directory))
    }

    fn is_same_content(&self, path: &TreePath, below: &Found<'_>) -> Result<bool, LayerError> {
        let upper = self.upper.open_file(path)?;
        let lower = (self.open)(below.layer, &below.inode)?;
        Ok(is_same_bytes(upper, lower).at("compare", self.upper.show(path))?)
    }
}

/// Reports whether two states of a path are one, content aside. Xattrs that no disk of ours can hold are left out.
fn is_same_metadata(one: &Metadata, other: &Metadata) -> bool {
    one.kind == other.kind
        && (one.mode == other.mode || one.is_symlink())
        && (one.uid, one.gid, one.mtime) == (other.uid, other.gid, other.mtime)
        && storable(one).eq(storable(other))
}

fn is_same_bytes(mut one: File, mut other: File) -> std::io::Result<bool> {
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let count = fill(&mut one, &mut left)?;
        if count != fill(&mut other, &mut right)? || left[..count] != right[..count] {
            return Ok(false);
        }
        if count < CHUNK {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
