//! [`CacheKey`]: a step's recipe as a digest; and the components it is made of.
//!
//! A key is the SHA-256 of a chain of named parts, each framed by its length, so that no byte can move from one part to
//! the next unseen:
//!
//! ```text
//! domain, then for each part: name length (u64, little endian), name, value length, value
//! ```
//!
//! The domain names the kind of key and its version: a change of what a key is made of must change it.

mod step;
#[cfg(test)]
mod tests;

pub use step::{RunInputs, base_key, copy_key, run_key, scratch_key, workdir_key};

use layerfs::digest::{Digest, Hasher};
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

/// Longest value that a component shows as it is, in bytes.
const SHOWN: usize = 1024;

/// Makes a key of named parts, in order.
#[derive(Debug)]
pub struct KeyBuilder {
    hasher: Hasher,
    components: Vec<Component>,
}

impl KeyBuilder {
    /// Returns a builder for keys of the kind and version that `domain` names.
    pub fn new(domain: &str) -> Self {
        let mut builder = Self { hasher: Hasher::default(), components: Vec::new() };
        builder.frame(domain.as_bytes());
        builder
    }

    /// Adds a part: its name and its value go into the key and are kept as a component.
    pub fn part(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.frame(name.as_bytes());
        self.frame(value);
        self.components.push(Component { name: name.to_owned(), value: shown(value) });
        self
    }

    /// Adds a list: the number of its items, then each item as a part `name 0`, `name 1` and so on.
    pub fn list<T: AsRef<[u8]>>(self, name: &str, items: impl ExactSizeIterator<Item = T>) -> Self {
        let builder = self.part(&format!("{name} count"), items.len().to_string());
        items.enumerate().fold(builder, |builder, (number, item)| builder.part(&format!("{name} {number}"), item))
    }

    /// Adds a list that most keys do not have: an empty one leaves no trace.
    pub fn list_if_any<T: AsRef<[u8]>>(self, name: &str, items: impl ExactSizeIterator<Item = T>) -> Self {
        if items.len() == 0 { self } else { self.list(name, items) }
    }

    /// Adds a part that may be absent: its presence goes into the key too.
    pub fn option(self, name: &str, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.part(name, value),
            None => self.part(&format!("no {name}"), ""),
        }
    }

    /// Returns the key and what it was made of.
    pub fn finish(self) -> (CacheKey, Vec<Component>) {
        (CacheKey(self.hasher.finish()), self.components)
    }

    fn frame(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

/// Returns a value as a component shows it: as text, or its digest if it is long or no text.
fn shown(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.len() <= SHOWN => text.to_owned(),
        _ => Digest::of(value).to_string(),
    }
}
