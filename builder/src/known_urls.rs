//! [`KnownUrls`]: what is remembered of files of the web: digests and validators, in `cache/urls` of a store.

use layerfs::blobs::BlobStore;
use layerfs::digest::Digest;
use layerfs::error::StoreError;
use layerfs::io_error::{IoContext, IoError};
use layerfs::sealed;
use layerfs::store::Store;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is remembered of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownUrl {
    /// The URL.
    pub(crate) url: String,
    /// `ETag`.
    pub(crate) etag: Option<String>,
    /// `Last-Modified`, as sent.
    pub(crate) last_modified: Option<String>,
    /// The digest of its bytes, which are a blob of the store until a prune.
    pub(crate) digest: Digest,
    /// Their number.
    pub(crate) size: u64,
}

/// What is remembered of files of the web.
#[derive(Debug)]
pub(crate) struct KnownUrls<'a> {
    store: &'a Store,
    directory: PathBuf,
}

impl<'a> KnownUrls<'a> {
    /// Returns what `store` remembers.
    pub(crate) fn of(store: &'a Store) -> Self {
        Self { store, directory: store.cache().join("urls") }
    }

    fn path(&self, url: &str) -> PathBuf {
        self.directory.join(Digest::of(url).hex())
    }

    /// Returns what is remembered of a URL.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn get(&self, url: &str) -> Result<Option<KnownUrl>, IoError> {
        Ok(read(&self.path(url))?.filter(|known| known.url == url))
    }

    /// Reports whether its bytes are in the store.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn is_here(&self, known: &KnownUrl) -> Result<bool, StoreError> {
        Ok(self.store.blobs().size(&known.digest)? == Some(known.size))
    }

    /// Remembers a URL.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn put(&self, known: &KnownUrl) -> Result<(), IoError> {
        let bytes = serde_json::to_vec(known).expect("texts and numbers print");
        sealed::write(&self.path(&known.url), &self.store.temporary(), &bytes)
    }

    /// Forgets the URLs whose bytes are gone, and returns how many these were and the bytes on disk that this freed. A
    /// build that fetches one of them at this moment asks its server once more the next time.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn forget_gone(&self) -> Result<(u64, u64), StoreError> {
        let entries = match std::fs::read_dir(&self.directory).at("list", &self.directory) {
            Err(error) if error.is_not_found() => return Ok((0, 0)),
            other => other?,
        };
        let (mut count, mut bytes) = (0, 0);
        for entry in entries {
            let path = entry.at("list", &self.directory)?.path();
            let is_here = match read(&path)? {
                Some(known) => self.is_here(&known)?,
                None => false,
            };
            if !is_here {
                bytes += path.metadata().map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512);
                sealed::remove(&path)?;
                count += 1;
            }
        }
        Ok((count, bytes))
    }
}

/// Reads what is remembered of one URL; nothing for what is damaged.
fn read(path: &Path) -> Result<Option<KnownUrl>, IoError> {
    Ok(sealed::read(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn urls_are_forgotten_once_their_bytes_are_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("a store");
        let urls = KnownUrls::of(&store);
        assert_eq!(urls.forget_gone().expect("nothing"), (0, 0));
        let known = |url: &str, text: &str| KnownUrl {
            url: url.to_owned(),
            etag: None,
            last_modified: None,
            digest: Digest::of(text),
            size: text.len() as u64,
        };
        let (here, gone) = (known("https://h/here", "here"), known("https://h/gone", "gone"));
        urls.put(&here).expect("written");
        urls.put(&gone).expect("written");
        let mut blob = store.blobs().create().expect("a blob");
        blob.file().write_all(b"here").expect("written");
        store.blobs().commit(blob, &here.digest, here.size).expect("kept");
        assert_eq!(urls.forget_gone().expect("one").0, 1);
        assert_eq!(urls.get("https://h/here").expect("read"), Some(here));
        assert_eq!(urls.get("https://h/gone").expect("read"), None);
    }
}
