//! [`IndexStore`]: indexes of layers, and the diff IDs of layers that were built here.
//!
//! ```text
//! index/<layer key>        a LayerIndex, self-verifying
//! index/<layer key>.diff   JSON `{"diff_id":…,"size":…}` of a built layer's tar, once it was written; self-verifying
//! ```

mod draft;

pub use draft::IndexDraft;

use crate::digest::DiffId;
use crate::index::LayerIndex;
use crate::io_error::{IoContext, IoError};
use crate::layer::LayerKey;
use crate::path::TreePath;
use crate::sealed::{self, SealedWriter};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Digest and size of a layer's plain tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TarFacts {
    /// Its digest.
    pub diff_id: DiffId,
    /// Its size in bytes.
    pub size: u64,
}

/// Indexes by layer. Clones share what they have read.
#[derive(Debug, Clone)]
pub struct IndexStore {
    directory: PathBuf,
    temporary: PathBuf,
    read: Arc<Mutex<HashMap<LayerKey, Arc<LayerIndex>>>>,
}

impl IndexStore {
    /// Returns the indexes in `directory`, written by way of `temporary`.
    pub fn new(directory: &Path, temporary: &Path) -> Self {
        Self { directory: directory.to_owned(), temporary: temporary.to_owned(), read: Arc::default() }
    }

    /// Returns the index of a layer; nothing if there is none or its file is damaged.
    ///
    /// # Errors
    /// The operating system's.
    pub fn get(&self, key: &LayerKey) -> Result<Option<Arc<LayerIndex>>, IoError> {
        if let Some(index) = self.cached().get(key) {
            return Ok(Some(Arc::clone(index)));
        }
        let Some(bytes) = sealed::read(&self.path(key))? else { return Ok(None) };
        // A file that verifies but cannot be decoded is of another version: as good as none.
        let Ok(index) = LayerIndex::decode(bytes).map(Arc::new) else { return Ok(None) };
        self.cached().insert(*key, Arc::clone(&index));
        Ok(Some(index))
    }

    /// Files the index of a layer.
    ///
    /// # Errors
    /// The operating system's.
    pub fn put(&self, key: &LayerKey, index: Arc<LayerIndex>) -> Result<(), IoError> {
        let path = self.path(key);
        let out = SealedWriter::begin(&path, &self.temporary)?;
        index.write(out).at("write", &path)?.finish()?;
        self.cached().insert(*key, index);
        Ok(())
    }

    /// Begins the index of a layer that has neither opaque nor implied directories; it counts once it is handed to
    /// [`IndexStore::put_draft`].
    pub fn begin(&self, key: &LayerKey) -> IndexDraft {
        IndexDraft::new(self.path(key), self.temporary.clone())
    }

    /// Files the index of a layer that [`IndexStore::begin`] began, with the account files that the layer writes.
    ///
    /// # Errors
    /// The operating system's.
    pub fn put_draft(
        &self,
        key: &LayerKey,
        draft: IndexDraft,
        accounts: BTreeMap<TreePath, Vec<u8>>,
    ) -> Result<(), IoError> {
        match draft.finish(accounts)? {
            Some(index) => self.put(key, Arc::new(index)),
            None => Ok(()),
        }
    }

