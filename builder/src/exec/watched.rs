//! [`WatchedTree`]: a tree whose files end with the build, however long they are.

use crate::context::tree::{Child, Content, Entry, Exclusion, Opened, SourceTree, Stamp, TakeShare, TreeError};
use layerfs::cancel::Cancel;
use layerfs::io_error::IoError;
use layerfs::path::TreePath;
use std::io::{self, Read};

/// A tree, the reading of whose files fails once a build is cancelled.
pub(super) struct WatchedTree<'a> {
    pub(super) tree: &'a dyn SourceTree,
    pub(super) cancel: &'a Cancel,
}

/// One of its files.
struct WatchedFile<'a> {
    file: Opened<'a>,
    cancel: &'a Cancel,
}

impl Read for WatchedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.cancel.is_cancelled() {
            true => Err(io::Error::other("the build was cancelled")),
            false => self.file.read(buffer),
        }
    }
}

impl Content for WatchedFile<'_> {
    fn stamp(&self) -> Option<Stamp> {
        self.file.stamp()
    }

    fn allocated(&self) -> Option<u64> {
        self.file.allocated()
    }
}

impl WatchedTree<'_> {
    fn watched<'b>(&'b self, file: Opened<'b>) -> Opened<'b> {
        Box::new(WatchedFile { file, cancel: self.cancel })
    }
}

impl SourceTree for WatchedTree<'_> {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        self.tree.lookup(path)
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        self.tree.children(directory)
    }

    fn shares(&self, directory: &TreePath, take: &TakeShare<'_>) -> Result<(), TreeError> {
        self.tree.shares(directory, take)
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        Ok(self.watched(self.tree.open(path)?))
    }

    fn at_once(&self) -> usize {
        self.tree.at_once()
    }

    fn open_all(&self, paths: &[&TreePath]) -> Result<Vec<Opened<'_>>, IoError> {
        Ok(self.tree.open_all(paths)?.into_iter().map(|file| self.watched(file)).collect())
    }

    fn excluded_by(&self, path: &TreePath) -> Option<Exclusion> {
        self.tree.excluded_by(path)
    }

    fn resolve(&self, path: &TreePath) -> Result<TreePath, TreeError> {
        self.tree.resolve(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tree::MemoryTree;
    use layerfs::meta::{Metadata, Timestamp};

    #[test]
    fn a_file_is_read_until_the_build_is_cancelled() {
        let mut tree = MemoryTree::default();
        let entry = Entry::plain(Metadata::directory(Timestamp::default()));
        tree.nodes.insert(TreePath::from("f"), (entry, b"bytes".to_vec()));
        let cancel = Cancel::new().expect("a flag");
        let watched = WatchedTree { tree: &tree, cancel: &cancel };
        let path = TreePath::from("f");
        let mut files = watched.open_all(&[&path, &path]).expect("opened");
        let mut buffer = [0; 2];
        assert_eq!(files[0].read(&mut buffer).ok(), Some(2));
        cancel.cancel();
        assert!(files[0].read(&mut buffer).is_err());
        assert!(files[1].read(&mut buffer).is_err());
    }
}
