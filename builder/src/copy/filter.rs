//! [`Filter`]: which of the things below a directory a COPY takes (`--exclude`, `--parents`).

use super::entries::Entries;
use super::select::SelectedEntry;
use crate::context::glob::GlobError;
use crate::context::ignore::{IgnoreError, IgnoreRules, Trail};
use crate::context::tree::{Child, Entry, SourceTree, TreeError};
use layerfs::path::TreePath;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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

/// What stands in a directory, in the order of names.
enum Part {
    /// Files beside each other.
    Files(Entries),
    /// A directory that is entered.
    Directory(Box<(TreePath, Entry, Verdict)>),
}

/// What a walk made of a [`Part`].
enum Walked {
    Files(Entries),
    /// A directory, and what is taken of it.
    Directory(Box<SelectedEntry>, Entries),
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

    /// Returns this filter, taking only what `pattern` matches.
    ///
    /// # Errors
    /// In which way the pattern is malformed.
    pub(super) fn only(&self, pattern: &[u8]) -> Result<Self, GlobError> {
        let include = IgnoreRules::all_but(pattern)?;
        Ok(Self { include, exclude: self.exclude.clone() })
    }

    /// Returns all that `directory` holds and the filter takes, sorted by path, with the directories that lead there;
    /// paths are matched relative to `directory`. Directories are read by all cores.
    ///
    /// # Errors
    /// The tree's.
    pub(super) fn walk(&self, directory: &TreePath, tree: &dyn SourceTree) -> Result<Entries, TreeError> {
        let trails = Trails { include: self.include.trail(), exclude: self.exclude.trail() };
        Walk { filter: self, tree }.below(directory, &trails)
    }

    fn judge(&self, trails: &Trails, name: &[u8]) -> Verdict {
        if self.include.is_empty() && self.exclude.is_empty() {
            return Verdict { taken: true, entered: true, trails: trails.clone() };
        }
        let (included, include) = self.include.enter(&trails.include, name);
        let (excluded, exclude) = self.exclude.enter(&trails.exclude, name);
        let (taken, kept) = (!included.ignored, !excluded.ignored);
        let entered = (taken || self.include.may_hold_exceptions(&include))
            && (kept || self.exclude.may_hold_exceptions(&exclude));
        Verdict { taken: taken && kept, entered, trails: Trails { include, exclude } }
    }
}

/// A walk through what is below a directory.
struct Walk<'a> {
    filter: &'a Filter,
    tree: &'a dyn SourceTree,
}

impl Walk<'_> {
    /// Returns what is taken of what `directory` holds, in order of paths.
    fn below(&self, directory: &TreePath, trails: &Trails) -> Result<Entries, TreeError> {
        let shares = Mutex::new(BTreeMap::new());
        self.tree.shares(directory, &|number, children| {
            let parts = self.parts(directory, trails, children);
            shares.lock().unwrap_or_else(PoisonError::into_inner).insert(number, parts);
            Ok(())
        })?;
        let shares = shares.into_inner().unwrap_or_else(PoisonError::into_inner);
        let parts: Vec<Part> = shares.into_values().flatten().collect();
        let walked: Vec<Option<Walked>> =
            parts.into_par_iter().map(|part| self.walked(part)).collect::<Result<_, _>>()?;
        Ok(joined(walked.into_iter().flatten()))
    }

    /// Returns what `directory` holds of the `children`, those that are not entered packed.
    fn parts(&self, directory: &TreePath, trails: &Trails, children: Vec<Child>) -> Vec<Part> {
        let (mut parts, mut files) = (Vec::new(), Entries::default());
        for (name, entry) in children {
            let path = directory.child(&name);
            let verdict = self.filter.judge(trails, &name);
            if verdict.entered && entry.metadata.is_directory() {
                parts.extend([
                    Part::Files(std::mem::take(&mut files)),
                    Part::Directory(Box::new((path, entry, verdict))),
                ]);
            } else if verdict.taken {
                files.push(&SelectedEntry::new(path, entry));
            }
        }
        parts.push(Part::Files(files));
        parts
    }

    /// Enters a directory; nothing comes back if neither it nor anything below is taken.
    fn walked(&self, part: Part) -> Result<Option<Walked>, TreeError> {
        let (path, entry, verdict) = match part {
            Part::Files(files) => return Ok((!files.is_empty()).then_some(Walked::Files(files))),
            Part::Directory(directory) => *directory,
        };
        let below = self.below(&path, &verdict.trails)?;
        let taken = verdict.taken || !below.is_empty();
        Ok(taken.then(|| Walked::Directory(Box::new(SelectedEntry::new(path, entry)), below)))
    }
}

