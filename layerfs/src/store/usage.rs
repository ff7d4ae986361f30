//! [`Store::found`]: all that takes room in a store, by kind.

use super::Store;
use crate::blobs::BlobStore;
use crate::error::StoreError;
use crate::io_error::IoError;
use crate::layer::LayerKey;
use crate::sealed;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What something in a store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Blobs of images that have a name.
    Images,
    /// Layers of the build cache: their directories, indexes and tars.
    Layers,
    /// What steps ended with.
    Records,
    /// Directories of `RUN --mount=type=cache`.
    Caches,
    /// Compressed forms of layers.
    Derivatives,
    /// Files that are being made, or that killed builds left.
    Leftovers,
}

/// Something that takes room in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is for.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes on disk; nothing for a directory whose files may belong to other ids.
    pub bytes: Option<u64>,
    /// When it was last used, as far as its times say.
    pub used: SystemTime,
    /// Whether an image with a name needs it.
    pub needed: bool,
    /// The layer that it is of, if it is of one.
    pub layer: Option<LayerKey>,
}

impl Store {
    /// Returns all that takes room, but for what is a few kilobytes in any store. Builds may run beside it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn found(&self) -> Result<Vec<Found>, StoreError> {
        let (mut reach, _) = self.reach_of_images()?;
        self.follow_built(&mut reach)?;
        let mut found = Vec::new();
        for digest in self.blobs.list()? {
            let needed = reach.blobs.contains(&digest);
            let kind = if needed { Kind::Images } else { Kind::Layers };
            found.extend(Found::file(kind, self.blobs.path(&digest), needed, None));
        }
        for directories in self.all_directories()? {
            for (key, name) in directories.list()? {
                let path = directories.root().join(name);
                found.extend(Found::directory(Kind::Layers, path, reach.layers.contains(&key), Some(key)));
            }
        }
        for key in self.indexes.list()? {
            let needed = reach.layers.contains(&key) || reach.indexes.contains(&key);
            found.extend(Found::file(Kind::Layers, self.indexes.path(&key), needed, Some(key)));
        }
        for name in sealed::names(&self.derived())? {
            found.extend(Found::file(Kind::Derivatives, self.derived().join(name), false, None));
        }
        self.records(&self.cache(), &mut found)?;
        self.caches(&mut found)?;
        for path in self.leftovers()? {
            let found_here = if path.is_dir() { Found::directory } else { Found::file };
            found.extend(found_here(Kind::Leftovers, path, false, None));
        }
        Ok(found)
    }

    /// Adds every file below `directory`.
    fn records(&self, directory: &Path, found: &mut Vec<Found>) -> Result<(), IoError> {
        for name in sealed::names(directory)? {
            let path = directory.join(name);
            if path.is_dir() {
                self.records(&path, found)?;
            }
            // A directory takes room itself.
            found.extend(Found::file(Kind::Records, path, false, None));
        }
        Ok(())
    }

    /// Adds the directories of cache mounts: `mounts/<id map>/<id>`.
    fn caches(&self, found: &mut Vec<Found>) -> Result<(), IoError> {
        let mounts = self.mounts();
        for map in sealed::names(&mounts)? {
            let map = mounts.join(map);
            for name in sealed::names(&map)? {
                let path = map.join(name);
                let locks = sealed::names(&path)?.into_iter().filter(|name| name.ends_with(".lock"));
                let used =
                    locks.filter_map(|lock| fs::metadata(path.join(lock)).and_then(|lock| lock.modified()).ok()).max();
                let entry = Found::directory(Kind::Caches, path, false, None);
                found.extend(entry.map(|entry| Found { used: used.unwrap_or(entry.used), ..entry }));
            }
        }
        Ok(())
    }
}

impl Found {
    /// Returns a file, unless it is gone.
    fn file(kind: Kind, path: PathBuf, needed: bool, layer: Option<LayerKey>) -> Option<Self> {
        let metadata = fs::symlink_metadata(&path).ok()?;
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Some(Self { kind, path, bytes: Some(metadata.blocks() * 512), used, needed, layer })
    }

    /// Returns a directory, unless it is gone; only who may read it can measure it.
    fn directory(kind: Kind, path: PathBuf, needed: bool, layer: Option<LayerKey>) -> Option<Self> {
        let found = Self::file(kind, path, needed, layer)?;
        Some(Self { bytes: None, ..found })
    }
}
