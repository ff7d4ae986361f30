//! [`Filter`]: which of the things below a directory a COPY takes (`--exclude`, `--parents`).

use super::select::SelectedEntry;
use crate::context::ignore::{IgnoreError, IgnoreRules, Trail};
use crate::context::tree::{Entry, SourceTree, TreeError};
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

/// Entries that stand beside each other.
type Run = Vec<SelectedEntry>;

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

    /// Returns all that `directory` holds and the filter takes, sorted by path, with the directories that lead there;
    /// paths are matched relative to `directory`. Directories are read by all cores.
    ///
    /// # Errors
    /// The tree's.
    pub(super) fn walk(&self, directory: &TreePath, tree: &dyn SourceTree) -> Result<Vec<SelectedEntry>, TreeError> {
        let trails = Trails { include: self.include.trail(), exclude: self.exclude.trail() };
        let runs = self.walk_below(directory, directory, &trails, tree)?;
        let mut entries = Vec::with_capacity(runs.iter().map(Vec::len).sum());
        runs.into_iter().for_each(|run| entries.extend(run));
        // Names are sorted, so this is, but for what is called like `a-b` beside a directory `a`.
        if !entries.is_sorted_by(|a: &SelectedEntry, b| a.path < b.path) {
            entries.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
        }
        Ok(entries)
    }

    /// Returns what `directory` holds in the order of a walk, in runs, so that nothing is moved on the way up.
    fn walk_below(
        &self,
        top: &TreePath,
        directory: &TreePath,
        trails: &Trails,
        tree: &dyn SourceTree,
    ) -> Result<Vec<Run>, TreeError> {
        let children = tree.children(directory)?;
        let mut files = Vec::new();
        let mut directories = Vec::new();
        for child in children {
            let path = directory.child(&child.0);
            let verdict = self.judge(trails, top, &path);
            if verdict.entered && child.1.metadata.is_directory() {
                let before = std::mem::take(&mut files);
                directories.push((before, path, child.1, verdict));
            } else if verdict.taken {
                files.push(SelectedEntry::new(path, child.1));
            }
        }
        let enter = |(before, path, entry, verdict)| self.entered(top, before, (path, entry, verdict), tree);
        let below: Vec<_> = directories.into_par_iter().map(enter).collect();
        let mut runs = Vec::new();
        for found in below {
            runs.extend(found?);
        }
        runs.push(files);
        Ok(runs)
    }

    /// Returns what stands `before` a directory, then the directory with what is taken of it; not the directory if
    /// neither it nor anything below is.
    fn entered(
        &self,
        top: &TreePath,
        mut before: Run,
        (path, entry, verdict): (TreePath, Entry, Verdict),
        tree: &dyn SourceTree,
    ) -> Result<Vec<Run>, TreeError> {
        let below = self.walk_below(top, &path, &verdict.trails, tree)?;
        if verdict.taken || below.iter().any(|run| !run.is_empty()) {
            before.push(SelectedEntry::new(path, entry));
        }
        Ok(std::iter::once(before).chain(below).collect())
    }

    fn judge(&self, trails: &Trails, top: &TreePath, path: &TreePath) -> Verdict {
        if self.include.is_empty() && self.exclude.is_empty() {
            return Verdict { taken: true, entered: true, trails: trails.clone() };
        }
        let name = path.bytes_below(top).unwrap_or_default();
        let (included, include) = self.include.enter(&trails.include, name);
        let (excluded, exclude) = self.exclude.enter(&trails.exclude, name);
        let (taken, kept) = (!included.ignored, !excluded.ignored);
        let entered =
            (taken || self.include.may_hold_exceptions(name)) && (kept || self.exclude.may_hold_exceptions(name));
        Verdict { taken: taken && kept, entered, trails: Trails { include, exclude } }
    }
}
