//! [`Descriptor`]: what some stored bytes are, how many, and their digest; and the media types.

use crate::digest::Digest;
use crate::platform::Platform;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Media types of OCI (image-spec media-types.md) and of Docker (distribution manifest v2 schema 2).
pub mod media_type {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A plain OCI layer.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// An OCI layer compressed with gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer compressed with zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// A plain Docker layer.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// A Docker layer compressed with gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// A Docker layer compressed with zstd.
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// An OCI layer that is fetched from a URL of its own.
    pub const OCI_FOREIGN_LAYER_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    /// A Docker layer that is fetched from a URL of its own.
    pub const DOCKER_FOREIGN_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// Docker's manifests before schema 2, which lbuild refuses; also with `.v1+prettyjws`.
    pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
}

/// Returns the OCI media type of what has media type `kind`, in OCI's or Docker's words; others stay as they are.
pub fn to_oci(kind: &str) -> &str {
    match kind {
        media_type::DOCKER_MANIFEST => media_type::OCI_MANIFEST,
        media_type::DOCKER_INDEX => media_type::OCI_INDEX,
        media_type::DOCKER_CONFIG => media_type::OCI_CONFIG,
        media_type::DOCKER_LAYER => media_type::OCI_LAYER,
        media_type::DOCKER_LAYER_GZIP => media_type::OCI_LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD => media_type::OCI_LAYER_ZSTD,
        media_type::DOCKER_FOREIGN_LAYER_GZIP => media_type::OCI_FOREIGN_LAYER_GZIP,
        other => other,
    }
}

/// Returns Docker's media type of what has media type `kind`, in OCI's or Docker's words; others stay as they are.
pub fn to_docker(kind: &str) -> &str {
    match kind {
        media_type::OCI_MANIFEST => media_type::DOCKER_MANIFEST,
        media_type::OCI_INDEX => media_type::DOCKER_INDEX,
        media_type::OCI_CONFIG => media_type::DOCKER_CONFIG,
        media_type::OCI_LAYER => media_type::DOCKER_LAYER,
        media_type::OCI_LAYER_GZIP => media_type::DOCKER_LAYER_GZIP,
        media_type::OCI_LAYER_ZSTD => media_type::DOCKER_LAYER_ZSTD,
        media_type::OCI_FOREIGN_LAYER_GZIP => media_type::DOCKER_FOREIGN_LAYER_GZIP,
        other => other,
    }
}

/// Reports whether `kind` is an image manifest.
pub fn is_manifest(kind: &str) -> bool {
    matches!(kind, media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST)
}

/// Reports whether `kind` is an index or manifest list.
pub fn is_index(kind: &str) -> bool {
    matches!(kind, media_type::OCI_INDEX | media_type::DOCKER_INDEX)
}

/// A descriptor (image-spec descriptor.md). `size` is in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the bytes.
    pub media_type: String,
    /// Their digest.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Annotations in the order of their keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The platform, where an index states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Keys that lbuild does not know, and those it only passes on (`urls`, `data`, `artifactType`).
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Descriptor {
    /// Returns the descriptor of `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Returns a descriptor without annotations and platform.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, annotations: BTreeMap::new(), platform: None, extra: BTreeMap::new() }
    }
}
