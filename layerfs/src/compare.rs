//! [`compare`]: which files differ between two images, or two layers, and how.

use crate::cancel::Cancel;
use crate::change::Node;
use crate::digest::DiffId;
use crate::error::StoreError;
use crate::flat::Flat;
use crate::io_error::IoContext;
use crate::meta::{Kind, Metadata, Timestamp};
use crate::path::TreePath;
use crate::source::ExportLayer;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Bytes that are compared at once.
const CHUNK: usize = 64 << 10;

/// One of the two: the files of an image, or what one layer says.
#[derive(Debug)]
pub struct Side {
    flat: Flat,
    diff_ids: Vec<DiffId>,
    /// The layer, if it is one.
    layer: Option<usize>,
}

/// A path that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path.
    pub path: TreePath,
    /// What is different.
    pub kind: DifferenceKind,
}

/// What is different at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only the second side has it.
    Added,
    /// Only the first side has it.
    Deleted,
    /// Both have it.
    Changed(Vec<Detail>),
}

/// How a path that both sides have is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// `kind`, `opaque`, `mode`, `owner`, `size`, `content`, `target`, `device`, `xattr NAME`, `hardlink`, `time`.
    pub what: String,
    /// On the first side; empty for content.
    pub from: String,
    /// On the second side; empty for content.
    pub to: String,
}

/// What stands at a path.
struct Item<'a> {
    /// Nothing for a whiteout.
    metadata: Option<&'a Metadata>,
    /// Of a layer: a directory that hides what layers below have in it.
    opaque: bool,
    layer: usize,
    inode: TreePath,
}

impl Side {
    /// Returns the files of an image with these layers, the lowest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn image(layers: &[ExportLayer], store: &Store, cancel: &Cancel) -> Result<Self, StoreError> {
        let diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        Ok(Self { flat: Flat::open(layers, store, cancel)?, diff_ids, layer: None })
    }

    /// Returns what the topmost of these layers says; those below it are what it may lean on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn layer(layers: &[ExportLayer], store: &Store, cancel: &Cancel) -> Result<Self, StoreError> {
        let side = Self::image(layers, store, cancel)?;
        Ok(Self { layer: layers.len().checked_sub(1), ..side })
    }

    fn items(&self) -> BTreeMap<TreePath, Item<'_>> {
        let Some(layer) = self.layer else {
            let files = self.flat.walk().into_iter();
            return files
                .map(|(path, found)| {
                    let metadata = Some(found.metadata);
                    (path, Item { metadata, opaque: false, layer: found.layer, inode: found.inode })
                })
                .collect();
        };
        let index = &self.flat.stack().layers()[layer];
        let items = index.changes.iter().map(|change| {
            let inode = match &change.node {
                Node::Hardlink { target } => target,
                _ => &change.path,
            };
            let metadata = index.get(inode).and_then(|change| change.node.metadata());
            let opaque = index.is_opaque(&change.path);
            (change.path.clone(), Item { metadata, opaque, layer, inode: inode.clone() })
        });
        items.collect()
    }

    /// Returns the first name of each file that has several.
    fn first_names(items: &BTreeMap<TreePath, Item<'_>>) -> BTreeMap<(usize, TreePath), TreePath> {
        let mut names: BTreeMap<(usize, TreePath), TreePath> = BTreeMap::new();
        for (path, item) in items {
            names.entry((item.layer, item.inode.clone())).or_insert_with(|| path.clone());
        }
        names
    }
}

