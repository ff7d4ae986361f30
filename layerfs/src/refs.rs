//! [`RefTable`]: the names of images, kept in `index.json`.
//!
//! Each name is a descriptor of its manifest with two annotations (FEATURES 9-9):
//!
//! ```text
//! io.containerd.image.name             docker.io/library/app:latest   what lbuild goes by
//! org.opencontainers.image.ref.name    app:latest                     what `skopeo copy oci:STORE:app:latest` goes by
//! ```
//! A name with the tag `latest` stands twice, the second time with the ref name `app`, for `skopeo copy oci:STORE:app`.
//! The file is replaced at once, under a lock of its own and fsynced. Descriptors of others stay as they are.

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::image::Index;
use crate::io_error::{IoContext, IoError};
use crate::reference::{DEFAULT_TAG, ImageRef};
use crate::sealed::{self, Durability};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Annotation with the full name.
pub const FULL_NAME: &str = "io.containerd.image.name";
/// Annotation with the name that an image layout's readers look for (image-spec annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Longest `index.json`, in bytes.
pub(crate) const LONGEST_INDEX: u64 = 64 << 20;

/// The names of a store's images.
#[derive(Debug, Clone)]
pub struct RefTable {
    file: PathBuf,
    lock: PathBuf,
    temporary: PathBuf,
}

impl RefTable {
    /// Returns the table in `root/index.json`, locked by `root/index.lock`, written by way of `temporary`.
    pub fn new(root: &Path, temporary: &Path) -> Self {
        Self { file: root.join("index.json"), lock: root.join("index.lock"), temporary: temporary.to_owned() }
    }

    /// Returns the manifest that has the name `name`; a name with a digest finds that manifest in its repository.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] if `index.json` is damaged; [`StoreError::Io`].
    pub fn get(&self, name: &ImageRef) -> Result<Option<Descriptor>, StoreError> {
        let serves = |named: &ImageRef, manifest: &Descriptor| match name.digest {
            Some(digest) => manifest.digest == digest && named.same_repository(name),
            None => named == name,
        };
        Ok(self.list()?.into_iter().find(|(named, manifest)| serves(named, manifest)).map(|(_, manifest)| manifest))
    }

    /// Gives `manifest` the names `names`, taking them from what had them. The manifest's blobs must be on disk
    /// ([`crate::blobs::DiskBlobs::sync`]).
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn set(&self, names: &[ImageRef], manifest: &Descriptor) -> Result<(), StoreError> {
        self.change(|entries| {
            entries.retain(|entry| name_of(entry).is_none_or(|name| !names.contains(&name)));
            entries.extend(names.iter().flat_map(|name| named(name, manifest)));
        })
    }

