//! [`Places::create_index`]: one name for images of several platforms; [`Places::fetch_manifest`]: what a name leads to.

use crate::annotation::Annotation;
use crate::error::StepError;
use crate::progress::{Event, Outcome, StepId};
use crate::push::Places;
use crate::request::Look;
use layerfs::blobs::BlobStore;
use layerfs::descriptor::{Descriptor, is_index};
use layerfs::error::StoreError;
use layerfs::export::{Dress, FinishedImage, LayerCompression, pushed_manifest};
use layerfs::image::{ImageError, Index};
use layerfs::lease::{Held, Lease};
use layerfs::platform::Platform;
use layerfs::reference::{DEFAULT_TAG, ImageRef};
use layerfs::source::{ImageSource, Origin, RegistrySource};
use layerfs::store::LONGEST_MANIFEST;
use std::sync::Arc;
use std::time::Instant;

/// A manifest or index with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestBytes {
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl ManifestBytes {
    /// Returns an index of `entries`.
    fn index(dress: &Dress, entries: Vec<Descriptor>) -> Self {
        let (descriptor, bytes) = dress.index(entries);
        Self { descriptor, bytes }
    }
}

/// An image that an index is to hold.
struct Part {
    image: FinishedImage,
    /// What an index said of it.
    entry: Option<Descriptor>,
}

impl Places<'_> {
    /// Makes an index of `images`, each of the store or else of its registry; an index counts as the images that it
    /// holds. Of `annotations` those of the index and of manifests' descriptors count. With `push`, the images are brought to the repository of `name`, and the index under `name`.
    ///
    /// # Errors
    /// The store's, the registries'.
    pub fn create_index(
        self,
        name: &ImageRef,
        images: &[ImageRef],
        annotations: &[Annotation],
        push: bool,
    ) -> Result<ManifestBytes, StepError> {
        let look = Look { annotations: annotations.to_vec(), ..Look::default() };
        let lease = self.store.lease()?;
        let mut entries: Vec<Descriptor> = Vec::new();
        for (number, part) in self.parts(images, &lease)?.into_iter().enumerate() {
            let mut entry = self.entry(number, &part, name, push)?;
            let of_this = look.of_platform(&part.image.platform().normalized());
            entry.annotations.extend(of_this.dress().descriptor_annotations);
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        let index = ManifestBytes::index(&look.index_dress(), entries);
        if push {
            self.put(name, &index, images.len())?;
        }
        Ok(index)
    }

    /// Pushes images to the repository of each name, and an index of them under it; returns the index.
    ///
    /// # Errors
    /// The store's, the registries'.
    pub(crate) fn push_index(
        self,
        number: usize,
        images: &[FinishedImage],
        names: &[ImageRef],
        by_digest: bool,
        compression: LayerCompression,
        dress: &Dress,
    ) -> Result<Descriptor, StoreError> {
        let mut last = None;
        for name in names {
            let mut entries = Vec::with_capacity(images.len());
            for (part, image) in images.iter().enumerate() {
                let number = number * (images.len() + 1) + part;
                let manifest = self.export(number, image, vec![name.clone()], true, compression)?;
                let (platform, annotations) =
                    (Some(image.platform().normalized()), image.dress.descriptor_annotations.clone());
                entries.push(Descriptor { platform, annotations, ..manifest });
            }
            let index = ManifestBytes::index(dress, entries);
            let tag = by_digest.then(|| index.descriptor.digest.to_string());
            let name = ImageRef { tag: tag.or_else(|| name.tag.clone()), ..name.clone() };
            self.put(&name, &index, (number + 1) * (images.len() + 1))?;
            last = Some(index.descriptor);
        }
        last.ok_or_else(|| StoreError::Malformed { place: "push".to_owned(), why: "no name was given".to_owned() })
    }

    fn parts(self, images: &[ImageRef], lease: &Lease) -> Result<Vec<Part>, StoreError> {
        let mut parts = Vec::new();
        for name in images {
            match self.stored_if_there(name)? {
                Some(image) => parts.push(Part { image, entry: None }),
                None => parts.extend(self.of_registry(name, lease)?),
            }
        }
        Ok(parts)
    }

    /// Returns the image that a name leads to in its registry, or the images of an index.
    fn of_registry(self, name: &ImageRef, lease: &Lease) -> Result<Vec<Part>, StoreError> {
        let source = self.source(name)?;
        let top = source.top()?;
        if !is_index(&top.media_type) {
            return Ok(vec![Part { image: self.whole(Arc::new(source), name)?, entry: None }]);
        }
        lease.hold(&[Held::Blob(top.digest)])?;
        let wrong = |source| StoreError::Image { place: name.to_string(), source };
        let index = Index::parse(&self.store.blobs().read(&top.digest, LONGEST_MANIFEST)?).map_err(wrong)?;
        let part = |entry: Descriptor| {
            if is_index(&entry.media_type) {
                return Err(wrong(ImageError::MediaType { what: "image of an index", found: entry.media_type }));
            }
            let name = ImageRef { tag: None, digest: Some(entry.digest), ..name.clone() };
            Ok(Part { image: self.whole(Arc::new(self.source(&name)?), &name)?, entry: Some(entry) })
        };
        index.manifests.into_iter().map(part).collect()
    }

    fn whole(self, source: Arc<RegistrySource>, name: &ImageRef) -> Result<FinishedImage, StoreError> {
        let image = source.resolve(&Platform::host())?;
        // What came from a registry goes as it came.
        self.store.holders().note(&image.descriptor().digest, name)?;
        Ok(FinishedImage::whole(image, Some(&Origin(source))))
    }

    /// Returns what the index says of an image, which is pushed first if that is wanted.
    fn entry(self, number: usize, part: &Part, name: &ImageRef, push: bool) -> Result<Descriptor, StoreError> {
        let compression = LayerCompression::REGISTRY;
        let manifest = if push {
            self.export(number, &part.image, vec![name.clone()], true, compression)?
        } else {
            pushed_manifest(&part.image, compression, self.store)?.0
        };
        let platform = Some(part.image.platform().normalized());
        Ok(match &part.entry {
            Some(entry) => entry.clone(),
            None => Descriptor { platform, ..manifest },
        })
    }

    fn put(self, name: &ImageRef, index: &ManifestBytes, number: usize) -> Result<(), StoreError> {
        let (step, began) = (StepId::internal(number), Instant::now());
        let tag = name.tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned());
        let shown = ImageRef { tag: Some(tag.clone()), digest: Some(index.descriptor.digest), ..name.clone() };
        self.sink.event(Event::StepStarted { step, name: format!("pushing manifest for {shown}") });
        let result = self
            .client
            .registries
            .push_to(name, &[])
            .map_err(StoreError::from)
            .and_then(|remote| Ok(remote.put_manifest(&tag, &index.descriptor.media_type, &index.bytes)?));
        let outcome = result.as_ref().err().map_or(Outcome::Done, |error| Outcome::Failed(error.to_string()));
        self.sink.event(Event::StepFinished { step, took: began.elapsed(), outcome });
        result
    }

    /// Returns the manifest or index that `name` leads to in its registry.
    ///
    /// # Errors
    /// The registries'.
    pub fn fetch_manifest(self, name: &ImageRef) -> Result<ManifestBytes, StepError> {
        let lease = self.store.lease()?;
        let descriptor = self.source(name)?.top()?;
        lease.hold(&[Held::Blob(descriptor.digest)])?;
        let bytes = BlobStore::read(self.store.blobs(), &descriptor.digest, LONGEST_MANIFEST)?;
        Ok(ManifestBytes { descriptor, bytes })
    }
}
