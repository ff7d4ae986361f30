//! [`RepositoryTree`]: a git repository that was checked out.

use super::local::BuildContext;
use super::tree::{Child, Entry, Opened, SourceTree, TreeError};
use layerfs::io_error::IoError;
use layerfs::meta::{Kind, Timestamp, Xattrs};
use layerfs::path::TreePath;

/// A repository that was checked out, or a directory of it: times are the commit's, modes are git's.
#[derive(Debug)]
pub struct RepositoryTree {
    files: BuildContext,
    top: TreePath,
    time: Timestamp,
}

impl RepositoryTree {
    /// Returns the tree of `files`, whose commit has this time.
    pub fn new(files: BuildContext, time: Timestamp) -> Self {
        Self { files, top: TreePath::root(), time }
    }

    /// Returns the tree of the directory `below`; nothing if there is none.
    ///
    /// # Errors
    /// The operating system's; links that lead in a circle.
    pub fn below(files: BuildContext, below: &TreePath, time: Timestamp) -> Result<Option<Self>, TreeError> {
        let top = files.resolve(below)?;
        let is_there = files.lookup(&top)?.is_some_and(|entry| entry.metadata.is_directory());
        Ok(is_there.then_some(Self { files, top, time }))
    }

    fn dressed(&self, entry: Entry) -> Entry {
        let mut metadata = entry.metadata;
        metadata.mtime = self.time;
        metadata.xattrs = Xattrs::new();
        metadata.mode = match &metadata.kind {
            Kind::File { .. } if metadata.mode & 0o100 == 0 => 0o644,
            Kind::Symlink { .. } => metadata.mode,
            _ => 0o755,
        };
        // What is checked out is there for one build alone, so nothing is remembered of it.
        Entry { metadata, link: None, stamp: None, digest: None }
    }

    fn whole(&self, path: &TreePath) -> TreePath {
        // Normal form: nothing in it leads above the top.
        self.top.join(path.as_bytes())
    }
}

impl SourceTree for RepositoryTree {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        Ok(self.files.lookup(&self.whole(path))?.map(|entry| self.dressed(entry)))
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        let children = self.files.children(&self.whole(directory))?;
        Ok(children.into_iter().map(|(name, entry)| (name, self.dressed(entry))).collect())
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        self.files.open(&self.whole(path))
    }
}
