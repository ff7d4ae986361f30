//! [`Authorizer`]: what stands in `Authorization`: challenges, the tokens they lead to, and what is remembered of both.

mod basic;
mod challenge;
mod token;

use super::address::{Address, Origin, is_loopback};
use super::credentials::{Credential, Found};
use super::error::{ANONYMOUS, Refusal, RegistryError};
use super::observer::Observer;
use super::secret::Secret;
use super::transport::{Guard, Response, Transport};
use challenge::Challenge;
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use token::{Key, Token};

/// Says who we are at a host.
pub(crate) trait CredentialSource: Debug + Send + Sync {
    /// Returns the credential for `repository` of `host`.
    ///
    /// # Errors
    /// [`RegistryError`].
    fn credential(&self, host: &str, repository: &str) -> Result<Found, RegistryError>;
}

/// Makes `Authorization` headers.
#[derive(Debug)]
pub(super) struct Authorizer {
    credentials: Box<dyn CredentialSource>,
    observer: Arc<dyn Observer>,
    /// What a server asked for last.
    challenges: Mutex<Vec<Known>>,
    tokens: Mutex<Vec<(Key, Token)>>,
    /// Token servers that know no POST.
    only_get: Mutex<HashSet<Address>>,
}

/// What a server asked for when a repository was wanted.
#[derive(Debug)]
struct Known {
    registry: Origin,
    repository: String,
    challenge: Challenge,
}

/// Who asks a registry, and for what.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// What is being done, for errors.
    pub act: &'a str,
    /// Whose certificates count.
    pub guard: &'a Guard,
    /// The registry.
    pub registry: &'a Origin,
    /// The host whose credentials count.
    pub host: &'a str,
    /// The repository.
    pub repository: &'a str,
    /// What we want to do: `repository:library/x:pull`.
    pub scopes: &'a [String],
}

/// A header, and whether the server could not have seen it before.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    /// The header's value.
    pub header: Secret,
    /// Whether it was made for this very request.
    pub fresh: bool,
}

impl Authorizer {
    pub fn new(credentials: Box<dyn CredentialSource>, observer: Arc<dyn Observer>) -> Self {
        Self {
            credentials,
            observer,
            challenges: Mutex::default(),
            tokens: Mutex::default(),
            only_get: Mutex::default(),
        }
    }

    /// Returns the header for a request, by what the registry asked for before; nothing if it asked for nothing yet, or if
    /// there are no credentials to answer with.
    ///
    /// # Errors
    /// [`RegistryError`]: credentials that cannot be read, a token that is not given.
    pub fn authorize(&self, transport: &Transport, ask: &Ask<'_>) -> Result<Option<Authorization>, RegistryError> {
        let challenge = self.known(ask);
        challenge.map_or(Ok(None), |challenge| self.answer(transport, ask, &challenge))
    }

