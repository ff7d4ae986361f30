//! [`Entries`]: the files of a large directory, as few bytes as they can be.
//!
//! ```text
//! block:   records, one after another; a new block about every 32 KiB
//! record:  flags (1) | bytes shared with the path before, more bytes (varints) | those bytes | metadata (postcard)
//!          | link (postcard, if flagged) | stamp (16, if flagged) | digest (32, if flagged)
//! ```
//! The first record of a block shares nothing, so blocks can be read by themselves, and joined.

use super::select::SelectedEntry;
use crate::context::tree::{LinkKey, Stamp};
use layerfs::digest::Digest;
use layerfs::meta::{Kind, Metadata, Timestamp};
use layerfs::path::TreePath;
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A block of so many bytes takes no more records.
const FULL: usize = 32 << 10;
const LINK: u8 = 1;
const STAMP: u8 = 2;
const DIGEST: u8 = 4;

/// Entries sorted by path, kept as bytes: what a large context costs for each file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries {
    blocks: Vec<Block>,
    /// The last path.
    last: Vec<u8>,
}

/// Records, and what is asked of them all.
#[derive(Debug, Clone, Default, PartialEq)]
struct Block {
    bytes: Vec<u8>,
    count: usize,
    /// Regular files without a digest.
    unread: usize,
    links: usize,
    /// Bytes of its regular files.
    size: u64,
    newest: Option<Timestamp>,
}

/// An entry without its path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub metadata: Metadata,
    pub link: Option<LinkKey>,
    pub stamp: Option<Stamp>,
    pub digest: Option<Digest>,
}

/// How far entries were read.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    block: usize,
    offset: usize,
    /// The path of the entry that was read last.
    pub path: Vec<u8>,
}

