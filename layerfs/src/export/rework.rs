//! Layers made of other layers: with earlier times, or several as one.

use super::ExportLayer;
use super::tree_tar::{clamped, tar_error};
use crate::blobs::BlobStore;
use crate::cancel::Cancel;
use crate::change::{Change, Node};
use crate::descriptor::{Descriptor, media_type};
use crate::digest::{ChainId, DiffId, HashWriter};
use crate::error::StoreError;
use crate::flat::Flat;
use crate::index::LayerIndex;
use crate::io_error::IoError;
use crate::lease::{Held, Lease};
use crate::meta::Timestamp;
use crate::path::TreePath;
use crate::sealed;
use crate::stack::{Found, Stack};
use crate::store::Store;
use crate::tar::{TarError, write_layer};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Makes layers of other layers; what is made is a plain tar in the store, which the lease holds.
#[derive(Debug, Clone, Copy)]
pub struct Rework<'a> {
    /// The store.
    pub store: &'a Store,
    /// Keeps gc from what is made.
    pub lease: &'a Lease,
    /// Ends it.
    pub cancel: &'a Cancel,
}

/// [`StoreError`] for who writes a tar.
struct Failure(StoreError);

impl From<TarError> for Failure {
    fn from(error: TarError) -> Self {
        Self(tar_error(error, Path::new("layer")))
    }
}

impl Rework<'_> {
    /// Returns a layer, which was built here, with no time after `latest` (FEATURES 4-14).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clamped(&self, layer: &ExportLayer, latest: Timestamp) -> Result<ExportLayer, StoreError> {
        let note = self.note(layer.diff_id, &format!("until-{}.{:09}", latest.seconds, latest.nanoseconds));
        if let Some(known) = self.known(&note)? {
            return Ok(known);
        }
        let flat = Flat::open(std::slice::from_ref(layer), self.store, self.cancel)?;
        let whole = &flat.stack().layers()[0];
        let clamp = |change: &Change| match &change.node {
            Node::Inode(metadata) => {
                Change { path: change.path.clone(), node: Node::Inode(clamped(metadata, Some(latest))) }
            }
            Node::Hardlink { .. } | Node::Whiteout => change.clone(),
        };
        let LayerIndex { changes, opaque, accounts, implied } = &**whole;
        let index = LayerIndex {
            changes: changes.iter().map(clamp).collect(),
            opaque: opaque.clone(),
            accounts: accounts.clone(),
            implied: implied.clone(),
        };
        self.write(&note, &index, &flat, |path| (0, path.clone()))
    }

    /// Returns one layer in the place of all but the `base` lowest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn squashed(&self, layers: &[ExportLayer], base: usize) -> Result<ExportLayer, StoreError> {
        let diff_ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
        let (Some(top), Some(chain)) = (diff_ids.last(), ChainId::of(&diff_ids)) else {
            return Err(StoreError::Malformed { place: "layers".into(), why: "there is none".into() });
        };
        let note = self.note(*top, &format!("squash-{base}-{}", chain.0.hex()));
        if let Some(known) = self.known(&note)? {
            return Ok(known);
        }
        let flat = Flat::open(layers, self.store, self.cancel)?;
        let index = merged(flat.stack(), base)?;
        self.write(&note, &index, &flat, |path| {
            let found = flat.stack().lookup(path);
            found.map_or((0, path.clone()), |found| (found.layer, found.inode))
        })
    }

    /// Returns the file that says what was made of the layer `of`, beside its compressed forms.
    fn note(&self, of: DiffId, how: &str) -> PathBuf {
        self.store.derived().join(format!("{}.{how}.json", of.0.hex()))
    }

    /// Returns the layer that was made before, if it is still in the store.
    fn known(&self, note: &Path) -> Result<Option<ExportLayer>, StoreError> {
        let stated = sealed::read(note)?;
        let Some(blob) = stated.and_then(|bytes| serde_json::from_slice::<Descriptor>(&bytes).ok()) else {
            return Ok(None);
        };
        self.lease.hold(&[Held::Blob(blob.digest)])?;
        let is_there = self.store.blobs().size(&blob.digest)? == Some(blob.size);
        Ok(is_there.then(|| ExportLayer { diff_id: DiffId(blob.digest), blob, source: None }))
    }

    fn write(
        &self,
        note: &Path,
        index: &LayerIndex,
        flat: &Flat,
        inode: impl Fn(&TreePath) -> (usize, TreePath),
    ) -> Result<ExportLayer, StoreError> {
        let mut blob = self.store.blobs().create()?;
        let out = HashWriter::new(std::io::BufWriter::with_capacity(256 << 10, blob.file()));
        let mut open = |path: &TreePath| {
            let (layer, inode) = inode(path);
            let content = flat.content(layer, &inode).map_err(Failure)?;
            Ok(Box::new(content) as Box<dyn Read>)
        };
        let written = write_layer(index, out, &mut open).map_err(|Failure(error)| error)?;
        let (out, digest, size) = written.finish();
        out.into_inner().map_err(|error| IoError::new("write", "layer", error.error()))?;
        self.lease.hold(&[Held::Blob(digest)])?;
        self.store.blobs().commit(blob, &digest, size)?;
        let blob = Descriptor::new(media_type::OCI_LAYER, digest, size);
        let stated = serde_json::to_vec(&blob).expect("a descriptor of texts and numbers prints");
        sealed::write(note, &self.store.temporary(), &stated)?;
        Ok(ExportLayer { diff_id: DiffId(digest), blob, source: None })
    }
}

