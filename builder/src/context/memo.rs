//! [`Memo`]: digests of files that were read before, and which files have no xattrs.
//!
//! What is noted is believed for the same [`Stamp`] only. An xattr that is set changes ctime, too, so that a file that had
//! none, and has the same stamp, has none.
//!
//! ```text
//! magic (8) | notes, sorted: identity and the flag (16) digest (32)
//! ```
//! The notes are searched as they lie; whoever keeps them returns them whole or not at all.

use super::tree::Stamp;
use layerfs::digest::Digest;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Starts every memo; the digit is the version.
const MAGIC: &[u8; 8] = b"lbmemo2\n";
const IDENTITY: usize = 16;
const NOTE: usize = 48;
/// The bit of a note's identity that says that the file has no xattrs.
const BARE: u8 = 1;

/// Where memos are kept; one for each context.
pub trait MemoStore {
    /// Returns the memo called `name` as it was saved, if it can be read whole.
    fn load(&self, name: &str) -> Option<Vec<u8>>;

    /// Replaces the memo called `name` by what `write` writes.
    ///
    /// # Errors
    /// The operating system's.
    fn save(&self, name: &str, write: &WriteMemo<'_>) -> io::Result<()>;
}

/// Writes a memo.
pub type WriteMemo<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

/// One note: identity, its last bit the flag, then digest.
type Note = [u8; NOTE];

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Whether it has no xattrs that an image keeps.
    pub bare: bool,
}

/// What is known of files, by their stamps.
#[derive(Default)]
pub struct Memo {
    /// The file as it was loaded, checked; empty if there was none.
    old: Vec<u8>,
    /// How many notes of it were used.
    hits: AtomicUsize,
    /// What was learned.
    new: Mutex<Vec<Note>>,
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

    /// Returns what is noted for a stamp.
    pub fn get(&self, stamp: &Stamp) -> Option<Known> {
        let note = find(self.notes(), &wanted(stamp))?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        let mut digest = [0; 32];
        digest.copy_from_slice(&note[IDENTITY..]);
        Some(Known { digest: Digest::from_bytes(digest), bare: note[IDENTITY - 1] & BARE != 0 })
    }