impl Entries {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.count).sum()
    }

    /// Reports whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns the bytes of the regular files.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.size).sum()
    }

    /// Returns the newest mtime.
    pub fn newest(&self) -> Option<Timestamp> {
        self.blocks.iter().filter_map(|block| block.newest).max()
    }

    /// Returns them one after another.
    pub fn iter(&self) -> impl Iterator<Item = SelectedEntry> {
        let mut place = Place::default();
        std::iter::from_fn(move || Some(self.next(&mut place)?.at(&place.path)))
    }

    /// Reports whether one of them may have another name.
    pub(super) fn has_links(&self) -> bool {
        self.blocks.iter().any(|block| block.links > 0)
    }

    /// Adds one, which comes after all others.
    pub(super) fn push(&mut self, entry: &SelectedEntry) {
        if self.blocks.last().is_none_or(|block| block.bytes.len() >= FULL) {
            self.begin_block(Block::default());
            self.last.clear();
        }
        let block = self.blocks.last_mut().expect("a block was begun");
        block.push(&self.last, entry);
        self.last.clear();
        self.last.extend_from_slice(entry.path.as_bytes());
    }

    /// Adds others, which come after all of these.
    pub(super) fn append(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        self.last = other.last;
        for block in other.blocks {
            match self.blocks.last_mut() {
                Some(last) if last.bytes.len() + block.bytes.len() <= FULL => last.absorb(&block),
                _ => self.begin_block(block),
            }
        }
    }

    fn begin_block(&mut self, block: Block) {
        if let Some(last) = self.blocks.last_mut() {
            last.bytes.shrink_to_fit();
        }
        self.blocks.push(block);
    }

    /// Returns those before the path `at`, and the others.
    pub(super) fn split(&self, at: &[u8]) -> (Self, Self) {
        let (mut before, mut after) = (Self::default(), Self::default());
        for entry in self.iter() {
            if entry.path.as_bytes() < at { &mut before } else { &mut after }.push(&entry);
        }
        (before, after)
    }

    /// Returns the first path, and the last.
    pub(super) fn ends(&self) -> Option<(&[u8], &[u8])> {
        Some((self.blocks.first()?.first(), &self.last))
    }

    /// Reads on from `place`: returns the next entry, whose path is in `place` then.
    pub(super) fn next(&self, place: &mut Place) -> Option<Record> {
        while self.blocks.get(place.block)?.bytes.len() == place.offset {
            (place.block, place.offset) = (place.block + 1, 0);
        }
        let mut rest = &self.blocks[place.block].bytes[place.offset..];
        let record = read(&mut rest, &mut place.path);
        place.offset = self.blocks[place.block].bytes.len() - rest.len();
        Some(record)
    }

    /// Returns the place before entry `number`, counted from 0.
    pub(super) fn place_of(&self, mut number: usize) -> Place {
        let mut place = Place::default();
        while let Some(block) = self.blocks.get(place.block).filter(|block| block.count <= number) {
            number -= block.count;
            place.block += 1;
        }
        (0..number).for_each(|_| drop(self.next(&mut place)));
        place
    }

    /// Moves `place` forward, if it can, or back, to the last block that may have `path`; reports whether it moved.
    pub(super) fn approach(&self, place: &mut Place, path: &[u8]) -> bool {
        let block = self.blocks.partition_point(|block| block.first() <= path).saturating_sub(1);
        let is_there = place.block == block && place.offset > 0 && place.path.as_slice() <= path;
        if !is_there {
            *place = Place { block, ..Place::default() };
        }
        !is_there
    }

    /// Lets `fill` change what is in the blocks that have files without digests, by all cores; paths must stay.
    ///
    /// # Errors
    /// What `fill` failed with.
    pub(super) fn fill<E: Send>(
        &mut self,
        fill: impl Fn(&mut [SelectedEntry]) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let refill = |block: &mut Block| {
            let mut entries: Vec<SelectedEntry> = block.iter().collect();
            fill(&mut entries)?;
            let mut filled = Block { bytes: Vec::with_capacity(block.bytes.len()), ..Block::default() };
            let mut last: &[u8] = &[];
            for entry in &entries {
                filled.push(last, entry);
                last = entry.path.as_bytes();
            }
            filled.bytes.shrink_to_fit();
            *block = filled;
            Ok(())
        };
        let mut unread: Vec<&mut Block> = self.blocks.iter_mut().filter(|block| block.unread > 0).collect();
        match unread.as_mut_slice() {
            [] => Ok(()),
            [block] => refill(block),
            blocks => blocks.par_iter_mut().try_for_each(|block| refill(block)),
        }
    }
}

impl FromIterator<SelectedEntry> for Entries {
    fn from_iter<I: IntoIterator<Item = SelectedEntry>>(entries: I) -> Self {
        entries.into_iter().fold(Self::default(), |mut all, entry| {
            all.push(&entry);
            all
        })
    }
}

impl Block {
    fn push(&mut self, last: &[u8], entry: &SelectedEntry) {
        let path = entry.path.as_bytes();
        let shared = last.iter().zip(path).take_while(|(a, b)| a == b).count();
        let flags = [(entry.link.is_some(), LINK), (entry.stamp.is_some(), STAMP), (entry.digest.is_some(), DIGEST)];
        self.bytes.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        self.put(&(shared, path.len() - shared));
        self.bytes.extend_from_slice(&path[shared..]);
        self.put(&entry.metadata);
        if let Some(link) = &entry.link {
            self.put(&(link.space, link.inode));
        }
        self.bytes.extend_from_slice(entry.stamp.as_ref().map_or(&[], |stamp| &stamp.0));
        self.bytes.extend_from_slice(entry.digest.as_ref().map_or(&[], |digest| digest.as_bytes()));
        self.count(entry);
    }

    fn count(&mut self, entry: &SelectedEntry) {
        let is_file = matches!(entry.metadata.kind, Kind::File { .. });
        self.count += 1;
        self.unread += usize::from(is_file && entry.digest.is_none());
        self.links += usize::from(entry.link.is_some());
        self.size += entry.metadata.size();
        self.newest = self.newest.max(Some(entry.metadata.mtime));
    }

