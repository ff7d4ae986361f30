//! [`Routes`]: which hosts stand for a name, in which order.

use super::error::RegistryError;
use super::settings::RegistrySettings;
use crate::reference::ImageRef;

/// A place that may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host to connect to, with its port: `registry-1.docker.io`, `localhost:5000`.
    pub host: String,
    /// The repository there: `library/fedora`.
    pub repository: String,
    /// How it may be spoken to.
    pub scheme: Scheme,
    /// Stands for another host; asked only to pull.
    pub mirror: bool,
    /// A mirror that is asked for digests only (`mirror-by-digest-only`, `pull-from-mirror`), not for tags; or the reverse.
    pub serves: Serves,
    /// The host whose credentials count: the name's own (`docker.io`), or the mirror's.
    pub credentials_host: String,
}

/// What a mirror is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serves {
    /// All.
    #[default]
    All,
    /// References with a digest.
    Digests,
    /// References with a tag.
    Tags,
}

/// How a host may be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TLS with a certificate that is trusted.
    Https,
    /// TLS first; plain http where nothing speaks TLS, as Docker does with loopback addresses.
    HttpsOrHttp,
    /// TLS with any certificate first, then plain http: the user said so.
    Insecure,
    /// Plain http: the user wrote it.
    Http,
}

/// What the settings say about routing. A value, made once.
#[derive(Debug, Clone, Default)]
pub struct Routes {}

impl Routes {
    /// Reads `registries.conf` (version 2), its drop-ins, and `daemon.json`.
    ///
    /// # Errors
    /// [`RegistryError::Settings`].
    pub fn read(settings: &RegistrySettings) -> Result<Self, RegistryError> {
        todo!("{settings:?}")
    }

    /// Returns the places to pull `name` from, mirrors first.
    ///
    /// # Errors
    /// [`RegistryError::Blocked`].
    pub fn pull(&self, name: &ImageRef) -> Result<Vec<Endpoint>, RegistryError> {
        todo!("{name}")
    }

    /// Returns the place to push `name` to.
    ///
    /// # Errors
    /// [`RegistryError::Blocked`].
    pub fn push(&self, name: &ImageRef) -> Result<Endpoint, RegistryError> {
        todo!("{name}")
    }

    /// Returns what a short name without host (`fedora`) stands for by the aliases of `registries.conf`, if for anything.
    pub fn alias(&self, short: &str) -> Option<ImageRef> {
        todo!("{short}")
    }
}
