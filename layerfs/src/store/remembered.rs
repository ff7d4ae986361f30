//! [`Remembered`]: what names of registries led to when they were last asked for.
//!
//! ```text
//! cache/names/<digits>   one for each name (its digest), self-verifying JSON; its time is that of the last answer
//! ```
//! These are not names of the store: an image is built from again by what its registry says now. They serve to ask less
//! (a tag that still leads there needs no manifest), and when no registry answers.

use super::{LONGEST_MANIFEST, Reach, Store};
use crate::blobs::BlobStore;
use crate::descriptor::{Descriptor, is_index};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::image::{ImageConfig, Index, Manifest};
use crate::io_error::IoError;
use crate::reference::ImageRef;
use crate::sealed;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What names of registries led to when they were last asked for.
#[derive(Debug, Clone)]
pub struct Remembered {
    directory: PathBuf,
    temporary: PathBuf,
}

/// One of them, as it is written.
#[derive(Serialize, Deserialize)]
struct Answer {
    name: String,
    descriptor: Descriptor,
}

impl Remembered {
    /// Returns what is remembered in `directory`, written by way of `temporary`.
    pub fn new(directory: &Path, temporary: &Path) -> Self {
        Self { directory: directory.to_owned(), temporary: temporary.to_owned() }
    }

    fn path(&self, name: &ImageRef) -> PathBuf {
        self.directory.join(Digest::of(name.to_string()).hex())
    }

    /// Remembers that `name` leads to the manifest or index `descriptor`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn put(&self, name: &ImageRef, descriptor: &Descriptor) -> Result<(), IoError> {
        let answer = Answer { name: name.to_string(), descriptor: descriptor.clone() };
        let bytes = serde_json::to_vec(&answer).expect("texts and numbers print");
        sealed::write(&self.path(name), &self.temporary, &bytes)
    }

    /// Returns what `name` led to.
    ///
    /// # Errors
    /// The operating system's.
    pub fn get(&self, name: &ImageRef) -> Result<Option<Descriptor>, IoError> {
        let answer = read(&self.path(name))?.filter(|answer| answer.name == name.to_string());
        Ok(answer.map(|answer| answer.descriptor))
    }

    /// Returns all that names led to, with the time of the last answer.
    fn list(&self) -> Result<Vec<(PathBuf, Descriptor, SystemTime)>, IoError> {
        let mut answers = Vec::new();
        for name in sealed::names(&self.directory)? {
            let path = self.directory.join(name);
            let time = fs::metadata(&path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            answers.extend(read(&path)?.map(|answer| (path, answer.descriptor, time)));
        }
        Ok(answers)
    }
}

/// Reads one answer; what another version wrote is as good as none.
fn read(path: &Path) -> Result<Option<Answer>, IoError> {
    Ok(sealed::read(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

impl Store {
    /// Returns what names of registries led to.
    pub fn remembered(&self) -> Remembered {
        Remembered::new(&self.cache().join("names"), &self.temporary())
    }

    /// Returns what is kept for the names that registries were asked for since `oldest`: manifests, configs, and the
    /// layers' indexes, but no layer. Older names are forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reach_of_remembered(&self, oldest: SystemTime) -> Result<Reach, StoreError> {
        let mut reach = Reach::default();
        for (path, descriptor, time) in self.remembered().list()? {
            if time < oldest {
                sealed::remove(&path)?;
            } else {
                self.add_documents(&descriptor, &mut reach)?;
            }
        }
        Ok(reach)
    }

    /// Adds a manifest and its config, or those of an index that are here.
    fn add_documents(&self, entry: &Descriptor, reach: &mut Reach) -> Result<(), StoreError> {
        if self.blobs.size(&entry.digest)? != Some(entry.size) || !reach.blobs.insert(entry.digest) {
            return Ok(());
        }
        // What was checked when it came and is damaged since is nobody's.
        let Ok(bytes) = self.blobs.read(&entry.digest, LONGEST_MANIFEST) else { return Ok(()) };
        if is_index(&entry.media_type) {
            let entries = Index::parse(&bytes).map(|index| index.manifests).unwrap_or_default();
            return entries.iter().try_for_each(|entry| self.add_documents(entry, reach));
        }
        let Ok(manifest) = Manifest::parse(&bytes) else { return Ok(()) };
        reach.blobs.insert(manifest.config.digest);
        let config = self.blobs.read(&manifest.config.digest, super::LONGEST_CONFIG);
        if let Some(config) = config.ok().and_then(|bytes| serde_json::from_slice::<ImageConfig>(&bytes).ok()) {
            reach.add_indexes(&config.rootfs.diff_ids);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::media_type;
    use crate::digest::DiffId;
    use crate::layer::LayerKey;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn a_name_keeps_documents_but_no_layers() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("a store");
        let put = |kind: &str, bytes: &[u8]| {
            store.blobs().put(bytes).expect("put");
            Descriptor::of(kind, bytes)
        };
        let layer = put(media_type::OCI_LAYER, b"layer");
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            layer.digest
        );
        let config = put(media_type::OCI_CONFIG, config.as_bytes());
        let manifest = Manifest::new(config.clone(), vec![layer.clone()], BTreeMap::new()).print();
        let manifest = put(media_type::OCI_MANIFEST, &manifest);
        let elsewhere = Descriptor::of(media_type::OCI_MANIFEST, b"of another platform, never fetched");
        let index = put(media_type::OCI_INDEX, &Index::new(vec![elsewhere, manifest.clone()]).print());
        let name: ImageRef = "fedora".parse().expect("a name");
        store.remembered().put(&name, &index).expect("put");
        assert_eq!(store.remembered().get(&name).expect("get"), Some(index.clone()));
        assert_eq!(store.remembered().get(&"fedora:41".parse().expect("a name")).expect("get"), None);

        let reach = store.reach_of_remembered(SystemTime::UNIX_EPOCH).expect("reach");
        assert_eq!(reach.blobs, [index.digest, manifest.digest, config.digest].into());
        assert!(reach.indexes.contains(&LayerKey::Diff(DiffId(layer.digest))) && reach.layers.is_empty());
        let later = SystemTime::now() + Duration::from_secs(60);
        assert_eq!(store.reach_of_remembered(later).expect("reach"), Reach::default());
        assert_eq!(store.remembered().get(&name).expect("get"), None);
    }
}
