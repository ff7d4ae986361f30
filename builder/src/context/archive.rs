//! [`ArchiveTree`]: the members of an archive as a build context; nothing is unpacked.

use super::tree::{Child, Content, Entry, LinkKey, Opened, SourceTree, TreeError};
use layerfs::io_error::IoError;
use layerfs::meta::{Kind, Metadata, Timestamp};
use layerfs::path::TreePath;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// What stands at a path.
#[derive(Debug, Clone)]
struct Node {
    metadata: Metadata,
    /// First byte of its content in the spool.
    offset: u64,
    /// Number of the inode, for names that share one.
    inode: u64,
}

/// The members of an archive as a build context: of two at one path the last counts, all are owned by `0:0`.
#[derive(Debug)]
pub struct ArchiveTree {
    nodes: BTreeMap<TreePath, Node>,
    names: BTreeMap<TreePath, BTreeSet<Box<[u8]>>>,
    spool: File,
}

impl ArchiveTree {
    /// Returns a tree without members, whose contents are in `spool`.
    pub fn new(spool: File) -> Self {
        Self { nodes: BTreeMap::new(), names: BTreeMap::new(), spool }
    }

    /// Adds a member; directories above it are made, and what stands in their way goes.
    pub fn add(&mut self, path: &TreePath, metadata: Metadata, offset: u64) {
        let inode = self.nodes.len() as u64;
        self.put(path, Node { metadata: Metadata { uid: 0, gid: 0, ..metadata }, offset, inode });
    }

    /// Adds one more name of an earlier member; nothing if there is none.
    pub fn link(&mut self, path: &TreePath, target: &TreePath) {
        if let Some(node) = self.nodes.get(target).filter(|node| !node.metadata.is_directory()).cloned() {
            self.put(path, node);
        }
    }

    fn put(&mut self, path: &TreePath, node: Node) {
        if path.is_root() {
            return;
        }
        for parent in path.ancestors().iter().filter(|parent| !parent.is_root()) {
            if !self.nodes.get(parent).is_some_and(|node| node.metadata.is_directory()) {
                let metadata = Metadata::directory(node.metadata.mtime);
                self.insert(parent, Node { metadata, offset: 0, inode: u64::MAX });
            }
        }
        if !node.metadata.is_directory() && self.names.remove(path).is_some() {
            self.nodes.retain(|other, _| !other.is_within(path));
            self.names.retain(|other, _| !other.is_within(path));
        }
        self.insert(path, node);
    }

    fn insert(&mut self, path: &TreePath, node: Node) {
        self.names.entry(path.parent().unwrap_or_default()).or_default().insert(path.name().into());
        self.nodes.insert(path.clone(), node);
    }

    fn entry(node: &Node) -> Entry {
        let link = (!node.metadata.is_directory()).then(|| LinkKey { space: 0, inode: node.inode.into() });
        Entry { metadata: node.metadata.clone(), link, stamp: None, digest: None }
    }
}

impl SourceTree for ArchiveTree {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        if path.is_root() {
            return Ok(Some(Entry::plain(Metadata::directory(Timestamp::default()))));
        }
        Ok(self.nodes.get(path).map(Self::entry))
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        let names = self.names.get(directory).into_iter().flatten();
        let child = |name: &[u8]| Some((name.into(), Self::entry(self.nodes.get(&directory.child(name))?)));
        Ok(names.filter_map(|name| child(name)).collect())
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        match self.nodes.get(path) {
            Some(node) if matches!(node.metadata.kind, Kind::File { .. }) => {
                Ok(Box::new(Stretch { file: &self.spool, offset: node.offset, left: node.metadata.size() }))
            }
            _ => Err(IoError::new("open", path.to_string(), &io::Error::from_raw_os_error(libc::ENOENT))),
        }
    }
}

/// Reads a stretch of a file.
struct Stretch<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Content for Stretch<'_> {}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerfs::meta::Xattrs;
    use std::io::Write;

    fn of(kind: Kind) -> Metadata {
        Metadata { kind, mode: 0o644, uid: 7, gid: 7, mtime: Timestamp::default(), xattrs: Xattrs::new() }
    }

    #[test]
    fn members_are_seen_once_with_their_parents() {
        let mut spool = tempfile::tempfile().expect("a file");
        spool.write_all(b"onetwo").expect("written");
        let mut tree = ArchiveTree::new(spool);
        let path = |text: &str| TreePath::from(text);
        tree.add(&path("a/b"), of(Kind::File { size: 3 }), 0);
        tree.link(&path("h"), &path("a/b"));
        tree.add(&path("x"), of(Kind::Symlink { target: b"/etc".as_slice().into() }), 0);
        // Nothing is followed: a directory takes the link's place.
        tree.add(&path("x/y"), of(Kind::File { size: 3 }), 3);
        tree.add(&path("../../up"), of(Kind::File { size: 3 }), 0);
        let names = |directory: &str| -> Vec<String> {
            let children = tree.children(&path(directory)).expect("read");
            children.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
        };
        assert_eq!(names(""), ["a", "h", "up", "x"]);
        assert_eq!(names("x"), ["y"]);
        let text = |name: &str| {
            let mut text = String::new();
            tree.open(&path(name)).expect("open").read_to_string(&mut text).expect("read");
            text
        };
        assert_eq!((text("h"), text("x/y"), text("up")), ("one".into(), "two".into(), "one".into()));
        let entry = |name: &str| tree.lookup(&path(name)).expect("looked").expect("there");
        assert_eq!(entry("h").link, entry("a/b").link);
        assert_eq!((entry("h").metadata.uid, entry("x").metadata.is_directory()), (0, true));
        let mut replaced = ArchiveTree::new(tempfile::tempfile().expect("a file"));
        replaced.add(&path("d/e/f"), of(Kind::Fifo), 0);
        replaced.add(&path("d"), of(Kind::Fifo), 0);
        assert_eq!(replaced.lookup(&path("d/e/f")), Ok(None));
        assert_eq!(replaced.children(&path("d")).expect("read").len(), 0);
    }
}
