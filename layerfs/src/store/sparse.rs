//! [`SparseTable`]: images of which some blobs are in a registry only.
//!
//! ```text
//! sparse/<digits>    one for each name (the digest of the name), self-verifying JSON
//! ```
//! An image that went to a registry and nowhere else does not need the bytes of its base here. Its config, its manifest
//! and the layers that were built stay in the store; what is missing is fetched when something asks for it. They are kept
//! outside `index.json`, so that an image layout's readers find whole images only.

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::io_error::IoError;
use crate::reference::ImageRef;
use crate::sealed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An image of which some blobs are in a registry only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseImage {
    /// Its name.
    pub name: ImageRef,
    /// Its manifest, which is in the store like its config.
    pub manifest: Descriptor,
    /// Blobs that may be missing, with images in whose repositories they are.
    pub origins: BTreeMap<Digest, Vec<ImageRef>>,
}

/// As it is written: names as texts.
#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    manifest: Descriptor,
    origins: BTreeMap<Digest, Vec<String>>,
}

impl SparseImage {
    fn print(&self) -> Vec<u8> {
        let texts = |names: &Vec<ImageRef>| names.iter().map(ToString::to_string).collect();
        let origins = self.origins.iter().map(|(digest, names)| (*digest, texts(names))).collect();
        let written = Written { name: self.name.to_string(), manifest: self.manifest.clone(), origins };
        serde_json::to_vec(&written).expect("texts and numbers print")
    }

    /// Returns nothing for what another version wrote.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        let names = |texts: Vec<String>| texts.iter().filter_map(|text| text.parse().ok()).collect();
        let origins = written.origins.into_iter().map(|(digest, texts)| (digest, names(texts))).collect();
        Some(Self { name: written.name.parse().ok()?, manifest: written.manifest, origins })
    }
}

/// The sparse images of a store, by name.
#[derive(Debug, Clone)]
pub struct SparseTable {
    directory: PathBuf,
    temporary: PathBuf,
}

impl SparseTable {
    /// Returns the table in `directory`, written by way of `temporary`.
    pub fn new(directory: &Path, temporary: &Path) -> Self {
        Self { directory: directory.to_owned(), temporary: temporary.to_owned() }
    }

    fn path(&self, name: &ImageRef) -> PathBuf {
        self.directory.join(Digest::of(name.to_string()).hex())
    }

    /// Keeps `image` under its name, in place of one that had it. Its manifest, config and the blobs that are to stay
    /// must be held by a lease or be there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn put(&self, image: &SparseImage) -> Result<(), IoError> {
        sealed::write(&self.path(&image.name), &self.temporary, &image.print())
    }

    /// Returns the image called `name`, if it is a sparse one; a name with a digest finds that manifest in its
    /// repository.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn get(&self, name: &ImageRef) -> Result<Option<SparseImage>, StoreError> {
        if let Some(digest) = name.digest {
            let serves = |image: &SparseImage| image.manifest.digest == digest && image.name.same_repository(name);
            return Ok(self.list()?.into_iter().find(serves));
        }
        Ok(sealed::read(&self.path(name))?.and_then(|bytes| SparseImage::parse(&bytes)))
    }

    /// Returns all sparse images by name.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<SparseImage>, StoreError> {
        let mut images = Vec::new();
        for name in sealed::names(&self.directory)? {
            images.extend(sealed::read(&self.directory.join(name))?.and_then(|bytes| SparseImage::parse(&bytes)));
        }
        images.sort_by(|a: &SparseImage, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Forgets the image called `name`; reports whether there was one. Its blobs stay until the next gc.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, name: &ImageRef) -> Result<bool, StoreError> {
        Ok(sealed::remove(&self.path(name))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::media_type;

    fn name(text: &str) -> ImageRef {
        text.parse().expect("a name")
    }

    #[test]
    fn images_are_kept_by_name_until_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let table = SparseTable::new(&directory.path().join("sparse"), directory.path());
        let image = |text: &str| SparseImage {
            name: name(text),
            manifest: Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes()),
            origins: [(Digest::of("layer"), vec![name("localhost:5000/base:1")])].into(),
        };
        assert_eq!((table.get(&name("a")).expect("get"), table.list().expect("listed")), (None, vec![]));
        table.put(&image("b:1")).expect("put");
        table.put(&image("a")).expect("put");
        assert_eq!(table.get(&name("docker.io/library/a:latest")).expect("get"), Some(image("a")));
        let by_digest = name(&format!("b@{}", image("b:1").manifest.digest));
        assert_eq!(table.get(&by_digest).expect("get"), Some(image("b:1")));
        assert_eq!(table.list().expect("listed"), [image("a"), image("b:1")]);
        assert!(table.remove(&name("a")).expect("removed") && !table.remove(&name("a")).expect("removed"));
        std::fs::write(table.path(&name("b:1")), "damaged").expect("written");
        assert_eq!((table.get(&name("b:1")).expect("get"), table.list().expect("listed")), (None, vec![]));
    }
}