/// Returns what stands in a directory in order of paths: what `a` holds comes after `a`, and after `a-b` beside it.
fn joined(walked: impl Iterator<Item = Walked>) -> Entries {
    let mut all = Joined::default();
    for part in walked {
        match part {
            Walked::Files(files) => all.files(files),
            Walked::Directory(entry, below) => all.directory(&entry, below),
        }
    }
    all.finish()
}

#[derive(Default)]
struct Joined {
    entries: Entries,
    /// What directories hold that is still to come, each with the path that all of it comes after: what comes first is
    /// last here, since later names begin with the earlier ones.
    waiting: Vec<(Vec<u8>, Entries)>,
}

impl Joined {
    /// Adds what waited and comes before `path`.
    fn advance(&mut self, path: &[u8]) {
        while let Some((_, below)) = self.waiting.pop_if(|(start, _)| start.as_slice() < path) {
            self.entries.append(below);
        }
    }

    fn files(&mut self, mut files: Entries) {
        while let Some((first, last)) = files.ends() {
            self.advance(first);
            let Some((start, _)) = self.waiting.last().filter(|(start, _)| start.as_slice() < last) else { break };
            let (before, after) = files.split(start);
            self.entries.append(before);
            files = after;
        }
        self.entries.append(files);
    }

    fn directory(&mut self, entry: &SelectedEntry, below: Entries) {
        self.advance(entry.path.as_bytes());
        self.entries.push(entry);
        if !below.is_empty() {
            self.waiting.push(([entry.path.as_bytes(), b"/"].concat(), below));
        }
    }

    fn finish(mut self) -> Entries {
        while let Some((_, below)) = self.waiting.pop() {
            self.entries.append(below);
        }
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tree::{MemoryTree, TakeShare};
    use layerfs::io_error::IoError;
    use layerfs::meta::{Kind, Metadata, Timestamp};

    /// A tree whose directories come in shares of two names, the last first.
    struct InShares(MemoryTree);

    impl SourceTree for InShares {
        fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
            self.0.lookup(path)
        }

        fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
            self.0.children(directory)
        }

        fn shares(&self, directory: &TreePath, take: &TakeShare<'_>) -> Result<(), TreeError> {
            let children = self.0.children(directory)?;
            let shares = children.chunks(2).enumerate().collect::<Vec<_>>();
            shares.into_iter().rev().try_for_each(|(number, share)| take(number, share.to_vec()))
        }

        fn open(&self, path: &TreePath) -> Result<crate::context::tree::Opened<'_>, IoError> {
            self.0.open(path)
        }
    }

    /// Names around `/` in the order of bytes, as files and as directories, which hold the same again.
    #[test]
    fn a_walk_is_in_order_of_paths_whatever_the_names() {
        let names = ["a", "a!", "a!!", "a-", "a-b", "a-b-c", "a.b", "a0", "aa", "b"];
        for directories in 0..1_u32 << names.len() {
            let mut tree = MemoryTree::default();
            for (number, name) in names.iter().enumerate() {
                let is_directory = directories >> number & 1 == 1;
                let directory = Metadata::directory(Timestamp::default());
                let file = Metadata { kind: Kind::File { size: 0 }, ..directory.clone() };
                let top = TreePath::from(*name);
                if is_directory {
                    for inner in ["x", "x-y"] {
                        tree.nodes.insert(top.child(inner.as_bytes()), (Entry::plain(file.clone()), Vec::new()));
                    }
                }
                tree.nodes.insert(top, (Entry::plain(if is_directory { directory } else { file }), Vec::new()));
            }
            let wanted: Vec<TreePath> = tree.nodes.keys().cloned().collect();
            let paths = |tree: &dyn SourceTree| -> Vec<TreePath> {
                let entries = Filter::default().walk(&TreePath::root(), tree).unwrap();
                entries.iter().map(|entry| entry.path).collect()
            };
            assert_eq!(paths(&tree), wanted, "{directories:b}");
            assert_eq!(paths(&InShares(tree)), wanted, "{directories:b} in shares");
        }
    }
}
