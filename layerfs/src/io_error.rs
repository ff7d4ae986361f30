//! [`IoError`]: an operating system error that knows what was being done, and to what.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What to do about a full disk or quota.
pub const CURE_OF_FULL_DISK: &str =
    "free some space, for instance with `lbuild prune`, or put the store elsewhere with `--root`";

/// An operating system error with the act and the path, as a value that can cross a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoError {
    /// What was being done: a verb, lower case (`open`, `write`).
    pub act: String,
    /// On what.
    pub path: PathBuf,
    /// The error number, where the operating system gave one.
    pub errno: Option<i32>,
    /// The text of the error, without its number.
    pub message: String,
}

impl IoError {
    /// Returns the error of `act` on `path`.
    pub fn new(act: impl Into<String>, path: impl AsRef<Path>, source: &io::Error) -> Self {
        let (path, message) = (path.as_ref().to_owned(), plain_text(source));
        Self { act: act.into(), path, errno: source.raw_os_error(), message }
    }

    /// Reports whether the file or directory was not there.
    pub fn is_not_found(&self) -> bool {
        self.errno == Some(libc::ENOENT)
    }

    /// Reports whether the disk or the quota was full.
    pub fn is_full(&self) -> bool {
        means_full(self.errno)
    }
}

/// Returns the text of an error without its number.
pub(crate) fn plain_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Reports whether an error number says that the disk or the quota was full.
pub(crate) fn means_full(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::ENOSPC | libc::EDQUOT))
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: {}", self.act, self.path.display(), self.message)
    }
}

impl std::error::Error for IoError {}

/// Gives a `Result` of the operating system its act and path.
pub trait IoContext<T> {
    /// Returns the value, or the error with what was being done and on what.
    ///
    /// # Errors
    /// The error that was there, as [`IoError`].
    fn at(self, act: &str, path: impl AsRef<Path>) -> Result<T, IoError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn at(self, act: &str, path: impl AsRef<Path>) -> Result<T, IoError> {
        self.map_err(|error| IoError::new(act, path, &error.into()))
    }
}
