//! [`Lease`]: what a running build reads and writes, so that gc lets it be; [`LeaseTable`] is all of them.
//!
//! ```text
//! leases/<random>     locked by flock(2) as long as its build lives; one line for each thing
//!   b sha256:…        a blob
//!   l d-…             a layer, its directory and index
//!   r sha256:…        a record
//! ```
//! The order that makes it safe: a build notes a thing *before* it looks whether it is there, and before it publishes
//! it. gc looks at the leases and takes away what nobody wants while no build can note anything ([`LeaseTable::still`]):
//! so either the build sees that a thing is gone, or gc sees that it is wanted. A build names its image before it lets
//! its lease go, so gc looks at the leases first and at the names then.

use crate::digest::Digest;
use crate::io_error::{IoContext, IoError};
use crate::layer::LayerKey;
use crate::sealed;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One thing of the store that a build holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Held {
    /// A blob.
    Blob(Digest),
    /// A layer: directory, index and diff ID.
    Layer(LayerKey),
    /// A record, by its key.
    Record(Digest),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Blob(digest) => write!(f, "b {digest}"),
            Held::Layer(key) => write!(f, "l {key}"),
            Held::Record(key) => write!(f, "r {key}"),
        }
    }
}

impl Held {
    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("b", text) => text.parse().ok().map(Held::Blob),
            ("l", text) => LayerKey::parse(text).map(Held::Layer),
            ("r", text) => text.parse().ok().map(Held::Record),
            _ => None,
        }
    }
}

/// What one running build holds. Dropped, it holds nothing.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    still: PathBuf,
    noted: Mutex<Noted>,
}

#[derive(Debug)]
struct Noted {
    file: File,
    things: HashSet<Held>,
}

impl Lease {
    /// Notes things, before they are looked for or published. Noting one again costs nothing.
    ///
    /// # Errors
    /// The operating system's.
    pub fn hold(&self, things: &[Held]) -> Result<(), IoError> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = String::new();
        for thing in things {
            if !noted.things.contains(thing) {
                lines.push_str(&format!("{thing}\n"));
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let still = open_lock(&self.still)?;
        still.lock_shared().at("lock", &self.still)?;
        noted.file.write_all(lines.as_bytes()).at("write", &self.path)?;
        noted.things.extend(things);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The lock goes with the file; a name that stays is stale, and gc removes it.
        fs::remove_file(&self.path).ok();
    }
}

/// The leases of a store.
#[derive(Debug, Clone)]
pub struct LeaseTable {
    directory: PathBuf,
    temporary: PathBuf,
    still: PathBuf,
}

/// What running builds hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The number of running builds.
    pub builds: usize,
    /// What any of them holds.
    pub held: BTreeSet<Held>,
}

impl LeaseTable {
    /// Returns the leases in `directory`, begun in `temporary`.
    pub fn new(directory: &Path, temporary: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            temporary: temporary.to_owned(),
            still: directory.with_extension("lock"),
        }
    }

    /// Begins a lease that holds nothing yet.
    ///
    /// # Errors
    /// The operating system's.
    pub fn begin(&self) -> Result<Lease, IoError> {
        let name = sealed::temporary_name();
        let (written, path) = (self.temporary.join(&name), self.directory.join(&name));
        let file = File::options().append(true).create_new(true).open(&written).at("create", &written)?;
        // Locked before it can be seen: an unlocked lease is a stale one.
        file.lock().at("lock", &written)?;
        fs::rename(&written, &path).at("rename", &path)?;
        Ok(Lease { path, still: self.still.clone(), noted: Mutex::new(Noted { file, things: HashSet::new() }) })
    }

    /// Keeps every build from noting anything as long as the returned file lives.
    ///
    /// # Errors
    /// The operating system's.
    pub fn still(&self) -> Result<File, IoError> {
        let still = open_lock(&self.still)?;
        still.lock().at("lock", &self.still)?;
        Ok(still)
    }

    /// Returns what running builds hold. Leases of builds that are gone are removed.
    ///
    /// # Errors
    /// The operating system's.
    pub fn live(&self) -> Result<Live, IoError> {
        let mut live = Live::default();
        for name in sealed::names(&self.directory)? {
            let path = self.directory.join(name);
            let file = match File::open(&path).at("open", &path) {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            match file.try_lock_shared() {
                Ok(()) => {
                    sealed::remove(&path)?;
                }
                Err(TryLockError::WouldBlock) => {
                    let text = fs::read_to_string(&path).unwrap_or_else(|_| {
                        // Its build ended just now.
                        String::new()
                    });
                    live.builds += 1;
                    live.held.extend(whole_lines(&text).filter_map(Held::parse));
                }
                Err(TryLockError::Error(error)) => return Err(IoError::new("lock", &path, &error)),
            }
        }
        Ok(live)
    }
}

fn open_lock(path: &Path) -> Result<File, IoError> {
    File::options().create(true).truncate(false).write(true).open(path).at("open", path)
}

/// Returns the lines that end: the last may be half-written.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::ExecutionId;

    fn table() -> (tempfile::TempDir, LeaseTable) {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("tmp")).expect("a directory");
        fs::create_dir(directory.path().join("leases")).expect("a directory");
        let table = LeaseTable::new(&directory.path().join("leases"), &directory.path().join("tmp"));
        (directory, table)
    }

    #[test]
    fn what_live_builds_hold_is_known_until_they_end() {
        let (_directory, table) = table();
        let things = [
            Held::Blob(Digest::of("b")),
            Held::Layer(LayerKey::Execution(ExecutionId([7; 16]))),
            Held::Record(Digest::of("r")),
        ];
        let (one, two) = (table.begin().expect("a lease"), table.begin().expect("a lease"));
        one.hold(&things[..2]).expect("noted");
        one.hold(&things[..2]).expect("noted");
        two.hold(&things[1..]).expect("noted");
        assert_eq!(fs::read_to_string(&one.path).expect("read").lines().count(), 2, "noted once");
        assert_eq!(table.live().expect("live"), Live { builds: 2, held: things.into() });
        drop(two);
        assert_eq!(table.live().expect("live"), Live { builds: 1, held: things[..2].iter().copied().collect() });
        drop(one);
        assert_eq!(table.live().expect("live"), Live::default());
    }

    #[test]
    fn a_stale_lease_is_removed() {
        let (directory, table) = table();
        fs::write(directory.path().join("leases/dead"), format!("{}\n", Held::Blob(Digest::of("b")))).expect("written");
        assert_eq!(table.live().expect("live"), Live::default());
        assert_eq!(sealed::names(&directory.path().join("leases")), Ok(Vec::new()));
    }

    #[test]
    fn a_half_written_line_is_not_read() {
        let line = format!("{}\n", Held::Blob(Digest::of("b")));
        for length in 0..line.len() {
            assert_eq!(whole_lines(&line[..length]).count(), 0);
        }
        assert_eq!(whole_lines(&line).filter_map(Held::parse).collect::<Vec<_>>(), [Held::Blob(Digest::of("b"))]);
    }
}
