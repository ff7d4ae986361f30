//! [`Scan`]: everything in an upper directory.

use crate::meta::disk::{OPAQUE, OnDisk};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::unpack::LayerError;
use std::collections::BTreeMap;

/// Marks of files whose bytes or children the overlay keeps elsewhere. A mount with `userxattr` makes none.
const ELSEWHERE: [&[u8]; 2] = [b"user.overlay.redirect", b"user.overlay.metacopy"];

/// Everything in an upper directory, by path.
#[derive(Debug)]
pub(super) struct Scan {
    /// What stands where, the root included.
    pub(super) seen: BTreeMap<TreePath, OnDisk>,
    /// Whether this is a whole tree, which hides everything below it.
    whole: bool,
}

impl Scan {
    /// Looks at everything in `upper`.
    pub(super) fn of(upper: &RootDir, whole: bool) -> Result<Self, LayerError> {
        let mut seen = BTreeMap::new();
        seen.insert(TreePath::root(), upper.inspect(&TreePath::root())?);
        let mut ahead = vec![TreePath::root()];
        while let Some(directory) = ahead.pop() {
            for name in upper.list(&directory)? {
                let path = directory.child(&name);
                let found = upper.inspect(&path)?;
                check(&path, &found, whole)?;
                if found.metadata.is_directory() {
                    ahead.push(path.clone());
                }
                seen.insert(path, found);
            }
        }
        Ok(Self { seen, whole })
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