/// Returns the paths that are not the same on both sides, sorted; times count only if `times` is set.
///
/// # Errors
/// [`StoreError`].
pub fn compare(left: &Side, right: &Side, times: bool) -> Result<Vec<Difference>, StoreError> {
    let (before, after) = (left.items(), right.items());
    let names = (Side::first_names(&before), Side::first_names(&after));
    let mut differences = Vec::new();
    let paths: BTreeSet<&TreePath> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let kind = match (before.get(path), after.get(path)) {
            (None, _) => DifferenceKind::Added,
            (_, None) => DifferenceKind::Deleted,
            (Some(one), Some(other)) => {
                let mut details = details(one, other, times);
                if !details.iter().any(|detail| detail.what == "kind") {
                    content((left, one), (right, other), &mut details)?;
                    let name = |names: &BTreeMap<_, TreePath>, item: &Item<'_>| {
                        let first: &TreePath = &names[&(item.layer, item.inode.clone())];
                        if first == path { String::new() } else { first.to_string() }
                    };
                    push(&mut details, "hardlink", name(&names.0, one), name(&names.1, other));
                }
                if details.is_empty() {
                    continue;
                }
                DifferenceKind::Changed(details)
            }
        };
        differences.push(Difference { path: path.clone(), kind });
    }
    Ok(differences)
}

fn push(details: &mut Vec<Detail>, what: &str, from: String, to: String) {
    if from != to {
        details.push(Detail { what: what.to_owned(), from, to });
    }
}

/// Returns how the metadata of two items differ.
fn details(one: &Item<'_>, other: &Item<'_>, times: bool) -> Vec<Detail> {
    let mut details = Vec::new();
    push(&mut details, "kind", kind(one.metadata).to_owned(), kind(other.metadata).to_owned());
    push(&mut details, "opaque", one.opaque.to_string(), other.opaque.to_string());
    let (Some(one), Some(other)) = (one.metadata, other.metadata) else { return details };
    let of_kind = |metadata: &Metadata| match &metadata.kind {
        Kind::File { size } => ("size", size.to_string()),
        Kind::Symlink { target } => ("target", String::from_utf8_lossy(target).into_owned()),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            ("device", format!("{major}:{minor}"))
        }
        Kind::Directory | Kind::Fifo => ("", String::new()),
    };
    let ((what, from), (same, to)) = (of_kind(one), of_kind(other));
    if what == same {
        push(&mut details, what, from, to);
    }
    push(&mut details, "mode", format!("{:04o}", one.mode), format!("{:04o}", other.mode));
    push(&mut details, "owner", format!("{}:{}", one.uid, one.gid), format!("{}:{}", other.uid, other.gid));
    let names: BTreeSet<&Box<[u8]>> = one.xattrs.keys().chain(other.xattrs.keys()).collect();
    for name in names {
        let value = |metadata: &Metadata| {
            metadata.xattrs.get(name).map_or_else(String::new, |value| format!("\"{}\"", value.escape_ascii()))
        };
        push(&mut details, &format!("xattr {}", name.escape_ascii()), value(one), value(other));
    }
    if times {
        push(&mut details, "time", time(one.mtime), time(other.mtime));
    }
    details
}

fn kind(metadata: Option<&Metadata>) -> &'static str {
    match metadata.map(|metadata| &metadata.kind) {
        None => "whiteout",
        Some(Kind::File { .. }) => "file",
        Some(Kind::Directory) => "directory",
        Some(Kind::Symlink { .. }) => "link",
        Some(Kind::Fifo) => "fifo",
        Some(Kind::CharDevice { .. }) => "character device",
        Some(Kind::BlockDevice { .. }) => "block device",
    }
}

