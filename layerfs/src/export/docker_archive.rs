//! [`DockerArchive`]: a tar for `docker load`.

use super::layout::{Layout, blob_path};
use super::{Destination, Exporter, FinishedImage, LayerCompression, hold};
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::store::Store;
use serde::Serialize;

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

impl DockerArchive {
    fn manifest(&self, image: &FinishedImage, layout: &Layout) -> Vec<u8> {
        let mut repo_tags: Vec<String> = Vec::new();
        for name in &self.names {
            let text = name.tag.as_ref().map(|tag| format!("{}:{tag}", name.familiar_name()));
            repo_tags.extend(text.filter(|text| !repo_tags.contains(text)));
        }
        let layers = layout.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
        let line = Line { config: blob_path(&image.id()), repo_tags, layers };
        serde_json::to_vec(&[line]).expect("texts print")
    }
}

impl Exporter for DockerArchive {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let _lease = hold(image, &[], store)?;
        let layout = Layout::of(image, &self.names, self.compression, store)?;
        let more = [("manifest.json", self.manifest(image, &layout))];
        self.destination.write(|out| layout.write_tar(&more, out, self.destination.place()))?;
        Ok(layout.manifest)
    }
}
