//! [`Memo`]: digests of files that were read before.
//!
//! A digest is believed for the same (device, inode, size, mtime, ctime, mode, owner) only, and noted only if both times
//! are older than the memo's writing by two seconds: a file written within the clock's grain could change again unseen.
//!
//! ```text
//! magic (8) | SHA-256 of the rest (32) | entries, sorted: identity (16) digest (32)
//! ```
//! The entries are searched as they lie: loading is one read and one hash.

use super::tree::Stamp;
use layerfs::digest::Digest;
use layerfs::meta::Timestamp;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Starts every memo; the digit is the version.
const MAGIC: &[u8; 8] = b"lbmemo1\n";
const HEADER: usize = 40;
const IDENTITY: usize = 16;
const ENTRY: usize = 48;
/// A file must be this old, in seconds, before its digest is noted.
const SETTLED: i64 = 2;

/// Where memos are kept; one for each context.
pub trait MemoStore {
    /// Returns the memo called `name`, if it can be read.
    fn load(&self, name: &str) -> Option<Vec<u8>>;

    /// Replaces the memo called `name`.
    ///
    /// # Errors
    /// The operating system's.
    fn save(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
}

/// One note: identity, then digest.
type Note = [u8; ENTRY];

/// Digests of files by their stamps.
#[derive(Default)]
pub struct Memo {
    /// The file as it was loaded, checked; empty if there was none.
    old: Vec<u8>,
    /// How many notes of it were used.
    hits: AtomicUsize,
    /// What was learned, each with the later of the file's times.
    new: Mutex<Vec<(Note, Timestamp)>>,
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("entries", &self.notes().len()).finish_non_exhaustive()
    }
}

impl Memo {
    /// Loads the memo called `name`; one that is missing, damaged or of another version is empty.
    pub fn load(store: &dyn MemoStore, name: &str) -> Self {
        Self { old: store.load(name).filter(|bytes| is_sound(bytes)).unwrap_or_default(), ..Self::default() }
    }

    /// Returns the digest noted for a stamp.
    pub fn get(&self, stamp: &Stamp) -> Option<Digest> {
        let notes = self.notes();
        let at = notes.binary_search_by(|note| note[..IDENTITY].cmp(&stamp.identity)).ok()?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        let mut digest = [0; 32];
        digest.copy_from_slice(&notes[at][IDENTITY..]);
        Some(Digest::from_bytes(digest))
    }

    /// Notes a digest that [`Memo::get`] did not know, to be kept by the next [`Memo::save`].
    pub fn put(&self, stamp: &Stamp, digest: Digest) {
        let mut note = [0; ENTRY];
        note[..IDENTITY].copy_from_slice(&stamp.identity);
        note[IDENTITY..].copy_from_slice(digest.as_bytes());
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push((note, stamp.newest));
    }

    /// Saves what was noted and what was known before. `now` is the time at which the first file was looked at, so that
    /// what changed since does not count as settled. Nothing is written if nothing is new.
    ///
    /// # Errors
    /// The operating system's.
    pub fn save(&self, store: &dyn MemoStore, name: &str, now: Timestamp) -> io::Result<()> {
        let limit = Timestamp { seconds: now.seconds - SETTLED, ..now };
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        let mut notes: Vec<Note> = new.iter().filter(|(_, newest)| *newest < limit).map(|(note, _)| *note).collect();
        if notes.is_empty() {
            return Ok(());
        }
        // Old notes stay while they are not many more than what this build used: other builds use them.
        let used = self.hits.load(Ordering::Relaxed) + new.len();
        if self.notes().len() <= used * 4 + 10_000 {
            notes.extend_from_slice(self.notes());
        }
        // What was learned is in the notes now; a large context's is large.
        drop(new);
        notes.sort_unstable();
        notes.dedup_by(|later, first| later[..IDENTITY] == first[..IDENTITY]);
        store.save(name, &encode(notes))
    }

    fn notes(&self) -> &[Note] {
        self.old.get(HEADER..).unwrap_or_default().as_chunks::<ENTRY>().0
    }
}

fn encode(notes: Vec<Note>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + notes.len() * ENTRY);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(Digest::of(notes.as_flattened()).as_bytes());
    bytes.extend_from_slice(notes.as_flattened());
    bytes
}

/// Reports whether a memo is whole and of this version.
fn is_sound(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && (bytes.len() - HEADER).is_multiple_of(ENTRY)
        && bytes.starts_with(MAGIC)
        && bytes[MAGIC.len()..HEADER] == *Digest::of(&bytes[HEADER..]).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[derive(Default)]
    struct Kept(RefCell<Option<Vec<u8>>>);

    impl MemoStore for Kept {
        fn load(&self, _name: &str) -> Option<Vec<u8>> {
            self.0.borrow().clone()
        }

        fn save(&self, _name: &str, bytes: &[u8]) -> io::Result<()> {
            self.0.replace(Some(bytes.to_vec()));
            Ok(())
        }
    }

    fn stamp(number: u8, newest: i64) -> Stamp {
        Stamp { identity: [number; 16], newest: Timestamp::from_seconds(newest) }
    }

    #[test]
    fn row_5_9_only_settled_files_are_remembered() {
        let store = Kept::default();
        let memo = Memo::load(&store, "m");
        for (number, newest) in [(3, 97), (1, 98), (2, 99), (4, 101)] {
            memo.put(&stamp(number, newest), Digest::of([number]));
        }
        memo.save(&store, "m", Timestamp::from_seconds(100)).unwrap();
        let memo = Memo::load(&store, "m");
        let known: Vec<_> = (1..=4).map(|number| memo.get(&stamp(number, 0))).collect();
        assert_eq!(known, [None, None, Some(Digest::of([3])), None]);
    }

    #[test]
    fn a_damaged_memo_is_empty() {
        let store = Kept::default();
        let memo = Memo::default();
        memo.put(&stamp(1, 0), Digest::of("a"));
        memo.save(&store, "m", Timestamp::from_seconds(100)).unwrap();
        let whole = store.load("m").unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(!is_sound(&bytes), "byte {at}");
        }
        assert!(is_sound(&whole) && !is_sound(&whole[..whole.len() - 1]));
    }
}
