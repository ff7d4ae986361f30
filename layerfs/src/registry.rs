//! [`Registries`]: a client of OCI registries (distribution-spec 1.1): blocking, streaming, in constant memory.
//!
//! ```text
//! settings     what the user set, a value (read from the environment by `cli`)
//! secret       texts that are never printed
//! routing      registries.conf, daemon.json: which hosts stand for a name, in which order
//! trust        certs.d, the system's store: which certificates a host may show
//! credentials  config.json, auth.json, helpers: who we are at a host
//! transport    one request over HTTP, its deadline, redirects
//! auth         challenges and tokens
//! retry        what is tried again, and when
//! remote       a repository at a host: manifests, blobs, uploads
//! ```
//! Each module uses only those above it. Images are made of it in `source::RegistrySource` and `export::RegistryExporter`.

pub mod credentials;
pub mod error;
pub mod observer;
pub mod remote;
pub mod routing;
pub mod secret;
pub mod settings;
pub mod trust;

use crate::cancel::Cancel;
use crate::reference::ImageRef;
use error::RegistryError;
use observer::Observer;
use remote::Remote;
use settings::RegistrySettings;
use std::sync::Arc;

/// A client of registries, one for a process: it keeps connections and tokens. Clones are the same client.
#[derive(Debug, Clone)]
pub struct Registries(Arc<Inner>);

#[derive(Debug)]
struct Inner;

impl Registries {
    /// Returns a client. Nothing is read until a registry is asked.
    pub fn new(settings: RegistrySettings, observer: Arc<dyn Observer>, cancel: &Cancel) -> Self {
        todo!("{settings:?} {observer:?} {cancel:?}")
    }

    /// Returns the places that may have `name`, in the order in which to ask them: mirrors first, its own host last.
    ///
    /// # Errors
    /// [`RegistryError::Blocked`]; a settings file that cannot be understood.
    pub fn pull_from(&self, name: &ImageRef) -> Result<Vec<Remote>, RegistryError> {
        todo!("{name}")
    }

    /// Returns the place to push `name` to: its own host. Tokens are asked for with the right to read the repositories
    /// `mount_from` of that host, too, so that blobs may be mounted from there.
    ///
    /// # Errors
    /// As [`Self::pull_from`].
    pub fn push_to(&self, name: &ImageRef, mount_from: &[String]) -> Result<Remote, RegistryError> {
        todo!("{name} {mount_from:?}")
    }

    /// Asks the registry `host` (`docker.io`, `localhost:5000`) whether it takes `credential`, as `login` does.
    ///
    /// # Errors
    /// [`RegistryError`] if it does not, or cannot be asked.
    pub fn check_credential(&self, host: &str, credential: &credentials::Credential) -> Result<(), RegistryError> {
        todo!("{host} {credential:?}")
    }
}
