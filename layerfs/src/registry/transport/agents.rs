//! [`Agents`]: the connections that are kept, and what they were made with.

use super::super::address::Origin;
use super::super::error::RegistryError;
use super::super::settings::{Patience, Proxies};
use super::super::trust::Trust;
use super::resolver::Remembering;
use super::{TrustSource, proxy};
use crate::cancel::Cancel;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

/// Connections to one server that are kept for the next request.
const IDLE_CONNECTIONS: usize = 16;
/// A small answer must be there within so many of the waits between two bytes, and that for a connection.
const SMALL_DEADLINE: u32 = 2;

/// Servers that a registry may send us to, itself among them: each takes memory.
const MOST_SERVERS: usize = 64;

/// On whose behalf a server is asked: the registry whose certificates count for it, too, as for the token server and the
/// stores that it sends us to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guard {
    /// The registry, `host[:port]`.
    pub host: String,
    /// Whether any certificate will do.
    pub insecure: bool,
}

/// The agents, one for each server that is asked on behalf of a registry.
#[derive(Debug)]
pub(in crate::registry) struct Agents {
    trust: Box<dyn TrustSource>,
    patience: Patience,
    proxies: Proxies,
    cancel: Cancel,
    made: Mutex<HashMap<(Guard, Origin), Made>>,
}

/// An agent, and the files that its authorities were read from.
type Made = (Agent, Arc<[PathBuf]>);

impl Agents {
    pub fn new(trust: Box<dyn TrustSource>, patience: Patience, proxies: Proxies, cancel: Cancel) -> Self {
        Self { trust, patience, proxies, cancel, made: Mutex::default() }
    }

    /// Returns the agent for `origin`; nothing if the registry has sent us to too many servers.
    ///
    /// # Errors
    /// [`RegistryError`]: settings that are wrong, a build that is cancelled.
    pub fn get(&self, guard: &Guard, origin: &Origin) -> Result<Option<Made>, RegistryError> {
        let key = (guard.clone(), origin.clone());
        let known = self.lock();
        if let Some(made) = known.get(&key) {
            return Ok(Some(made.clone()));
        }
        if known.keys().filter(|(of, _)| of == guard).count() >= MOST_SERVERS {
            return Ok(None);
        }
        drop(known);
        let new = self.make(guard, origin)?;
        let mut all = self.lock();
        // Looked at under the lock, so that no agent escapes `shutdown`.
        if self.cancel.is_cancelled() {
            return Err(RegistryError::Cancelled);
        }
        Ok(Some(all.entry(key).or_insert(new).clone()))
    }

    /// Ends all connections for good.
    pub fn shutdown(&self) {
        for (_, (agent, _)) in self.lock().drain() {
            agent.shutdown();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Guard, Origin), Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, guard: &Guard, origin: &Origin) -> Result<Made, RegistryError> {
        let trust = if origin.tls { Some(self.trust_of(guard, origin)?) } else { None };
        let read = trust.as_ref().map_or_else(Vec::new, |trust| trust.read.clone());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("lbuild/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_resolve(Some(self.patience.connect))
            .timeout_connect(Some(self.patience.connect))
            .timeout_global(Some(self.patience.connect + self.patience.idle * SMALL_DEADLINE))
            .timeout_recv_response(Some(self.patience.idle * SMALL_DEADLINE))
            .timeout_per_read(Some(self.patience.idle))
            .timeout_per_write(Some(self.patience.idle))
            .proxy(proxy::choose(&self.proxies, origin)?)
            .tls_config(tls(guard, trust))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Remembering::default());
        Ok((agent, read.into()))
    }

    /// Returns what the server and the registry that sends us there may show, and what we show the server.
    fn trust_of(&self, guard: &Guard, origin: &Origin) -> Result<Trust, RegistryError> {
        let mut trust = self.trust.trust(&origin.authority)?;
        if guard.host != origin.authority {
            let registry = self.trust.trust(&guard.host)?;
            let new = |der: &[u8]| !trust.authorities.iter().any(|known| known.der() == der);
            let more: Vec<_> = registry.authorities.into_iter().filter(|authority| new(authority.der())).collect();
            trust.authorities.extend(more);
            let more: Vec<_> = registry.read.into_iter().filter(|path| !trust.read.contains(path)).collect();
            trust.read.extend(more);
        }
        Ok(trust)
    }
}

fn tls(guard: &Guard, trust: Option<Trust>) -> TlsConfig {
    let Some(trust) = trust else { return TlsConfig::builder().build() };
    TlsConfig::builder()
        .disable_verification(guard.insecure)
        .root_certs(RootCerts::new_with_certs(&trust.authorities))
        .client_cert(trust.client)
        .build()
}
