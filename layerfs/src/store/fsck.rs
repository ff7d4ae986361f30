//! Checks a store: every byte that has a digest, and every name that leads somewhere.

use super::Store;
use super::gc::Remover;
use crate::blobs::BlobStore;
use crate::error::StoreError;
use crate::layer::LayerKey;
use crate::sealed;
use std::path::Path;

/// What fsck looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Names of images.
    pub names: u64,
    /// Layer directories.
    pub layers: u64,
    /// Self-verifying files: indexes, diff IDs, records, memos.
    pub sealed: u64,
}

/// What fsck found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// What is wrong, one line each; empty for a clean store.
    pub problems: Vec<String>,
    /// Files and directories that killed builds left; no problem, and deleted by a repair or gc.
    pub leftovers: Vec<String>,
    /// What was looked at.
    pub counted: Counts,
}

impl Store {
    /// Checks everything; `check_layer` compares a layer's directory with its index and returns what differs. With
    /// `repair`, damaged blobs, records, indexes and layers are removed (they are made or fetched again when wanted),
    /// and leftovers are deleted through it.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read at all.
    pub fn fsck(
        &self,
        check_layer: &mut dyn FnMut(&LayerKey) -> Vec<String>,
        repair: Option<&mut Remover<'_>>,
    ) -> Result<FsckReport, StoreError> {
        let _turn = self.collection_lock()?;
        let mut report = FsckReport::default();
        let repairing = repair.is_some();
        self.check_blobs(repairing, &mut report)?;
        self.check_images(&mut report)?;
        for directory in ["cache", "index", "sparse"] {
            self.check_sealed(&self.root.join(directory), repairing, &mut report)?;
        }
        self.check_layers(check_layer, repairing, &mut report)?;
        self.check_leftovers(repair, &mut report)?;
        Ok(report)
    }

    fn check_blobs(&self, repair: bool, report: &mut FsckReport) -> Result<(), StoreError> {
        for digest in self.blobs.list()? {
            report.counted.blobs += 1;
            match self.blobs.verify(&digest) {
                Ok(size) => report.counted.bytes += size,
                // A gc cannot have taken it: it would hold the lock.
                Err(error) => {
                    report.problems.push(error.to_string());
                    if repair {
                        self.blobs.remove(&digest)?;
                    }
                }
            }
        }
        for name in sealed::names(&self.blobs.directory())? {
            if crate::digest::Digest::from_hex(&name).is_err() {
                report.problems.push(format!("`blobs/sha256/{name}` is not named by a digest"));
            }
        }
        Ok(())
    }

    /// Checks that everything that `index.json` leads to is there, with the size that its descriptor states.
    fn check_images(&self, report: &mut FsckReport) -> Result<(), StoreError> {
        let named = match self.refs.list() {
            Ok(named) => named,
            Err(error) => {
                report.problems.push(error.to_string());
                return Ok(());
            }
        };
        report.counted.names = named.len() as u64;
        let (_, wrong) = self.reach_of_images()?;
        report.problems.extend(wrong);
        for root in self.refs.roots()? {
            // An image that cannot be read has been told of above; an index has no layers of its own.
            let Ok(image) = self.image(&root.digest) else { continue };
            for layer in &image.manifest.layers {
                if self.blobs.size(&layer.digest)? != Some(layer.size) {
                    report.problems.push(format!(
                        "image {}: layer {} of {} bytes is not in the store",
                        root.digest, layer.digest, layer.size
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_sealed(&self, directory: &Path, repair: bool, report: &mut FsckReport) -> Result<(), StoreError> {
        for name in sealed::names(directory)? {
            let path = directory.join(&name);
            if path.is_dir() {
                if name != "locks" {
                    self.check_sealed(&path, repair, report)?;
                }
                continue;
            }
            report.counted.sealed += 1;
            if path.exists() && sealed::read(&path)?.is_none() {
                report.problems.push(format!("`{}` is damaged", self.shown(&path)));
                if repair {
                    sealed::remove(&path)?;
                }
            }
        }
        Ok(())
    }

    fn check_layers(
        &self,
        check_layer: &mut dyn FnMut(&LayerKey) -> Vec<String>,
        repair: bool,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        for directories in self.all_directories()? {
            for key in directories.dangling()? {
                report.problems.push(format!("layer {key}: its directory is gone"));
                if repair {
                    directories.withdraw(&key)?;
                }
            }
            for (key, _) in directories.list()? {
                report.counted.layers += 1;
                let differences = check_layer(&key);
                if repair && !differences.is_empty() {
                    directories.withdraw(&key)?;
                }
                report.problems.extend(differences.into_iter().map(|line| format!("layer {key}: {line}")));
            }
        }
        Ok(())
    }

    fn check_leftovers(&self, repair: Option<&mut Remover<'_>>, report: &mut FsckReport) -> Result<(), StoreError> {
        let leftovers = self.leftovers()?;
        if self.leases.live()?.builds > 0 {
            // They may be what a running build is making.
            return Ok(());
        }
        report.leftovers = leftovers.iter().map(|path| self.shown(path)).collect();
        if let Some(remover) = repair {
            self.delete(&leftovers, remover)?;
        }
        Ok(())
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}