    /// Removes the index of a layer and its diff ID; reports whether there was an index.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove(&self, key: &LayerKey) -> Result<bool, IoError> {
        self.cached().remove(key);
        sealed::remove(&self.tar_path(key))?;
        sealed::remove(&self.path(key))
    }

    /// Returns the layers that have an index or a diff ID, sorted.
    ///
    /// # Errors
    /// The operating system's.
    pub fn list(&self) -> Result<Vec<LayerKey>, IoError> {
        let names = sealed::names(&self.directory)?;
        let mut keys: Vec<LayerKey> =
            names.iter().filter_map(|name| LayerKey::parse(name.strip_suffix(".diff").unwrap_or(name))).collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Returns what is known of the plain tar of a layer that was built here.
    ///
    /// # Errors
    /// The operating system's.
    pub fn tar(&self, key: &LayerKey) -> Result<Option<TarFacts>, IoError> {
        let bytes = sealed::read(&self.tar_path(key))?;
        // A file that verifies but has another shape is of another version: as good as none.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Files what is known of the plain tar of a layer that was built here.
    ///
    /// # Errors
    /// The operating system's.
    pub fn put_tar(&self, key: &LayerKey, facts: TarFacts) -> Result<(), IoError> {
        let json = serde_json::to_vec(&facts).expect("a digest and a number print");
        sealed::write(&self.tar_path(key), &self.temporary, &json)
    }

    /// Returns the file of a layer's index, which may not be there.
    pub fn path(&self, key: &LayerKey) -> PathBuf {
        self.directory.join(key.to_string())
    }

    fn tar_path(&self, key: &LayerKey) -> PathBuf {
        self.directory.join(format!("{key}.diff"))
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, HashMap<LayerKey, Arc<LayerIndex>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Node};
    use crate::digest::Digest;
    use crate::layer::ExecutionId;
    use crate::meta::{Metadata, Timestamp};
    use std::fs;

    /// What is written while it comes is, byte for byte, what is written at once.
    #[test]
    fn a_draft_of_any_length_is_the_index_that_it_would_have_been() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| IndexStore::new(&directory.path().join(name), directory.path());
        let key = LayerKey::Execution(ExecutionId([1; 16]));
        let accounts = BTreeMap::from([(TreePath::from("etc/passwd"), b"root".to_vec())]);
        for count in [0, 1, 4096, 4097, 5000] {
            let node = |number| Node::Inode(Metadata::directory(Timestamp::from_seconds(number)));
            let change = |number| Change { path: TreePath::from(format!("d{number:05}").as_str()), node: node(number) };
            let changes: Vec<Change> = (0..count).map(change).collect();
            let (drafted, whole) = (at("drafted"), at("whole"));
            let mut draft = drafted.begin(&key);
            changes.iter().cloned().try_for_each(|change| draft.push(change)).expect("pushed");
            drafted.put_draft(&key, draft, accounts.clone()).expect("put");
            let index = LayerIndex { changes: changes.into(), accounts: accounts.clone(), ..LayerIndex::default() };
            whole.put(&key, Arc::new(index)).expect("put");
            let bytes = |store: &IndexStore| fs::read(store.path(&key)).expect("read");
            assert!(bytes(&drafted) == bytes(&whole), "{count} changes");
        }
    }

    #[test]
    fn a_draft_that_was_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = IndexStore::new(&directory.path().join("index"), directory.path());
        let key = LayerKey::Execution(ExecutionId([1; 16]));
        let gone = Change { path: TreePath::from("gone"), node: Node::Whiteout };
        let mut draft = store.begin(&key);
        (0..5000).try_for_each(|_| draft.push(gone.clone())).expect("pushed");
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1, "it is being written");
        drop(draft);
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
        assert_eq!(store.get(&key), Ok(None));
    }

    #[test]
    fn an_index_survives_and_a_damaged_one_is_absent() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = || IndexStore::new(&directory.path().join("index"), directory.path());
        let key = LayerKey::Execution(ExecutionId([1; 16]));
        let index = LayerIndex {
            changes: vec![Change { path: TreePath::from("gone"), node: Node::Whiteout }].into(),
            ..LayerIndex::default()
        };
        let facts = TarFacts { diff_id: DiffId(Digest::of("tar")), size: 1024 };
        assert_eq!(store().get(&key), Ok(None));
        let first = store();
        first.put(&key, Arc::new(index.clone())).expect("put");
        first.put_tar(&key, facts).expect("put");
        assert_eq!(store().get(&key), Ok(Some(Arc::new(index))));
        assert_eq!((store().tar(&key), store().list()), (Ok(Some(facts)), Ok(vec![key])));
        for path in [store().path(&key), store().tar_path(&key)] {
            let whole = fs::read(&path).expect("read");
            for length in 0..whole.len() {
                fs::write(&path, &whole[..length]).expect("written");
                assert!(store().get(&key) == Ok(None) || store().tar(&key) == Ok(None), "{length} bytes");
            }
        }
        assert_eq!(first.remove(&key), Ok(true));
        assert_eq!((first.get(&key), first.remove(&key), first.list()), (Ok(None), Ok(false), Ok(vec![])));
    }
}
