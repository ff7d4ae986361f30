//! The content digest of a COPY: what its key holds of the files it reads.
//!
//! It covers relative path, kind, mode, owner rule, bytes, link target, xattrs, device number and link groups; never
//! mtime. Every field is framed by its length, so that no two selections give the same bytes.

use super::entries::{Entries, Record, bytes_below};
use super::error::CopyError;
use super::select::{Item, SelectedEntry, Selection, is_file};
use crate::context::memo::{Known, Memo};
use crate::context::tree::{Content, LinkKey, SourceTree, TreeError};
use layerfs::digest::{Digest, Hasher};
use layerfs::io_error::IoError;
use layerfs::meta::{Kind, Metadata};
use layerfs::path::TreePath;
use rayon::prelude::*;
use std::collections::HashMap;
use std::io::Read;

/// Most files that one core takes at a time.
const MOST_AT_A_TIME: usize = 256;
/// A file this long, in bytes, of which less than half is on disk is told before it is read.
const LONG: u64 = 1 << 30;
/// Version of what is hashed.
const FORMAT: &[u8] = b"lbuild copy 2";
/// So many entries are hashed at a time, beside others; part of the format.
const ENTRIES_AT_A_TIME: usize = 1024;

/// A long file with holes that is about to be read: its zeros take as long as any other bytes.
#[derive(Debug, Clone, Copy)]
pub struct Hollow<'a> {
    /// Where it stands in the tree.
    pub path: &'a TreePath,
    /// Its length in bytes.
    pub size: u64,
    /// The bytes of it that are on disk.
    pub allocated: u64,
}

/// Hears of long files with holes.
pub type TellHollow<'a> = dyn Fn(Hollow<'_>) + Sync + 'a;

/// Reads every selected file whose digest the tree did not remember, by all cores, notes the digests in `selection` and
/// `memo`, and returns the digest of it all. `owner` is `--chown` as written: with it the owners of the files count for
/// nothing. `tell` hears of long files with holes before they are read.
///
/// # Errors
/// The tree's; [`CopyError::Changed`] if a file's size is not the one it was selected with.
pub fn content_digest(
    selection: &mut Selection,
    owner: Option<&str>,
    tree: &dyn SourceTree,
    memo: &Memo,
    tell: &TellHollow<'_>,
) -> Result<Digest, CopyError> {
    for item in &mut selection.items {
        let share = share(item.entries.len());
        item.entries.fill(|block| match block.len() {
            // Other cores wake up too late to help.
            1 => fill_digests(block, tree, memo, tell),
            _ => block.par_chunks_mut(share).try_for_each(|entries| fill_digests(entries, tree, memo, tell)),
        })?;
    }
    Ok(digest_of(selection, owner))
}

/// Returns how many of `count` files a core takes at a time: few enough that all end at the same time.
fn share(count: usize) -> usize {
    if count <= 1 {
        return 1;
    }
    count.div_ceil(4 * rayon::current_num_threads()).clamp(1, MOST_AT_A_TIME)
}

fn fill_digests(
    entries: &mut [SelectedEntry],
    tree: &dyn SourceTree,
    memo: &Memo,
    tell: &TellHollow<'_>,
) -> Result<(), CopyError> {
    let unread = |entry: &&mut SelectedEntry| is_file(&entry.metadata) && entry.digest.is_none();
    let mut unread: Vec<&mut SelectedEntry> = entries.iter_mut().filter(unread).collect();
    for entries in unread.chunks_mut(tree.at_once()) {
        let paths: Vec<&TreePath> = entries.iter().map(|entry| &entry.path).collect();
        let files = tree.open_all(&paths).map_err(TreeError::from)?;
        for (entry, mut file) in entries.iter_mut().zip(files) {
            let (path, size) = (&entry.path, entry.metadata.size());
            if let Some(allocated) = hollow(&*file, size) {
                tell(Hollow { path, size, allocated });
            }
            let digest = hash_file(path, size, &mut *file)?;
            if let Some(stamp) = &entry.stamp {
                // Another file may have stood there meanwhile, and the one that was looked at may stand there again.
                if file.stamp() != entry.stamp {
                    return Err(CopyError::Changed { path: path.clone() });
                }
                memo.put(stamp, Known { digest, bare: entry.metadata.xattrs.is_empty() });
            }
            entry.digest = Some(digest);
        }
    }
    Ok(())
}

/// Returns how many of the `size` bytes of a long file with holes are on disk; nothing for any other file.
fn hollow(file: &dyn Content, size: u64) -> Option<u64> {
    if size < LONG { None } else { file.allocated().filter(|allocated| *allocated < size / 2) }
}

