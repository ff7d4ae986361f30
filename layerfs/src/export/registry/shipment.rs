//! [`Shipment`]: an image on its way to registries: in which form each layer goes, and the manifest that comes of it.

use super::buffers::Buffers;
use crate::blobs::BlobStore;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::export::{ExportLayer, FinishedImage, LayerCompression};
use crate::image::Manifest;
use crate::store::Store;
use std::sync::Mutex;

/// Chunks in memory at once: with what compressing takes, the bound of a push's memory.
const CHUNKS: usize = 4;

/// An image on its way to one or more registries.
#[derive(Debug)]
pub(super) struct Shipment<'a> {
    pub image: &'a FinishedImage,
    pub store: &'a Store,
    pub compression: LayerCompression,
    /// Each layer once.
    pub pieces: Vec<Piece<'a>>,
    /// The piece of each layer of the image, the lowest first.
    order: Vec<usize>,
    pub buffers: Buffers,
    /// Held while a layer is compressed, which takes all cores: two at once would only take memory.
    pub compressing: Mutex<()>,
}

/// A layer on its way.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub layer: &'a ExportLayer,
    pub form: Form,
    /// Held while the layer is made, so that a second registry waits for the first one's and reads what it left.
    pub making: Mutex<()>,
}

/// In which form a layer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Not at all: its bytes are not here, and its descriptor says where they are to be had.
    Elsewhere,
    /// As it is.
    AsItIs,
    /// Compressed, now or earlier.
    Made,
}

/// Returns in which form a layer goes. Layers that a registry may not hand out stay away only if their bytes are not here
/// (as BuildKit does with those it never fetched).
pub(super) fn form(layer: &Descriptor, kept: bool, in_store: bool) -> Form {
    match layer.extra.get("urls").and_then(|urls| urls.as_array()) {
        Some(urls) if !urls.is_empty() && !in_store => Form::Elsewhere,
        _ if kept => Form::AsItIs,
        _ => Form::Made,
    }
}

impl<'a> Shipment<'a> {
    /// Returns an image on its way, nothing of it made or sent yet.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn new(image: &'a FinishedImage, compression: LayerCompression, store: &'a Store) -> Result<Self, StoreError> {
        let unchanged = is_unchanged(image, compression, store)?;
        let (mut pieces, mut order): (Vec<Piece<'a>>, Vec<usize>) = (Vec::new(), Vec::new());
        for layer in &image.layers {
            let known = pieces.iter().position(|piece| piece.layer.blob.digest == layer.blob.digest);
            order.push(known.unwrap_or(pieces.len()));
            if known.is_none() {
                let in_store = store.blobs().size(&layer.blob.digest)?.is_some();
                let form = form(&layer.blob, unchanged || compression.keeps_layer(layer), in_store);
                pieces.push(Piece { layer, form, making: Mutex::new(()) });
            }
        }
        let (buffers, compressing) = (Buffers::new(CHUNKS), Mutex::new(()));
        Ok(Self { image, store, compression, pieces, order, buffers, compressing })
    }

    /// Returns the layer's descriptor in the form it goes in; nothing if that form was never made.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn known(&self, piece: &Piece<'_>) -> Result<Option<Descriptor>, StoreError> {
        Ok(match piece.form {
            Form::Elsewhere => Some(piece.layer.blob.clone()),
            Form::AsItIs => Some(piece.layer.descriptor()),
            Form::Made => self.compression.known(piece.layer, self.store)?,
        })
    }

    /// Returns the descriptors of all pieces; nothing if one was never made.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn all_known(&self) -> Result<Option<Vec<Descriptor>>, StoreError> {
        self.pieces.iter().map(|piece| self.known(piece)).collect()
    }

    /// Returns the manifest whose pieces are as `pieces` describe. If these are the layers that the image came with, it
    /// is the manifest that it came with.
    pub fn manifest(&self, pieces: &[Descriptor]) -> (Descriptor, Vec<u8>) {
        let layers: Vec<Descriptor> = self.order.iter().map(|&at| pieces[at].clone()).collect();
        if let Some(bytes) = &self.image.manifest_bytes
            && let Ok(manifest) = Manifest::parse(bytes)
            && digests(&manifest.layers) == digests(&layers)
        {
            return (Descriptor::of(&manifest.media_type, bytes), bytes.clone());
        }
        self.image.manifest(layers)
    }
}

fn digests(layers: &[Descriptor]) -> Vec<Digest> {
    layers.iter().map(|layer| layer.digest).collect()
}

