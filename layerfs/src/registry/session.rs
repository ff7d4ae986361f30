//! [`Session`]: a request to a registry with all that belongs to it: scheme, authorization, redirects, another try.

use super::address::{Address, Origin, port_of};
use super::auth::{Ask, Authorization, Authorizer, CredentialSource};
use super::error::{Refusal, RegistryError, Said};
use super::greeting;
use super::observer::Observer;
use super::retry::{self, Retry};
use super::routing::{Endpoint, Scheme};
use super::settings::{Patience, RegistrySettings};
use super::transport::{Guard, Limit, Payload, Request, Response, Transport, TrustSource};
use crate::cancel::Cancel;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use ureq::http::Method;

/// The longest answer that is read to learn why a request was refused, in bytes.
const LONGEST_REFUSAL: u64 = 64 << 10;

/// What all registries of a process share.
#[derive(Debug)]
pub(super) struct Session {
    pub patience: Patience,
    pub observer: Arc<dyn Observer>,
    pub cancel: Cancel,
    pub transport: Transport,
    auth: Authorizer,
    /// Hosts that spoke plain http where TLS was tried first.
    plain: Mutex<HashSet<String>>,
}

/// A registry's repository, and what we want there.
#[derive(Debug)]
pub(super) struct Place {
    pub endpoint: Endpoint,
    pub guard: Guard,
    pub scopes: Vec<String>,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// A path of the registry, with its query.
    Path(&'a str),
    /// An address that the registry gave.
    At(&'a Address),
}

/// A request to a registry.
pub(super) struct Call<'a> {
    /// What is being done, for errors.
    pub act: &'a str,
    pub method: Method,
    pub target: Target<'a>,
    pub headers: &'a [(&'static str, String)],
    pub payload: Payload<'a>,
    /// Who hears how many bytes of the body are gone.
    pub told: Option<&'a dyn Fn(u64)>,
    pub limit: Limit,
}

impl<'a> Call<'a> {
    /// Returns a request without headers and body, whose answer is small.
    pub fn new(act: &'a str, method: Method, target: Target<'a>) -> Self {
        Self { act, method, target, headers: &[], payload: Payload::None, told: None, limit: Limit::Small }
    }
}

impl Session {
    pub fn new(
        settings: &RegistrySettings,
        observer: Arc<dyn Observer>,
        cancel: &Cancel,
        trust: Box<dyn TrustSource>,
        credentials: Box<dyn CredentialSource>,
    ) -> Self {
        let patience = settings.patience.clone();
        let transport = Transport::new(trust, patience.clone(), settings.proxies.clone(), cancel);
        let auth = Authorizer::new(credentials, Arc::clone(&observer));
        Self { patience, observer, cancel: cancel.clone(), transport, auth, plain: Mutex::default() }
    }

    /// Returns what counts the failures of one request.
    pub fn retry<'a>(&'a self, host: &'a str, waits: bool) -> Retry<'a> {
        let (patience, observer, cancel) = (&self.patience, &*self.observer, &self.cancel);
        Retry { patience, observer, cancel, host, waits, failures: 0 }
    }

    /// Reports whether the registry has answered before.
    pub fn is_known(&self, place: &Place) -> bool {
        [true, false].iter().any(|tls| self.transport.is_proven(&Origin::new(*tls, &place.endpoint.host)))
    }

