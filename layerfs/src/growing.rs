//! [`Growing`]: reads a file while it is being written, by this process or another. (A blob on its way from a registry, whose
//! size is known and whose last byte is withheld until it is known to be right, has its own
//! [`Follower`](crate::download::Follower).)

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a reader who has read all waits for more. Another process may be writing, which tells nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Reads a file to which others append: its end is where they say that it is.
#[derive(Debug)]
pub struct Growing<T> {
    file: File,
    at: u64,
    growth: Arc<Growth<T>>,
}

/// Says that a file has grown enough; dropped without a word, it fails the reader.
#[derive(Debug)]
pub struct Writing<T>(Arc<Growth<T>>);

#[derive(Debug)]
struct Growth<T> {
    end: Mutex<End<T>>,
    ended: Condvar,
}

/// How a file's growth ended.
#[derive(Debug, Clone, Copy)]
enum End<T> {
    NotYet,
    Whole(T),
    Broken,
}

impl<T: Copy> Growing<T> {
    /// Returns a reader of `file` from its first byte, wherever its cursor is, and what tells it of the end.
    pub fn new(file: File) -> (Self, Writing<T>) {
        let growth = Arc::new(Growth { end: Mutex::new(End::NotYet), ended: Condvar::new() });
        (Self { file, at: 0, growth: Arc::clone(&growth) }, Writing(growth))
    }

    /// Returns what the writer said at the end, if all has been read.
    pub fn outcome(&self) -> Option<T> {
        match self.growth.now() {
            End::Whole(said) => Some(said),
            End::NotYet | End::Broken => None,
        }
    }

    /// Reads what there is; what is there once the writer has ended is all.
    fn read_there(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<T: Copy> Growth<T> {
    fn now(&self) -> End<T> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, end: End<T>) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        self.ended.notify_all();
    }

    /// Waits for the end, but not for long.
    fn wait(&self) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*end, End::NotYet) {
            drop(self.ended.wait_timeout(end, LOOK_AGAIN));
        }
    }
}

impl<T: Copy> Writing<T> {
    /// Says that all is written, and something to whoever reads.
    pub fn ended(self, word: T) {
        self.0.set(End::Whole(word));
    }
}

impl<T> Drop for Writing<T> {
    fn drop(&mut self) {
        let mut end = self.0.end.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*end, End::NotYet) {
            *end = End::Broken;
            self.0.ended.notify_all();
        }
    }
}

impl<T: Copy> Read for Growing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Before the look at the file: what was written before the end is there then.
            let end = self.growth.now();
            match (self.read_there(buffer)?, end) {
                (0, End::NotYet) if !buffer.is_empty() => self.growth.wait(),
                (0, End::Broken) => return Err(io::Error::other("whoever wrote it gave up")),
                (count, _) => return Ok(count),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn all_is_read_that_is_written_before_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        let (mut growing, writing) = Growing::new(file.try_clone().unwrap());
        let pieces: Vec<Vec<u8>> = (0..100_usize).map(|number| vec![number.to_le_bytes()[0]; number * 37]).collect();
        let read = std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut read = Vec::new();
                growing.read_to_end(&mut read).map(|_| (read, growing.outcome()))
            });
            for piece in &pieces {
                file.write_all(piece).unwrap();
                std::thread::yield_now();
            }
            writing.ended(7);
            reading.join().unwrap()
        });
        assert_eq!(read.unwrap(), (pieces.concat(), Some(7)));
    }

    #[test]
    fn a_writer_that_gives_up_fails_the_reader() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"half").unwrap();
        let (mut growing, writing) = Growing::<()>::new(file);
        drop(writing);
        let mut read = Vec::new();
        assert!(growing.read_to_end(&mut read).is_err());
        assert_eq!((read.as_slice(), growing.outcome()), (&b"half"[..], None));
    }
}