    /// Notes what [`Memo::get`] did not know, to be kept by the next [`Memo::save`].
    pub fn put(&self, stamp: &Stamp, known: Known) {
        let mut note = [0; NOTE];
        note[..IDENTITY].copy_from_slice(&wanted(stamp));
        note[IDENTITY - 1] |= u8::from(known.bare) * BARE;
        note[IDENTITY..].copy_from_slice(known.digest.as_bytes());
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// Saves what was noted and what was known before. Nothing is written if nothing is new.
    ///
    /// # Errors
    /// The operating system's.
    pub fn save(&self, store: &dyn MemoStore, name: &str) -> io::Result<()> {
        let mut new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        if new.is_empty() {
            return Ok(());
        }
        new.sort_unstable();
        new.dedup_by(|later, first| identity(later) == identity(first));
        // Old notes stay while they are not many more than what this build used: other builds use them.
        let used = self.hits.load(Ordering::Relaxed) + new.len();
        let old = if self.notes().len() <= used * 4 + 10_000 { self.notes() } else { &[] };
        store.save(name, &|out| {
            out.write_all(MAGIC)?;
            merged(&new, old).try_for_each(|note| out.write_all(note))
        })
    }

    fn notes(&self) -> &[Note] {
        self.old.get(MAGIC.len()..).unwrap_or_default().as_chunks::<NOTE>().0
    }
}

/// Returns the notes of both in order; what is in both is taken from `new`.
fn merged<'a>(new: &'a [Note], old: &'a [Note]) -> impl Iterator<Item = &'a Note> {
    let (mut new, mut old) = (new.iter().peekable(), old.iter().peekable());
    std::iter::from_fn(move || {
        let (Some(next), Some(kept)) = (new.peek(), old.peek()) else { return new.next().or_else(|| old.next()) };
        match identity(next).cmp(&identity(kept)) {
            std::cmp::Ordering::Greater => return old.next(),
            std::cmp::Ordering::Equal => drop(old.next()),
            std::cmp::Ordering::Less => {}
        }
        new.next()
    })
}

/// Returns a stamp's identity with the flag's bit cleared.
fn wanted(stamp: &Stamp) -> [u8; IDENTITY] {
    let mut identity = stamp.0;
    identity[IDENTITY - 1] &= !BARE;
    identity
}

fn identity(note: &Note) -> [u8; IDENTITY] {
    let mut identity = [0; IDENTITY];
    identity.copy_from_slice(&note[..IDENTITY]);
    identity[IDENTITY - 1] &= !BARE;
    identity
}

/// Returns the note with an identity. Identities are digests, spread evenly, so the search begins where it should be.
fn find<'a>(notes: &'a [Note], wanted: &[u8; IDENTITY]) -> Option<&'a Note> {
    let mut first = [0; 8];
    first.copy_from_slice(&wanted[..8]);
    let guess = (u128::from(u64::from_be_bytes(first)) * notes.len() as u128) >> 64;
    let (mut low, mut high) = around(notes, usize::try_from(guess).unwrap_or(0), wanted);
    while low < high {
        let middle = low + (high - low) / 2;
        match identity(&notes[middle]).cmp(wanted) {
            std::cmp::Ordering::Equal => return Some(&notes[middle]),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

/// Returns a range of `notes` outside which `wanted` is not: from `guess` in steps that double.
fn around(notes: &[Note], guess: usize, wanted: &[u8; IDENTITY]) -> (usize, usize) {
    let (mut low, mut high, mut step) = (guess, guess, 8);
    while low > 0 && identity(&notes[low.min(notes.len() - 1)]) > *wanted {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 8;
    while high < notes.len() && identity(&notes[high]) <= *wanted {
        high = (high + step).min(notes.len());
        step *= 2;
    }
    (low, high)
}

/// Reports whether a memo is of this version.
fn is_sound(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) && (bytes.len() - MAGIC.len()).is_multiple_of(NOTE)
}

#[cfg(test)]
pub(super) mod testing {
    use super::{MemoStore, WriteMemo};
    use std::cell::RefCell;
    use std::io;

    /// A memo in memory.
    #[derive(Default)]
    pub(in crate::context) struct Kept(RefCell<Option<Vec<u8>>>);

    impl MemoStore for Kept {
        fn load(&self, _name: &str) -> Option<Vec<u8>> {
            self.0.borrow().clone()
        }

        fn save(&self, _name: &str, write: &WriteMemo<'_>) -> io::Result<()> {
            let mut bytes = Vec::new();
            write(&mut bytes)?;
            self.0.replace(Some(bytes));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Kept;
    use super::*;

    fn known(bytes: impl AsRef<[u8]>, bare: bool) -> Known {
        Known { digest: Digest::of(bytes), bare }
    }

    #[test]
    fn every_note_is_found_with_its_flag_and_nothing_else_is() {
        for count in [0_u32, 1, 2, 7, 1000] {
            let store = Kept::default();
            let of = |number: u32| Stamp(Digest::of(number.to_le_bytes()).as_bytes()[..16].try_into().unwrap());
            let memo = Memo::default();
            for number in 0..count {
                memo.put(&of(number), known(number.to_string(), number % 3 == 0));
            }
            memo.save(&store, "m").unwrap();
            let memo = Memo::load(&store, "m");
            for number in 0..count {
                assert_eq!(
                    memo.get(&of(number)),
                    Some(known(number.to_string(), number % 3 == 0)),
                    "{number} of {count}"
                );
            }
            assert_eq!((count..count + 1000).find_map(|number| memo.get(&of(number))), None, "of {count}");
        }
    }

    #[test]
    fn what_is_noted_again_is_kept_once_and_the_rest_stays() {
        let store = Kept::default();
        let of = |number: u8| Stamp([number; 16]);
        for (numbers, text) in [(vec![8, 2, 6], "old"), (vec![10, 6, 0, 6], "new")] {
            let memo = Memo::load(&store, "m");
            numbers.iter().for_each(|number| memo.put(&of(*number), known(text, true)));
            memo.save(&store, "m").unwrap();
        }
        let memo = Memo::load(&store, "m");
        let wanted = [(0, "new"), (2, "old"), (6, "new"), (8, "old"), (10, "new")];
        assert_eq!(wanted.map(|(number, _)| memo.get(&of(number))), wanted.map(|(_, text)| Some(known(text, true))));
        assert_eq!(memo.notes().len(), wanted.len());
    }

    #[test]
    fn notes_that_crowd_at_the_ends_are_found() {
        let (store, memo) = (Kept::default(), Memo::default());
        let of = |number: u8| {
            let mut identity = [if number < 100 { 0 } else { 255 }; 16];
            identity[8] = number;
            Stamp(identity)
        };
        (0..200).for_each(|number| memo.put(&of(number), known([number], false)));
        memo.save(&store, "m").unwrap();
        let memo = Memo::load(&store, "m");
        (0..200).for_each(|number| assert_eq!(memo.get(&of(number)), Some(known([number], false)), "{number}"));
        assert_eq!((200..=255).find_map(|number| memo.get(&of(number))), None);
    }

    #[test]
    fn a_memo_of_another_version_or_length_is_empty() {
        let (store, memo) = (Kept::default(), Memo::default());
        memo.put(&Stamp([2; 16]), known("a", true));
        memo.save(&store, "m").unwrap();
        let whole = store.load("m").unwrap();
        for at in 0..MAGIC.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(!is_sound(&bytes), "byte {at}");
        }
        assert!(is_sound(&whole) && !is_sound(&whole[..whole.len() - 1]) && !is_sound(b""));
    }
}