    fn put(&mut self, value: &impl Serialize) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(value, bytes).expect("memory takes whatever is written");
    }

    fn absorb(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.count += other.count;
        self.unread += other.unread;
        self.links += other.links;
        self.size += other.size;
        self.newest = self.newest.max(other.newest);
    }

    /// Returns the first path, which shares nothing.
    fn first(&self) -> &[u8] {
        let mut rest = &self.bytes[1..];
        let (_, length): (usize, usize) = take(&mut rest);
        &rest[..length]
    }

    fn iter(&self) -> impl Iterator<Item = SelectedEntry> {
        let (mut rest, mut path) = (self.bytes.as_slice(), Vec::new());
        std::iter::from_fn(move || (!rest.is_empty()).then(|| read(&mut rest, &mut path).at(&path)))
    }
}

impl Record {
    /// Returns the entry at `path`.
    fn at(self, path: &[u8]) -> SelectedEntry {
        let Self { metadata, link, stamp, digest } = self;
        SelectedEntry { path: tree_path(path), metadata, link, stamp, digest }
    }
}

/// Returns the path that these bytes of one are.
pub(super) fn tree_path(bytes: &[u8]) -> TreePath {
    // What a remote source has stands below a name that no file can have.
    TreePath::from_normal(bytes).unwrap_or_else(|| TreePath::normalize(bytes))
}

/// Returns what is left of the bytes of a path below `directory`, or nothing if it is not within it.
pub(super) fn bytes_below<'a>(path: &'a [u8], directory: &TreePath) -> Option<&'a [u8]> {
    if directory.is_root() {
        return Some(path);
    }
    let rest = path.strip_prefix(directory.as_bytes())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// Reads a record off `rest`; `path` is that of the one before, and then its own.
fn read(rest: &mut &[u8], path: &mut Vec<u8>) -> Record {
    let flags = rest[0];
    *rest = &rest[1..];
    let (shared, length): (usize, usize) = take(rest);
    path.truncate(shared);
    path.extend_from_slice(&rest[..length]);
    *rest = &rest[length..];
    let metadata = take(rest);
    let link = (flags & LINK > 0).then(|| {
        let (space, inode) = take(rest);
        LinkKey { space, inode }
    });
    let stamp = (flags & STAMP > 0).then(|| Stamp(take_bytes(rest)));
    let digest = (flags & DIGEST > 0).then(|| Digest::from_bytes(take_bytes(rest)));
    Record { metadata, link, stamp, digest }
}

fn take<T: DeserializeOwned>(rest: &mut &[u8]) -> T {
    let (value, after) = postcard::take_from_bytes(rest).expect("what was written here can be read");
    *rest = after;
    value
}