    /// Sends a request once, not counting what is needed to be let in. An answer of any status is a success.
    ///
    /// # Errors
    /// [`RegistryError`]: what went wrong on the way.
    pub fn call(&self, place: &Place, mut call: Call<'_>) -> Result<Response, RegistryError> {
        if let Target::At(address) = call.target {
            let registry = self.registry_of(place);
            return self.attempt(place, &mut call, &registry, address.clone());
        }
        let host = &place.endpoint.host;
        let tls = Origin::new(true, host);
        let clear = Origin::new(false, host);
        match place.endpoint.scheme {
            Scheme::Https => self.attempt_path(place, &mut call, &tls),
            Scheme::Http => self.attempt_path(place, &mut call, &clear),
            _ if self.is_plain(host) => self.attempt_path(place, &mut call, &clear),
            scheme => {
                let first = match scheme == Scheme::HttpsOrHttp && self.answers_plainly(&tls) {
                    true => Err(RegistryError::NotTls { act: call.act.to_owned(), host: tls.authority.clone() }),
                    false => self.attempt_path(place, &mut call, &tls),
                };
                let Err(failure) = first else { return first };
                if self.transport.is_proven(&tls) || !falls_back(&failure, host) {
                    return Err(failure);
                }
                let second = self.attempt_path(place, &mut call, &clear);
                if !self.transport.is_proven(&clear) {
                    // Only an answer shows that the other port speaks http, else what the first one said counts. Where
                    // there is no TLS there is but http, and a connection that broke is made again.
                    let other_port =
                        matches!(failure, RegistryError::Unreachable { .. }) && !self.cancel.is_cancelled();
                    return if other_port { Err(failure) } else { second };
                }
                // Servers of TLS say 400 to those who speak http, of whom a broken greeting has made us one.
                if second.as_ref().is_ok_and(|answer| answer.status == 400) {
                    return second;
                }
                self.plain.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone());
                second
            }
        }
    }

    /// Reports whether a server of this machine that never answered in TLS does not speak it; if nothing is reported, it may
    /// do either.
    fn answers_plainly(&self, tls: &Origin) -> bool {
        !self.transport.is_proven(tls) && greeting::is_plain(&tls.authority, &self.cancel)
    }

    fn is_plain(&self, host: &str) -> bool {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }

    /// Returns the registry's server, as it was spoken to last.
    pub fn registry_of(&self, place: &Place) -> Origin {
        let host = &place.endpoint.host;
        let tls = place.endpoint.scheme != Scheme::Http && !self.is_plain(host);
        Origin::new(tls, host)
    }

    fn attempt_path(&self, place: &Place, call: &mut Call<'_>, origin: &Origin) -> Result<Response, RegistryError> {
        let Target::Path(path) = call.target else { unreachable!("only paths are resolved") };
        self.attempt(place, call, origin, Address::new(origin.clone(), path))
    }

    /// Sends a request, and again with what the registry asks for if it asks for something.
    fn attempt(
        &self,
        place: &Place,
        call: &mut Call<'_>,
        registry: &Origin,
        address: Address,
    ) -> Result<Response, RegistryError> {
        let ask = self.ask(place, call.act, registry);
        let own = address.origin == *registry;
        let sent = if own { self.auth.authorize(&self.transport, &ask)? } else { None };
        let answer = self.exchange(place, call, &address, sent.as_ref())?;
        if answer.status != 401 || !own || answer.address.origin != *registry {
            return Ok(answer);
        }
        let Some(better) = self.auth.challenged(&self.transport, &ask, &answer, sent.as_ref())? else {
            return Ok(answer);
        };
        if !call.payload.is_again() {
            let why = "the registry's leave ran out".to_owned();
            return Err(RegistryError::Broken { act: call.act.to_owned(), url: address.to_string(), why });
        }
        // What is left of the refusal is read, so that the connection can be used again.
        answer.drain();
        self.exchange(place, call, &address, Some(&better))
    }

    fn exchange(
        &self,
        place: &Place,
        call: &mut Call<'_>,
        address: &Address,
        authorization: Option<&Authorization>,
    ) -> Result<Response, RegistryError> {
        let payload = std::mem::replace(&mut call.payload, Payload::None);
        if let Payload::Bytes(bytes) = payload {
            call.payload = Payload::Bytes(bytes);
        }
        let request = Request {
            act: call.act,
            method: call.method.clone(),
            address: address.clone(),
            headers: call.headers,
            authorization: authorization.map(|authorization| authorization.header.clone()),
            payload,
            confined: false,
            told: call.told,
            limit: call.limit,
        };
        self.transport.send(&place.guard, request)
    }

    fn ask<'a>(&self, place: &'a Place, act: &'a str, registry: &'a Origin) -> Ask<'a> {
        Ask {
            act,
            guard: &place.guard,
            registry,
            host: &place.endpoint.credentials_host,
            repository: &place.endpoint.repository,
            scopes: &place.scopes,
        }
    }

    /// Returns the error that an answer of no success means. What the server says is read from it.
    pub fn refusal(&self, place: &Place, act: &str, answer: Response) -> RegistryError {
        let (status, url, retry_after) = (answer.status, answer.address.to_string(), retry::after(&answer));
        // An answer that breaks off says nothing.
        let body = answer.read(LONGEST_REFUSAL).ok().flatten().unwrap_or_default();
        let registry = self.registry_of(place);
        let said = Said::of(&body, &self.auth.secrets(&self.ask(place, act, &registry)));
        let credential = match status {
            401 | 403 => self.auth.describe(&self.ask(place, act, &registry)),
            _ => String::new(),
        };
        let host = place.endpoint.credentials_host.clone();
        let refusal = Box::new(Refusal { act: act.to_owned(), url, status, said, credential, host, retry_after });
        match status {
            401 | 403 => RegistryError::Denied(refusal),
            404 => RegistryError::NotFound { refusal, near: Vec::new() },
            413 => RegistryError::TooLarge(refusal),
            429 => RegistryError::TooMany(refusal),
            _ => RegistryError::Answered(refusal),
        }
    }
}

/// Reports whether plain http is tried after `failure` of TLS, as Docker and containerd do: where the host does not speak
/// TLS, or where no port was stated and nobody listens on 443.
fn falls_back(failure: &RegistryError, host: &str) -> bool {
    match failure {
        RegistryError::NotTls { .. } => true,
        RegistryError::Unreachable { .. } => port_of(host).is_none(),
        _ => false,
    }
}