/// Returns the layer that makes of the `base` lowest layers of a stack what all of them give.
fn merged(stack: &Stack, base: usize) -> Result<LayerIndex, StoreError> {
    let below = Stack::new(stack.layers()[..base].to_vec());
    let mut nodes: BTreeMap<TreePath, Node> = BTreeMap::new();
    let mut first_names: HashMap<(usize, TreePath), TreePath> = HashMap::new();
    for (path, found) in stack.walk(&TreePath::root()).into_iter().filter(|(_, found)| found.layer >= base) {
        let is_directory = found.metadata.is_directory();
        let first = first_names.entry((found.layer, found.inode.clone())).or_insert_with(|| path.clone());
        let node = match *first == path || is_directory {
            true => Node::Inode(found.metadata.clone()),
            false => Node::Hardlink { target: first.clone() },
        };
        nodes.insert(path, node);
    }
    for (path, _) in below.walk(&TreePath::root()) {
        let parent = path.parent().and_then(|parent| stack.lookup(&parent));
        // Below what is gone or no directory any more, nothing is left to hide.
        let in_directory = path.parent().is_some_and(|parent| parent.is_root()) || parent.is_some_and(is_directory);
        if in_directory && stack.lookup(&path).is_none() {
            nodes.insert(path, Node::Whiteout);
        }
    }
    let parents: Vec<TreePath> = nodes.keys().flat_map(TreePath::ancestors).filter(|path| !path.is_root()).collect();
    for path in parents {
        if let Some(found) = stack.lookup(&path).filter(|_| !nodes.contains_key(&path)) {
            nodes.insert(path, Node::Inode(found.metadata.clone()));
        }
    }
    let changes = nodes.into_iter().map(|(path, node)| Change { path, node }).collect();
    let wrong =
        |error: crate::index::IndexError| StoreError::Malformed { place: "layers".into(), why: error.to_string() };
    LayerIndex::new(changes, Vec::new(), Vec::new(), BTreeMap::new()).map_err(wrong)
}

