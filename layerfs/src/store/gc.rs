//! Deletes what nothing needs.

use super::{Reach, Store};
use crate::blobs::BlobStore;
use crate::directories::LayerDirectories;
use crate::error::StoreError;
use crate::io_error::{IoContext, IoError};
use crate::layer::LayerKey;
use crate::lease::Live;
use crate::sealed;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What gc keeps besides what the images of `index.json` need.
#[derive(Debug, Clone, Default)]
pub struct GcOptions {
    /// What records need that are to stay (the caller deleted the others first).
    pub records: Reach,
    /// Indexes of layers that nothing needs stay as long as they are younger: a base's index serves when its blobs are
    /// gone. Zero keeps none.
    pub index_age: Duration,
    /// Delete cache mounts too, if no build runs.
    pub mounts: bool,
}

/// What gc deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs.
    pub blobs: u64,
    /// Layer directories.
    pub layers: u64,
    /// Indexes.
    pub indexes: u64,
    /// Compressed forms.
    pub derived: u64,
    /// Files and directories that killed builds left.
    pub leftovers: u64,
    /// Bytes on disk of all of these.
    pub bytes: u64,
}

/// Deletes directories, given relative to the store's root, and returns how many bytes that freed. Their files may have
/// other owners than the user.
pub type Remover<'a> = dyn FnMut(&[PathBuf]) -> Result<u64, StoreError> + 'a;

impl Store {
    /// Deletes what neither the images of `index.json` nor `options` nor a running build needs. Builds may run beside it.
    ///
    /// # Errors
    /// [`StoreError`], also if an image of `index.json` cannot be read whole: what it needs is then unknown, and nothing
    /// is deleted.
    pub fn gc(&self, options: &GcOptions, remover: &mut Remover<'_>) -> Result<GcReport, StoreError> {
        let _turn = self.collection_lock()?;
        let (mut reach, wrong) = self.reach_of_images()?;
        if let Some(why) = wrong.into_iter().next() {
            return Err(StoreError::Malformed { place: "index.json".into(), why });
        }
        reach.merge(&options.records);
        self.add_leased(&mut reach)?;
        let mut report = GcReport::default();
        self.collect_blobs(&reach, &mut report)?;
        self.collect_layers(&reach, remover, &mut report)?;
        self.collect_indexes(&reach, options.index_age, &mut report)?;
        self.collect_derived(&reach, &mut report)?;
        self.collect_leftovers(options.mounts, remover, &mut report)?;
        Ok(report)
    }

    /// Adds what running builds hold.
    fn add_leased(&self, reach: &mut Reach) -> Result<Live, IoError> {
        let live = self.leases.live()?;
        reach.add_held(&live.held);
        self.follow_built(reach)?;
        Ok(live)
    }

    fn collect_blobs(&self, reach: &Reach, report: &mut GcReport) -> Result<(), StoreError> {
        let unneeded: Vec<_> = self.blobs.list()?.into_iter().filter(|digest| !reach.blobs.contains(digest)).collect();
        if unneeded.is_empty() {
            return Ok(());
        }
        let trash = self.temporary().join(format!("trash-{}", sealed::temporary_name()));
        fs::create_dir(&trash).at("create", &trash)?;
        for digest in &unneeded {
            move_if_there(&self.blobs.path(digest), &trash.join(digest.hex()))?;
        }
        let mut wanted = self.reach_of_images()?.0;
        self.add_leased(&mut wanted)?;
        for digest in unneeded {
            let path = trash.join(digest.hex());
            if wanted.blobs.contains(&digest) {
                // A blob that was written again meanwhile is the same.
                move_if_there(&path, &self.blobs.path(&digest))?;
                continue;
            }
            report.bytes += size_of(&path);
            report.blobs += u64::from(sealed::remove(&path)?);
        }
        Ok(fs::remove_dir(&trash).at("remove", &trash)?)
    }

