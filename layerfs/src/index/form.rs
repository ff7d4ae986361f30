//! How an index is kept.
//!
//! ```text
//! lbindex and one byte of version
//! the changes in postcard form, one after the other, in blocks of 64
//! the tail in postcard form: how many changes, path and place of the first of each block, inodes with further names,
//! directories, account files
//! where the tail begins, 8 bytes, the lowest first
//! ```
//! The file that it stands in verifies itself, so that it has no digest of its own. What a block holds is decoded when it
//! is looked at; that it can be is seen when the index is read, by [`Glance`], which takes no memory.

use super::changes::{BLOCK, Block, Changes, sorted, target};
use super::{IndexError, LayerIndex};
use crate::change::Change;
use crate::path::{TreePath, is_normal};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;

pub(super) const MAGIC: &[u8; 8] = b"lbindex\x03";

const TAIL_START: usize = size_of::<u64>();

#[derive(Serialize, Deserialize)]
struct Tail<'a> {
    count: usize,
    /// Path of the first change of each block, and where in the file the block begins.
    blocks: Cow<'a, [(TreePath, usize)]>,
    /// Inodes with further names, sorted.
    linked: Cow<'a, [TreePath]>,
    opaque: Cow<'a, [TreePath]>,
    accounts: Cow<'a, BTreeMap<TreePath, Vec<u8>>>,
    implied: Cow<'a, [TreePath]>,
}

/// Writes an index, change by change.
#[derive(Debug)]
pub(crate) struct IndexWriter<W> {
    out: W,
    written: usize,
    count: usize,
    blocks: Vec<(TreePath, usize)>,
    linked: Vec<TreePath>,
    scratch: Vec<u8>,
}

impl<W: Write> IndexWriter<W> {
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, written: MAGIC.len(), count: 0, blocks: Vec::new(), linked: Vec::new(), scratch: Vec::new() })
    }

    /// Writes the next change; its path comes after all before it.
    pub fn push(&mut self, change: &Change) -> io::Result<()> {
        if self.count.is_multiple_of(BLOCK) {
            self.blocks.push((change.path.clone(), self.written));
        }
        self.count += 1;
        self.linked.extend(target(change).cloned());
        self.value(change)
    }

    /// Writes what `index` says beside its changes, which were pushed, and returns what was written to.
    pub fn finish(mut self, index: &LayerIndex) -> io::Result<W> {
        let start = self.written as u64;
        let (blocks, linked) = (std::mem::take(&mut self.blocks), sorted(std::mem::take(&mut self.linked)));
        self.value(&Tail {
            count: self.count,
            blocks: blocks.into(),
            linked: Cow::Borrowed(&linked),
            opaque: Cow::Borrowed(&index.opaque),
            accounts: Cow::Borrowed(&index.accounts),
            implied: Cow::Borrowed(&index.implied),
        })?;
        self.out.write_all(&start.to_le_bytes())?;
        Ok(self.out)
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        let scratch = std::mem::take(&mut self.scratch);
        self.scratch = postcard::to_extend(value, scratch).expect("memory takes whatever is written");
        self.out.write_all(&self.scratch)?;
        self.written += self.scratch.len();
        self.scratch.clear();
        Ok(())
    }
}

/// Returns the index that `bytes` hold.
///
/// # Errors
/// [`IndexError::Version`], [`IndexError::Damaged`].
pub(super) fn read(mut bytes: Vec<u8>) -> Result<LayerIndex, IndexError> {
    if !bytes.starts_with(MAGIC) {
        return Err(IndexError::Version);
    }
    let (start, tail) = tail(&bytes).ok_or(IndexError::Damaged)?;
    let Tail { count, blocks, linked, opaque, accounts, implied } = tail;
    let (opaque, accounts, implied) = (opaque.into_owned(), accounts.into_owned(), implied.into_owned());
    bytes.truncate(start);
    look_through(&bytes, &blocks, count).ok_or(IndexError::Damaged)?;
    let block = |(first, start)| Block { first, start, changes: OnceLock::new() };
    let blocks = blocks.into_owned().into_iter().map(block).collect();
    Ok(LayerIndex {
        changes: Changes::read(bytes, blocks, count, linked.into_owned().into()),
        opaque,
        accounts,
        implied,
    })
}

/// Returns where the tail begins, and the tail.
fn tail(bytes: &[u8]) -> Option<(usize, Tail<'static>)> {
    let (body, start) = bytes.split_last_chunk::<TAIL_START>()?;
    let start = usize::try_from(u64::from_le_bytes(*start)).ok().filter(|start| *start >= MAGIC.len())?;
    match postcard::take_from_bytes(body.get(start..)?) {
        Ok((tail, [])) => Some((start, tail)),
        _ => None,
    }
}

/// Reports whether the `bytes` before a tail are `count` changes, sorted, in these blocks.
fn look_through(bytes: &[u8], blocks: &[(TreePath, usize)], count: usize) -> Option<()> {
    let (mut left, mut before) = (&bytes[MAGIC.len()..], None);
    let mut starts = blocks.iter();
    for number in 0..count {
        let at = bytes.len() - left.len();
        let (Glance { path, .. }, rest) = postcard::take_from_bytes(left).ok()?;
        if number.is_multiple_of(BLOCK) {
            starts.next().filter(|(first, start)| *start == at && first.as_bytes() == path)?;
        }
        if before.is_some_and(|before| before >= path) {
            return None;
        }
        (left, before) = (rest, Some(path));
    }
    (left.is_empty() && starts.next().is_none()).then_some(())
}

/// A [`Change`] that is looked at only, nothing of it copied: what is one can be decoded as the other.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow, deserialize_with = "normal")]
    path: &'a [u8],
    #[expect(dead_code, reason = "it is enough that there is one")]
    #[serde(borrow)]
    node: NodeGlance<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is enough that there is one")]
enum NodeGlance<'a> {
    Inode(#[serde(borrow)] MetadataGlance<'a>),
    Hardlink {
        #[serde(borrow, deserialize_with = "normal")]
        target: &'a [u8],
    },
    Whiteout,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is enough that there is one")]
struct MetadataGlance<'a> {
    #[serde(borrow)]
    kind: KindGlance<'a>,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: crate::meta::Timestamp,
    xattrs: XattrsGlance,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is enough that there is one")]
enum KindGlance<'a> {
    File { size: u64 },
    Directory,
    Symlink { target: &'a [u8] },
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

struct XattrsGlance;

impl<'de> Deserialize<'de> for XattrsGlance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for XattrsGlance {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<&[u8], &[u8]>()?.is_some() {}
        Ok(self)
    }
}

/// Takes the bytes of a path in normal form.
fn normal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
    let path = <&[u8]>::deserialize(deserializer)?;
    if is_normal(path) { Ok(path) } else { Err(serde::de::Error::custom("a path is not in normal form")) }
}
