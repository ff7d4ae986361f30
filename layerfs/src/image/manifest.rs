//! [`Manifest`] and [`Index`]: which blobs make an image, and which images an index holds.

use super::ImageError;
use super::config::null_is_default;
use crate::descriptor::{Descriptor, is_index, is_manifest, media_type};
use crate::platform::Platform;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An image manifest (image-spec manifest.md), OCI or Docker schema 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own media type.
    #[serde(default, deserialize_with = "null_is_default")]
    pub media_type: String,
    /// The image config.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Keys that lbuild does not know (`subject`, `artifactType`).
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// An image index (image-spec image-index.md) or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own media type.
    #[serde(default, deserialize_with = "null_is_default")]
    pub media_type: String,
    /// Images, or further indexes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Keys that lbuild does not know (`subject`, `artifactType`).
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Manifest {
    /// Returns an OCI manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Self {
        let media_type = media_type::OCI_MANIFEST.to_owned();
        Self { schema_version: 2, media_type, config, layers, annotations, extra: BTreeMap::new() }
    }

    /// Returns the manifest that `bytes` are.
    ///
    /// # Errors
    /// [`ImageError`], among them [`ImageError::Schema1`] for Docker's old manifests.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut manifest: Self = parse_versioned("image manifest", bytes)?;
        if manifest.media_type.is_empty() {
            // OCI made the key optional; Docker never left it out.
            manifest.media_type = media_type::OCI_MANIFEST.to_owned();
        }
        if !is_manifest(&manifest.media_type) {
            return Err(ImageError::MediaType { what: "image manifest", found: manifest.media_type });
        }
        Ok(manifest)
    }

    /// Returns the manifest as JSON, indented by two spaces, keys in the order of the fields (FEATURES 9-7).
    pub fn print(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest of texts and numbers prints")
    }
}

impl Index {
    /// Returns an OCI index.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        let media_type = media_type::OCI_INDEX.to_owned();
        Self { schema_version: 2, media_type, manifests, annotations: BTreeMap::new(), extra: BTreeMap::new() }
    }

    /// Returns the index that `bytes` are.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let index: Self = parse_versioned("image index", bytes)?;
        if !index.media_type.is_empty() && !is_index(&index.media_type) {
            return Err(ImageError::MediaType { what: "image index", found: index.media_type });
        }
        Ok(index)
    }

    /// Returns the index as JSON, indented by two spaces.
    pub fn print(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("an index of texts and numbers prints")
    }

    /// Returns what may serve `platform`, the best first: images that state a fitting platform by their rank, then those
    /// that state none (further indexes, mostly), which the caller looks into. Attestations (`unknown/unknown`) and
    /// artifacts are never among them.
    pub fn candidates(&self, platform: &Platform) -> Vec<&Descriptor> {
        let images =
            self.manifests.iter().filter(|entry| is_index(&entry.media_type) || is_manifest(&entry.media_type));
        let mut ranked: Vec<(usize, &Descriptor)> = images
            .filter_map(|entry| match &entry.platform {
                None => Some((usize::MAX, entry)),
                Some(offered) if offered.is_unknown() => None,
                Some(offered) => platform.rank(offered).map(|rank| (rank, entry)),
            })
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Returns the best of [`Self::candidates`].
    pub fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        self.candidates(platform).into_iter().next()
    }

    /// Returns the platforms that the index states, for messages.
    pub fn platforms(&self) -> Vec<String> {
        let stated = self.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        stated.filter(|platform| !platform.is_unknown()).map(ToString::to_string).collect()
    }
}

/// Parses JSON that states its `schemaVersion`, which is looked at first: schema 1 has another shape altogether.
fn parse_versioned<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ImageError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        schema_version: Option<u64>,
    }
    let json = |error: serde_json::Error| ImageError::Json { what, why: error.to_string() };
    match serde_json::from_slice::<Version>(bytes).map_err(json)?.schema_version {
        Some(2) => serde_json::from_slice(bytes).map_err(json),
        Some(1) => Err(ImageError::Schema1),
        found => Err(ImageError::SchemaVersion { what, found }),
    }
}
