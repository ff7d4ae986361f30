//! [`DockerArchive`]: a tar for `docker load`.

use super::layout::{LaidOut, Layout, NamedImage, blob_path};
use super::{Destination, Exporter, FinishedImage, LayerCompression};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::store::Store;
use serde::Serialize;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

/// Writes an image as `docker save` does since version 25: `manifest.json` over an OCI image layout (FEATURES 9-8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerArchive {
    /// Where to.
    pub destination: Destination,
    /// Names for `manifest.json` and `index.json`; Docker takes those with a tag.
    pub names: Vec<ImageRef>,
    /// How layers are compressed.
    pub compression: LayerCompression,
}

/// A line of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl Exporter for DockerArchive {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let named = NamedImage { image, names: &self.names };
        Ok(write(&[named], &self.destination, self.compression, store)?.remove(0))
    }
}

/// Writes images into one archive; returns the descriptors of their manifests.
pub(super) fn write(
    images: &[NamedImage<'_>],
    to: &Destination,
    compression: LayerCompression,
    store: &Store,
) -> Result<Vec<Descriptor>, StoreError> {
    let archive = Archive::of(images, compression, store)?;
    to.write(|out| archive.write_to(out, to.place()))?;
    Ok(archive.manifests())
}

/// An archive that is not yet written.
#[derive(Debug)]
pub(super) struct Archive {
    layout: Layout,
    /// Files beside those of the layout.
    more: Vec<(&'static str, Vec<u8>)>,
}

impl Archive {
    /// Returns the archive of images; layers are compressed here, if at all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn of(images: &[NamedImage<'_>], compression: LayerCompression, store: &Store) -> Result<Self, StoreError> {
        let layout = Layout::of(images, compression, store)?;
        let lines: Vec<Line> =
            images.iter().zip(&layout.images).map(|(named, laid_out)| line(*named, laid_out)).collect();
        Ok(Self { layout, more: vec![("manifest.json", serde_json::to_vec(&lines).expect("texts print"))] })
    }

    /// Returns the archive of images as a plain OCI image layout.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn layout(images: &[NamedImage<'_>], compression: LayerCompression, store: &Store) -> Result<Self, StoreError> {
        Ok(Self { layout: Layout::of(images, compression, store)?, more: Vec::new() })
    }

    /// Leaves out blobs, for a reader who has them.
    pub fn leave_out(&mut self, blobs: &HashSet<Digest>) {
        self.layout.blobs.retain(|digest, _| !blobs.contains(digest));
    }

    /// Returns the number of blobs.
    #[cfg(test)]
    pub fn blobs(&self) -> usize {
        self.layout.blobs.len()
    }

    /// Writes it to `out`, which messages call `place`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write_to(&self, out: &mut dyn Write, place: &Path) -> Result<(), StoreError> {
        self.layout.write_tar(&self.more, out, place)
    }

    /// Returns the descriptors of the manifests.
    pub fn manifests(&self) -> Vec<Descriptor> {
        self.layout.manifests()
    }
}

fn line(named: NamedImage<'_>, laid_out: &LaidOut) -> Line {
    let mut repo_tags: Vec<String> = Vec::new();
    for name in named.names {
        let text = name.tag.as_ref().map(|tag| format!("{}:{tag}", name.familiar_name()));
        repo_tags.extend(text.filter(|text| !repo_tags.contains(text)));
    }
    let layers = laid_out.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
    Line { config: blob_path(&named.image.id()), repo_tags, layers }
}
