//! [`Exporter`]: where finished images go.

use crate::descriptor::Descriptor;
use crate::digest::{DiffId, Digest};
use crate::image::ImageConfig;
use std::collections::BTreeMap;

/// One layer of a finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportLayer {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The blob in the store.
    pub blob: Descriptor,
}

/// An image whose config and layers are finished.
#[derive(Debug, Clone)]
pub struct FinishedImage {
    /// The config.
    pub config: ImageConfig,
    /// Its bytes.
    pub config_bytes: Vec<u8>,
    /// Layers, the lowest first.
    pub layers: Vec<ExportLayer>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

impl FinishedImage {
    /// Returns the image of `config` and `layers`.
    pub fn new(config: ImageConfig, layers: Vec<ExportLayer>, annotations: BTreeMap<String, String>) -> Self {
        Self { config_bytes: config.print(), config, layers, annotations }
    }

    /// Returns the image ID.
    pub fn id(&self) -> Digest {
        Digest::of(&self.config_bytes)
    }
}
