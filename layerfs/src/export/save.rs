//! [`save`]: images of the store as one archive or layout.

use super::layout::NamedImage;
use super::{Destination, FinishedImage, LayerCompression, docker_archive, oci_archive, oci_directory};
use crate::error::StoreError;
use crate::image::Image;
use crate::reference::ImageRef;
use crate::store::Store;
use std::path::PathBuf;

/// What saved images become, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveTo {
    /// A tar for `docker load` that is an OCI image layout, too.
    DockerArchive(Destination),
    /// A tar of an OCI image layout.
    OciArchive(Destination),
    /// An OCI image layout, new or with these images more.
    OciDirectory(PathBuf),
}

/// Brings images of `store`, each with names of its own, to one place; blobs that they share are there once. Layers stay in
/// the form that they have in the store. Contract: as [`super::Exporter`].
///
/// # Errors
/// As [`super::Exporter::export`].
pub fn save(images: &[(Image, Vec<ImageRef>)], to: &SaveTo, store: &Store) -> Result<(), StoreError> {
    let finished: Vec<FinishedImage> =
        images.iter().map(|(image, _)| FinishedImage::whole(image.clone(), None)).collect();
    let named = finished.iter().zip(images).map(|(image, (_, names))| NamedImage { image, names });
    let named: Vec<NamedImage<'_>> = named.collect();
    match to {
        SaveTo::DockerArchive(to) => docker_archive::write(&named, to, LayerCompression::KEEP, store),
        SaveTo::OciArchive(to) => oci_archive::write(&named, to, LayerCompression::KEEP, store),
        SaveTo::OciDirectory(path) => oci_directory::write(&named, path, LayerCompression::KEEP, store),
    }
    .map(|_| ())
}
