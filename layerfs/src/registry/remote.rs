//! [`Remote`]: a repository at a host: manifests, blobs, uploads.

mod blob;
mod manifest;
mod upload;

pub use upload::Upload;

use super::error::{RegistryError, printable};
use super::routing::{Endpoint, Scheme};
use super::session::{Call, Place, Session, Target};
use super::transport::{Guard, Limit, Response};
use crate::descriptor::Descriptor;
use std::sync::Arc;
use ureq::http::Method;

/// A repository at a host. Every call retries what is worth it, within the patience of the settings, and ends when the
/// build is cancelled. Clones share connections and tokens.
#[derive(Debug, Clone)]
pub struct Remote {
    session: Arc<Session>,
    place: Arc<Place>,
    /// Whether nobody else can be asked.
    waits: bool,
}

/// A manifest or index as the registry gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteManifest {
    /// Its media type, digest (of the bytes, checked against what was asked for) and size.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// How an upload begins.
#[derive(Debug)]
pub enum Start {
    /// The registry has the blob now: nothing is to be sent.
    Mounted,
    /// Send it.
    Upload(Upload),
}

impl Remote {
    /// Returns the repository at `endpoint`, to do what `actions` say (`pull`, or `pull,push`), and to read the
    /// repositories `mount_from`.
    pub(super) fn new(session: Arc<Session>, endpoint: Endpoint, actions: &str, mount_from: &[String]) -> Self {
        let mut scopes = vec![format!("repository:{}:{actions}", endpoint.repository)];
        let others = mount_from.iter().filter(|from| **from != endpoint.repository);
        scopes.extend(others.map(|from| format!("repository:{from}:pull")));
        scopes.sort();
        scopes.dedup();
        Self { session, place: Arc::new(Place { guard: guard_of(&endpoint), endpoint, scopes }), waits: true }
    }

    /// Returns the registry at `endpoint`, to be let in and no more.
    pub(super) fn asking_for_nothing(session: Arc<Session>, endpoint: Endpoint) -> Self {
        let place = Place { guard: guard_of(&endpoint), endpoint, scopes: Vec::new() };
        Self { session, place: Arc::new(place), waits: true }
    }

    /// Asks whether the registry lets us in (distribution-spec, "Determining Support").
    ///
    /// # Errors
    /// [`RegistryError`].
    pub(super) fn check(&self) -> Result<(), RegistryError> {
        let act = format!("log in to `{}`", self.endpoint().credentials_host);
        self.persist(|| {
            let answer = self.call(Call::new(&act, Method::GET, Target::Path("/v2/")))?;
            if answer.status == 200 { Ok(()) } else { Err(self.refusal(&act, answer)) }
        })
    }

    /// Returns the place.
    pub fn endpoint(&self) -> &Endpoint {
        &self.place.endpoint
    }

    /// Returns the same place for one who has others to ask: who will not wait where the registry answers 429 or says when
    /// to come back, and is content with one more attempt where it fails.
    pub fn without_waiting(&self) -> Self {
        Self { waits: false, ..self.clone() }
    }

    /// Returns the name of `reference` here, for errors: `localhost:5000/x:1`.
    fn name(&self, reference: &str) -> String {
        let Endpoint { credentials_host, repository, .. } = self.endpoint();
        let mark = if reference.contains(':') { '@' } else { ':' };
        format!("{credentials_host}/{repository}{mark}{reference}")
    }

    /// Returns the name of the repository, for errors.
    fn repository(&self) -> String {
        format!("{}/{}", self.endpoint().credentials_host, self.endpoint().repository)
    }

    /// Returns the path of `rest` (`/manifests/1`) in the registry.
    fn path(&self, rest: &str) -> String {
        format!("/v2/{}{rest}", self.endpoint().repository)
    }

    /// Runs `attempt` until it succeeds or is not worth another.
    fn persist<T>(&self, attempt: impl FnMut() -> Result<T, RegistryError>) -> Result<T, RegistryError> {
        self.session.retry(&self.endpoint().host, self.waits).run(|| self.session.is_known(&self.place), attempt)
    }

    fn call(&self, call: Call<'_>) -> Result<Response, RegistryError> {
        self.session.call(&self.place, call)
    }

    fn refusal(&self, act: &str, answer: Response) -> RegistryError {
        self.session.refusal(&self.place, act, answer)
    }

    /// Sends a HEAD request. A refusal to it, which has no words, is repeated as GET to get them (or a success after all).
    fn head(&self, act: &str, path: &str, headers: &[(&'static str, String)]) -> Result<Response, RegistryError> {
        let head = Call { headers, ..Call::new(act, Method::HEAD, Target::Path(path)) };
        let answer = self.call(head)?;
        if !matches!(answer.status, 400 | 401 | 403 | 405 | 501) {
            return Ok(answer);
        }
        self.call(Call { headers, limit: Limit::Stream, ..Call::new(act, Method::GET, Target::Path(path)) })
    }
}

fn guard_of(endpoint: &Endpoint) -> Guard {
    Guard { host: endpoint.host.to_ascii_lowercase(), insecure: endpoint.scheme == Scheme::Insecure }
}

/// Returns the error of an answer that breaks the protocol.
fn malformed(act: &str, url: impl ToString, why: impl Into<String>) -> RegistryError {
    RegistryError::Malformed { act: act.to_owned(), url: url.to_string(), why: printable(&why.into()) }
}
