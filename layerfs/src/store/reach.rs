//! [`Reach`]: what images and records need of a store.

use super::{LONGEST_CONFIG, LONGEST_MANIFEST, Store};
use crate::descriptor::{Descriptor, is_index, is_manifest};
use crate::digest::{ChainId, DiffId, Digest};
use crate::error::StoreError;
use crate::image::{ImageConfig, Index, Manifest};
use crate::io_error::IoError;
use crate::layer::{Layer, LayerKey};
use crate::lease::Held;
use std::collections::BTreeSet;

/// Blobs and layers that something needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Blobs.
    pub blobs: BTreeSet<Digest>,
    /// Layers by the names of their directories and indexes.
    pub layers: BTreeSet<LayerKey>,
    /// Diff IDs of layers whose built form and derivatives are kept with them.
    pub diff_ids: BTreeSet<DiffId>,
    /// Layers of which the index alone is needed.
    pub indexes: BTreeSet<LayerKey>,
}

impl Reach {
    /// Adds the stack of a record.
    pub fn add_stack(&mut self, stack: &[Layer]) {
        let mut base = Vec::new();
        for layer in stack {
            match layer {
                Layer::Base { diff_id, blob } => {
                    base.push(*diff_id);
                    self.blobs.insert(blob.digest);
                    self.add_diff_ids(&base);
                }
                Layer::Built { execution, .. } => {
                    self.layers.insert(LayerKey::Execution(*execution));
                }
            }
        }
    }

    /// Adds what a lease holds.
    pub fn add_held(&mut self, held: &BTreeSet<Held>) {
        for thing in held {
            match thing {
                Held::Blob(digest) => self.blobs.insert(*digest),
                Held::Layer(key) => self.layers.insert(*key),
                Held::Record(_) => false,
            };
        }
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.blobs.extend(&other.blobs);
        self.layers.extend(&other.layers);
        self.diff_ids.extend(&other.diff_ids);
        self.indexes.extend(&other.indexes);
    }

    /// Adds the indexes of the layers `diff_ids`, the lowest first.
    pub(super) fn add_indexes(&mut self, diff_ids: &[DiffId]) {
        for count in 1..=diff_ids.len() {
            self.indexes.insert(LayerKey::Diff(diff_ids[count - 1]));
            self.indexes.extend(ChainId::of(&diff_ids[..count]).map(LayerKey::Chain));
        }
    }

    /// Adds the topmost of the layers `diff_ids`, under both of its names.
    fn add_diff_ids(&mut self, diff_ids: &[DiffId]) {
        if let (Some(top), Some(chain)) = (diff_ids.last(), ChainId::of(diff_ids)) {
            self.diff_ids.insert(*top);
            self.blobs.insert(top.0);
            self.layers.extend([LayerKey::Diff(*top), LayerKey::Chain(chain)]);
        }
    }
}

impl Store {
    /// Returns what the images of `index.json` need, with what is wrong with them, one line each.
    pub(super) fn reach_of_images(&self) -> Result<(Reach, Vec<String>), StoreError> {
        self.reach_of(self.refs.roots()?)
    }

    /// Returns what the images of `waiting` need, with what is wrong with them, one line each.
    pub(super) fn reach_of(&self, mut waiting: Vec<Descriptor>) -> Result<(Reach, Vec<String>), StoreError> {
        let (mut reach, mut wrong) = (Reach::default(), Vec::new());
        while let Some(entry) = waiting.pop() {
            if !reach.blobs.insert(entry.digest) {
                continue;
            }
            match self.parts(&entry, &mut reach) {
                Ok(more) => waiting.extend(more),
                Err(error @ StoreError::Io(_)) => return Err(error),
                Err(error) => wrong.push(format!("image {}: {error}", entry.digest)),
            }
        }
        for image in self.sparse.list()? {
            if reach.blobs.insert(image.manifest.digest) {
                self.reach_of_sparse(&image.manifest, &mut reach)?;
            }
        }
        Ok((reach, wrong))
    }

    /// Adds what a sparse image needs of what is there. One that lost its manifest or config needs nothing more.
    fn reach_of_sparse(&self, manifest: &Descriptor, reach: &mut Reach) -> Result<(), StoreError> {
        match self.parts(manifest, reach) {
            Err(error @ StoreError::Io(_)) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Adds what one descriptor of an index leads to; returns further descriptors to look into.
    fn parts(&self, entry: &Descriptor, reach: &mut Reach) -> Result<Vec<Descriptor>, StoreError> {
        let wrong = |source| StoreError::Image { place: entry.digest.to_string(), source };
        if is_index(&entry.media_type) {
            let bytes = self.blobs.read(&entry.digest, LONGEST_MANIFEST)?;
            return Ok(Index::parse(&bytes).map_err(wrong)?.manifests);
        }
        if is_manifest(&entry.media_type) {
            let manifest = Manifest::parse(&self.blobs.read(&entry.digest, LONGEST_MANIFEST)?).map_err(wrong)?;
            reach.blobs.insert(manifest.config.digest);
            reach.blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
            let config = self.blobs.read(&manifest.config.digest, LONGEST_CONFIG)?;
            // A config that is none is an artifact's; it has no layers of ours.
            if let Ok(config) = serde_json::from_slice::<ImageConfig>(&config) {
                let diff_ids = &config.rootfs.diff_ids;
                (1..=diff_ids.len()).for_each(|count| reach.add_diff_ids(&diff_ids[..count]));
            }
        }
        Ok(Vec::new())
    }

    /// Completes `reach` by what is known of built layers: the tar of each that is reached, and each whose tar is.
    pub(super) fn follow_built(&self, reach: &mut Reach) -> Result<(), IoError> {
        for key in self.indexes.list()?.into_iter().filter(|key| matches!(key, LayerKey::Execution(_))) {
            let Some(facts) = self.indexes.tar(&key)? else { continue };
            if reach.layers.contains(&key) || reach.diff_ids.contains(&facts.diff_id) {
                reach.layers.insert(key);
                reach.diff_ids.insert(facts.diff_id);
                reach.blobs.insert(facts.diff_id.0);
            }
        }
        Ok(())
    }
}