/// Returns seconds since 1970, with as many digits as are needed.
fn time(time: Timestamp) -> String {
    let text = format!("{}.{:09}", time.seconds, time.nanoseconds);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Compares the bytes of two files, unless it is plain that they are the same or are not.
fn content(
    (left, one): (&Side, &Item<'_>),
    (right, other): (&Side, &Item<'_>),
    details: &mut Vec<Detail>,
) -> Result<(), StoreError> {
    let is_file = |item: &Item<'_>| item.metadata.is_some_and(|metadata| matches!(metadata.kind, Kind::File { .. }));
    let origin = |side: &Side, item: &Item<'_>| (side.diff_ids[item.layer], item.inode.clone());
    if !is_file(one) || !is_file(other) || origin(left, one) == origin(right, other) {
        return Ok(());
    }
    let is_larger = details.iter().any(|detail| detail.what == "size");
    let open = |side: &Side, item: &Item<'_>| side.flat.content(item.layer, &item.inode);
    if is_larger || !same_bytes(open(left, one)?, open(right, other)?, &one.inode)? {
        details.push(Detail { what: "content".to_owned(), from: String::new(), to: String::new() });
    }
    Ok(())
}

fn same_bytes(mut left: impl Read, mut right: impl Read, path: &TreePath) -> Result<bool, StoreError> {
    let (mut one, mut other) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
    loop {
        one.clear();
        other.clear();
        (&mut left).take(CHUNK as u64).read_to_end(&mut one).at("read", path.to_string())?;
        (&mut right).take(CHUNK as u64).read_to_end(&mut other).at("read", path.to_string())?;
        if one != other {
            return Ok(false);
        }
        if one.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::BlobStore;
    use crate::descriptor::{Descriptor, media_type};
    use crate::digest::Digest;
    use crate::testing::{Item, Tar};

    fn layer(store: &Store, tar: Tar) -> ExportLayer {
        let tar = tar.end();
        store.blobs().put(&tar).expect("put");
        let blob = Descriptor::of(media_type::OCI_LAYER, &tar);
        ExportLayer { diff_id: DiffId(Digest::of(&tar)), blob, source: None }
    }

    fn shown(differences: &[Difference]) -> Vec<String> {
        let line = |difference: &Difference| match &difference.kind {
            DifferenceKind::Added => format!("A {}", difference.path),
            DifferenceKind::Deleted => format!("D {}", difference.path),
            DifferenceKind::Changed(details) => {
                let details: Vec<String> =
                    details.iter().map(|it| format!("{} {}>{}", it.what, it.from, it.to)).collect();
                format!("C {} {}", difference.path, details.join(", "))
            }
        };
        differences.iter().map(line).collect()
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("store")).expect("a store");
        let cancel = Cancel::new().expect("an eventfd");
        let with = |pax: &'static str, value: &[u8]| Item { pax: vec![(pax, value.to_vec())], ..Item::new(b'0') };
        let one = Tar::default().file("same", "x").file("content", "abc").file("size", "a").file("gone", "x");
        let one = one.item("mode", Item::new(b'0')).item("xattr", with("SCHILY.xattr.user.a", b"1")).dir("kind");
        let one = one.item("time", with("mtime", b"5.5")).link("link", "a").file("l1", "x").hard("l2", "l1");
        let other = Tar::default().file("same", "x").file("content", "abd").file("size", "ab").file("kind", "x");
        let other = other.item("mode", Item { mode: 0o755, uid: 7, ..Item::new(b'0') });
        let other = other.item("xattr", with("SCHILY.xattr.user.a", b"2")).item("time", with("mtime", b"6"));
        let other = other.link("link", "b").file("l1", "x").file("l2", "x").file("new", "x");
        let (one, other) = (layer(&store, one), layer(&store, other));
        let image = |layers: &[ExportLayer]| Side::image(layers, &store, &cancel).expect("a side");
        let (left, right) = (image(std::slice::from_ref(&one)), image(&[other]));
        let wanted = [
            "C /content content >",
            "D /gone",
            "C /kind kind directory>file, mode 0755>0644",
            "C /l2 hardlink /l1>",
            "C /link target a>b",
            "C /mode mode 0644>0755, owner 0:0>7:0",
            "A /new",
            "C /size size 1>2, content >",
            "C /xattr xattr user.a \"1\">\"2\"",
        ];
        assert_eq!(shown(&compare(&left, &right, false).expect("compared")), wanted);
        let times = shown(&compare(&left, &right, true).expect("compared"));
        assert!(times.contains(&"C /time time 5.5>6".to_owned()), "{times:?}");
        let top = layer(&store, Tar::default().file(".wh.gone", "").file("same", "x"));
        let both = image(&[one.clone(), top.clone()]);
        assert_eq!(shown(&compare(&left, &both, false).expect("compared")), ["D /gone"]);
        let said = Side::layer(&[one, top], &store, &cancel).expect("a side");
        let nothing = image(&[]);
        assert_eq!(shown(&compare(&nothing, &said, false).expect("compared")), ["A /gone", "A /same"]);
    }
}
