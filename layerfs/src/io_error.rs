//! [`IoError`]: an operating system error that knows what was being done, and to what.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

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
        let text = source.to_string();
        let message = text.split(" (os error").next().unwrap_or(&text).to_owned();
        Self { act: act.into(), path: path.as_ref().to_owned(), errno: source.raw_os_error(), message }
    }

    /// Reports whether the file or directory was not there.
    pub fn is_not_found(&self) -> bool {
        self.errno == Some(libc::ENOENT)
    }

    /// Reports whether the disk or the quota was full.
    pub fn is_full(&self) -> bool {
        matches!(self.errno, Some(libc::ENOSPC | libc::EDQUOT))
    }
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
