//! [`Server`]: a token server (distribution-spec, "Token Authentication"; the OAuth form with POST goes first).

use super::super::address::{Address, escape};
use super::super::credentials::Credential;
use super::super::error::{Refusal, RegistryError, Said, is_transient};
use super::super::retry;
use super::super::secret::Secret;
use super::super::transport::{Guard, Limit, Payload, Request, Response, Transport};
use super::{Ask, basic};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::Method;

/// The name that we have at token servers.
const CLIENT: &str = "lbuild";
/// The longest answer of a token server, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
/// The longest token, in bytes: it is sent with every request.
const LONGEST_TOKEN: usize = 64 << 10;
/// How long a token counts that does not say it, in seconds (distribution's token specification).
const USUAL_LIFE: u64 = 60;
/// The longest that a token counts, in seconds.
const LONGEST_LIFE: u64 = 24 * 60 * 60;

/// What a token was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub realm: Address,
    pub service: String,
    pub scopes: Vec<String>,
    pub credential: Credential,
}

/// A token, and until when it is sent.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Secret,
    until: Instant,
}

impl Token {
    /// Returns the value of `Authorization`.
    pub fn header(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.text.expose()))
    }

    /// Returns the token itself.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// Reports whether its time is all but over.
    pub fn is_stale(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// What a token server answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Returns the scopes we want and those that the registry names for other things, each once. Who wants nothing but to be let
/// in asks for nothing: some registries name an example (`repository:user/image:pull`) that the token server then refuses, or
/// grants to everybody.
pub(super) fn merge(wanted: &[String], named: &[String]) -> Vec<String> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let what = |scope: &str| scope.rsplit_once(':').map(|(what, _)| what.to_owned());
    let new = named.iter().filter(|named| !wanted.iter().any(|wanted| what(wanted) == what(named)));
    let mut scopes: Vec<String> = wanted.iter().chain(new).cloned().collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// A token server and what is wanted of it.
pub(super) struct Server<'a> {
    pub transport: &'a Transport,
    pub ask: &'a Ask<'a>,
    pub key: &'a Key,
    pub only_get: &'a Mutex<HashSet<Address>>,
}

impl Server<'_> {
    /// Asks for a token by `credential`.
    ///
    /// # Errors
    /// [`RegistryError::Denied`] (its `credential` is left to the caller), and what goes wrong on the way.
    pub fn fetch(&self, credential: &Credential) -> Result<Token, RegistryError> {
        match credential {
            Credential::Anonymous | Credential::Bearer(_) => self.get(None),
            Credential::Identity(refresh) => {
                let form = format!("grant_type=refresh_token&refresh_token={}", escape(refresh.expose()));
                let response = self.post(&form)?;
                self.read(response)
            }
            Credential::Password { user, password } => self.by_password(user, password),
        }
    }

    /// Asks with POST, and with GET if the server knows no such thing, or says no: some do not know this grant.
    fn by_password(&self, user: &str, password: &Secret) -> Result<Token, RegistryError> {
        let only_get = || self.only_get.lock().unwrap_or_else(PoisonError::into_inner);
        if !only_get().contains(&self.key.realm) {
            let form = format!("grant_type=password&username={}&password={}", escape(user), escape(password.expose()));
            let response = self.post(&form)?;
            if !matches!(response.status, 400..=499 | 501) || matches!(response.status, 408 | 429) {
                return self.read(response);
            }
            if matches!(response.status, 404 | 405 | 501) {
                only_get().insert(self.key.realm.clone());
            }
        }
        self.get(Some(basic::header(user, password)))
    }

    fn get(&self, authorization: Option<Secret>) -> Result<Token, RegistryError> {
        let mut address = self.key.realm.clone();
        if !self.key.service.is_empty() {
            address = address.with("service", &self.key.service);
        }
        for scope in &self.key.scopes {
            address = address.with("scope", scope);
        }
        let response = self.send(Method::GET, address, authorization, &[], Payload::None)?;
        self.read(response)
    }

    fn post(&self, grant: &str) -> Result<Response, RegistryError> {
        let scopes = escape(&self.key.scopes.join(" "));
        let form = format!("{grant}&service={}&client_id={CLIENT}&scope={scopes}", escape(&self.key.service));
        let headers = [("content-type", "application/x-www-form-urlencoded".to_owned())];
        self.send(Method::POST, self.key.realm.clone(), None, &headers, Payload::Bytes(form.as_bytes()))
    }

    fn send<'a>(
        &'a self,
        method: Method,
        address: Address,
        authorization: Option<Secret>,
        headers: &'a [(&'static str, String)],
        payload: Payload<'a>,
    ) -> Result<Response, RegistryError> {
        let act = self.ask.act;
        // The registry's leave to show any certificate is for its own host alone.
        let same = address.origin.host() == super::super::address::host_of(&self.ask.guard.host);
        let guard = Guard { insecure: self.ask.guard.insecure && same, ..self.ask.guard.clone() };
        let (confined, limit) = (matches!(payload, Payload::Bytes(_)), Limit::Small);
        let request = Request { act, method, address, headers, authorization, payload, confined, told: None, limit };
        self.transport.send(&guard, request)
    }

    fn read(&self, response: Response) -> Result<Token, RegistryError> {
        let (status, act, url) = (response.status, self.ask.act.to_owned(), response.address.to_string());
        let retry_after = retry::after(&response);
        let address = response.address.clone();
        let bytes = response.read(LONGEST_ANSWER).map_err(|e| self.transport.body_failure(e, &act, &address))?;
        let malformed = |why: &str| {
            let (act, url) = (act.clone(), url.clone());
            RegistryError::Malformed { act, url, why: why.to_owned() }
        };
        let bytes = bytes.ok_or_else(|| malformed("a token of more than 1 MiB"))?;
        if status != 200 {
            let (said, host) = (Said::of(&bytes, &self.key.credential.secrets()), self.ask.host.to_owned());
            let refusal = Refusal { act, url, status, said, credential: String::new(), host, retry_after };
            return Err(refused(refusal));
        }
        // Not printed, since what came may hold the token.
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| malformed("no JSON with a token"))?;
        let text = [answer.token, answer.access_token].into_iter().flatten().find(|text| !text.is_empty());
        let text = text.ok_or_else(|| malformed("no token in it"))?;
        if text.len() > LONGEST_TOKEN {
            return Err(malformed("a token of more than 64 KiB"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("a token with characters that a token may not have"));
        }
        Ok(Token { text: Secret::new(text), until: Instant::now() + life(answer.expires_in) })
    }
}

/// Returns how long a token is sent: nine tenths of the time that it counts.
fn life(expires_in: Option<f64>) -> Duration {
    let seconds = expires_in.filter(|seconds| *seconds >= 1.0).unwrap_or(USUAL_LIFE as f64);
    Duration::from_secs_f64(seconds.min(LONGEST_LIFE as f64) * 0.9)
}

fn refused(refusal: Refusal) -> RegistryError {
    let refusal = Box::new(refusal);
    match refusal.status {
        429 => RegistryError::TooMany(refusal),
        status if is_transient(status) => RegistryError::Answered(refusal),
        400..=499 => RegistryError::Denied(refusal),
        _ => RegistryError::Answered(refusal),
    }
}
