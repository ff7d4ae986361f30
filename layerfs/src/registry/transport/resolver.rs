//! [`Remembering`]: looks a server's name up once, and not for every request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer counts: shorter than any that name servers give, so that one who moves is followed.
const LIFE: Duration = Duration::from_secs(10);
/// Names that are remembered: the server's, and its proxy's.
const MOST: usize = 16;

/// Looks names up as the system does, and remembers the answers for a while: `ureq` asks before each request, also where
/// the connection is there, from a thread of its own. What is an address is not looked up at all.
#[derive(Debug)]
pub(super) struct Remembering<R = DefaultResolver> {
    inner: R,
    known: Mutex<HashMap<String, (Instant, ResolvedSocketAddrs)>>,
}

impl<R: Resolver> Remembering<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, known: Mutex::default() }
    }

    fn known(&self, name: &str) -> Option<ResolvedSocketAddrs> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, addresses) = known.get(name).filter(|(since, _)| since.elapsed() < LIFE)?;
        Some(addresses.clone())
    }
}

impl Default for Remembering {
    fn default() -> Self {
        Self::new(DefaultResolver::default())
    }
}

impl<R: Resolver> Resolver for Remembering<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return self.inner.resolve(uri, config, timeout);
        };
        let name = DefaultResolver::host_and_port(scheme, authority).unwrap_or_default();
        if let Ok(address) = name.parse::<SocketAddr>() {
            let mut one = self.empty();
            one.push(address);
            return Ok(one);
        }
        if let Some(addresses) = self.known(&name) {
            return Ok(addresses);
        }
        let addresses = self.inner.resolve(uri, config, timeout)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name, (Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use ureq::Agent;
    use ureq::unversioned::transport::DefaultConnector;

    /// Sends everyone to one server, and counts how often it was asked.
    #[derive(Debug, Clone)]
    struct Counting(Arc<AtomicUsize>, SocketAddr);

    impl Resolver for Counting {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let mut one = self.empty();
            one.push(self.1);
            Ok(one)
        }
    }

    #[test]
    fn a_name_is_looked_up_once_and_an_address_never() {
        let server = super::super::super::testing::Server::new(|_| super::super::super::testing::reply(200, &[], ""));
        let address: SocketAddr = server.host.parse().expect("an address");
        let counting = Counting(Arc::default(), address);
        let resolver = Remembering::new(counting.clone());
        let agent = Agent::with_parts(Config::default(), DefaultConnector::default(), resolver);
        let get = |host: &str| agent.get(format!("http://{host}/")).call().expect("answered").status().as_u16();
        for (host, asked) in
            [(server.host.as_str(), 0), ("r.example", 1), ("r.example", 1), ("r.example:81", 2), ("other.example", 3)]
        {
            assert_eq!(get(host), 200);
            assert_eq!(counting.0.load(Ordering::SeqCst), asked, "{host}");
        }
    }
}
