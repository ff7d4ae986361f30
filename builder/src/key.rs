//! [`CacheKey`]: a step's recipe as a digest; and the components it is made of.

use layerfs::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A step's recipe as a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CacheKey(pub Digest);

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

/// What a key was made of, kept in the record so that a miss can be explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is: `instruction`, `environment A`, `file src/a.ts`, `parent`.
    pub name: String,
    /// Its value as text, or the digest of it where it is long.
    pub value: String,
}
