//! [`Transport`]: one request over HTTP, its deadline, and redirects.
//!
//! Connections are kept in one [`ureq::Agent`] for each server that is asked on behalf of a registry. [`Watch`] shuts them
//! all down when the build is cancelled, which ends every blocked read and write.

mod agents;
mod body;
mod failure;
mod proxy;
mod resolver;
mod watch;

pub(super) use agents::Guard;
pub(super) use body::{Gain, Payload, Sending};

use super::address::{Address, Origin};
use super::error::RegistryError;
use super::secret::Secret;
use super::settings::{Patience, Proxies};
use super::trust::Trust;
use crate::cancel::Cancel;
use agents::Agents;
use body::Paced;
use std::collections::HashSet;
use std::fmt::Debug;
use std::io::Read;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{self, HeaderMap, Method};
use ureq::{Agent, Body, SendBody};
use watch::Watch;

/// Redirects that are followed for one request.
const MOST_REDIRECTS: usize = 10;
/// How long a request may take that only tidies up.
const BRIEF_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes that are read so that a connection can be used again.
const MOST_DRAINED: u64 = 64 << 10;

/// Says which certificates a host may show.
pub(crate) trait TrustSource: Debug + Send + Sync {
    /// Returns the certificates for `host`.
    ///
    /// # Errors
    /// [`RegistryError::Settings`].
    fn trust(&self, host: &str) -> Result<Trust, RegistryError>;
}

/// Sends requests.
#[derive(Debug)]
pub(super) struct Transport {
    agents: Arc<Agents>,
    _watch: Watch,
    cancel: Cancel,
    patience: Patience,
    /// Servers that have answered: to connect to them should work, and does not take long.
    proven: Mutex<HashSet<Origin>>,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// All of it must be there soon.
    Small,
    /// As long as bytes come.
    Stream,
    /// It does not matter much.
    Brief,
}

/// A request.
pub(super) struct Request<'a> {
    /// What is being done, for errors.
    pub act: &'a str,
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub address: Address,
    /// Its headers, without `Authorization`.
    pub headers: &'a [(&'static str, String)],
    /// Its `Authorization`, for the server of `address` alone.
    pub authorization: Option<Secret>,
    /// Its body.
    pub payload: Payload<'a>,
    /// Whether it is for this server alone: its body holds a secret.
    pub confined: bool,
    /// Who hears how many bytes of it are gone.
    pub told: Option<&'a dyn Fn(u64)>,
    /// How long its answer may take.
    pub limit: Limit,
}

/// An answer. Its body is not read yet.
#[derive(Debug)]
pub(super) struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// Who answered: not who was asked, if there was a redirect.
    pub address: Address,
    idle: Duration,
    body: Body,
}

impl Transport {
    /// Returns a transport; it does nothing yet.
    pub fn new(trust: Box<dyn TrustSource>, patience: Patience, proxies: Proxies, cancel: &Cancel) -> Self {
        let agents = Arc::new(Agents::new(trust, patience.clone(), proxies, cancel.clone()));
        let watch = Watch::new(Arc::clone(&agents), cancel.clone());
        Self { agents, _watch: watch, cancel: cancel.clone(), patience, proven: Mutex::default() }
    }

