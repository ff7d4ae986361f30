//! [`Image`]: an image's config and manifest with their exact bytes.
//!
//! Parsing keeps the bytes that came (a digest is over them); what lbuild makes is printed once, keys in a fixed order,
//! so that the same image has the same bytes. Configs keep keys that lbuild does not know (`extra`).

mod config;
mod manifest;
#[cfg(test)]
mod tests;

pub use config::{Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use manifest::{Index, Manifest};

use crate::descriptor::{Descriptor, media_type};
use crate::digest::Digest;
use crate::platform::Platform;

/// Why bytes are no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// No JSON, or not of the right shape.
    #[error("{what}: {why}")]
    Json {
        /// `image manifest`, `image index`, `image config`.
        what: &'static str,
        /// The parser's words.
        why: String,
    },
    /// A Docker manifest of schema 1.
    #[error("image manifest: Docker schema 1 is not supported")]
    Schema1,
    /// Another version than 2.
    #[error("{what}: `schemaVersion` is {}, not 2", found.map_or("missing".to_owned(), |number| number.to_string()))]
    SchemaVersion {
        /// `image manifest` or `image index`.
        what: &'static str,
        /// As stated.
        found: Option<u64>,
    },
    /// A media type that is not the one expected.
    #[error("{what}: media type `{found}` is not supported")]
    MediaType {
        /// What was being read.
        what: &'static str,
        /// As stated.
        found: String,
    },
    /// The config is not the one that the manifest names.
    #[error("image config: manifest states {wanted} of {wanted_size} bytes, found {got} of {got_size}")]
    Config {
        /// As stated.
        wanted: Digest,
        /// As stated, in bytes.
        wanted_size: u64,
        /// As found.
        got: Digest,
        /// As found, in bytes.
        got_size: u64,
    },
    /// Manifest and config do not have the same number of layers.
    #[error("image: {layers} layers in the manifest, {diff_ids} diff IDs in the config")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
}

impl ImageError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Schema1 => Some("push the image again with a tool of this decade, or convert it with `skopeo copy`"),
            _ => None,
        }
    }
}

/// An image: config and manifest, each with the bytes that its digest is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The config, parsed.
    pub config: ImageConfig,
    /// Its bytes.
    pub config_bytes: Vec<u8>,
    /// The manifest, parsed.
    pub manifest: Manifest,
    /// Its bytes.
    pub manifest_bytes: Vec<u8>,
}

impl Image {
    /// Returns the image of a manifest and its config, checked against each other: the config has the digest and size
    /// that the manifest states, and there are as many layers as diff IDs. A history with more or fewer lines is some
    /// tools' way, and harmless.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn parse(manifest_bytes: Vec<u8>, config_bytes: Vec<u8>) -> Result<Self, ImageError> {
        let manifest = Manifest::parse(&manifest_bytes)?;
        if !matches!(manifest.config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
            return Err(ImageError::MediaType { what: "image config", found: manifest.config.media_type });
        }
        check_config_bytes(&manifest.config, &config_bytes)?;
        let config: ImageConfig = serde_json::from_slice(&config_bytes)
            .map_err(|error| ImageError::Json { what: "image config", why: error.to_string() })?;
        check_layer_count(&manifest, &config)?;
        Ok(Self { config, config_bytes, manifest, manifest_bytes })
    }

    /// Returns the image ID: the digest of the config's bytes.
    pub fn id(&self) -> Digest {
        self.manifest.config.digest
    }

    /// Returns the descriptor of the manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.manifest.media_type, &self.manifest_bytes)
    }

    /// Returns the platform that the config states.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.config.os.clone(),
            architecture: self.config.architecture.clone(),
            variant: self.config.variant.clone().unwrap_or_default(),
            os_version: self.config.os_version.clone().unwrap_or_default(),
        }
    }
}

fn check_config_bytes(stated: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
    let (got, got_size) = (Digest::of(bytes), bytes.len() as u64);
    if (got, got_size) == (stated.digest, stated.size) {
        return Ok(());
    }
    Err(ImageError::Config { wanted: stated.digest, wanted_size: stated.size, got, got_size })
}

fn check_layer_count(manifest: &Manifest, config: &ImageConfig) -> Result<(), ImageError> {
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    match layers == diff_ids {
        true => Ok(()),
        false => Err(ImageError::LayerCount { layers, diff_ids }),
    }
}