    /// Takes note of an answer with status 401 to a request with the header `sent`. Returns the header to send it again
    /// with; nothing if there is no better one.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub fn challenged(
        &self,
        transport: &Transport,
        ask: &Ask<'_>,
        answer: &Response,
        sent: Option<&Authorization>,
    ) -> Result<Option<Authorization>, RegistryError> {
        if sent.is_some_and(|sent| sent.fresh) {
            return Ok(None);
        }
        let headers = answer.headers.get_all("www-authenticate");
        let texts = headers.iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenge::choose(texts) else { return Ok(None) };
        if let Some(sent) = sent {
            lock(&self.tokens).retain(|(_, token)| token.header() != sent.header);
        }
        self.learn(ask, challenge.clone());
        let authorization = self.answer(transport, ask, &challenge)?;
        // What was refused once is refused twice.
        Ok(authorization.filter(|new| sent.is_none_or(|sent| sent.header != new.header)))
    }

    /// Returns what the registry is known to ask for: for this repository, else for any, of which only who gives tokens
    /// counts here, not what for.
    fn known(&self, ask: &Ask<'_>) -> Option<Challenge> {
        let all = lock(&self.challenges);
        let of_registry = || all.iter().rev().filter(|known| known.registry == *ask.registry);
        let exact = of_registry().find(|known| known.repository == ask.repository);
        let any = || of_registry().next().map(|known| known.challenge.for_nothing());
        exact.map(|known| known.challenge.clone()).or_else(any)
    }

    fn learn(&self, ask: &Ask<'_>, challenge: Challenge) {
        let mut all = lock(&self.challenges);
        all.retain(|known| known.registry != *ask.registry || known.repository != ask.repository);
        let (registry, repository) = (ask.registry.clone(), ask.repository.to_owned());
        all.push(Known { registry, repository, challenge });
    }

    /// Returns what must not be told of what we say to a registry.
    pub fn secrets(&self, ask: &Ask<'_>) -> Vec<Secret> {
        let tokens: Vec<Secret> = lock(&self.tokens).iter().map(|(_, token)| token.text().clone()).collect();
        let found = self.credentials.credential(ask.host, ask.repository);
        tokens.into_iter().chain(found.map(|found| found.credential.secrets()).unwrap_or_default()).collect()
    }

    /// Says in words which credential counts, for errors.
    pub fn describe(&self, ask: &Ask<'_>) -> String {
        match self.credentials.credential(ask.host, ask.repository) {
            Ok(found) if found.credential == Credential::Anonymous => {
                format!("{ANONYMOUS} for `{}`: {}", ask.host, found.place)
            }
            Ok(found) => format!("with the credentials of {}", found.place),
            Err(error) => error.to_string(),
        }
    }

    fn answer(
        &self,
        transport: &Transport,
        ask: &Ask<'_>,
        challenge: &Challenge,
    ) -> Result<Option<Authorization>, RegistryError> {
        let found = self.credentials.credential(ask.host, ask.repository)?;
        match (challenge, found.credential) {
            (_, Credential::Bearer(token)) => Ok(Some(bearer(token, true))),
            (Challenge::Basic, Credential::Password { user, password }) => {
                Ok(Some(Authorization { header: basic::header(&user, &password), fresh: true }))
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scopes }, credential) => {
                let realm = realm_of(ask, realm, &credential)?;
                let scopes = token::merge(ask.scopes, scopes);
                let key = Key { realm, service: service.clone(), scopes, credential };
                self.token(transport, ask, key).map(Some)
            }
        }
    }

    /// Returns a token that was kept, or a new one.
    fn token(&self, transport: &Transport, ask: &Ask<'_>, key: Key) -> Result<Authorization, RegistryError> {
        let kept = {
            let mut tokens = lock(&self.tokens);
            tokens.retain(|(_, token)| !token.is_stale());
            tokens.iter().find(|(of, _)| *of == key).map(|(_, token)| token.clone())
        };
        if let Some(token) = kept {
            return Ok(Authorization { header: token.header(), fresh: false });
        }
        let token = self.fetch(transport, ask, &key)?;
        let header = token.header();
        lock(&self.tokens).push((key, token));
        Ok(Authorization { header, fresh: true })
    }

    /// Asks the token server. What it refuses is asked for again without the other repositories that blobs might be mounted
    /// from; and where only reading is wanted, without our credentials: an old password should not keep us from public
    /// images.
    fn fetch(&self, transport: &Transport, ask: &Ask<'_>, key: &Key) -> Result<Token, RegistryError> {
        let denied = match self.server(transport, ask, key).fetch(&key.credential) {
            Err(RegistryError::Denied(refusal)) => refusal,
            other => return other,
        };
        let own = format!("repository:{}:", ask.repository);
        let narrow: Vec<String> = key.scopes.iter().filter(|scope| scope.starts_with(&own)).cloned().collect();
        if narrow.len() < key.scopes.len() && !narrow.is_empty() {
            return self.fetch(transport, ask, &Key { scopes: narrow, ..key.clone() });
        }
        let reads = !key.scopes.is_empty() && key.scopes.iter().all(|scope| scope.ends_with(":pull"));
        if reads
            && key.credential != Credential::Anonymous
            && let Ok(token) = self.server(transport, ask, key).fetch(&Credential::Anonymous)
        {
            let credential = self.describe(ask);
            self.observer.warning(&format!("`{}` refuses us {credential}; going on without", ask.host));
            return Ok(token);
        }
        Err(RegistryError::Denied(Box::new(Refusal { credential: self.describe(ask), ..*denied })))
    }

    fn server<'a>(&'a self, transport: &'a Transport, ask: &'a Ask<'a>, key: &'a Key) -> token::Server<'a> {
        token::Server { transport, ask, key, only_get: &self.only_get }
    }
}

/// Returns the token server's address, if what we have to send may go there.
fn realm_of(ask: &Ask<'_>, realm: &str, credential: &Credential) -> Result<Address, RegistryError> {
    let act = ask.act.to_owned();
    let address = Address::parse(realm).map_err(|why| RegistryError::Malformed {
        act: act.clone(),
        url: ask.registry.authority.clone(),
        why: format!("the token server it names is no address: {why}"),
    })?;
    let clear = !address.origin.tls && ask.registry.tls && !is_loopback(address.origin.host());
    if clear && *credential != Credential::Anonymous {
        return Err(RegistryError::PlainRealm { act, url: address.to_string() });
    }
    Ok(address)
}

fn bearer(token: Secret, fresh: bool) -> Authorization {
    Authorization { header: Secret::new(format!("Bearer {}", token.expose())), fresh }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Credential {
    /// Returns what must not be told of it, as it goes over the wire, too.
    fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Anonymous => Vec::new(),
            Self::Password { user, password } => vec![password.clone(), basic::encoded(user, password)],
            Self::Identity(token) | Self::Bearer(token) => vec![token.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_token_servers_in_the_clear_only_from_a_registry_in_the_clear() {
        let password = Credential::Password { user: "u".to_owned(), password: Secret::new("p") };
        let guard = Guard { host: "r.example".to_owned(), insecure: true };
        for (tls, realm, with, without) in [
            (true, "https://t.example/t", true, true),
            (true, "http://t.example/t", false, true),
            (true, "http://127.0.0.1:5001/t", true, true),
            (true, "http://127.0.0.1.example/t", false, true),
            (true, "http://localhost@t.example/t", false, true),
            (false, "http://t.example/t", true, true),
        ] {
            let registry = Origin::new(tls, "r.example");
            let (act, host, repository, scopes) = ("read `x`", "r.example", "x", &[][..]);
            let ask = Ask { act, guard: &guard, registry: &registry, host, repository, scopes };
            assert_eq!(realm_of(&ask, realm, &password).is_ok(), with, "{realm}");
            assert_eq!(realm_of(&ask, realm, &Credential::Anonymous).is_ok(), without, "{realm}");
        }
    }
}