    /// Keeps `manifest` although it has no name, until [`Self::remove_all`]. Its blobs must be on disk.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn keep(&self, manifest: &Descriptor) -> Result<(), StoreError> {
        self.change(|entries| {
            if !entries.iter().any(|entry| entry.digest == manifest.digest) {
                entries.push(manifest.clone());
            }
        })
    }

    /// Takes a name away; returns the manifest that had it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn remove(&self, name: &ImageRef) -> Result<Option<Descriptor>, StoreError> {
        let mut removed = None;
        self.change(|entries| {
            entries.retain(|entry| {
                let hit = name_of(entry).as_ref() == Some(name);
                if hit {
                    removed = Some(plain(entry));
                }
                !hit
            });
        })?;
        Ok(removed)
    }

    /// Takes away every name of a manifest, and its entries without a name; returns the names.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn remove_all(&self, manifest: &Digest) -> Result<Vec<ImageRef>, StoreError> {
        let names =
            self.list()?.into_iter().filter(|(_, named)| named.digest == *manifest).map(|(name, _)| name).collect();
        self.change(|entries| entries.retain(|entry| entry.digest != *manifest))?;
        Ok(names)
    }

    /// Returns all names with their manifests, by name; annotations that make the name are left out.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn list(&self) -> Result<Vec<(ImageRef, Descriptor)>, StoreError> {
        let index = self.read()?;
        let named = index.manifests.iter().filter_map(|entry| Some((name_of(entry)?, plain(entry))));
        Ok(named.collect::<BTreeMap<_, _>>().into_iter().collect())
    }

    /// Returns every descriptor of `index.json` once, nameless ones too: what gc starts from.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn roots(&self) -> Result<Vec<Descriptor>, StoreError> {
        let entries = self.read()?.manifests.into_iter().map(|entry| (entry.digest, plain(&entry)));
        Ok(entries.collect::<BTreeMap<_, _>>().into_values().collect())
    }

    /// Writes an empty table if there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(&self) -> Result<(), StoreError> {
        let _locked = self.locked()?;
        if self.file.exists() {
            return Ok(());
        }
        Ok(sealed::replace(&self.file, &self.temporary, &Index::new(Vec::new()).print(), Durability::Durable)?)
    }

    fn read(&self) -> Result<Index, StoreError> {
        parse_index(&self.file)
    }

    /// Replaces the entries under the lock; an unchanged table is not written. A table that was lost starts anew.
    fn change(&self, edit: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), StoreError> {
        let _locked = self.locked()?;
        let before = match self.read() {
            Err(StoreError::Io(error)) if error.is_not_found() => Index::new(Vec::new()),
            other => other?,
        };
        let mut after = before.clone();
        edit(&mut after.manifests);
        after.manifests.sort_by_key(|entry| (name_of(entry), entry.annotations.get(REF_NAME).cloned(), entry.digest));
        if after == before {
            return Ok(());
        }
        Ok(sealed::replace(&self.file, &self.temporary, &after.print(), Durability::Durable)?)
    }

    fn locked(&self) -> Result<File, IoError> {
        let file = File::options().create(true).truncate(false).write(true).open(&self.lock).at("open", &self.lock)?;
        file.lock().at("lock", &self.lock)?;
        Ok(file)
    }
}

/// Reads the `index.json` of an image layout.
pub(crate) fn parse_index(path: &Path) -> Result<Index, StoreError> {
    let place = path.display().to_string();
    // In a foreign layout a pipe may stand in its place.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).at("open", path)?;
    let mut bytes = Vec::new();
    file.take(LONGEST_INDEX + 1).read_to_end(&mut bytes).at("read", path)?;
    if bytes.len() as u64 > LONGEST_INDEX {
        return Err(StoreError::TooLong { what: place, limit: LONGEST_INDEX });
    }
    Index::parse(&bytes).map_err(|source| StoreError::Image { place, source })
}

/// Returns the entries that name `manifest` `name`.
fn named(name: &ImageRef, manifest: &Descriptor) -> Vec<Descriptor> {
    let entry = |short: String| {
        let mut entry = manifest.clone();
        entry.annotations.insert(FULL_NAME.to_owned(), name.to_string());
        entry.annotations.insert(REF_NAME.to_owned(), short);
        entry
    };
    let bare = (name.tag.as_deref() == Some(DEFAULT_TAG) && name.digest.is_none()).then(|| name.familiar_name());
    bare.into_iter().chain([name.familiar()]).map(entry).collect()
}

fn name_of(entry: &Descriptor) -> Option<ImageRef> {
    // A name that is none, written by another tool, counts as no name.
    entry.annotations.get(FULL_NAME)?.parse().ok()
}

