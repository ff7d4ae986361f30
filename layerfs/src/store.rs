//! [`Store`]: an OCI image layout with what lbuild keeps beside it.
//!
//! ```text
//! oci-layout index.json blobs/sha256/   an OCI image layout: others may read it, never write it
//! lbuild-store.json                     version of all the rest
//! layers/<id map>/                      layer directories            index/    indexes and diff IDs of layers
//! cache/                                records                      derived/  compressed forms of layers
//! sparse/                               images without all blobs     mounts/   cache mounts
//! leases/                               what running builds hold     tmp/      files and directories being made
//! index.lock gc.lock
//! ```
//! What is below `layers/`, `mounts/` and `tmp/` may belong to other ids than the user's and is deleted through the worker.

mod fsck;
mod gc;
mod names;
mod reach;
mod remembered;
mod sparse;
#[cfg(test)]
mod tests;
mod usage;

pub use fsck::{Counts, FsckReport, LayerCheck, Problem};
pub use gc::{GcOptions, GcReport, Remover};
pub use reach::Reach;
pub use remembered::Remembered;
pub use sparse::{SparseImage, SparseTable};
pub use usage::{Found, Kind};

use crate::alone::{self, Alone};
use crate::blobs::{BlobStore, DiskBlobs};
use crate::descriptor::{Descriptor, is_manifest};
use crate::digest::Digest;
use crate::directories::LayerDirectories;
use crate::error::StoreError;
use crate::holders::Holders;
use crate::image::{Image, Manifest};
use crate::indexes::IndexStore;
use crate::io_error::{IoContext, IoError};
use crate::lease::{Lease, LeaseTable};
use crate::meter::Meter;
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::refs::RefTable;
use crate::sealed::{self, Durability};
use crate::trace::Trace;
use crate::turn::Turns;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Version of the store's layout; a store of a newer one is refused.
pub const STORE_VERSION: u64 = 1;
/// Longest manifest that is read, in bytes.
pub const LONGEST_MANIFEST: u64 = 8 << 20;
/// Longest image config that is read, in bytes.
pub const LONGEST_CONFIG: u64 = 16 << 20;

/// How the name of a file in `tmp/` begins that has the first part of a blob; its digits follow.
pub(crate) const PART: &str = "part-";

const VERSION_FILE: &str = "lbuild-store.json";
const LAYOUT_FILE: &str = "oci-layout";
/// The content of `oci-layout` (image-spec image-layout.md).
pub(crate) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const DIRECTORIES: [&str; 10] =
    ["blobs", "blobs/sha256", "layers", "index", "cache", "derived", "sparse", "mounts", "tmp", "leases"];
/// Where whoever builds keeps the logs of builds, if it does.
const LOGS: &str = "logs";
/// Files that only locks are taken on; `steps.lock` is of who runs steps.
const LOCKS: [&str; 5] = ["index.lock", "gc.lock", "leases.lock", "steps.lock", "fetch.lock"];

/// An OCI image layout with what lbuild keeps beside it. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    blobs: DiskBlobs,
    refs: RefTable,
    indexes: IndexStore,
    leases: LeaseTable,
    sparse: SparseTable,
    trace: Trace,
    making: Alone<PathBuf>,
    meter: Meter,
}

/// An image of the store, as `lbuild images` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Its names, sorted.
    pub names: Vec<ImageRef>,
    /// The image ID: the config's digest.
    pub id: Digest,
    /// The manifest.
    pub manifest: Digest,
    /// When it was made, RFC 3339, if it says.
    pub created: Option<String>,
    /// Its platform.
    pub platform: Platform,
    /// Bytes of manifest, config and layers as stored.
    pub size: u64,
    /// Whether some of its blobs may be in a registry only.
    pub is_sparse: bool,
}

