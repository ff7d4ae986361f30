//! Deletes what nothing needs.

use super::{PART, Reach, Store};
use crate::blobs::BlobStore;
use crate::error::StoreError;
use crate::io_error::{IoContext, IoError};
use crate::layer::LayerKey;
use crate::sealed;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a part of a blob waits for the build that goes on with it.
const PART_AGE: Duration = Duration::from_secs(24 * 3600);

/// What gc keeps besides what the images of `index.json` need.
#[derive(Debug, Clone, Default)]
pub struct GcOptions {
    /// What records need that are to stay (the caller deleted the others first).
    pub records: Reach,
    /// Indexes of layers that nothing needs stay as long as they are younger: a base's index serves when its blobs are
    /// gone. Zero keeps none.
    pub index_age: Duration,
    /// Directories of cache mounts to delete, if no build runs.
    pub mounts: Vec<PathBuf>,
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
        let mut report = GcReport::default();
        let (trash, directories) = self.take_away(options, &mut report)?;
        report.bytes += self.delete(&directories, remover)?;
        report.blobs += self.empty_trash(trash, &mut report.bytes)?;
        self.collect_leftovers(&options.mounts, remover, &mut report)?;
        Ok(report)
    }

    /// Moves away what nothing needs, while no build can begin to need it; returns the trash and the directories, which
    /// may take long to delete.
    fn take_away(
        &self,
        options: &GcOptions,
        report: &mut GcReport,
    ) -> Result<(Option<PathBuf>, Vec<PathBuf>), StoreError> {
        let _still = self.leases.still()?;
        let live = self.leases.live()?;
        let (mut reach, wrong) = self.reach_of_images()?;
        if let Some(why) = wrong.into_iter().next() {
            return Err(StoreError::Malformed { place: "index.json".into(), why });
        }
        reach.merge(&options.records);
        reach.add_held(&live.held);
        self.follow_built(&mut reach)?;
        let trash = self.discard_blobs(&reach)?;
        let directories = self.withdraw_layers(&reach)?;
        report.layers += directories.len() as u64;
        self.collect_indexes(&reach, options.index_age, report)?;
        self.collect_derived(&reach, report)?;
        self.holders().forget(options.index_age)?;
        Ok((trash, directories))
    }

    fn discard_blobs(&self, reach: &Reach) -> Result<Option<PathBuf>, StoreError> {
        let unneeded: Vec<_> = self.blobs.list()?.into_iter().filter(|digest| !reach.blobs.contains(digest)).collect();
        if unneeded.is_empty() {
            return Ok(None);
        }
        let trash = self.temporary().join(format!("trash-{}", sealed::temporary_name()));
        fs::create_dir(&trash).at("create", &trash)?;
        for digest in &unneeded {
            move_if_there(&self.blobs.path(digest), &trash.join(digest.hex()))?;
        }
        Ok(Some(trash))
    }

    /// Deletes what was moved away; returns how many blobs that were and adds their bytes.
    fn empty_trash(&self, trash: Option<PathBuf>, bytes: &mut u64) -> Result<u64, StoreError> {
        let Some(trash) = trash else { return Ok(0) };
        let mut blobs = 0;
        for path in paths_in(&trash)? {
            *bytes += size_of(&path);
            blobs += u64::from(sealed::remove(&path)?);
        }
        fs::remove_dir(&trash).at("remove", &trash)?;
        Ok(blobs)
    }

    /// Takes the names of layers that nothing needs away; returns their directories.
    fn withdraw_layers(&self, reach: &Reach) -> Result<Vec<PathBuf>, StoreError> {
        let mut withdrawn = Vec::new();
        for directories in self.all_directories()? {
            for (key, _) in directories.list()? {
                if !reach.layers.contains(&key) {
                    withdrawn.extend(directories.withdraw(&key)?);
                }
            }
        }
        Ok(withdrawn)
    }

    fn collect_indexes(&self, reach: &Reach, age: Duration, report: &mut GcReport) -> Result<(), StoreError> {
        let now = SystemTime::now();
        let young = |key: &LayerKey| {
            let written = fs::metadata(self.indexes.path(key)).and_then(|metadata| metadata.modified());
            // A time in the future counts as now; no time as long ago.
            now.duration_since(written.unwrap_or(SystemTime::UNIX_EPOCH)).unwrap_or_default() < age
        };
        let needed = |key: &LayerKey| reach.layers.contains(key) || reach.indexes.contains(key);
        let kept = |key: &LayerKey| needed(key) || (!matches!(key, LayerKey::Execution(_)) && young(key));
        for key in self.indexes.list()?.iter().filter(|key| !kept(key)) {
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
        mounts: &[PathBuf],
        remover: &mut Remover<'_>,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        // Listed before the leases are looked at: a build that begins later makes none of these.
        let mut found = self.leftovers()?;
        found.extend_from_slice(mounts);
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
        found.retain(|path| !is_resumable(path));
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

fn paths_in(directory: &Path) -> Result<Vec<PathBuf>, IoError> {
    Ok(sealed::names(directory)?.into_iter().map(|name| directory.join(name)).collect())
}

/// Reports whether the file is a part of a blob that a build may still go on with.
fn is_resumable(path: &Path) -> bool {
    let is_part = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PART.as_bytes()));
    let written = || fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    // A time in the future counts as now.
    is_part && written().is_some_and(|time| time.elapsed().unwrap_or_default() < PART_AGE)
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
