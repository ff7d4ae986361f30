//! [`load`]: images of archives and layouts into the store.

use crate::ahead::ahead;
use crate::blobs::BlobStore;
use crate::cancel::Cancel;
use crate::compress::decompress;
use crate::descriptor::Descriptor;
use crate::digest::{DiffId, Digest};
use crate::error::StoreError;
use crate::image::Image;
use crate::layer::LayerKey;
use crate::lease::{Held, Lease};
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::source::{CollectedImage, ImageSource};
use crate::store::Store;
use crate::unpack::{LayerError, LayerStream, UnpackLimits, Unpacked, index_tar};
use crate::verify::unwrap_error;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its names; one without any is kept by its ID.
    pub names: Vec<ImageRef>,
    /// The image ID.
    pub id: Digest,
}

/// Brings images into the store, each as it came, for `platform` where there is a choice. Every layer is read as a whole
/// and must be the one that the config states. Names are given when all images are on disk.
///
/// # Errors
/// [`StoreError`]; then no name has changed.
pub fn load(
    images: &[CollectedImage],
    platform: &Platform,
    store: &Store,
    cancel: &Cancel,
) -> Result<Vec<Loaded>, StoreError> {
    let lease = store.lease()?;
    let loading = Loading { store, lease: &lease, cancel };
    let brought = images.iter().map(|image| loading.bring(&*image.source, platform)).collect::<Result<Vec<_>, _>>()?;
    for (bundled, image) in images.iter().zip(&brought) {
        loading.name(&bundled.names, &image.descriptor())?;
    }
    let loaded = |(bundled, image): (&CollectedImage, &Image)| Loaded { names: bundled.names.clone(), id: image.id() };
    Ok(images.iter().zip(&brought).map(loaded).collect())
}

struct Loading<'a> {
    store: &'a Store,
    lease: &'a Lease,
    cancel: &'a Cancel,
}

impl Loading<'_> {
    fn bring(&self, source: &dyn ImageSource, platform: &Platform) -> Result<Image, StoreError> {
        let image = source.resolve(platform)?;
        let layers = image.manifest.layers.iter().map(|layer| layer.digest);
        let blobs: BTreeSet<Digest> = layers.chain([image.id(), image.descriptor().digest]).collect();
        self.lease.hold(&blobs.iter().copied().map(Held::Blob).collect::<Vec<_>>())?;
        let layers: Vec<(&Descriptor, &DiffId)> =
            image.manifest.layers.iter().zip(&image.config.rootfs.diff_ids).collect();
        layers.par_iter().try_for_each(|(blob, diff_id)| self.layer(source, blob, **diff_id))?;
        self.store.blobs().put(&image.config_bytes)?;
        self.store.blobs().put(&image.manifest_bytes)?;
        self.store.blobs().sync(&Vec::from_iter(blobs))?;
        Ok(image)
    }

    /// Brings a layer into the store, and reads it there.
    fn layer(&self, source: &dyn ImageSource, blob: &Descriptor, wanted: DiffId) -> Result<(), StoreError> {
        let blobs = self.store.blobs();
        if blobs.size(&blob.digest)? != Some(blob.size) {
            blobs.import(&mut self.cancel.watch(source.open(blob)?), blob)?;
        }
        let what = format!("layer {} of {}", blob.digest, source.location());
        let (unpacked, got) = self.index(blob).map_err(|error| wrong_layer(error, &what))?;
        if got != wanted {
            return Err(StoreError::DigestMismatch {
                what: format!("the tar of {what}"),
                wanted: wanted.0,
                got: got.0,
            });
        }
        let key = LayerKey::Diff(got);
        self.lease.hold(&[Held::Layer(key)])?;
        // What leans on layers below is indexed where it is first used.
        if unpacked.borrowed.is_empty() {
            self.store.indexes().put(&key, Arc::new(unpacked.index))?;
        }
        Ok(())
    }

    fn index(&self, blob: &Descriptor) -> Result<(Unpacked, DiffId), Broken> {
        let reader = self.store.blobs().reader(&blob.digest)?;
        let plain = decompress(reader).map_err(|error| unwrap_error(error, "read", Path::new("it")))?;
        ahead(plain, |plain| {
            let mut plain = LayerStream::new(self.cancel.watch(plain), UnpackLimits::default());
            let unpacked = index_tar(&mut plain)?;
            Ok((unpacked, plain.finish()?))
        })
    }

    fn name(&self, names: &[ImageRef], manifest: &Descriptor) -> Result<(), StoreError> {
        if names.is_empty() {
            return self.store.refs().keep(manifest);
        }
        self.store.refs().set(names, manifest)?;
        names.iter().try_for_each(|name| self.store.sparse().remove(name).map(drop))
    }
}

/// Why a layer cannot be read.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Layer(#[from] LayerError),
}

fn wrong_layer(error: Broken, what: &str) -> StoreError {
    match error {
        Broken::Store(error) => error,
        Broken::Layer(error) => StoreError::Malformed { place: what.to_owned(), why: error.to_string() },
    }
}