impl Store {
    /// Opens the store in `root`, which is made if it is missing or empty.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`], [`StoreError::NewerStore`], [`StoreError::Unusable`].
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let unusable = |source| StoreError::Unusable { path: root.to_owned(), source };
        let root = std::path::absolute(root).at("find", root).map_err(unusable)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&root).at("create", &root).map_err(unusable)?;
        rustix::fs::access(&root, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .at("write", &root)
            .map_err(unusable)?;
        let store = Self::at(root.clone());
        match store.version()? {
            Some(STORE_VERSION) => Ok(store),
            Some(found) => Err(StoreError::NewerStore { path: root, found, known: STORE_VERSION }),
            None => store.create().map(|()| store),
        }
    }

    /// Lets `trace` be told where the time goes of what is done with this store.
    pub fn traced(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// Lets `meter` be told how far exports from this store have come.
    pub fn metered(mut self, meter: Meter) -> Self {
        self.meter = meter;
        self
    }

    /// Returns who is told how far exports from this store have come.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Returns who is told where the time goes.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    fn at(root: PathBuf) -> Self {
        let temporary = root.join("tmp");
        Self {
            blobs: DiskBlobs::new(&root.join("blobs"), &temporary),
            refs: RefTable::new(&root, &temporary),
            indexes: IndexStore::new(&root.join("index"), &temporary),
            leases: LeaseTable::new(&root.join("leases"), &temporary),
            sparse: SparseTable::new(&root.join("sparse"), &temporary),
            trace: Trace::default(),
            making: Alone::default(),
            meter: Meter::default(),
            root,
        }
    }

    /// Returns the version that the store states; nothing if there is no store.
    fn version(&self) -> Result<Option<u64>, StoreError> {
        let path = self.root.join(VERSION_FILE);
        let text = match fs::read(&path).at("read", &path) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let json: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        match json.as_ref().and_then(|json| json.get("version")).and_then(serde_json::Value::as_u64) {
            Some(version) => Ok(Some(version)),
            None => Err(StoreError::NotAStore {
                path: self.root.clone(),
                why: format!("`{VERSION_FILE}` states no version"),
            }),
        }
    }

    /// Makes the layout; several processes may try at once. The version comes last: with it the store is whole.
    fn create(&self) -> Result<(), StoreError> {
        let _turn = lock(&self.root, File::open(&self.root))?;
        if self.version()?.is_some() {
            return Ok(());
        }
        self.refuse_foreign()?;
        for name in DIRECTORIES {
            let path = self.root.join(name);
            DirBuilder::new().recursive(true).mode(0o700).create(&path).at("create", &path)?;
        }
        self.refs.create()?;
        let version = format!("{{\"version\":{STORE_VERSION}}}\n");
        for (name, bytes) in [(LAYOUT_FILE, LAYOUT), (VERSION_FILE, version.as_bytes())] {
            sealed::replace(&self.root.join(name), &self.root.join("tmp"), bytes, Durability::Durable)?;
        }
        Ok(())
    }

    /// Refuses a directory that holds anything that a store being made does not.
    fn refuse_foreign(&self) -> Result<(), StoreError> {
        let own = |name: &str| {
            DIRECTORIES.contains(&name) || LOCKS.contains(&name) || matches!(name, "index.json" | LAYOUT_FILE | LOGS)
        };
        let names = sealed::names(&self.root)?;
        // All of an image layout and nothing of a store: another tool's.
        let begun = names.is_empty() || names.iter().any(|name| name == "leases" || name == "tmp" || name == "layers");
        match names.iter().find(|name| !own(name)) {
            None if begun || !names.iter().any(|name| name == "index.json") => Ok(()),
            None => Err(StoreError::NotAStore {
                path: self.root.clone(),
                why: "it is an image layout of another tool".into(),
            }),
            Some(name) => Err(StoreError::NotAStore { path: self.root.clone(), why: format!("it has `{name}`") }),
        }
    }

    /// Returns its directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns its blobs.
    pub fn blobs(&self) -> &DiskBlobs {
        &self.blobs
    }

    /// Returns its names.
    pub fn refs(&self) -> &RefTable {
        &self.refs
    }

    /// Returns its indexes of layers.
    pub fn indexes(&self) -> &IndexStore {
        &self.indexes
    }

    /// Returns its images of which some blobs are in a registry only.
    pub fn sparse(&self) -> &SparseTable {
        &self.sparse
    }

    /// Returns what running builds hold.
    ///
    /// # Errors
    /// The operating system's.
    pub fn held(&self) -> Result<Reach, IoError> {
        let mut reach = Reach::default();
        reach.add_held(&self.leases.live()?.held);
        Ok(reach)
    }

    /// Returns compressed forms of layers.
    pub fn derived(&self) -> PathBuf {
        self.root.join("derived")
    }

    /// Waits until no other thread makes the compressed form of a layer that is kept at `path`: what several outputs want is
    /// made once.
    pub(crate) fn making(&self, path: PathBuf) -> alone::Held<'_, PathBuf> {
        self.making.at(path)
    }

    /// Returns what is known of registries that hold its blobs.
    pub fn holders(&self) -> Holders {
        Holders::new(&self.cache().join("holders"), &self.temporary())
    }

    /// Returns the directory for what is being made.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Returns the file that the part of a blob that has arrived is kept in.
    pub(crate) fn part(&self, digest: &Digest) -> PathBuf {
        self.temporary().join(format!("{PART}{}", digest.hex()))
    }

    /// Returns whose turn it is to fetch a blob.
    pub(crate) fn fetching(&self) -> Turns {
        Turns::new(&self.root.join("fetch.lock"))
    }

    /// Returns the directory of records.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Returns the directory of cache mounts.
    pub fn mounts(&self) -> PathBuf {
        self.root.join("mounts")
    }

    /// Returns the directory of layer directories, one for each id map.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// Opens the layer directories of id map `map`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn directories(&self, map: &str) -> Result<LayerDirectories, IoError> {
        LayerDirectories::open(&self.layers(), map)
    }

    /// Opens the layer directories of every id map that has any.
    ///
    /// # Errors
    /// The operating system's.
    pub fn all_directories(&self) -> Result<Vec<LayerDirectories>, IoError> {
        sealed::names(&self.layers())?.iter().map(|map| self.directories(map)).collect()
    }

    /// Begins the lease of a build. Every build holds one from before its first look into the store until its end.
    ///
    /// # Errors
    /// The operating system's.
    pub fn lease(&self) -> Result<Lease, IoError> {
        self.leases.begin()
    }

    /// Returns the image of a manifest.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Image`]; [`StoreError`].
    pub fn image(&self, manifest: &Digest) -> Result<Image, StoreError> {
        read_image(&self.blobs, manifest)
    }

    /// Lists the images, the newest first, those that were loaded without a name, too. What is no image of one platform is
    /// left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn images(&self) -> Result<Vec<ImageSummary>, StoreError> {
        let roots = self.refs.roots()?.into_iter().filter(|root| is_manifest(&root.media_type));
        let mut names: BTreeMap<Digest, Vec<ImageRef>> = roots.map(|root| (root.digest, Vec::new())).collect();
        for (name, manifest) in self.refs.list()? {
            if is_manifest(&manifest.media_type) {
                names.entry(manifest.digest).or_default().push(name);
            }
        }
        let mut images: Vec<ImageSummary> = names
            .into_iter()
            .map(|(manifest, names)| self.summary(manifest, names, false))
            .collect::<Result<_, _>>()?;
        for SparseImage { name, manifest, .. } in self.sparse.list()? {
            match images.iter_mut().find(|image| image.manifest == manifest.digest) {
                Some(image) => image.names.push(name),
                None if self.is_readable(&manifest) => images.push(self.summary(manifest.digest, vec![name], true)?),
                // It lost its documents, and so is no image any more.
                None => {}
            }
        }
        images.sort_by(|a, b| (&b.created, &a.names).cmp(&(&a.created, &b.names)));
        Ok(images)
    }

    fn is_readable(&self, manifest: &Descriptor) -> bool {
        self.image(&manifest.digest).is_ok()
    }

    fn summary(&self, manifest: Digest, names: Vec<ImageRef>, is_sparse: bool) -> Result<ImageSummary, StoreError> {
        let image = self.image(&manifest).map_err(|error| damaged(&names, &error))?;
        let layers: u64 = image.manifest.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size));
        let own = (image.manifest_bytes.len() + image.config_bytes.len()) as u64;
        Ok(ImageSummary {
            names,
            id: image.id(),
            manifest,
            created: image.config.created.clone(),
            platform: image.platform(),
            size: layers.saturating_add(own),
            is_sparse,
        })
    }

    fn collection_lock(&self) -> Result<File, IoError> {
        let path = self.root.join("gc.lock");
        lock(&path, File::options().create(true).truncate(false).write(true).open(&path))
    }
}

/// Says which image is damaged, by the name by which it can be removed.
fn damaged(names: &[ImageRef], error: &StoreError) -> StoreError {
    let shown: Vec<String> = names.iter().map(ImageRef::familiar).collect();
    StoreError::Malformed { place: format!("image `{}`", shown.join("`, `")), why: error.to_string() }
}

fn lock(path: &Path, file: std::io::Result<File>) -> Result<File, IoError> {
    let file = file.at("open", path)?;
    file.lock().at("lock", path)?;
    Ok(file)
}

/// Reads the image of a manifest from `blobs`.
///
/// # Errors
/// [`StoreError`].
pub fn read_image(blobs: &dyn BlobStore, manifest: &Digest) -> Result<Image, StoreError> {
    let wrong = |source| StoreError::Image { place: manifest.to_string(), source };
    let manifest_bytes = blobs.read(manifest, LONGEST_MANIFEST)?;
    let config = Manifest::parse(&manifest_bytes).map_err(wrong)?.config;
    Image::parse(manifest_bytes, blobs.read(&config.digest, LONGEST_CONFIG)?).map_err(wrong)
}
