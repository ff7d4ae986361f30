//! [`pull`]: images of registries into the store; [`complete`]: what an image of the store lacks.

use crate::bases::{Base, Bases};
use crate::error::StepError;
use crate::exec::{LazyWorker, Shelf};
use crate::listener::{Client, with_registries};
use crate::progress::ProgressSink;
use crate::request::PullPolicy;
use crate::resolve::Finder;
use crate::source::Span;
use crate::worker::id_map::{Caller, IdMap};
use layerfs::cancel::Cancel;
use layerfs::descriptor::Descriptor;
use layerfs::digest::Digest;
use layerfs::error::StoreError;
use layerfs::image::Image;
use layerfs::layer::Layer;
use layerfs::lease::{Held, Lease};
use layerfs::platform::Platform;
use layerfs::reference::ImageRef;
use layerfs::registry::settings::RegistrySettings;
use layerfs::source::{ImageSource, SparseSource};
use layerfs::store::{SparseImage, Store};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What `lbuild pull` is told.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The images.
    pub names: Vec<ImageRef>,
    /// The platform to choose where there are several.
    pub platform: Platform,
    /// How registries are spoken to.
    pub registries: RegistrySettings,
}

/// One image that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its name.
    pub name: ImageRef,
    /// What the name leads to: a manifest or an index.
    pub digest: Digest,
    /// Whether the name did not have this image before.
    pub is_new: bool,
}

/// Brings images whole into the store, under their names.
///
/// # Errors
/// The first that failed; those before it are in the store.
pub fn pull(
    request: &PullRequest,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<Vec<Pulled>, StepError> {
    let lease = store.lease()?;
    with_registries(&request.registries, sink, cancel, |client| {
        let landing = Landing { store, lease: &lease, sink, cancel };
        let names = request.names.iter();
        names.map(|name| landing.pull(name, &request.platform, client).map_err(|error| ended(error, cancel))).collect()
    })
}

/// Fetches what the image called `name` lacks, and makes it an image of the store like any other. Reports whether there
/// is such an image.
///
/// # Errors
/// The registries', the store's.
pub fn complete(
    name: &ImageRef,
    registries: &RegistrySettings,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<bool, StepError> {
    let Some(sparse) = store.sparse().get(name)? else { return Ok(false) };
    let lease = store.lease()?;
    with_registries(registries, sink, cancel, |client| {
        let landing = Landing { store, lease: &lease, sink, cancel };
        landing.complete(sparse, client).map_err(|error| ended(error, cancel))
    })?;
    Ok(true)
}

fn ended(error: StepError, cancel: &Cancel) -> StepError {
    if cancel.is_cancelled() { StepError::Cancelled } else { error }
}

/// Where images are brought to.
struct Landing<'a> {
    store: &'a Store,
    lease: &'a Lease,
    sink: &'a dyn ProgressSink,
    cancel: &'a Cancel,
}

impl Landing<'_> {
    fn pull(&self, name: &ImageRef, platform: &Platform, client: &Client) -> Result<Pulled, StepError> {
        let finder = Finder { store: self.store, client, policy: PullPolicy::Always };
        let source = Arc::new(finder.there(name)?.fresh());
        let image = source.resolve(platform)?;
        let (digest, manifest) = (source.top()?.digest, image.descriptor());
        let before = self.store.refs().get(name)?;
        self.bring(name, image, source)?;
        self.name(name, &manifest)?;
        Ok(Pulled { name: name.clone(), digest, is_new: before.as_ref() != Some(&manifest) })
    }

    fn complete(&self, sparse: SparseImage, client: &Client) -> Result<(), StepError> {
        let Client { registries, observer } = client.clone();
        self.lease.hold(&[Held::Blob(sparse.manifest.digest)])?;
        let image = self.store.image(&sparse.manifest.digest)?;
        let (name, manifest) = (sparse.name.clone(), sparse.manifest.clone());
        let source = Arc::new(SparseSource::new(sparse, self.store.clone(), registries, observer));
        self.bring(&name, image, source)?;
        self.name(&name, &manifest)
    }

    /// Brings everything of an image into the store and to disk.
    fn bring(&self, name: &ImageRef, image: Image, source: Arc<dyn ImageSource>) -> Result<(), StepError> {
        let layers = image.manifest.layers.clone();
        let documents = [image.id(), image.descriptor().digest];
        self.lease.hold(&documents.map(Held::Blob))?;
        self.put(&image)?;
        let (platform, shown) = (image.platform(), name.familiar());
        let base = Base { name: shown, span: Span::default(), image, source, platform, named_context: None };
        self.fetch(base)?;
        let blobs: BTreeSet<Digest> = layers.iter().map(|layer| layer.digest).chain(documents).collect();
        Ok(self.store.blobs().sync(&Vec::from_iter(blobs))?)
    }

    /// Fetches the layers of an image, and reads them for their indexes meanwhile: so they are known to be what the config
    /// says, and a COPY onto them needs no bytes, also when they are gone again.
    fn fetch(&self, base: Base) -> Result<(), StepError> {
        let stop = self.cancel.child().map_err(|error| StepError::io("make", "an eventfd", &error))?;
        let (blobs, layers) = (base.image.manifest.layers.clone(), Layer::of_image(&base.image));
        let map = IdMap::detect(&Caller::read(None));
        let worker = LazyWorker::new(self.store.root(), &map, &stop);
        let directories = self.store.directories(&map.digest)?;
        let shelf = Shelf::new(self.store, directories, &worker, &Bases { images: vec![base] }, self.lease);
        let shelf = shelf.telling(self.sink);
        std::thread::scope(|scope| {
            let imports = scope.spawn(|| shelf.import_all(&blobs));
            let indexes = shelf.indexes(&layers).map(drop).inspect_err(|_| stop.cancel());
            let imports = imports.join().expect("fetching does not panic");
            match (imports, indexes) {
                (Err(error), Err(StepError::Cancelled)) | (Err(error), Ok(())) | (_, Err(error)) => Err(error),
                (Ok(()), Ok(())) => Ok(()),
            }
        })
    }

    /// Puts manifest and config into the store: a gc may have taken them before they were held.
    fn put(&self, image: &Image) -> Result<(), StoreError> {
        use layerfs::blobs::BlobStore;
        self.store.blobs().put(&image.manifest_bytes)?;
        self.store.blobs().put(&image.config_bytes).map(drop)
    }

    fn name(&self, name: &ImageRef, manifest: &Descriptor) -> Result<(), StepError> {
        self.store.refs().set(std::slice::from_ref(name), manifest)?;
        self.store.sparse().remove(name)?;
        Ok(())
    }
}