    /// Reports whether this server has answered before.
    pub fn is_proven(&self, origin: &Origin) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).contains(origin)
    }

    /// Sends `request` on behalf of `guard`'s registry and follows its redirects, without `Authorization` where they leave
    /// the server. An answer of any status is a success, a redirect aside.
    ///
    /// # Errors
    /// [`RegistryError`]: what went wrong on the way, and redirects that are not followed.
    pub fn send(&self, guard: &Guard, mut request: Request<'_>) -> Result<Response, RegistryError> {
        for _ in 0..=MOST_REDIRECTS {
            let response = self.exchange(guard, &mut request)?;
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let next = next_hop(&request, &response)?;
            response.drain();
            if next.origin != request.address.origin {
                request.authorization = None;
            }
            request.address = next;
        }
        Err(redirect(&request, format!("more than {MOST_REDIRECTS} times")))
    }

    /// Sends one request and reads the head of its answer.
    fn exchange(&self, guard: &Guard, request: &mut Request<'_>) -> Result<Response, RegistryError> {
        let origin = request.address.origin.clone();
        let made = self.agents.get(guard, &origin)?;
        let (agent, read) = made.ok_or_else(|| redirect(request, "to too many servers".to_owned()))?;
        let proven = self.is_proven(&origin);
        let result = self.run(&agent, request, proven);
        if self.cancel.is_cancelled() {
            return Err(RegistryError::Cancelled);
        }
        if let Some(source) = request.payload.take_failure() {
            return Err(RegistryError::Source { act: request.act.to_owned(), source });
        }
        let response =
            result.map_err(|error| failure::of(error, request.act, &request.address, &self.patience, &read))?;
        if !proven {
            self.proven.lock().unwrap_or_else(PoisonError::into_inner).insert(origin);
        }
        let (parts, body) = response.into_parts();
        let (status, address) = (parts.status.as_u16(), request.address.clone());
        Ok(Response { status, headers: parts.headers, address, idle: self.patience.idle, body })
    }

    fn run(&self, agent: &Agent, request: &mut Request<'_>, proven: bool) -> Result<Answer, ureq::Error> {
        let head = head(request)?;
        match &mut request.payload {
            Payload::Stream(stream) => agent.run(self.limit(agent, head, SendBody::from_reader(stream), request.limit)),
            Payload::None if proven => agent.run(self.limit(agent, head, SendBody::none(), request.limit)),
            Payload::None => self.first_contact(agent.clone(), head, None, request.limit),
            Payload::Bytes(bytes) if proven => {
                let told = request.told.unwrap_or(&|_| ());
                // A copy of the slice is used up, so that the bytes can be sent again.
                let mut rest: &[u8] = bytes;
                let mut sending = Sending::new(&mut rest, bytes.len() as u64, self.patience.idle, told);
                agent.run(self.limit(agent, head, SendBody::from_reader(&mut sending), request.limit))
            }
            Payload::Bytes(bytes) => self.first_contact(agent.clone(), head, Some(bytes.to_vec()), request.limit),
        }
    }

    /// Sends the first request to a server from a thread of its own, since neither the look-up of its name nor the making
    /// of a connection can be interrupted: if the build is cancelled, the thread is left to its time limit.
    fn first_contact(
        &self,
        agent: Agent,
        head: http::Request<()>,
        body: Option<Vec<u8>>,
        limit: Limit,
    ) -> Result<Answer, ureq::Error> {
        let request = self.limit(&agent, head, (), limit);
        let idle = self.patience.idle;
        let (sender, receiver) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("registry".to_owned()).spawn(move || {
            let result = match &body {
                None => agent.run(request.map(|()| SendBody::none())),
                Some(bytes) => {
                    let mut rest: &[u8] = bytes;
                    let mut sending = Sending::new(&mut rest, bytes.len() as u64, idle, &|_| ());
                    agent.run(request.map(|()| SendBody::from_reader(&mut sending)))
                }
            };
            // Nobody waits any more if the build was cancelled.
            sender.send(result).ok();
        })?;
        loop {
            match receiver.recv_timeout(Duration::from_millis(20)) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if !self.cancel.is_cancelled() => {}
                Err(_) => return Err(ureq::Error::ConnectionFailed),
            }
        }
    }

    /// Puts head and body together; the agent's deadline is that of small answers.
    fn limit<B: ureq::AsSendBody>(
        &self,
        agent: &Agent,
        head: http::Request<()>,
        body: B,
        limit: Limit,
    ) -> http::Request<B> {
        let request = head.map(|()| body);
        let deadline = match limit {
            Limit::Small => return request,
            Limit::Stream => None,
            Limit::Brief => Some(BRIEF_DEADLINE.min(self.patience.idle)),
        };
        agent.configure_request(request).timeout_global(deadline).build()
    }
}

type Answer = http::Response<Body>;

/// Returns the request without its body.
fn head(request: &Request<'_>) -> Result<http::Request<()>, http::Error> {
    let mut head = http::Request::builder().method(request.method.clone()).uri(request.address.wire());
    for (name, value) in request.headers {
        head = head.header(*name, value);
    }
    if let Some(size) = request.payload.size() {
        head = head.header("content-length", size);
    }
    if let Some(authorization) = &request.authorization {
        let mut value = http::HeaderValue::from_str(authorization.expose())?;
        value.set_sensitive(true);
        head = head.header("authorization", value);
    }
    head.body(())
}

/// Returns where a redirect leads.
fn next_hop(request: &Request<'_>, response: &Response) -> Result<Address, RegistryError> {
    let location =
        response.header("location").ok_or_else(|| redirect(request, "without saying where to".to_owned()))?;
    let next = request.address.join(location).map_err(|why| redirect(request, format!("to nowhere: {why}")))?;
    if request.confined && next.origin != request.address.origin {
        return Err(redirect(request, format!("to `{next}`, which is not to hear what is for this server alone")));
    }
    if request.address.origin.tls && !next.origin.tls {
        return Err(redirect(request, format!("to `{next}`, which is not encrypted")));
    }
    let rereads = matches!(request.method, Method::GET | Method::HEAD);
    let repeats = matches!(response.status, 307 | 308) && request.payload.is_again();
    if !rereads && !repeats {
        return Err(redirect(
            request,
            format!("to `{next}` with status {}, after a {}", response.status, request.method),
        ));
    }
    Ok(next)
}

fn redirect(request: &Request<'_>, why: String) -> RegistryError {
    RegistryError::Redirect { act: request.act.to_owned(), url: request.address.to_string(), why }
}

impl Response {
    /// Returns a header, if it is there and of ASCII characters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the number of bytes of the body that the head states.
    pub fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// Reads the body, of which at most `most` bytes are taken: nothing if it has more.
    ///
    /// # Errors
    /// The operating system's; what breaks off, too.
    pub fn read(self, most: u64) -> std::io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.into_body().take(most + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }

    /// Returns the body, to be read as it comes; reading fails once it all but stands still.
    pub fn into_body(self) -> impl Read + Send + use<> {
        Paced::new(self.body.into_reader(), self.idle)
    }

    /// Reads a short body that does not matter, so that the connection can be used again.
    pub fn drain(self) {
        let end = Instant::now() + BRIEF_DEADLINE;
        let mut body = self.into_body().take(MOST_DRAINED);
        let mut buffer = [0; 4096];
        while body.read(&mut buffer).is_ok_and(|count| count > 0) && Instant::now() < end {}
    }
}

impl Transport {
    /// Returns what a failure while the body of an answer from `address` was read means.
    pub fn body_failure(&self, error: std::io::Error, act: &str, address: &Address) -> RegistryError {
        if self.cancel.is_cancelled() {
            return RegistryError::Cancelled;
        }
        failure::of(error.into(), act, address, &self.patience, &[])
    }
}
