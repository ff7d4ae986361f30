//! [`ImageRef`]: the name of an image, normalised as Docker does.

use crate::digest::Digest;
use std::fmt;
use std::str::FromStr;

/// The name of an image: host, repository, and a tag, a digest or both. `fedora` is `docker.io/library/fedora:latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRef {
    /// Registry host with its port, as `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub host: String,
    /// Repository, as `library/fedora`.
    pub repository: String,
    /// Tag; `latest` where neither tag nor digest was given.
    pub tag: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<Digest>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image name: {why}")]
pub struct ReferenceError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl ImageRef {
    /// Returns the short form that Docker shows: without `docker.io/library/`, tag always there.
    pub fn familiar(&self) -> String {
        todo!()
    }
}

impl FromStr for ImageRef {
    type Err = ReferenceError;

    fn from_str(_text: &str) -> Result<Self, ReferenceError> {
        todo!()
    }
}

impl fmt::Display for ImageRef {
    /// Prints the full name, as `docker.io/library/fedora:latest`.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
