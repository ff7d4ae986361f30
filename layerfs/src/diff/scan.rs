//! [`Scan`]: everything in an upper directory.

use crate::meta::disk::{OPAQUE, OnDisk};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::unpack::LayerError;

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
    /// Looks at everything in `upper`.
    pub(super) fn of(upper: &RootDir, whole: bool) -> Result<Self, LayerError> {
        let mut seen = vec![(TreePath::root(), upper.inspect(&TreePath::root())?)];
        let mut ahead = vec![TreePath::root()];
        while let Some(directory) = ahead.pop() {
            for name in upper.list(&directory)? {
                let path = directory.child(&name);
                let found = upper.inspect(&path)?;
                check(&path, &found, whole)?;
                if found.metadata.is_directory() {
                    ahead.push(path.clone());
                }
                seen.push((path, found));
            }
        }
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
        if self.whole { path.is_root() } else { found.marks.get(OPAQUE).is_some_and(|value| **value == *b"y") }
    }
}

fn check(path: &TreePath, found: &OnDisk, whole: bool) -> Result<(), LayerError> {
    if path.name().starts_with(b".wh.") {
        return Err(LayerError::ReservedName { path: path.clone() });
    }
    // In a whole tree the marks are only what a command set for itself.
    match ELSEWHERE.iter().find(|mark| !whole && found.marks.contains_key(**mark)) {
        Some(mark) => {
            Err(LayerError::Incomplete { path: path.clone(), name: String::from_utf8_lossy(mark).into_owned() })
        }
        None => Ok(()),
    }
}
