//! [`Bases`]: the images that a build starts from or copies from: manifests and configs only.

use crate::source::Span;
use layerfs::image::Image;
use layerfs::platform::Platform;
use layerfs::source::ImageSource;
use std::sync::Arc;

/// One image that the Dockerfile names.
#[derive(Debug)]
pub struct Base {
    /// The name as the Dockerfile has it, after expansion.
    pub name: String,
    /// The first place that names it.
    pub span: Span,
    /// Manifest and config.
    pub image: Image,
    /// Where its blobs come from.
    pub source: Arc<dyn ImageSource>,
    /// The platform it was asked for.
    pub platform: Platform,
}

/// All images of a build.
#[derive(Debug, Default)]
pub struct Bases {
    /// In the order in which the Dockerfile first names them.
    pub images: Vec<Base>,
}