/// Returns the digest of a file's bytes, which must be `size`.
fn hash_file(path: &TreePath, size: u64, file: &mut dyn Content) -> Result<Digest, CopyError> {
    let mut reader = file.take(size.saturating_add(1));
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; usize::try_from(size.saturating_add(1)).unwrap_or(usize::MAX).min(256 << 10)];
    let mut count = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                count += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(IoError::new("read", path.to_string(), &error).into()),
        }
    }
    match count == size {
        true => Ok(hasher.finish()),
        false => Err(CopyError::Changed { path: path.clone() }),
    }
}

/// Returns the digest of a selection whose files have theirs.
fn digest_of(selection: &Selection, owner: Option<&str>) -> Digest {
    let mut frames = Frames::default();
    frames.bytes(FORMAT);
    frames.bytes(owner.map_or(b"keep".as_slice(), |_| b"set"));
    frames.bytes(owner.unwrap_or_default().as_bytes());
    frames.number(selection.items.len() as u64);
    for item in &selection.items {
        frames.number(u64::from(item.directory.is_some()));
        // The name of a directory is not copied.
        frames.bytes(if item.directory.is_some() { b"" } else { &item.name });
        frames.number(item.entries.len() as u64);
        let links = link_groups(&item.entries);
        let share = |number| digest_of_share(item, number, &links, owner.is_some());
        let shares: Vec<Digest> = match item.entries.len().div_ceil(ENTRIES_AT_A_TIME) {
            0 => Vec::new(),
            1 => vec![share(0)],
            count => (0..count).into_par_iter().map(share).collect(),
        };
        shares.iter().for_each(|digest| frames.bytes(digest.as_bytes()));
    }
    frames.finish()
}

/// Returns for each entry the number of the first with the same inode, counted from 1, and 0 for that one itself; nothing
/// at all if no inode has two names here.
fn link_groups(entries: &Entries) -> Vec<u64> {
    let mut first: HashMap<LinkKey, u64> = HashMap::new();
    let mut groups = Vec::new();
    if !entries.has_links() {
        return groups;
    }
    for (number, entry) in entries.iter().enumerate() {
        let Some(link) = entry.link else { continue };
        match first.entry(link) {
            std::collections::hash_map::Entry::Occupied(found) => {
                groups.resize(entries.len(), 0);
                groups[number] = *found.get();
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(number as u64 + 1);
            }
        }
    }
    groups
}

/// Returns the digest of share `number` of the entries of `item`; `links` are those of all, as far as there are any.
fn digest_of_share(item: &Item, number: usize, links: &[u64], owner_set: bool) -> Digest {
    let mut frames = Frames::default();
    let first = number * ENTRIES_AT_A_TIME;
    let mut place = item.entries.place_of(first);
    for number in first..first + ENTRIES_AT_A_TIME {
        let Some(record) = item.entries.next(&mut place) else { break };
        let path = bytes_below(&place.path, &item.root).unwrap_or_default();
        frames.entry(path, &record, owner_set, links.get(number).copied().unwrap_or(0));
    }
    frames.finish()
}

/// Fields, each framed by its length, to be hashed together.
#[derive(Default)]
struct Frames(Vec<u8>);

impl Frames {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn finish(self) -> Digest {
        Digest::of(self.0)
    }

    fn entry(&mut self, path: &[u8], entry: &Record, owner_set: bool, link: u64) {
        self.bytes(path);
        self.metadata(&entry.metadata, owner_set);
        self.number(link);
        self.bytes(entry.digest.as_ref().map_or(&[], |digest| digest.as_bytes()));
    }

    fn metadata(&mut self, metadata: &Metadata, owner_set: bool) {
        let (tag, text, numbers): (u64, &[u8], (u32, u32)) = match &metadata.kind {
            Kind::File { .. } => (0, &[], (0, 0)),
            Kind::Directory => (1, &[], (0, 0)),
            Kind::Symlink { target } => (2, target, (0, 0)),
            Kind::Fifo => (3, &[], (0, 0)),
            Kind::CharDevice { major, minor } => (4, &[], (*major, *minor)),
            Kind::BlockDevice { major, minor } => (5, &[], (*major, *minor)),
        };
        self.number(tag);
        self.bytes(text);
        let owner = if owner_set { (0, 0) } else { (metadata.uid, metadata.gid) };
        for number in [numbers.0, numbers.1, metadata.mode, owner.0, owner.1] {
            self.number(number.into());
        }
        self.number(metadata.xattrs.len() as u64);
        for (name, value) in &metadata.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }
}
