//! [`Filter`]: which of the things below a directory a COPY takes (`--exclude`, `--parents`).

use super::select::SelectedEntry;
use crate::context::ignore::{IgnoreError, IgnoreRules, Trail};
use crate::context::tree::{Child, SourceTree, TreeError};
use layerfs::path::TreePath;
use rayon::prelude::*;

/// Which of the things below a directory a COPY takes.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// What `--parents` asks for; everything without it.
    include: IgnoreRules,
    /// What `--exclude` leaves out.
    exclude: IgnoreRules,
}

/// What the rules said of the directories above: handed down, so that each name is matched once.
#[derive(Debug, Clone)]
struct Trails {
    include: Trail,
    exclude: Trail,
}

/// What is done with one name.
struct Verdict {
    taken: bool,
    entered: bool,
    trails: Trails,
}

impl Filter {
    /// Returns the filter that leaves out what `patterns` match.
    ///
    /// # Errors
    /// [`IgnoreError`] at the first malformed pattern.
    pub(super) fn excluding(patterns: &[String]) -> Result<Self, IgnoreError> {
        Ok(Self { include: IgnoreRules::default(), exclude: IgnoreRules::of_patterns(patterns)? })
    }

    /// Returns this filter, taking only what `pattern` matches; nothing if the pattern is malformed.
    pub(super) fn only(&self, pattern: &[u8]) -> Option<Self> {
        let include = IgnoreRules::all_but(pattern).ok()?;
        Some(Self { include, exclude: self.exclude.clone() })
    }

    /// Returns all that `directory` holds and the filter takes, in no order, with the directories that lead there; paths
    /// are matched relative to `directory`. Directories are read by all cores.
    ///
    /// # Errors
    /// The tree's.
    pub(super) fn walk(&self, directory: &TreePath, tree: &dyn SourceTree) -> Result<Vec<SelectedEntry>, TreeError> {
        let trails = Trails { include: self.include.trail(), exclude: self.exclude.trail() };
        self.walk_below(directory, directory, &trails, tree)
    }

    fn walk_below(
        &self,
        top: &TreePath,
        directory: &TreePath,
        trails: &Trails,
        tree: &dyn SourceTree,
    ) -> Result<Vec<SelectedEntry>, TreeError> {
        let children = tree.children(directory)?;
        let mut entries = Vec::with_capacity(children.len());
        let mut directories = Vec::new();
        for child in children {
            let path = directory.child(&child.0);
            let verdict = self.judge(trails, &path.strip_prefix(top).unwrap_or_default());
            if verdict.entered && child.1.metadata.is_directory() {
                directories.push((path, child, verdict));
            } else if verdict.taken {
                entries.push(SelectedEntry::new(path, child.1));
            }
        }
        let below: Vec<_> = directories.into_par_iter().map(|entered| self.entered(top, entered, tree)).collect();
        for found in below {
            entries.extend(found?);
        }
        Ok(entries)
    }

    /// Returns a directory with what is taken of it; nothing if neither it nor anything below is.
    fn entered(
        &self,
        top: &TreePath,
        (path, (_, entry), verdict): (TreePath, Child, Verdict),
        tree: &dyn SourceTree,
    ) -> Result<Vec<SelectedEntry>, TreeError> {
        let mut below = self.walk_below(top, &path, &verdict.trails, tree)?;
        if verdict.taken || !below.is_empty() {
            below.push(SelectedEntry::new(path, entry));
        }
        Ok(below)
    }

    fn judge(&self, trails: &Trails, path: &TreePath) -> Verdict {
        if self.include.is_empty() && self.exclude.is_empty() {
            return Verdict { taken: true, entered: true, trails: trails.clone() };
        }
        let name = path.as_bytes();
        let (included, include) = self.include.enter(&trails.include, name);
        let (excluded, exclude) = self.exclude.enter(&trails.exclude, name);
        let (taken, kept) = (!included.ignored, !excluded.ignored);
        let entered =
            (taken || self.include.may_hold_exceptions(name)) && (kept || self.exclude.may_hold_exceptions(name));
        Verdict { taken: taken && kept, entered, trails: Trails { include, exclude } }
    }
}