fn take_bytes<const LENGTH: usize>(rest: &mut &[u8]) -> [u8; LENGTH] {
    let (bytes, after) = rest.split_first_chunk().expect("what was written here can be read");
    *rest = after;
    *bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerfs::meta::Xattrs;

    /// Entries of every kind, with and without all that they may have.
    fn sample(count: usize) -> Vec<SelectedEntry> {
        let kinds = |number: usize| match number % 5 {
            0 => Kind::Directory,
            1 => Kind::Symlink { target: b"/there".as_slice().into() },
            2 => Kind::CharDevice { major: 1, minor: 300 },
            _ => Kind::File { size: number as u64 * 1000 },
        };
        let entry = |number: usize| SelectedEntry {
            path: TreePath::from(format!("d{:03}/x{}f{number:06}", number / 100, "-".repeat(number % 7)).as_str()),
            metadata: Metadata {
                kind: kinds(number),
                mode: 0o4755,
                uid: 3,
                gid: u32::MAX,
                mtime: Timestamp { seconds: number as i64 - 50, nanoseconds: 999_999_999 },
                xattrs: Xattrs::from([(b"user.x".as_slice().into(), vec![7; number % 3 * 100].into())]),
            },
            link: (number.is_multiple_of(11)).then_some(LinkKey { space: u64::MAX, inode: u128::MAX - 1 }),
            stamp: (number % 4 > 1).then_some(Stamp([number as u8; 16])),
            digest: (number.is_multiple_of(2)).then(|| Digest::of(number.to_le_bytes())),
        };
        let mut entries: Vec<SelectedEntry> = (0..count).map(entry).collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    fn packed(entries: &[SelectedEntry]) -> Entries {
        entries.iter().cloned().collect()
    }

    #[test]
    fn what_is_put_in_comes_out() {
        for count in [0, 1, 2, 1000] {
            let wanted = sample(count);
            let entries = packed(&wanted);
            assert_eq!(entries.iter().collect::<Vec<_>>(), wanted);
            assert_eq!((entries.len(), entries.is_empty()), (count, count == 0));
            assert_eq!(entries.bytes(), wanted.iter().map(|entry| entry.metadata.size()).sum::<u64>());
            assert_eq!(entries.newest(), wanted.iter().map(|entry| entry.metadata.mtime).max());
            assert_eq!(entries.has_links(), count > 0);
            let ends = wanted.first().zip(wanted.last()).map(|(a, b)| (a.path.as_bytes(), b.path.as_bytes()));
            assert_eq!(entries.ends(), ends);
        }
    }

    #[test]
    fn joined_and_split_they_are_the_same() {
        let wanted = sample(1500);
        for sizes in [vec![1; 1500], vec![700, 1, 799], vec![0, 1500]] {
            let (mut all, mut rest) = (Entries::default(), wanted.as_slice());
            for size in sizes {
                let (some, others) = rest.split_at(size);
                all.append(packed(some));
                rest = others;
            }
            assert_eq!(all.iter().collect::<Vec<_>>(), wanted);
            assert!(all.blocks.len() < 20, "small blocks are joined");
        }
        let (before, after) = packed(&wanted).split(wanted[444].path.as_bytes());
        assert_eq!((before.len(), after.iter().collect::<Vec<_>>()), (444, wanted[444..].to_vec()));
    }

    #[test]
    fn every_entry_is_found_by_number_and_by_path() {
        let wanted = sample(1200);
        let entries = packed(&wanted);
        let mut near = Place::default();
        for (number, entry) in wanted.iter().enumerate() {
            let mut place = entries.place_of(number);
            assert_eq!(entries.next(&mut place).map(|record| record.at(&place.path)).as_ref(), Some(entry));
            entries.approach(&mut near, entry.path.as_bytes());
            while near.path != entry.path.as_bytes() {
                assert!(entries.next(&mut near).is_some(), "{}", entry.path);
            }
        }
        assert!(entries.next(&mut entries.place_of(1200)).is_none());
        for entry in wanted.iter().rev() {
            entries.approach(&mut near, entry.path.as_bytes());
            while near.path != entry.path.as_bytes() {
                assert!(entries.next(&mut near).is_some(), "{}", entry.path);
            }
        }
    }

    #[test]
    fn filling_reaches_every_file_without_a_digest() {
        let mut wanted = sample(1500);
        let mut entries = packed(&wanted);
        let fill = |some: &mut [SelectedEntry]| {
            let files = some.iter_mut().filter(|entry| super::super::select::is_file(&entry.metadata));
            files.filter(|entry| entry.digest.is_none()).for_each(|entry| entry.digest = Some(Digest::of("new")));
            Ok::<(), ()>(())
        };
        fill(&mut wanted).unwrap();
        entries.fill(fill).unwrap();
        assert_eq!(entries.iter().collect::<Vec<_>>(), wanted);
        assert_eq!(entries.fill(|_| Err(())), Ok(()), "nothing is left to be filled");
    }
}
