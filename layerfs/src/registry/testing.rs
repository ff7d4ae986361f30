//! What the tests of the client share: a registry that does as the test says, and clients with hand-made settings.

use super::Registries;
use super::auth::CredentialSource;
use super::credentials::{Credential, Found};
use super::error::RegistryError;
use super::observer::{Direction, Observer};
use super::routing::{Endpoint, Scheme, Serves};
use super::settings::{Patience, RegistrySettings};
use super::transport::TrustSource;
use super::trust::Trust;
use crate::cancel::Cancel;
use crate::digest::Digest;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Waits that a test can afford.
pub(super) fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        idle: Duration::from_millis(400),
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_secs(2),
    }
}

/// Returns the endpoint of a repository on this machine.
pub(super) fn endpoint(host: &str, repository: &str) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        repository: repository.to_owned(),
        scheme: Scheme::HttpsOrHttp,
        mirror: false,
        serves: Serves::All,
        credentials_host: host.to_owned(),
    }
}

/// Returns a client without credentials, and what hears of its doings.
pub(super) fn client(cancel: &Cancel) -> (Registries, Arc<Notes>) {
    client_of(cancel, Credential::Anonymous)
}

/// Returns a client with one credential for all hosts.
pub(super) fn client_of(cancel: &Cancel, credential: Credential) -> (Registries, Arc<Notes>) {
    let settings = RegistrySettings { patience: patience(), ..RegistrySettings::default() };
    client_with(cancel, credential, settings, Trust { authorities: Vec::new(), client: None, read: Vec::new() })
}

/// Returns a client with one credential and one trust for all hosts.
pub(super) fn client_with(
    cancel: &Cancel,
    credential: Credential,
    settings: RegistrySettings,
    trust: Trust,
) -> (Registries, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let credentials = Box::new(One(Found { credential, place: "`host` in `auth.json`".to_owned() }));
    let observer = Arc::clone(&notes) as Arc<dyn Observer>;
    (Registries::with_sources(settings, observer, cancel, Box::new(Fixed(trust)), credentials), notes)
}

#[derive(Debug)]
struct One(Found);

impl CredentialSource for One {
    fn credential(&self, _: &str, _: &str) -> Result<Found, RegistryError> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Fixed(Trust);

impl TrustSource for Fixed {
    fn trust(&self, _: &str) -> Result<Trust, RegistryError> {
        Ok(self.0.clone())
    }
}

/// Writes down what it hears.
#[derive(Debug, Default)]
pub(super) struct Notes {
    said: Mutex<Vec<String>>,
    sent: Mutex<u64>,
}

impl Notes {
    /// Returns the waits and warnings.
    pub fn said(&self) -> MutexGuard<'_, Vec<String>> {
        self.said.lock().expect("no test panics while it writes")
    }
}

impl Observer for Notes {
    fn transfer(&self, _: &Digest, _: Direction, done: u64, _: Option<u64>) {
        *self.sent.lock().expect("no panic") = done;
    }

    fn waiting(&self, host: &str, why: &str, _: Duration) {
        self.said().push(format!("{host}: {why}"));
    }

    fn warning(&self, text: &str) {
        self.said().push(text.to_owned());
    }
}
