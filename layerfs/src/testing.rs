//! What tests share: namespaces to run in, tars to unpack, trees to compare.

use crate::change::Node;
use crate::index::LayerIndex;
use crate::meta::disk::storable;
use crate::meta::{Kind, Metadata};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use std::collections::BTreeSet;
use std::process::Command;

/// What a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// To be uid 0 of a user namespace with one id.
    OneId,
    /// To be uid 0 of a user namespace with the ranges of /etc/subuid and /etc/subgid.
    Ranges,
}

const INSIDE: &str = "LAYERFS_TEST_INSIDE";

/// Runs `body` with what it needs: this very test again, in a user namespace. Fails where there is none.
pub(crate) fn namespaced(needs: Needs, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if needs == Needs::Ranges && std::env::var("LBUILD_TEST_IDENTITY").is_ok_and(|identity| identity == "without") {
        // The suite runs as a user without ranges on purpose; the other users' suites show this.
        return;
    }
    let name = std::thread::current().name().expect("a test has a name").to_owned();
    // Root has every id as it is; the plain users' suites show the mapped ones.
    let words: &[&str] = match (needs, rustix::process::geteuid().is_root()) {
        (Needs::OneId, _) => &["unshare", "--map-root-user", "--mount"],
        (Needs::Ranges, true) => &["unshare", "--mount"],
        (Needs::Ranges, false) => &["unshare", "--map-root-user", "--map-auto", "--mount"],
    };
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg(std::env::current_exe().expect("the test has a path"))
        .args([&name, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("`setpriv` and `unshare` are installed");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{name} in a namespace ({needs:?}):\n{said}");
}

/// A tar made by hand, so that it may be wrong.
#[derive(Debug, Default)]
pub(crate) struct Tar(Vec<u8>);

/// An entry of a [`Tar`].
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) flag: u8,
    pub(crate) link: &'static str,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) device: (u32, u32),
    pub(crate) pax: Vec<(&'static str, Vec<u8>)>,
    pub(crate) content: Vec<u8>,
}

impl Item {
    pub(crate) fn new(flag: u8) -> Self {
        let mode = if flag == b'5' { 0o755 } else { 0o644 };
        Self { flag, link: "", mode, uid: 0, gid: 0, device: (0, 0), pax: Vec::new(), content: Vec::new() }
    }
}

impl Tar {
    /// Adds an entry.
    pub(crate) fn item(mut self, name: &str, item: Item) -> Self {
        if !item.pax.is_empty() {
            let records: Vec<u8> = item.pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            self.block("pax", &Item { content: records, ..Item::new(b'x') });
        }
        self.block(name, &item);
        self
    }

    /// Adds a regular file of 0:0.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.item(name, Item { content: content.into(), ..Item::new(b'0') })
    }

    /// Adds a directory of 0:0.
    pub(crate) fn dir(self, name: &str) -> Self {
        self.item(name, Item::new(b'5'))
    }

    /// Adds a symbolic link.
    pub(crate) fn link(self, name: &str, link: &'static str) -> Self {
        self.item(name, Item { link, ..Item::new(b'2') })
    }

    /// Adds a hardlink.
    pub(crate) fn hard(self, name: &str, link: &'static str) -> Self {
        self.item(name, Item { link, ..Item::new(b'1') })
    }

    /// Returns the bytes.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    fn block(&mut self, name: &str, item: &Item) {
        let mut header = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, format!("{:07o}", item.mode).as_bytes());
        put(108, format!("{:07o}", item.uid).as_bytes());
        put(116, format!("{:07o}", item.gid).as_bytes());
        put(124, format!("{:011o}", item.content.len()).as_bytes());
        put(136, format!("{:011o}", 1000).as_bytes());
        put(148, b"        ");
        put(156, &[item.flag]);
        put(157, item.link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}", item.device.0).as_bytes());
        put(337, format!("{:07o}", item.device.1).as_bytes());
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(&item.content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() != rest.to_string().len() {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// Returns an index as lines, times and xattr values left out.
pub(crate) fn lines(index: &LayerIndex) -> Vec<String> {
    index
        .changes
        .iter()
        .map(|change| match &change.node {
            Node::Whiteout => format!("whiteout {}", change.path),
            Node::Hardlink { target } => format!("hardlink {} {target}", change.path),
            Node::Inode(metadata) => inode_line(&change.path, metadata),
        })
        .chain(index.opaque.iter().map(|path| format!("opaque {path}")))
        .collect()
}

fn inode_line(path: &TreePath, metadata: &Metadata) -> String {
    let kind = match &metadata.kind {
        Kind::File { size } => format!("file {path} {size}"),
        Kind::Directory => format!("directory {path}"),
        Kind::Symlink { target } => return format!("symlink {path} {}", String::from_utf8_lossy(target)),
        Kind::Fifo => format!("fifo {path}"),
        Kind::CharDevice { major, minor } => format!("char {path} {major}:{minor}"),
        Kind::BlockDevice { major, minor } => format!("block {path} {major}:{minor}"),
    };
    format!("{kind} {:o} {}:{}", metadata.mode, metadata.uid, metadata.gid)
}

/// Asserts that a layer directory is what its index says, in overlay form, and nothing else.
pub(crate) fn assert_on_disk(root: &RootDir, index: &LayerIndex) {
    let stated: BTreeSet<TreePath> = index.changes.iter().map(|change| change.path.clone()).collect();
    let mut on_disk = BTreeSet::new();
    let mut ahead = vec![TreePath::root()];
    while let Some(directory) = ahead.pop() {
        for name in root.list(&directory).expect("list") {
            let path = directory.child(&name);
            if root.metadata(&path).expect("stat").is_directory() {
                ahead.push(path.clone());
            }
            on_disk.insert(path);
        }
    }
    assert_eq!(on_disk, stated.into_iter().filter(|path| !path.is_root()).collect(), "names on disk and in the index");
    for change in index.changes.iter() {
        let found = root.inspect(&change.path).expect("stat");
        match &change.node {
            Node::Whiteout => {
                assert!(found.is_whiteout(), "{}", change.path);
                let parent = root.inspect(&change.path.parent().expect("a parent")).expect("stat");
                assert!(parent.marks.has(crate::meta::disk::ORIGIN), "origin above {}", change.path);
            }
            Node::Hardlink { .. } if found.is_whiteout() => {}
            Node::Hardlink { target } => {
                assert_eq!(found.inode, root.inspect(target).expect("stat").inode, "{}", change.path);
            }
            Node::Inode(metadata) if matches!(metadata.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. }) => {
                assert!(found.is_whiteout(), "{}", change.path);
            }
            Node::Inode(metadata) => {
                let xattrs = storable(metadata).map(|(name, value)| (name.into(), value.into())).collect();
                let mode = if metadata.is_symlink() { 0o777 } else { metadata.mode };
                let wanted = Metadata { xattrs, mode, ..metadata.clone() };
                assert_eq!(found.metadata, wanted, "{}", change.path);
            }
        }
    }
}
