//! Hosts: with and without port, on loopback or not, and [`Unverified`]: which need not prove who they are.

use std::net::{IpAddr, Ipv6Addr};

/// Returns `host` without its port and without the brackets of an IPv6 address.
pub(super) fn name(host: &str) -> &str {
    split(host).map_or(host, |(name, _)| name)
}

/// Reports whether `host`, with or without port, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = name(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reports whether `text` is a host, with or without port.
pub(super) fn is_host(text: &str) -> bool {
    let valid_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    match split(text) {
        None => false,
        Some((_, Some(port))) if !valid_port(port) => false,
        Some((name, _)) if text.starts_with('[') => name.parse::<Ipv6Addr>().is_ok(),
        Some((name, _)) => name.split('.').all(is_label),
    }
}

fn is_label(label: &str) -> bool {
    // Names of Compose services and of NetBIOS hold underscores.
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !label.is_empty() && !label.starts_with('-') && label.bytes().all(plain)
}

/// Splits a host from its port; nothing if something else follows a closing bracket.
fn split(host: &str) -> Option<(&str, Option<&str>)> {
    let Some(inner) = host.strip_prefix('[') else {
        return Some(host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))));
    };
    match inner.split_once(']')? {
        (name, "") => Some((name, None)),
        (name, port) => Some((name, Some(port.strip_prefix(':')?))),
    }
}

/// Hosts that may show any certificate, or speak without TLS: one host, or a network of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unverified {
    /// `host[:port]`, as it stands in image names.
    Host(String),
    /// An address and how many of its leading bits count (`10.0.0.0/8`). Names are not looked up for it.
    Network(IpAddr, u32),
}

impl Unverified {
    /// Returns what `text`, a `host[:port]` or a network, stands for. A URL counts as its host, as with Docker.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(network) = network(text) {
            return Ok(network);
        }
        let host = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or(text);
        let host = host.strip_suffix('/').unwrap_or(host);
        if is_host(host) {
            Ok(Self::Host(host.to_ascii_lowercase()))
        } else {
            Err(format!("`{text}` is no `host[:port]`"))
        }
    }

    /// Reports whether `host`, with or without port, is meant.
    pub(super) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Host(listed) => listed.eq_ignore_ascii_case(host),
            Self::Network(network, bits) => {
                name(host).parse::<IpAddr>().is_ok_and(|address| leading(address, *bits) == leading(*network, *bits))
            }
        }
    }
}

fn network(text: &str) -> Option<Unverified> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    (bits <= width).then_some(Unverified::Network(address, bits))
}

/// Returns the first `bits` of an address, and of which family it is.
fn leading(address: IpAddr, bits: u32) -> (bool, u128) {
    let (width, value) = match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    (address.is_ipv4(), value.checked_shr(width - bits).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_port_and_brackets() {
        for (host, wanted, loopback) in [
            ("localhost", "localhost", true),
            ("LOCALHOST:5000", "LOCALHOST", true),
            ("127.0.0.1:5000", "127.0.0.1", true),
            ("127.9.8.7", "127.9.8.7", true),
            ("[::1]:5000", "::1", true),
            ("[::1]", "::1", true),
            ("[::2]", "::2", false),
            ("localhost.example", "localhost.example", false),
            ("128.0.0.1", "128.0.0.1", false),
            ("a.b:1", "a.b", false),
        ] {
            assert_eq!((name(host), is_loopback(host)), (wanted, loopback), "{host}");
        }
    }

    #[test]
    fn hosts_are_told_from_other_texts() {
        for good in ["a", "a.b:5000", "my_registry:1", "[::1]", "[::1]:5000", "10.0.0.1:80"] {
            assert!(is_host(good), "{good}");
        }
        for bad in
            ["", ":5000", "a:", "a:x", "a:99999", "a:+1", "[::1", "[::1]5", "[x]", "::1", "a/b", "-a", "a..b", "u@h"]
        {
            assert!(!is_host(bad), "{bad}");
        }
    }

    /// FEATURES 6-5.
    #[test]
    fn unverified_hosts_match_exactly_and_networks_by_bits() {
        for (listed, host, wanted) in [
            ("a.example:5000", "A.example:5000", true),
            ("a.example", "a.example:5000", false),
            ("a.example:5000", "a.example", false),
            ("http://a.example/", "a.example", true),
            ("10.0.0.0/8", "10.1.2.3:5000", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/8", "10.example", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "[::1]", false),
            ("::/0", "[fe80::1]:1", true),
            ("fe80::/10", "[fe80::1]:1", true),
            ("fe80::/10", "[fd80::1]", false),
            ("10.0.0.1/32", "10.0.0.1", true),
        ] {
            let parsed = Unverified::parse(listed).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(parsed.matches(host), wanted, "{listed} {host}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "a/b", "ftp://a", "10.0.0.0/x"] {
            assert_eq!(Unverified::parse(bad), Err(format!("`{bad}` is no `host[:port]`")));
        }
    }
}
