//! [`Comparison`]: whether a layer's directory still is what its index says.

use crate::worker::error::WorkerError;
use layerfs::change::Node;
use layerfs::index::LayerIndex;
use layerfs::io_error::IoError;
use layerfs::meta::{Kind, Metadata};
use layerfs::path::TreePath;
use layerfs::rootdir::RootDir;

/// A layer's index beside its directory. Bytes of files are not looked at: an index has none. Who changes a file leaves
/// its traces in size and time.
pub(super) struct Comparison<'a> {
    index: &'a LayerIndex,
    directory: &'a RootDir,
    differences: Vec<String>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(index: &'a LayerIndex, directory: &'a RootDir) -> Self {
        Self { index, directory, differences: Vec::new() }
    }

    /// Returns a line for each difference; `go_on` may end it.
    pub(super) fn run(
        mut self,
        go_on: &mut dyn FnMut() -> Result<(), WorkerError>,
    ) -> Result<Vec<String>, WorkerError> {
        let root = TreePath::root();
        self.names(&root)?;
        for change in self.index.changes.iter() {
            go_on()?;
            let found = match self.directory.metadata(&change.path) {
                Err(error) if is_absent(&error) => None,
                found => Some(found?),
            };
            let wanted = self.wanted(&change.node);
            if found.as_ref().is_some_and(Metadata::is_directory) && wanted.is_some_and(Metadata::is_directory) {
                self.names(&change.path)?;
            }
            let wrong = match (found, wanted) {
                // Device nodes cannot be made in a user namespace: the index alone has them.
                (_, Some(Metadata { kind: Kind::CharDevice { .. } | Kind::BlockDevice { .. }, .. })) => None,
                (None, _) => Some("is missing".to_owned()),
                (Some(found), Some(wanted)) => what_differs(&found, wanted),
                (Some(_), None) => None,
            };
            self.differences.extend(wrong.map(|wrong| format!("`{}` {wrong}", change.path)));
        }
        Ok(self.differences)
    }

    /// Returns what the index says of a change; nothing of a whiteout.
    fn wanted(&self, node: &'a Node) -> Option<&'a Metadata> {
        match node {
            Node::Inode(metadata) => Some(metadata),
            Node::Hardlink { target } => self.index.get(target)?.node.metadata(),
            Node::Whiteout => None,
        }
    }

    /// Notes names in a directory that the index does not have.
    fn names(&mut self, directory: &TreePath) -> Result<(), WorkerError> {
        for name in self.directory.list(directory)? {
            let path = directory.child(&name);
            if self.index.position(&path).is_none() {
                self.differences.push(format!("`{path}` is not in its index"));
            }
        }
        Ok(())
    }
}

/// Reports whether nothing stands at a path, or something above it is no directory any more.
fn is_absent(error: &IoError) -> bool {
    matches!(error.errno, Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}

fn what_differs(found: &Metadata, wanted: &Metadata) -> Option<String> {
    // Linux has no mode of a symbolic link; a tar may state any.
    if found == wanted || (found.is_symlink() && *found == (Metadata { mode: found.mode, ..wanted.clone() })) {
        return None;
    }
    Some(if found.kind != wanted.kind {
        format!("is {}, its index says {}", kind(&found.kind), kind(&wanted.kind))
    } else if found.mode != wanted.mode && !found.is_symlink() {
        format!("has mode {:04o}, its index says {:04o}", found.mode, wanted.mode)
    } else if (found.uid, found.gid) != (wanted.uid, wanted.gid) {
        format!("belongs to {}:{}, its index says {}:{}", found.uid, found.gid, wanted.uid, wanted.gid)
    } else if found.mtime != wanted.mtime {
        "has another time".to_owned()
    } else {
        "has other xattrs".to_owned()
    })
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::File { size } => format!("a file of {size} bytes"),
        Kind::Directory => "a directory".to_owned(),
        Kind::Symlink { target } => format!("a link to `{}`", String::from_utf8_lossy(target)),
        Kind::Fifo => "a pipe".to_owned(),
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "a device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerfs::change::Change;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    /// Returns a directory of one's own ids with its index: `d/f`, `d/l` (a hardlink to it) and `s` (a link).
    fn layer() -> (tempfile::TempDir, LayerIndex) {
        let place = tempfile::tempdir().expect("a directory");
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("d")).expect("a directory");
        fs::write(path("d/f"), b"bytes").expect("a file");
        fs::hard_link(path("d/f"), path("d/l")).expect("a link");
        std::os::unix::fs::symlink("d/f", path("s")).expect("a link");
        let root = RootDir::open(place.path()).expect("opened");
        let inode = |name: &str| Change {
            path: TreePath::from(name),
            node: Node::Inode(root.metadata(&TreePath::from(name)).expect("metadata")),
        };
        let link = Change { path: TreePath::from("d/l"), node: Node::Hardlink { target: TreePath::from("d/f") } };
        let changes = vec![inode("d"), inode("d/f"), link, inode("s")];
        let index = LayerIndex::new(changes, Vec::new(), Vec::new(), BTreeMap::new()).expect("an index");
        (place, index)
    }

    fn compared(place: &Path, index: &LayerIndex) -> Vec<String> {
        let root = RootDir::open(place).expect("opened");
        Comparison::new(index, &root).run(&mut || Ok(())).expect("compared")
    }

    #[test]
    fn every_change_of_a_directory_is_seen() {
        type Damage = fn(&Path);
        let rows: [(&str, Damage, &[&str]); 7] = [
            ("nothing", |_| {}, &[]),
            ("a file is gone", |at| fs::remove_file(at.join("s")).expect("removed"), &["`/s` is missing"]),
            (
                "a file has other bytes",
                |at| fs::write(at.join("d/f"), b"bytes and more").expect("written"),
                &[
                    "`/d/f` is a file of 14 bytes, its index says a file of 5 bytes",
                    "`/d/l` is a file of 14 bytes, its index says a file of 5 bytes",
                ],
            ),
            (
                "a file has another time",
                |at| {
                    let file = fs::File::options().write(true).open(at.join("d/f")).expect("opened");
                    file.set_modified(std::time::UNIX_EPOCH).expect("a time");
                },
                &["`/d/f` has another time", "`/d/l` has another time"],
            ),
            (
                "a file was added",
                |at| fs::write(at.join("new"), b"").expect("written"),
                &["`/new` is not in its index"],
            ),
            (
                "a link points elsewhere",
                |at| {
                    fs::remove_file(at.join("s")).expect("removed");
                    std::os::unix::fs::symlink("d/x", at.join("s")).expect("a link");
                },
                &["`/s` is a link to `d/x`, its index says a link to `d/f`"],
            ),
            (
                "a directory became a file",
                |at| {
                    fs::remove_dir_all(at.join("d")).expect("removed");
                    fs::write(at.join("d"), b"").expect("written");
                },
                &["`/d` is a file of 0 bytes, its index says a directory", "`/d/f` is missing", "`/d/l` is missing"],
            ),
        ];
        for (what, damage, wanted) in rows {
            let (place, index) = layer();
            damage(place.path());
            assert_eq!(compared(place.path(), &index), wanted, "{what}");
        }
    }
}
