//! Checks a store: every byte that has a digest, and every name that leads somewhere.

use super::Store;
use super::gc::Remover;
use crate::blobs::BlobStore;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::directories::LayerDirectories;
use crate::error::StoreError;
use crate::layer::LayerKey;
use crate::sealed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Compares the directory of a layer, below `layers/<id map>/`, with its index; returns a line for each difference, none
/// for an id map whose files the caller cannot read. An error says that nothing could be found out, and ends the check.
pub type LayerCheck<'a> = dyn FnMut(&str, &LayerKey) -> Result<Vec<String>, StoreError> + 'a;

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

/// One thing that is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one line.
    pub text: String,
    /// What the user can do about it, where a repair can do nothing.
    pub cure: Option<String>,
    /// Whether a repair removed what is damaged, so that it is made or fetched again when it is wanted.
    pub mended: bool,
}

/// What fsck found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// What is wrong; empty for a clean store.
    pub problems: Vec<Problem>,
    /// Files and directories that killed builds left; no problem, and deleted by a repair or gc.
    pub leftovers: Vec<String>,
    /// What was looked at.
    pub counted: Counts,
}

impl FsckReport {
    /// Reports whether nothing is wrong, or nothing any more.
    pub fn is_well(&self) -> bool {
        self.problems.iter().all(|problem| problem.mended)
    }

    fn found(&mut self, text: String, mended: bool) {
        self.problems.push(Problem { text, cure: None, mended });
    }

    fn left(&mut self, text: String, cure: String) {
        self.problems.push(Problem { text, cure: Some(cure), mended: false });
    }
}

impl Store {
    /// Checks everything, layers by `check_layer`. With `repair`, damaged blobs, records, indexes and layers are removed
    /// (they are made or fetched again when wanted), and leftovers are deleted through it. An image that lacks a blob
    /// keeps its names.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read at all; that of `check_layer`.
    pub fn fsck(
        &self,
        check_layer: &mut LayerCheck<'_>,
        repair: Option<&mut Remover<'_>>,
    ) -> Result<FsckReport, StoreError> {
        let _turn = self.collection_lock()?;
        let mut report = FsckReport::default();
        let repairing = repair.is_some();
        let damaged = self.check_blobs(repairing, &mut report)?;
        self.check_images(&damaged, &mut report)?;
        for directory in ["cache", "index", "sparse"] {
            self.check_sealed(&self.root.join(directory), repairing, &mut report)?;
        }
        for directories in self.all_directories()? {
            self.check_layers(&directories, check_layer, repairing, &mut report)?;
        }
        self.check_leftovers(repair, &mut report)?;
        Ok(report)
    }

    /// Returns the blobs that are damaged.
    fn check_blobs(&self, repair: bool, report: &mut FsckReport) -> Result<BTreeSet<Digest>, StoreError> {
        let mut damaged = BTreeSet::new();
        for digest in self.blobs.list()? {
            report.counted.blobs += 1;
            match self.blobs.verify(&digest) {
                Ok(size) => report.counted.bytes += size,
                Err(error @ StoreError::DigestMismatch { .. }) => {
                    if repair {
                        self.blobs.remove(&digest)?;
                    }
                    report.found(error.to_string(), repair);
                    damaged.insert(digest);
                }
                // It cannot be read, which says nothing about its bytes. A gc has not taken it: it would hold the lock.
                Err(error) => {
                    report.left(error.to_string(), format!("look at `{}`", self.blobs.path(&digest).display()));
                }
            }
        }
        for name in sealed::names(&self.blobs.directory())? {
            if Digest::from_hex(&name).is_err() {
                let text = format!("`blobs/sha256/{name}` is not named by a digest");
                report.left(text, "nothing of lbuild's is called so: move it elsewhere".to_owned());
            }
        }
        Ok(damaged)
    }

    /// Checks that everything that `index.json` leads to is there and whole.
    fn check_images(&self, damaged: &BTreeSet<Digest>, report: &mut FsckReport) -> Result<(), StoreError> {
        let named = match self.refs.list() {
            Ok(named) => named,
            Err(error) => {
                let cure = "remove `index.json` and build the images again, which their records make quick".to_owned();
                report.left(error.to_string(), cure);
                return Ok(());
            }
        };
        report.counted.names = named.len() as u64;
        let mut names: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for (name, manifest) in named {
            names.entry(manifest.digest).or_default().push(name.familiar());
        }
        for root in self.refs.roots()? {
            let names = names.remove(&root.digest).unwrap_or_default();
            for wrong in self.wrong_with(&root, damaged)? {
                let (text, cure) = of_image(&root.digest, &names, &wrong);
                report.left(text, cure);
            }
        }
        Ok(())
    }

    /// Returns what an image lacks, one line each.
    fn wrong_with(&self, root: &Descriptor, damaged: &BTreeSet<Digest>) -> Result<Vec<String>, StoreError> {
        let (_, wrong) = self.reach_of(vec![root.clone()])?;
        let own = format!("image {}: ", root.digest);
        let mut wrong: Vec<String> =
            wrong.into_iter().map(|line| line.strip_prefix(&own).map_or(line.clone(), str::to_owned)).collect();
        // An image that cannot be read is told of already; an index has no layers of its own.
        let Ok(image) = self.image(&root.digest) else { return Ok(wrong) };
        for layer in &image.manifest.layers {
            let (digest, size) = (layer.digest, layer.size);
            if damaged.contains(&digest) {
                wrong.push(format!("layer {digest} of {size} bytes is damaged"));
            } else if self.blobs.size(&digest)? != Some(size) {
                wrong.push(format!("layer {digest} of {size} bytes is not in the store"));
            }
        }
        Ok(wrong)
    }

    fn check_sealed(&self, directory: &Path, repair: bool, report: &mut FsckReport) -> Result<(), StoreError> {
        for name in sealed::names(directory)? {
            let path = directory.join(&name);
            if path.is_dir() {
                self.check_sealed(&path, repair, report)?;
                continue;
            }
            report.counted.sealed += 1;
            if path.exists() && sealed::read(&path)?.is_none() {
                if repair {
                    sealed::remove(&path)?;
                }
                report.found(format!("`{}` is damaged", self.shown(&path)), repair);
            }
        }
        Ok(())
    }

    fn check_layers(
        &self,
        directories: &LayerDirectories,
        check_layer: &mut LayerCheck<'_>,
        repair: bool,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let map = directories.root().file_name().unwrap_or_default().to_string_lossy().into_owned();
        for key in directories.dangling()? {
            if repair {
                directories.withdraw(&key)?;
            }
            report.found(format!("layer {key}: its directory is gone"), repair);
        }
        for (key, _) in directories.list()? {
            report.counted.layers += 1;
            let differences = check_layer(&map, &key)?;
            if repair && !differences.is_empty() {
                directories.withdraw(&key)?;
            }
            differences.into_iter().for_each(|line| report.found(format!("layer {key}: {line}"), repair));
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

/// Returns what is wrong with an image, by its names, and what can be done.
fn of_image(manifest: &Digest, names: &[String], wrong: &str) -> (String, String) {
    let Some(first) = names.first() else {
        return (format!("image {manifest}: {wrong}"), format!("remove it with `lbuild rmi {manifest}`"));
    };
    let text = format!("image `{}`: {wrong}", names.join("`, `"));
    let tags: Vec<String> = names.iter().map(|name| format!("-t {name}")).collect();
    let all = names.join(" ");
    let pronoun = if first == &all { "its name" } else { "its names" };
    (text, format!("build it again (`lbuild {} …`), or give {pronoun} up (`lbuild rmi {all}`)", tags.join(" ")))
}
