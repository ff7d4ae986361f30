//! [`Turns`]: what one of several processes does at a time, for any number of things and one file.

use crate::digest::Digest;
use crate::io_error::{IoContext, IoError};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a thing that another process is at is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Locks of things that have a digest: one byte each of a file, so that no file is left behind for a thing.
#[derive(Debug, Clone)]
pub struct Turns {
    path: PathBuf,
}

/// A thing that is this process's turn until this is dropped; a process that dies gives its turns back.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "the lock goes with the file")] File);

impl Turns {
    /// Returns the locks in the file at `path`.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Waits for the turn at `thing`; returns nothing once `give_up` says so.
    ///
    /// # Errors
    /// The operating system's.
    pub fn take(&self, thing: &Digest, give_up: &dyn Fn() -> bool) -> Result<Option<Held>, IoError> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&self.path);
        let file = file.at("open", &self.path)?;
        loop {
            if lock_byte(&file, thing).at("lock", &self.path)? {
                return Ok(Some(Held(file)));
            }
            if give_up() {
                return Ok(None);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Tries to lock the byte of a thing.
fn lock_byte(file: &File, thing: &Digest) -> nix::Result<bool> {
    let mut number = [0; 8];
    number.copy_from_slice(&thing.as_bytes()[..8]);
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: i64::from_le_bytes(number) & (i64::MAX >> 1),
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_one_holders_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let turns = Turns::new(&directory.path().join("lock"));
        let (one, two) = (Digest::of("1"), Digest::of("2"));
        let first = turns.take(&one, &|| true).expect("asked").expect("free");
        assert!(turns.take(&one, &|| true).expect("asked").is_none());
        assert!(turns.take(&two, &|| true).expect("asked").is_some(), "another thing is free");
        drop(first);
        assert!(turns.take(&one, &|| true).expect("asked").is_some());
    }
}