    fn collect_layers(
        &self,
        reach: &Reach,
        remover: &mut Remover<'_>,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        for directories in self.all_directories()? {
            let mut withdrawn = Vec::new();
            for (key, name) in directories.list()? {
                if !reach.layers.contains(&key) && directories.withdraw(&key)?.is_some() {
                    withdrawn.push((key, name));
                }
            }
            let mut wanted = Reach::default();
            self.add_leased(&mut wanted)?;
            let unneeded = restore(&directories, withdrawn, &wanted)?;
            report.layers += unneeded.len() as u64;
            report.bytes += self.delete(&unneeded, remover)?;
        }
        Ok(())
    }

    fn collect_indexes(&self, reach: &Reach, age: Duration, report: &mut GcReport) -> Result<(), StoreError> {
        let now = SystemTime::now();
        let young = |key: &LayerKey| {
            let written = fs::metadata(self.indexes.path(key)).and_then(|metadata| metadata.modified());
            // A time in the future counts as now; no time as long ago.
            now.duration_since(written.unwrap_or(SystemTime::UNIX_EPOCH)).unwrap_or_default() < age
        };
        let kept =
            |key: &LayerKey| reach.layers.contains(key) || (!matches!(key, LayerKey::Execution(_)) && young(key));
        let unneeded: Vec<LayerKey> = self.indexes.list()?.into_iter().filter(|key| !kept(key)).collect();
        let mut wanted = Reach::default();
        self.add_leased(&mut wanted)?;
        for key in unneeded.iter().filter(|key| !wanted.layers.contains(key)) {
            report.bytes += size_of(&self.indexes.path(key));
            report.indexes += u64::from(self.indexes.remove(key)?);
        }
        Ok(())
    }

    /// Compressed forms are named by the diff ID they are of ([`crate::export`]).
    fn collect_derived(&self, reach: &Reach, report: &mut GcReport) -> Result<(), StoreError> {
        let derived = self.derived();
        for name in sealed::names(&derived)? {
            let diff_id = name.split('.').next().and_then(|digits| crate::digest::Digest::from_hex(digits).ok());
            if diff_id.is_none_or(|digest| !reach.diff_ids.contains(&crate::digest::DiffId(digest))) {
                let path = derived.join(name);
                report.bytes += size_of(&path);
                report.derived += u64::from(sealed::remove(&path)?);
            }
        }
        Ok(())
    }

    /// Deletes what killed builds left. It cannot be told from what a running one is making, so not while one runs.
    fn collect_leftovers(
        &self,
        mounts: bool,
        remover: &mut Remover<'_>,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        // Listed before the leases are looked at: a build that begins later makes none of these.
        let mut found = self.leftovers()?;
        if mounts {
            found.extend(paths_in(&self.mounts())?);
        }
        if self.leases.live()?.builds > 0 {
            return Ok(());
        }
        report.leftovers += found.len() as u64;
        report.bytes += self.delete(&found, remover)?;
        Ok(())
    }

    /// Returns what killed builds left, or running ones are making.
    pub(super) fn leftovers(&self) -> Result<Vec<PathBuf>, IoError> {
        let mut found = paths_in(&self.temporary())?;
        for directories in self.all_directories()? {
            found.extend(directories.unpublished()?);
        }
        Ok(found)
    }

    /// Deletes files here and directories through the remover; returns the bytes.
    pub(super) fn delete(&self, paths: &[PathBuf], remover: &mut Remover<'_>) -> Result<u64, StoreError> {
        let mut bytes = 0;
        let mut directories = Vec::new();
        for path in paths {
            if path.is_dir() && !path.is_symlink() {
                directories.push(path.strip_prefix(&self.root).unwrap_or(path).to_owned());
                continue;
            }
            bytes += size_of(path);
            sealed::remove(path)?;
        }
        if directories.is_empty() {
            return Ok(bytes);
        }
        Ok(bytes + remover(&directories)?)
    }
}

/// Publishes again what a build wants after all; returns the directories of the rest.
fn restore(
    directories: &LayerDirectories,
    withdrawn: Vec<(LayerKey, String)>,
    wanted: &Reach,
) -> Result<Vec<PathBuf>, IoError> {
    let mut unneeded = Vec::new();
    for (key, name) in withdrawn {
        // Where the build has made another meanwhile, that one counts and this one goes.
        if !wanted.layers.contains(&key) || directories.publish(&name, &key)? != name {
            unneeded.push(directories.root().join(name));
        }
    }
    Ok(unneeded)
}

fn paths_in(directory: &Path) -> Result<Vec<PathBuf>, IoError> {
    Ok(sealed::names(directory)?.into_iter().map(|name| directory.join(name)).collect())
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), IoError> {
    match fs::rename(from, to).at("rename", from) {
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}

fn size_of(path: &Path) -> u64 {
    // Only for the report.
    fs::symlink_metadata(path).map(|metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512).unwrap_or(0)
}