fn plain(entry: &Descriptor) -> Descriptor {
    let mut entry = entry.clone();
    entry.annotations.remove(FULL_NAME);
    entry.annotations.remove(REF_NAME);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::media_type;
    use std::fs;

    fn table() -> (tempfile::TempDir, RefTable) {
        let directory = tempfile::tempdir().expect("a directory");
        let table = RefTable::new(directory.path(), directory.path());
        table.create().expect("an index");
        (directory, table)
    }

    fn name(text: &str) -> ImageRef {
        text.parse().expect("a name")
    }

    fn manifest(text: &str) -> Descriptor {
        Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes())
    }

    /// Nothing is deleted for want of a name, but an image can be named again.
    #[test]
    fn a_lost_table_starts_anew_with_the_next_name() {
        let (_directory, table) = table();
        table.set(&[name("a")], &manifest("1")).expect("set");
        fs::remove_file(&table.file).expect("removed");
        assert!(matches!(table.roots(), Err(StoreError::Io(error)) if error.is_not_found()));
        table.set(&[name("b")], &manifest("2")).expect("set");
        assert_eq!(table.list().expect("listed"), [(name("b"), manifest("2"))]);
    }

    #[test]
    fn names_are_set_moved_and_removed() {
        let (_directory, table) = table();
        table.set(&[name("a"), name("b:1")], &manifest("1")).expect("set");
        assert_eq!(table.get(&name("docker.io/library/a:latest")).expect("get"), Some(manifest("1")));
        table.set(&[name("a")], &manifest("2")).expect("set");
        assert_eq!(table.list().expect("list"), [(name("a"), manifest("2")), (name("b:1"), manifest("1"))]);
        let by_digest = |text: &str| table.get(&name(&format!("{text}@{}", manifest("2").digest))).expect("get");
        assert_eq!((by_digest("a"), by_digest("b")), (Some(manifest("2")), None));
        assert_eq!(table.remove(&name("a")).expect("remove"), Some(manifest("2")));
        assert_eq!(table.remove(&name("a")).expect("remove"), None);
        assert_eq!(table.remove_all(&manifest("1").digest).expect("remove"), [name("b:1")]);
        assert_eq!(table.roots().expect("roots"), []);
    }

    #[test]
    fn ref_names_are_what_others_ask_for_9_9() {
        let (directory, table) = table();
        table.set(&[name("alpine_fedora"), name("quay.io/a/b:2")], &manifest("1")).expect("set");
        let index = parse_index(&directory.path().join("index.json")).expect("an index");
        let shown: Vec<_> = index
            .manifests
            .iter()
            .map(|e| (e.annotations[REF_NAME].as_str(), e.annotations[FULL_NAME].as_str()))
            .collect();
        let full = "docker.io/library/alpine_fedora:latest";
        assert_eq!(
            shown,
            [("alpine_fedora", full), ("alpine_fedora:latest", full), ("quay.io/a/b:2", "quay.io/a/b:2")]
        );
    }

    #[test]
    fn entries_of_others_stay() {
        let (directory, table) = table();
        let mut foreign = manifest("foreign");
        foreign.annotations.insert(REF_NAME.to_owned(), "theirs".to_owned());
        let path = directory.path().join("index.json");
        fs::write(&path, Index::new(vec![foreign.clone()]).print()).expect("written");
        table.set(&[name("a")], &manifest("1")).expect("set");
        table.remove(&name("a")).expect("remove");
        assert_eq!(parse_index(&path).expect("an index").manifests, [foreign]);
        assert_eq!(table.roots().expect("roots"), [manifest("foreign")]);
    }

    #[test]
    fn a_truncated_table_is_an_error_at_every_length() {
        let (directory, table) = table();
        table.set(&[name("a")], &manifest("1")).expect("set");
        let path = directory.path().join("index.json");
        let whole = fs::read(&path).expect("read");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).expect("written");
            assert!(table.get(&name("a")).is_err(), "{length} bytes");
            assert!(table.set(&[name("b")], &manifest("2")).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn many_writers_lose_no_name() {
        let (_directory, table) = table();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let table = &table;
                scope.spawn(move || {
                    for number in 0..5 {
                        table.set(&[name(&format!("w{writer}:{number}"))], &manifest("1")).expect("set");
                    }
                });
            }
        });
        assert_eq!(table.list().expect("list").len(), 40);
    }
}
