//! Which proxy a server is asked through.

use super::super::address::{Origin, host_of, port_of};
use super::super::error::RegistryError;
use super::super::settings::Proxies;
use std::net::IpAddr;
use ureq::{Proxy, ProxyProtocol};

/// Returns the proxy for `origin`; this machine is always asked directly.
///
/// # Errors
/// [`RegistryError::Proxy`].
pub(super) fn choose(proxies: &Proxies, origin: &Origin) -> Result<Option<Proxy>, RegistryError> {
    let url = if origin.tls { &proxies.https } else { &proxies.http };
    let Some(url) = url.as_ref().filter(|url| !url.expose().trim().is_empty()) else { return Ok(None) };
    if origin.is_loopback() || is_excepted(proxies.no_proxy.as_deref().unwrap_or_default(), origin) {
        return Ok(None);
    }
    let failed = |why: &str| RegistryError::Proxy { host: origin.authority.clone(), why: why.to_owned() };
    let proxy = Proxy::new(url.expose().trim());
    let proxy = proxy.map_err(|_| failed("its URL is not of the form `http://[user:password@]host[:port]`"))?;
    match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => Ok(Some(proxy)),
        // What `ureq` cannot speak it would pass by in silence.
        _ => Err(failed("only proxies are supported that speak HTTP (`http://` or `https://`)")),
    }
}

/// Reports whether `NO_PROXY` names the server: `*`; a domain, which stands for those below it, too; an address or a
/// network of addresses; each maybe with a port.
fn is_excepted(no_proxy: &str, origin: &Origin) -> bool {
    let own_port = if origin.tls { "443" } else { "80" };
    let port = port_of(&origin.authority).unwrap_or(own_port);
    let entries = no_proxy.split([',', ' ']).filter(|entry| !entry.is_empty());
    entries.map(str::to_ascii_lowercase).any(|entry| is_named(&entry, origin.host(), port))
}

fn is_named(entry: &str, host: &str, port: &str) -> bool {
    if entry == "*" || entry == host || is_in_network(entry, host) {
        return true;
    }
    let with_port = entry.parse::<IpAddr>().is_err().then(|| port_of(entry)).flatten();
    if with_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    let name = if with_port.is_some() || entry.starts_with('[') { host_of(entry) } else { entry };
    let name = name.strip_prefix('*').unwrap_or(name);
    let domain = name.strip_prefix('.').unwrap_or(name);
    let is_below = host.strip_suffix(domain).is_some_and(|head| head.ends_with('.'));
    !domain.is_empty() && (is_below || (host == domain && !name.starts_with('.')))
}

/// Reports whether `host` is an address in the network `entry` (`10.0.0.0/8`).
fn is_in_network(entry: &str, host: &str) -> bool {
    let Some((network, bits)) = entry.split_once('/') else { return false };
    let (Ok(network), Ok(host), Ok(bits)) = (network.parse(), host.parse(), bits.parse::<u32>()) else { return false };
    let (network, host, width) = match (network, host) {
        (IpAddr::V4(network), IpAddr::V4(host)) => (network.to_bits().into(), host.to_bits().into(), 32),
        (IpAddr::V6(network), IpAddr::V6(host)) => (network.to_bits(), host.to_bits(), 128),
        _ => return false,
    };
    let differing: u128 = network ^ host;
    bits <= width && differing.checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::secret::Secret;

    #[test]
    fn hosts_of_no_proxy_are_asked_directly() {
        let cases = [
            ("r.example", "r.example", true),
            ("example", "r.example", true),
            (".example", "r.example", true),
            (".example", "example", false),
            ("*.example", "r.example", true),
            ("xample", "r.example", false),
            ("a,b r.example:5000", "r.example:5000", true),
            ("r.example:5000", "r.example", false),
            ("r.example:443", "r.example", true),
            ("10.0.0.0/8", "10.1.2.3:5000", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("fd00::/8", "[fd12::1]:5000", true),
            ("fd12::1", "[fd12::1]:5000", true),
            ("[fd12::1]:5000", "[fd12::1]:5000", true),
            ("*", "anything", true),
            ("", "anything", false),
            (",.", "anything", false),
        ];
        for (no_proxy, host, directly) in cases {
            assert_eq!(is_excepted(no_proxy, &Origin::new(true, host)), directly, "{no_proxy} {host}");
        }
    }

    #[test]
    fn the_scheme_chooses_the_proxy_and_no_password_is_told() {
        let secret = |text: &str| Some(Secret::new(text));
        let proxies = Proxies { http: secret("http://a:1"), https: secret("http://u:p@b:2"), no_proxy: None };
        let host =
            |tls, host| choose(&proxies, &Origin::new(tls, host)).expect("a choice").map(|p| p.host().to_owned());
        assert_eq!(host(false, "r"), Some("a".to_owned()));
        assert_eq!(host(true, "r"), Some("b".to_owned()));
        assert_eq!(host(true, "localhost:5000"), None);
        for scheme in ["socks4", "socks4a", "socks5", "socks5h"] {
            let socks = Proxies { https: secret(&format!("{scheme}://u:hunter2@b:2")), ..Proxies::default() };
            let error = choose(&socks, &Origin::new(true, "r")).expect_err(scheme);
            assert!(error.to_string().contains("that speak HTTP") && !format!("{error:?}").contains("hunter2"));
        }
        let bad = Proxies { https: secret("gopher://u:hunter2@b"), ..Proxies::default() };
        let error = choose(&bad, &Origin::new(true, "r")).expect_err("no proxy");
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
}
