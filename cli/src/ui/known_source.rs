//! [`KnownSource`]: the Dockerfile that a view is about, which may be fetched while the view is open.

use builder::source::Source;
use std::sync::{Arc, OnceLock};

/// The Dockerfile that a view is about, once it was read.
#[derive(Debug, Clone, Default)]
pub struct KnownSource(Arc<OnceLock<Source>>);

impl KnownSource {
    /// Tells everybody who has a copy of this what the Dockerfile is; the first word counts.
    pub fn tell(&self, source: &Source) {
        self.0.get_or_init(|| source.clone());
    }

    /// Returns the Dockerfile, if it is known.
    pub fn get(&self) -> Option<&Source> {
        self.0.get()
    }
}

impl From<Source> for KnownSource {
    fn from(source: Source) -> Self {
        Self(Arc::new(OnceLock::from(source)))
    }
}
