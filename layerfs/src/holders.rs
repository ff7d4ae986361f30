//! [`Holders`]: which repositories of registries hold a blob, as pulls and pushes found out.
//!
//! ```text
//! cache/holders/<64 digits>   a line for each repository, `host repository`, the last one first; self-verifying
//! ```
//! It is a hint: a blob is mounted from such a repository if it is still there, else sent.

use crate::digest::Digest;
use crate::io_error::IoError;
use crate::reference::ImageRef;
use crate::sealed;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Repositories that are remembered of one blob.
const MOST: usize = 16;

/// Which repositories of registries hold a blob.
#[derive(Debug, Clone)]
pub struct Holders {
    directory: PathBuf,
    temporary: PathBuf,
}

impl Holders {
    /// Returns what is remembered in `directory`, written by way of `temporary`.
    pub fn new(directory: &Path, temporary: &Path) -> Self {
        Self { directory: directory.to_owned(), temporary: temporary.to_owned() }
    }

    /// Remembers that the repository of `name` holds `blob`. Costs one read if that is known.
    ///
    /// # Errors
    /// The operating system's.
    pub fn note(&self, blob: &Digest, name: &ImageRef) -> Result<(), IoError> {
        let mut lines = self.lines(blob)?;
        let line = format!("{} {}", name.host, name.repository);
        if lines.first() == Some(&line) {
            return Ok(());
        }
        lines.retain(|known| *known != line);
        lines.insert(0, line);
        lines.truncate(MOST);
        sealed::write(&self.path(blob), &self.temporary, lines.join("\n").as_bytes())
    }

    /// Returns the repositories of `host` that hold `blob`, the one that was heard of last first.
    ///
    /// # Errors
    /// The operating system's.
    pub fn repositories(&self, blob: &Digest, host: &str) -> Result<Vec<String>, IoError> {
        let lines = self.lines(blob)?;
        let held = lines.iter().filter_map(|line| line.split_once(' ')).filter(|(known, _)| *known == host);
        Ok(held.map(|(_, repository)| repository.to_owned()).collect())
    }

    /// Reports whether any registry holds `blob`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn knows(&self, blob: &Digest) -> Result<bool, IoError> {
        Ok(!self.lines(blob)?.is_empty())
    }

    /// Forgets what was written down longer than `age` ago.
    ///
    /// # Errors
    /// The operating system's.
    pub fn forget(&self, age: Duration) -> Result<(), IoError> {
        let now = SystemTime::now();
        for name in sealed::names(&self.directory)? {
            let path = self.directory.join(name);
            let written = fs::metadata(&path).and_then(|metadata| metadata.modified());
            // A time in the future counts as now; no time as long ago.
            if now.duration_since(written.unwrap_or(SystemTime::UNIX_EPOCH)).unwrap_or_default() >= age {
                sealed::remove(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, blob: &Digest) -> PathBuf {
        self.directory.join(blob.hex())
    }

    fn lines(&self, blob: &Digest) -> Result<Vec<String>, IoError> {
        let text = sealed::read(&self.path(blob))?.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_the_first_and_no_more_than_sixteen_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let holders = Holders::new(&directory.path().join("holders"), directory.path());
        let (blob, other) = (Digest::of("blob"), Digest::of("other"));
        let note = |text: &str| holders.note(&blob, &text.parse().expect("a name")).expect("noted");
        assert_eq!(holders.repositories(&blob, "r.example").expect("read"), Vec::<String>::new());
        assert!(!holders.knows(&blob).expect("read"));
        for name in ["r.example/a:1", "r.example/b", "q.example/c", "r.example/a:2"] {
            note(name);
        }
        assert_eq!(holders.repositories(&blob, "r.example").expect("read"), ["a", "b"]);
        assert_eq!(holders.repositories(&blob, "q.example").expect("read"), ["c"]);
        assert_eq!(holders.repositories(&other, "r.example").expect("read"), Vec::<String>::new());
        (0..20).for_each(|number| note(&format!("s.example/x{number}")));
        assert_eq!(holders.repositories(&blob, "s.example").expect("read").len(), MOST);
        assert_eq!(holders.repositories(&blob, "r.example").expect("read"), Vec::<String>::new());
    }

    #[test]
    fn what_is_old_or_damaged_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let holders = Holders::new(&directory.path().join("holders"), directory.path());
        let blob = Digest::of("blob");
        holders.note(&blob, &"r.example/a".parse().expect("a name")).expect("noted");
        holders.forget(Duration::from_secs(60)).expect("forgotten");
        assert!(holders.knows(&blob).expect("read"));
        holders.forget(Duration::ZERO).expect("forgotten");
        assert!(!holders.knows(&blob).expect("read"));
        holders.note(&blob, &"r.example/a".parse().expect("a name")).expect("noted");
        fs::write(directory.path().join("holders").join(blob.hex()), "r.example a").expect("written");
        assert!(!holders.knows(&blob).expect("read"));
    }
}
