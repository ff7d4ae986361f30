//! [`Exporter`]: where finished images go.
//!
//! | exporter          | what it makes                                             | layers                         |
//! |-------------------|-----------------------------------------------------------|--------------------------------|
//! | [`StoreExporter`] | a manifest in the store, with names                       | as they are in the store       |
//! | [`SparseExporter`] | the same, of an image whose base is in a registry only   | what is there, as it is there  |
//! | [`OciArchive`]    | a tar of an OCI image layout                              | as [`LayerCompression`] says   |
//! | [`OciDirectory`]  | an OCI image layout, new or with one image more           | as [`LayerCompression`] says   |
//! | [`DockerArchive`] | a tar for `docker load` that is an OCI image layout, too  | as [`LayerCompression`] says   |
//! | [`EngineExporter`]  | an image of Docker or Podman on this machine              | as they are in the store       |
//! | [`RegistryExporter`] | blobs and manifests in repositories of registries      | as [`LayerCompression`] says   |
//!
//! [`EarlyForms`] compresses layers before they are asked for. [`TreeTar`] and [`LocalTree`] write the files of an image, without its config. [`save()`] writes several images of a store into one archive or layout.
//!
//! What comes out depends on the image, the names and the compression alone: two exports have the same bytes. Manifests
//! are OCI's throughout, whatever media types the layers of a base image came with (FEATURES 11-12). Every exporter holds
//! a lease, so that gc may run beside it.

mod destination;
mod docker_archive;
mod early;
mod engine;
mod forms;
mod layout;
mod local;
mod oci_archive;
mod oci_directory;
mod oci_index;
mod registry;
mod rework;
mod save;
mod sparse;
mod store;
#[cfg(test)]
mod tests;
mod tree_tar;

pub use crate::source::ExportLayer;
pub use destination::Destination;
pub use docker_archive::DockerArchive;
pub use early::EarlyForms;
pub use engine::{Engine, EngineExporter, Loaded};
pub use forms::LayerCompression;
pub use local::LocalTree;
pub use oci_archive::OciArchive;
pub use oci_directory::OciDirectory;
pub use oci_index::OciIndex;
pub use registry::{PushEvent, PushObserver, RegistryExporter, pushed_manifest};
pub use rework::Rework;
pub use save::{SaveTo, save};
pub use sparse::SparseExporter;
pub use store::StoreExporter;
pub use tree_tar::TreeTar;

use crate::descriptor::{Descriptor, media_type, to_docker};
use crate::digest::{DiffId, Digest};
use crate::error::StoreError;
use crate::image::{Image, ImageConfig, Index, Manifest};
use crate::lease::{Held, Lease};
use crate::platform::Platform;
use crate::source::Origin;
use crate::store::Store;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Somewhere an image can go. Contract: after an error, or a kill at any time, what was there before is as it was, and
/// there is nothing half-written under the name that was asked for (what went to standard output is gone, of course).
pub trait Exporter: Debug {
    /// Brings an image, whose layers are in `store`, to where it goes; returns the descriptor of its manifest there.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`] if a layer is not in the store; [`StoreError::DigestMismatch`] and
    /// [`StoreError::SizeMismatch`] if one is damaged; [`StoreError::Io`].
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError>;
}

/// An image that is whole: its config and its layers, which are in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedImage {
    /// The config; its diff IDs are those of the layers.
    pub config: ImageConfig,
    /// The config's bytes, which the image ID is over.
    pub config_bytes: Vec<u8>,
    /// The layers, the lowest first.
    pub layers: Vec<ExportLayer>,
    /// Annotations of the manifest in every output. A base image's do not belong here (FEATURES 11-12).
    pub annotations: BTreeMap<String, String>,
    /// How the manifest, and what leads to it, are dressed for this output.
    pub dress: Dress,
    /// The manifest that the image came with. A push whose layers are those that it states sends these bytes.
    pub manifest_bytes: Option<Vec<u8>>,
}

/// How a manifest or an index, and what leads to it, are dressed for an output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dress {
    /// Docker's media types, not OCI's.
    pub docker_types: bool,
    /// Annotations in it.
    pub annotations: BTreeMap<String, String>,
    /// Annotations of its descriptor, in an index or in `index.json`.
    pub descriptor_annotations: BTreeMap<String, String>,
}

impl Dress {
    /// Returns an index of `manifests`, and its bytes.
    pub fn index(&self, manifests: Vec<Descriptor>) -> (Descriptor, Vec<u8>) {
        let mut index = Index { annotations: self.annotations.clone(), ..Index::new(manifests) };
        if self.docker_types {
            index.media_type = to_docker(&index.media_type).to_owned();
        }
        let bytes = index.print();
        (Descriptor::of(&index.media_type, &bytes), bytes)
    }
}

impl FinishedImage {
    /// Returns the image of a config, which is printed here, and layers.
    pub fn new(config: ImageConfig, layers: Vec<ExportLayer>, annotations: BTreeMap<String, String>) -> Self {
        Self {
            config_bytes: config.print(),
            config,
            layers,
            annotations,
            dress: Dress::default(),
            manifest_bytes: None,
        }
    }

    /// Returns an image as it is in a store or a registry; `source` has what the store lacks.
    pub fn whole(image: Image, source: Option<&Origin>) -> Self {
        let layers = image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers);
        let layer = |(diff_id, blob): (&DiffId, &Descriptor)| ExportLayer {
            diff_id: *diff_id,
            blob: blob.clone(),
            source: source.cloned(),
        };
        Self {
            layers: layers.map(layer).collect(),
            annotations: image.manifest.annotations.clone(),
            dress: Dress::default(),
            config: image.config,
            config_bytes: image.config_bytes,
            manifest_bytes: Some(image.manifest_bytes),
        }
    }

    /// Returns the image ID: the digest of the config's bytes.
    pub fn id(&self) -> Digest {
        Digest::of(&self.config_bytes)
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

    /// Returns the manifest for layers in the form that `layers` describe, and its bytes.
    fn manifest(&self, layers: Vec<Descriptor>) -> (Descriptor, Vec<u8>) {
        let config = Descriptor::of(media_type::OCI_CONFIG, &self.config_bytes);
        let mut annotations = self.annotations.clone();
        annotations.extend(self.dress.annotations.clone());
        let mut manifest = Manifest::new(config, layers, annotations);
        if self.dress.docker_types {
            for descriptor in manifest.layers.iter_mut().chain([&mut manifest.config]) {
                descriptor.media_type = to_docker(&descriptor.media_type).to_owned();
            }
            manifest.media_type = media_type::DOCKER_MANIFEST.to_owned();
        }
        let bytes = manifest.print();
        (Descriptor::of(&manifest.media_type, &bytes), bytes)
    }
}

/// Begins a lease that holds the image's layers and `more` blobs.
fn hold(image: &FinishedImage, more: &[Digest], store: &Store) -> Result<Lease, StoreError> {
    let lease = store.lease()?;
    hold_in(&lease, image, more)?;
    Ok(lease)
}

/// Lets `lease` hold the image's layers and `more` blobs, too.
fn hold_in(lease: &Lease, image: &FinishedImage, more: &[Digest]) -> Result<(), StoreError> {
    let layers = image.layers.iter().map(|layer| layer.blob.digest);
    Ok(lease.hold(&layers.chain(more.iter().copied()).map(Held::Blob).collect::<Vec<_>>())?)
}