/// Reports whether the image came from a registry as it is: plain layers then stay plain, and the manifest stays the same.
fn is_unchanged(image: &FinishedImage, compression: LayerCompression, store: &Store) -> Result<bool, StoreError> {
    match &image.manifest_bytes {
        Some(bytes) if !compression.force => Ok(store.holders().knows(&Digest::of(bytes))?),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Compression;
    use crate::descriptor::media_type;
    use serde_json::json;

    #[test]
    fn layers_with_urls_stay_away_if_their_bytes_are_not_here() {
        let plain = Descriptor::of(media_type::OCI_LAYER, b"layer");
        let with = |urls: serde_json::Value| Descriptor { extra: [("urls".to_owned(), urls)].into(), ..plain.clone() };
        let foreign = with(json!(["https://example.com/layer"]));
        for (layer, kept, in_store, wanted) in [
            (&plain, true, true, Form::AsItIs),
            (&plain, true, false, Form::AsItIs),
            (&plain, false, true, Form::Made),
            (&plain, false, false, Form::Made),
            (&foreign, true, false, Form::Elsewhere),
            (&foreign, false, false, Form::Elsewhere),
            (&foreign, true, true, Form::AsItIs),
            (&with(json!([])), true, false, Form::AsItIs),
            (&with(json!("no list")), true, false, Form::AsItIs),
        ] {
            assert_eq!(form(layer, kept, in_store), wanted, "{layer:?}");
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("store")).expect("a store");
        (directory, store)
    }

    fn finished(layers: &[&Descriptor]) -> FinishedImage {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer.digest.to_string())).collect();
        let config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let layer = |(blob, diff_id): (&&Descriptor, &Digest)| ExportLayer {
            diff_id: crate::digest::DiffId(*diff_id),
            blob: (*blob).clone(),
            source: None,
        };
        let config = serde_json::from_value(config).expect("a config");
        FinishedImage::new(config, layers.iter().zip(&diff_ids).map(layer).collect(), Default::default())
    }

    const GZIP: LayerCompression = LayerCompression { form: Compression::Gzip, level: None, force: false };

    #[test]
    fn equal_layers_go_once_and_stand_twice_in_the_manifest() {
        let (_directory, store) = store();
        let gzip = |text: &str| Descriptor::of(media_type::DOCKER_LAYER_GZIP, text.as_bytes());
        let (a, b) = (gzip("a"), gzip("b"));
        let image = finished(&[&a, &b, &a]);
        let shipment = Shipment::new(&image, GZIP, &store).expect("a shipment");
        assert_eq!(shipment.pieces.len(), 2);
        let pieces = shipment.all_known().expect("read").expect("all are as they came");
        let (descriptor, bytes) = shipment.manifest(&pieces);
        assert_eq!(descriptor, Descriptor::of(media_type::OCI_MANIFEST, &bytes));
        let manifest = Manifest::parse(&bytes).expect("a manifest");
        assert_eq!(digests(&manifest.layers), [a.digest, b.digest, a.digest]);
        assert!(manifest.layers.iter().all(|layer| layer.media_type == media_type::OCI_LAYER_GZIP));
    }

    #[test]
    fn what_came_and_goes_with_the_same_layers_keeps_its_manifest() {
        let (_directory, store) = store();
        let plain = Descriptor::of(media_type::DOCKER_LAYER, b"a");
        let mut image = finished(&[&plain]);
        let config = Descriptor::of(media_type::DOCKER_CONFIG, &image.config_bytes);
        let mut manifest = Manifest::new(config, vec![plain.clone()], Default::default());
        manifest.media_type = media_type::DOCKER_MANIFEST.to_owned();
        let bytes = manifest.print();
        image.manifest_bytes = Some(bytes.clone());
        let known = |image: &FinishedImage, compression| {
            let shipment = Shipment::new(image, compression, &store).expect("a shipment");
            shipment.all_known().expect("read").map(|pieces| shipment.manifest(&pieces))
        };
        assert_eq!(known(&image, GZIP), None, "built here, as far as is known: to be compressed");
        store.holders().note(&Digest::of(&bytes), &"r.example/a".parse().expect("a name")).expect("noted");
        let wanted = (Descriptor::of(media_type::DOCKER_MANIFEST, &bytes), bytes.clone());
        assert_eq!(known(&image, GZIP), Some(wanted));
        assert_eq!(known(&image, LayerCompression { force: true, ..GZIP }), None);
    }
}
