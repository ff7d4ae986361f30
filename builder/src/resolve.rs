//! [`resolve`]: from the names of images to [`Bases`].

use crate::bases::{Base, Bases};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::graph::NeededImage;
use crate::request::{BuildContextSource, BuildRequest};
use crate::source::Span;
use layerfs::error::StoreError;
use layerfs::reference::{ImageRef, ReferenceError};
use layerfs::source::{DockerArchiveSource, ImageSource, LayoutSource, StoreSource};
use layerfs::store::Store;
use std::sync::Arc;

/// Why an image that the Dockerfile names cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The name is no image name.
    #[error("{error}")]
    Name {
        /// Where it stands.
        span: Span,
        /// What is wrong with it.
        #[source]
        error: ReferenceError,
    },
    /// Nobody has it.
    #[error("`{name}` is no stage, no build context and no image in the store")]
    Unknown {
        /// The name, as the Dockerfile has it.
        name: String,
        /// A stage or a build context that may have been meant.
        similar: Option<String>,
        /// Where it stands.
        span: Span,
    },
    /// Its source failed.
    #[error("image `{name}` from {location}: {error}")]
    Source {
        /// The name, as the Dockerfile has it.
        name: String,
        /// Where it was looked for.
        location: String,
        /// Where it stands.
        span: Span,
        /// Why.
        #[source]
        error: Box<StoreError>,
    },
}

impl Diagnose for BaseError {
    fn diagnose(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.to_string());
        match self {
            BaseError::Name { span, .. } | BaseError::Source { span, .. } => diagnostic.at(*span, ""),
            BaseError::Unknown { span, similar: Some(similar), .. } => {
                diagnostic.at(*span, "").help(format!("did you mean `{similar}`?"))
            }
            BaseError::Unknown { span, name, .. } => diagnostic.at(*span, "").help(format!(
                "build it with `lbuild -t {name} …`, or say where it is with \
                 `--build-context {name}=oci-layout://DIR` or `--build-context {name}=docker-archive:FILE`; \
                 pulling from registries is not built yet"
            )),
        }
    }
}

/// Finds the images that a build needs: named contexts of `request` first, then the store. Reads manifests and configs
/// only.
///
/// # Errors
/// [`BaseError`], with the place that names the image.
pub fn resolve(needed: &[NeededImage], request: &BuildRequest, store: &Store) -> Result<Bases, BaseError> {
    let images = needed.iter().map(|image| resolve_one(image, request, store)).collect::<Result<_, _>>()?;
    Ok(Bases { images })
}

fn resolve_one(needed: &NeededImage, request: &BuildRequest, store: &Store) -> Result<Base, BaseError> {
    let source = source_of(needed, request, store)?;
    let failed = |error| BaseError::Source {
        name: needed.name.clone(),
        location: source.location(),
        span: needed.span,
        error: Box::new(error),
    };
    let image = source.resolve(&needed.platform).map_err(failed)?;
    let NeededImage { name, span, platform, .. } = needed.clone();
    Ok(Base { name, span, image, source, platform })
}

fn source_of(needed: &NeededImage, request: &BuildRequest, store: &Store) -> Result<Arc<dyn ImageSource>, BaseError> {
    let named = |name: &String| request.build_contexts.iter().rev().find(|(own, _)| own == name).map(|found| &found.1);
    match needed.named_context.as_ref().and_then(named) {
        Some(BuildContextSource::OciLayout { dir, reference }) => {
            Ok(Arc::new(LayoutSource::new(dir.clone(), reference.clone())))
        }
        Some(BuildContextSource::DockerArchive { file, tag }) => {
            Ok(Arc::new(DockerArchiveSource::new(file.clone(), tag.clone())))
        }
        Some(BuildContextSource::Image(reference)) => in_store(needed, reference, store),
        Some(BuildContextSource::Directory(_)) | None => {
            let name = needed.name.parse();
            in_store(needed, &name.map_err(|error| BaseError::Name { span: needed.span, error })?, store)
        }
    }
}

fn in_store(needed: &NeededImage, reference: &ImageRef, store: &Store) -> Result<Arc<dyn ImageSource>, BaseError> {
    let found = store.refs().get(reference).map_err(|error| BaseError::Source {
        name: needed.name.clone(),
        location: "the store".to_owned(),
        span: needed.span,
        error: Box::new(error),
    })?;
    match found {
        Some(manifest) => Ok(Arc::new(StoreSource::new(store.clone(), manifest))),
        None => {
            let NeededImage { name, similar, span, .. } = needed.clone();
            Err(BaseError::Unknown { name, similar, span })
        }
    }
}
