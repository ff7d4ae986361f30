//! [`resolve`]: from the names of images to [`Bases`].
//!
//! ```text
//! a named context                                             its layout, archive or image
//! a name in the store, also of an image that lacks blobs      that image, unless `--pull`
//! any other name                                              its registry, asked each time
//! ```

use crate::bases::{Base, Bases};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::graph::NeededImage;
use crate::listener::Client;
use crate::request::{BuildContextSource, BuildRequest, PullPolicy};
use crate::source::Span;
use layerfs::beside::each_beside;
use layerfs::error::StoreError;
use layerfs::reference::{ImageRef, ReferenceError};
use layerfs::source::{DockerArchiveSource, ImageSource, LayoutSource, RegistrySource, SparseSource, StoreSource};
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
    /// Nobody has it, and no registry may be asked.
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
        /// A stage or a build context that may have been meant instead.
        similar: Option<String>,
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
            BaseError::Name { span, .. } => diagnostic.at(*span, ""),
            BaseError::Unknown { span, similar: Some(similar), .. }
            | BaseError::Source { span, similar: Some(similar), .. } => {
                diagnostic.at(*span, "").help(format!("did you mean `{similar}`?"))
            }
            BaseError::Source { span, error, .. } => Diagnostic { help: error.help(), ..diagnostic.at(*span, "") },
            BaseError::Unknown { span, name, .. } => diagnostic.at(*span, "").help(format!(
                "leave `--pull=never` out, build it with `lbuild -t {name} …`, or say where it is with \
                 `--build-context {name}=oci-layout://DIR` or `--build-context {name}=docker-archive:FILE`"
            )),
        }
    }
}

/// Finds the images that a build needs, side by side, but for those of `known`. Reads manifests and configs only.
///
/// # Errors
/// [`BaseError`], with the place that names the image; the first in the order of the Dockerfile.
pub fn resolve(
    needed: &[NeededImage],
    known: &Bases,
    request: &BuildRequest,
    store: &Store,
    client: &Client,
) -> Result<Bases, BaseError> {
    let finder = Finder { store, client, policy: request.pull };
    let images = each_beside(needed, |image| resolve_one(image, known, request, finder));
    Ok(Bases { images: images.into_iter().collect::<Result<_, _>>()? })
}

fn resolve_one(
    needed: &NeededImage,
    known: &Bases,
    request: &BuildRequest,
    finder: Finder<'_>,
) -> Result<Base, BaseError> {
    if let Some(known) = known.images.iter().find(|base| base.is(needed)) {
        return Ok(Base { span: needed.span, ..known.clone() });
    }
    let failed = |location: String, error| {
        let NeededImage { name, similar, span, .. } = needed.clone();
        match error {
            StoreError::Pull(error) if error.asked.is_empty() => BaseError::Unknown { name, similar, span },
            error => {
                let similar = similar.filter(|_| matches!(error, StoreError::Pull(_)));
                BaseError::Source { name, location, similar, span, error: Box::new(error) }
            }
        }
    };
    let source = source_of(needed, request, finder)?.map_err(|error| failed("the store".to_owned(), error))?;
    let image = source.resolve(&needed.platform).map_err(|error| failed(source.location(), error))?;
    let NeededImage { name, span, platform, named_context, .. } = needed.clone();
    Ok(Base { name, span, image, source, platform, named_context })
}

type Found = Result<Arc<dyn ImageSource>, StoreError>;

fn source_of(needed: &NeededImage, request: &BuildRequest, finder: Finder<'_>) -> Result<Found, BaseError> {
    let named = |name: &String| request.build_contexts.iter().rev().find(|(own, _)| own == name).map(|found| &found.1);
    Ok(match needed.named_context.as_ref().and_then(named) {
        Some(BuildContextSource::OciLayout { dir, reference }) => {
            Ok(Arc::new(LayoutSource::new(dir.clone(), reference.clone())))
        }
        Some(BuildContextSource::DockerArchive { file, tag }) => {
            Ok(Arc::new(DockerArchiveSource::new(file.clone(), tag.clone())))
        }
        Some(BuildContextSource::Image(reference)) => finder.find(reference),
        Some(BuildContextSource::Directory(_) | BuildContextSource::Elsewhere(_)) | None => {
            let name = needed.name.parse();
            finder.find(&name.map_err(|error| BaseError::Name { span: needed.span, error })?)
        }
    })
}

/// Finds images by name, in the store and in registries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finder<'a> {
    pub(crate) store: &'a Store,
    pub(crate) client: &'a Client,
    pub(crate) policy: PullPolicy,
}

impl Finder<'_> {
    /// Returns who has the image `name`.
    ///
    /// # Errors
    /// The store's; settings of registries that cannot be understood.
    fn find(self, name: &ImageRef) -> Found {
        let here = match self.policy {
            PullPolicy::Always => None,
            _ => self.here(name)?,
        };
        match (self.policy, here) {
            (PullPolicy::Missing | PullPolicy::Never, Some(here)) => Ok(here),
            (PullPolicy::Newer, Some(here)) => {
                let there = self.there(name)?.fresh();
                Ok(if there.top().is_ok() { Arc::new(there) } else { here })
            }
            (PullPolicy::Always, _) => Ok(Arc::new(self.there(name)?.fresh())),
            (_, None) => Ok(Arc::new(self.there(name)?)),
        }
    }

    /// Returns the image that has the name in the store.
    pub(crate) fn here(self, name: &ImageRef) -> Result<Option<Arc<dyn ImageSource>>, StoreError> {
        if let Some(manifest) = self.store.refs().get(name)? {
            return Ok(Some(Arc::new(StoreSource::new(self.store.clone(), manifest))));
        }
        let Some(image) = self.store.sparse().get(name)? else { return Ok(None) };
        let Client { registries, observer } = self.client.clone();
        Ok(Some(Arc::new(SparseSource::new(image, self.store.clone(), registries, observer))))
    }

    /// Returns the image of a registry; of none that may be asked, if that is forbidden.
    pub(crate) fn there(self, name: &ImageRef) -> Result<RegistrySource, StoreError> {
        let Client { registries, observer } = self.client.clone();
        let remotes = match self.policy {
            PullPolicy::Never => Vec::new(),
            _ => registries.pull_from(name)?,
        };
        Ok(RegistrySource::new(name.clone(), self.store.clone(), remotes, observer))
    }
}
