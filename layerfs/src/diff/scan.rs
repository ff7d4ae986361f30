//! [`Scan`]: everything in an upper directory.

use crate::diff::{FEW_NAMES, in_parts};
use crate::meta::disk::OnDisk;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::unpack::LayerError;
use std::sync::{Mutex, PoisonError};

/// Directories that one core looks at at a time.
const FEW_DIRECTORIES: usize = 16;

/// Marks of files whose bytes or children the overlay keeps elsewhere. A mount with `userxattr` makes none.
const ELSEWHERE: [&[u8]; 2] = [b"user.overlay.redirect", b"user.overlay.metacopy"];

/// Everything in an upper directory.
#[derive(Debug)]
pub(super) struct Scan {
    /// What stands where, the root included, in order of paths.
    pub(super) seen: Vec<(TreePath, OnDisk)>,
    /// Whether this is a whole tree, which hides everything below it.
    whole: bool,
}

impl Scan {
    /// Looks at everything in `upper`, by all cores where that is much.
    pub(super) fn of(upper: &RootDir, whole: bool) -> Result<Self, LayerError> {
        let root = (TreePath::root(), upper.inspect(&TreePath::root())?);
        let walk = Walk { upper, whole, seen: Mutex::new(vec![root]) };
        let mut level = vec![TreePath::root()];
        // One level after the other, so that no tree is too deep.
        while !level.is_empty() {
            level = walk.level(&level)?;
        }
        let mut seen = walk.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        seen.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { seen, whole })
    }

    /// Returns the place of `path` in what was seen.
    pub(super) fn position(&self, path: &TreePath) -> Option<usize> {
        self.seen.binary_search_by(|(seen, _)| seen.cmp(path)).ok()
    }

    /// Returns what stands at `path`.
    pub(super) fn get(&self, path: &TreePath) -> Option<&OnDisk> {
        self.position(path).map(|at| &self.seen[at].1)
    }

    /// Reports whether `path` takes away what is below, and puts nothing there: sockets are deleted.
    pub(super) fn is_gone(found: &OnDisk) -> bool {
        found.is_whiteout() || found.socket
    }

    /// Reports whether the directory at `path` itself says that it hides what is below.
    pub(super) fn is_opaque(&self, path: &TreePath, found: &OnDisk) -> bool {
        if self.whole { path.is_root() } else { found.marks.opaque }
    }
}

/// A look at everything in an upper directory. Each way returns the directories that were met.
struct Walk<'a> {
    upper: &'a RootDir,
    whole: bool,
    seen: Mutex<Vec<(TreePath, OnDisk)>>,
}

impl Walk<'_> {
    fn level(&self, directories: &[TreePath]) -> Result<Vec<TreePath>, LayerError> {
        in_parts(directories, FEW_DIRECTORIES, |some| {
            let mut met = Vec::new();
            for directory in some {
                met.extend(self.directory(directory)?);
            }
            Ok(met)
        })
    }

    fn directory(&self, directory: &TreePath) -> Result<Vec<TreePath>, LayerError> {
        in_parts(&self.upper.list(directory)?, FEW_NAMES, |names| self.names(directory, names))
    }

    fn names(&self, directory: &TreePath, names: &[Box<[u8]>]) -> Result<Vec<TreePath>, LayerError> {
        let (mut met, mut seen) = (Vec::new(), Vec::with_capacity(names.len()));
        for name in names {
            let path = directory.child(name);
            let found = self.upper.inspect(&path)?;
            check(&path, &found, self.whole)?;
            met.extend(found.metadata.is_directory().then(|| path.clone()));
            seen.push((path, found));
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).append(&mut seen);
        Ok(met)
    }
}

fn check(path: &TreePath, found: &OnDisk, whole: bool) -> Result<(), LayerError> {
    if path.name().starts_with(b".wh.") {
        return Err(LayerError::ReservedName { path: path.clone() });
    }
    // In a whole tree the marks are only what a command set for itself.
    match ELSEWHERE.iter().find(|mark| !whole && found.marks.has(mark)) {
        Some(mark) => {
            Err(LayerError::Incomplete { path: path.clone(), name: String::from_utf8_lossy(mark).into_owned() })
        }
        None => Ok(()),
    }
}
