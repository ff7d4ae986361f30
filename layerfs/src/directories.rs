//! [`LayerDirectories`]: layer directories by name, below `layers/<id map>/` of a store.

use crate::io_error::IoError;
use crate::layer::LayerKey;
use std::path::{Path, PathBuf};

/// Layer directories of one id map.
///
/// ```text
/// layers/<map>/a1b2c3/           a layer in overlay form; names of at most 6 characters
/// layers/<map>/names/<layer key> a link that says `a1b2c3`: making it is what publishes a layer
/// ```
#[derive(Debug, Clone)]
pub struct LayerDirectories {
    root: PathBuf,
}

impl LayerDirectories {
    /// Opens, and makes if needed, the directories of id map `map` below `layers`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(_layers: &Path, _map: &str) -> Result<Self, IoError> {
        todo!()
    }

    /// Returns the directory in which the names of [`Self::find`] are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the name of a layer's directory, if it is there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn find(&self, _key: &LayerKey) -> Result<Option<String>, IoError> {
        todo!()
    }

    /// Returns a new name that no directory has; nothing is made yet.
    pub fn fresh_name(&self) -> String {
        todo!()
    }

    /// Publishes the directory `name` as the layer `key`. If another process published one first, that one counts, its
    /// name is returned, and the caller deletes its own.
    ///
    /// # Errors
    /// The operating system's.
    pub fn publish(&self, _name: &str, _key: &LayerKey) -> Result<String, IoError> {
        todo!()
    }

    /// Takes back a layer: its name is gone at once; returns the directory, for the caller to delete.
    ///
    /// # Errors
    /// The operating system's.
    pub fn withdraw(&self, _key: &LayerKey) -> Result<Option<PathBuf>, IoError> {
        todo!()
    }

    /// Returns every published layer with its directory's name.
    ///
    /// # Errors
    /// The operating system's.
    pub fn list(&self) -> Result<Vec<(LayerKey, String)>, IoError> {
        todo!()
    }
}
