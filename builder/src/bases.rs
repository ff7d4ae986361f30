//! [`Bases`]: the images that a build starts from or copies from: manifests and configs only.

use crate::graph::NeededImage;
use crate::source::Span;
use layerfs::image::Image;
use layerfs::platform::Platform;
use layerfs::source::ImageSource;
use std::sync::Arc;

/// One image that the Dockerfile names.
#[derive(Debug, Clone)]
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
    /// The named context that stands in its place, if there is one.
    pub named_context: Option<String>,
}

impl Base {
    /// Reports whether this is the image that `needed` asks for.
    pub fn is(&self, needed: &NeededImage) -> bool {
        (&self.name, &self.named_context, &self.platform) == (&needed.name, &needed.named_context, &needed.platform)
    }
}

/// All images of a build.
#[derive(Debug, Clone, Default)]
pub struct Bases {
    /// In the order in which the Dockerfile first names them.
    pub images: Vec<Base>,
}