fn is_directory(found: Found<'_>) -> bool {
    found.metadata.is_directory()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::meta::Kind;
    use crate::testing::Tar;

    struct Fixture {
        _directory: tempfile::TempDir,
        store: Store,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Store::open(&directory.path().join("store")).expect("a store");
            Self { _directory: directory, store }
        }

        fn layer(&self, tar: Tar) -> ExportLayer {
            let tar = tar.end();
            self.store.blobs().put(&tar).expect("put");
            let blob = Descriptor::of(media_type::OCI_LAYER, &tar);
            ExportLayer { diff_id: DiffId(Digest::of(&tar)), blob, source: None }
        }

        fn with<T>(&self, work: impl FnOnce(Rework<'_>) -> T) -> T {
            let (lease, cancel) = (self.store.lease().expect("a lease"), Cancel::new().expect("an eventfd"));
            work(Rework { store: &self.store, lease: &lease, cancel: &cancel })
        }

        /// Returns paths with what is there: kind, content, and the path of the inode.
        fn tree(&self, layers: &[ExportLayer]) -> Vec<String> {
            let flat = Flat::open(layers, &self.store, &Cancel::new().expect("an eventfd")).expect("a tree");
            let mut names: HashMap<(usize, TreePath), TreePath> = HashMap::new();
            let line = |(path, found): (TreePath, Found<'_>)| {
                let mut text = String::new();
                if matches!(found.metadata.kind, Kind::File { .. }) {
                    flat.content(found.layer, &found.inode).expect("content").read_to_string(&mut text).expect("read");
                }
                let first = names.entry((found.layer, found.inode.clone())).or_insert_with(|| path.clone()).clone();
                format!("{path} {text} {first}")
            };
            flat.walk().into_iter().map(line).collect()
        }
    }

    #[test]
    fn several_layers_as_one_give_the_same_files() {
        let fixture = Fixture::new();
        let base = Tar::default().dir("d").file("d/a", "1").dir("d/e").file("d/e/x", "1").file("f", "1").dir("gone");
        let base = fixture.layer(base.file("gone/x", "1").file("keep", "1").dir("o").file("o/x", "1").dir("t"));
        let one = Tar::default().file("new", "2").hard("new2", "new").file("d/.wh.a", "").file(".wh.gone", "");
        let one = fixture.layer(one.dir("tmp").file("tmp/x", "2").file("f", "2"));
        let two = Tar::default().file(".wh.tmp", "").dir("d/e").file("d/e/y", "3").file(".wh.f", "").dir("f");
        let two =
            fixture.layer(two.file("f/z", "3").dir("o").file("o/.wh..wh..opq", "").file("o/y", "3").file("t", "3"));
        let layers = [base.clone(), one, two];
        let squashed = fixture.with(|rework| rework.squashed(&layers, 1)).expect("squashed");
        let got = fixture.tree(&[base.clone(), squashed.clone()]);
        assert_eq!(got, fixture.tree(&layers));
        assert!(got.contains(&"/new2 2 /new".to_owned()), "{got:?}");
        let alone = fixture.tree(std::slice::from_ref(&squashed));
        assert!(!alone.iter().any(|line| line.starts_with("/keep") || line.starts_with("/tmp")), "{alone:?}");
        let whole = fixture.with(|rework| rework.squashed(&layers, 0)).expect("squashed");
        assert_eq!(fixture.tree(&[whole]), got);
    }

    #[test]
    fn times_are_clamped_and_nothing_else_changes() {
        let fixture = Fixture::new();
        let late = crate::testing::Item { pax: vec![("mtime", b"2000.5".to_vec())], ..crate::testing::Item::new(b'5') };
        let layer = fixture.layer(Tar::default().item("d", late).file("d/f", "x"));
        let zero = Timestamp::from_seconds(1000);
        let clamped = fixture.with(|rework| rework.clamped(&layer, zero)).expect("clamped");
        assert_eq!(fixture.tree(std::slice::from_ref(&clamped)), fixture.tree(std::slice::from_ref(&layer)));
        let flat = Flat::open(std::slice::from_ref(&clamped), &fixture.store, &Cancel::new().expect("an eventfd"))
            .expect("a tree");
        let times: Vec<Timestamp> = flat.walk().iter().map(|(_, found)| found.metadata.mtime).collect();
        assert_eq!(times, [zero, zero]);
        assert_eq!(fixture.with(|rework| rework.clamped(&clamped, zero)).expect("clamped").diff_id, clamped.diff_id);
        // What was made before serves without its source, as long as it is there itself.
        fixture.store.blobs().remove(&layer.blob.digest).expect("removed");
        assert_eq!(fixture.with(|rework| rework.clamped(&layer, zero)).expect("known"), clamped);
        fixture.store.blobs().remove(&clamped.blob.digest).expect("removed");
        assert!(fixture.with(|rework| rework.clamped(&layer, zero)).is_err());
    }
}
