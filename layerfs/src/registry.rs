//! [`Registries`]: a client of OCI registries (distribution-spec 1.1): blocking, streaming, in constant memory.
//!
//! ```text
//! settings     what the user set, a value (read from the environment by `cli`)
//! secret       texts that are never printed
//! routing      registries.conf, daemon.json: which hosts stand for a name, in which order
//! trust        certs.d, the system's store: which certificates a host may show
//! credentials  config.json, auth.json, helpers: who we are at a host
//! address      where a request goes
//! greeting     whether a server of this machine speaks TLS
//! transport    one request over HTTP, its deadline, redirects
//! retry        what is tried again, and when
//! auth         challenges and tokens
//! session      a request with all that belongs to it
//! remote       a repository at a host: manifests, blobs, uploads
//! ```
//! Each module uses only those above it. Images are made of it in `source::RegistrySource` and `export::RegistryExporter`.

mod address;
mod auth;
pub mod credentials;
pub mod error;
mod greeting;
pub mod observer;
pub mod remote;
mod retry;
pub mod routing;
pub mod secret;
mod session;
pub mod settings;
mod transport;
pub mod trust;
pub mod web;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use crate::cancel::Cancel;
use crate::reference::ImageRef;
use auth::CredentialSource;
use credentials::{Credential, Credentials, Found};
use error::RegistryError;
use observer::Observer;
use remote::Remote;
use routing::{Endpoint, Routes};
use session::Session;
use settings::RegistrySettings;
use std::sync::{Arc, Mutex, PoisonError};
use transport::TrustSource;
use trust::Trust;

/// A client of registries, one for a process: it keeps connections and tokens. Clones are the same client.
#[derive(Debug, Clone)]
pub struct Registries(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: RegistrySettings,
    session: Arc<Session>,
    routes: Mutex<Option<Arc<Routes>>>,
}

impl Registries {
    /// Returns a client. Nothing is read until a registry is asked.
    pub fn new(settings: RegistrySettings, observer: Arc<dyn Observer>, cancel: &Cancel) -> Self {
        let credentials = Box::new(Credentials::new(&settings).ended_by(cancel));
        let trust = Box::new(settings.clone());
        Self::with_sources(settings, observer, cancel, trust, credentials)
    }

    /// Returns a client with other sources of trust and credentials.
    pub(crate) fn with_sources(
        settings: RegistrySettings,
        observer: Arc<dyn Observer>,
        cancel: &Cancel,
        trust: Box<dyn TrustSource>,
        credentials: Box<dyn CredentialSource>,
    ) -> Self {
        let session = Arc::new(Session::new(&settings, observer, cancel, trust, credentials));
        Self(Arc::new(Inner { settings, session, routes: Mutex::default() }))
    }

    /// Returns the places that may have `name`, in the order in which to ask them: mirrors first, its own host last.
    ///
    /// # Errors
    /// [`RegistryError::Blocked`]; a settings file that cannot be understood.
    pub fn pull_from(&self, name: &ImageRef) -> Result<Vec<Remote>, RegistryError> {
        let endpoints = self.routes()?.pull(name)?;
        Ok(endpoints.into_iter().map(|endpoint| self.puller(endpoint)).collect())
    }

    /// Returns the place to push `name` to: its own host. Tokens are asked for with the right to read the repositories
    /// `mount_from` of that host, too, so that blobs may be mounted from there.
    ///
    /// # Errors
    /// As [`Self::pull_from`].
    pub fn push_to(&self, name: &ImageRef, mount_from: &[String]) -> Result<Remote, RegistryError> {
        Ok(self.pusher(self.routes()?.push(name)?, mount_from))
    }

    /// Asks the registry `host` (`docker.io`, `localhost:5000`) whether it takes `credential`, as `login` does.
    ///
    /// # Errors
    /// [`RegistryError`] if it does not, or cannot be asked.
    pub fn check_credential(&self, host: &str, credential: &Credential) -> Result<(), RegistryError> {
        let name = ImageRef { host: host.to_owned(), repository: "login".to_owned(), tag: None, digest: None };
        let endpoint = self.routes()?.push(&name)?;
        let inner = &self.0;
        let credentials = Box::new(Given(credential.clone()));
        let trust = Box::new(inner.settings.clone());
        let observer = Arc::clone(&inner.session.observer);
        let session = Session::new(&inner.settings, observer, &inner.session.cancel, trust, credentials);
        Remote::asking_for_nothing(Arc::new(session), endpoint).check()
    }

    /// Returns the repository at `endpoint`, to read it.
    pub(crate) fn puller(&self, endpoint: Endpoint) -> Remote {
        Remote::new(Arc::clone(&self.0.session), endpoint, "pull", &[])
    }

    /// Returns the repository at `endpoint`, to write it.
    pub(crate) fn pusher(&self, endpoint: Endpoint, mount_from: &[String]) -> Remote {
        Remote::new(Arc::clone(&self.0.session), endpoint, "pull,push", mount_from)
    }

    /// Returns what the settings say about routing, read at the first question.
    fn routes(&self) -> Result<Arc<Routes>, RegistryError> {
        let mut routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        match &*routes {
            Some(routes) => Ok(Arc::clone(routes)),
            None => Ok(Arc::clone(routes.insert(Arc::new(Routes::read(&self.0.settings)?)))),
        }
    }
}

impl TrustSource for RegistrySettings {
    fn trust(&self, host: &str) -> Result<Trust, RegistryError> {
        Trust::read(self, host)
    }
}

impl CredentialSource for Credentials {
    fn credential(&self, host: &str, repository: &str) -> Result<Found, RegistryError> {
        self.find(host, repository)
    }
}

/// One credential, which the user has just given.
#[derive(Debug)]
struct Given(Credential);

impl CredentialSource for Given {
    fn credential(&self, _: &str, _: &str) -> Result<Found, RegistryError> {
        Ok(Found { credential: self.0.clone(), place: "this login".to_owned() })
    }
}
