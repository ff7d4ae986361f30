//! [`Growth`]: how much git wrote, looked at while it writes.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// A look may take one part in so many of the time: a large checkout takes long to look through.
const SHARE: u32 = 10;
/// What an entry takes beside its bytes: a million empty files are no small repository.
const ENTRY: u64 = 512;

/// How much git wrote into a directory, looked at while it writes.
#[derive(Debug)]
pub(super) struct Growth<'a> {
    directory: Option<&'a Path>,
    next: Instant,
    last: u64,
}

impl<'a> Growth<'a> {
    /// Returns what is known of a directory before git begins.
    pub(super) fn of(directory: Option<&'a Path>) -> Self {
        Self { directory, next: Instant::now() + PAUSE, last: 0 }
    }

    /// Returns how many bytes the directory takes, as far as was seen, and how many `texts` have. It is looked through if
    /// the last time is long ago, or if git is `done`.
    ///
    /// # Errors
    /// The operating system's about `texts`.
    pub(super) fn measured(&mut self, done: bool, texts: [&File; 2]) -> io::Result<u64> {
        let said: u64 = texts.iter().map(|file| Ok(file.metadata()?.len())).sum::<io::Result<_>>()?;
        let begun = Instant::now();
        if let Some(directory) = self.directory.filter(|_| done || begun >= self.next) {
            self.last = size_of(directory);
            self.next = Instant::now() + PAUSE.max(begun.elapsed() * SHARE);
        }
        Ok(self.last.saturating_add(said))
    }
}

/// Returns how many bytes a directory takes with all below it. What is gone meanwhile, or cannot be read, takes none.
fn size_of(directory: &Path) -> u64 {
    let mut left = vec![directory.to_owned()];
    let mut sum = 0_u64;
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                left.push(entry.path());
            }
            // A file without holes takes blocks as soon as it is written, one with holes what it has.
            sum = sum.saturating_add((metadata.blocks() * 512).max(metadata.len()) + ENTRY);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_measured_with_all_below_it_and_with_what_was_said() {
        let directory = tempfile::tempdir().expect("a directory");
        let (said, silent) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        said.set_len(7).expect("a size");
        let mut growth = Growth::of(Some(directory.path()));
        assert_eq!(growth.measured(true, [&said, &silent]).expect("measured"), 7);
        std::fs::create_dir_all(directory.path().join("a/b")).expect("directories");
        std::fs::write(directory.path().join("a/b/f"), vec![1; 100_000]).expect("a file");
        std::os::unix::fs::symlink("..", directory.path().join("a/up")).expect("a link");
        let all = growth.measured(true, [&said, &silent]).expect("measured");
        assert!((100_007 + 4 * ENTRY..200_000).contains(&all), "{all}");
        let mut unmeasured = Growth::of(Some(directory.path()));
        assert_eq!(unmeasured.measured(false, [&said, &silent]).expect("not yet"), 7);
        assert_eq!(Growth::of(None).measured(true, [&said, &silent]).expect("measured"), 7);
    }

    #[test]
    fn empty_files_take_something() {
        let directory = tempfile::tempdir().expect("a directory");
        for number in 0..100 {
            File::create(directory.path().join(number.to_string())).expect("a file");
        }
        assert!(size_of(directory.path()) >= 100 * ENTRY);
    }
}
