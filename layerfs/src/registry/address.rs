//! [`Address`]: where a request goes: `http` or `https`, a host, a path with its query.

use super::error::printable;
use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;

/// A scheme and a host with its port; headers with credentials stay within one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// Whether it is `https`.
    pub tls: bool,
    /// `host[:port]` in lower case, without the scheme's own port.
    pub authority: String,
}

/// Where a request goes. Printed, it is without its query, which may hold a token. It never has a user.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// The server.
    pub origin: Origin,
    target: String,
}

impl Origin {
    /// Returns the origin at `authority` (`host[:port]`).
    pub fn new(tls: bool, authority: &str) -> Self {
        let authority = authority.to_ascii_lowercase();
        let own_port = if tls { ":443" } else { ":80" };
        let authority = authority.strip_suffix(own_port).unwrap_or(&authority).to_owned();
        Self { tls, authority }
    }

    /// Returns the host without its port, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        host_of(&self.authority)
    }

    /// Reports whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }
}

/// Returns the host of `host[:port]`, an IPv6 address without brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Returns the port of `host[:port]`, if one is stated.
pub(crate) fn port_of(authority: &str) -> Option<&str> {
    let rest = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    rest.rsplit_once(':').map(|(_, port)| port)
}

/// Reports whether `host` (no port) is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Address {
    /// Returns the address of `target`, a path that begins with `/`, maybe with a query, at `origin`.
    pub fn new(origin: Origin, target: impl Into<String>) -> Self {
        Self { origin, target: target.into() }
    }

    /// Returns the address that `text`, a whole URL, means.
    ///
    /// # Errors
    /// Why it is none: another scheme, no host, a character that has no place there.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_once(':').filter(|_| has_scheme(text)).ok_or("it has no scheme")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("its scheme is neither `http` nor `https`"),
        };
        if rest.trim_start_matches('/').is_empty() {
            return Err("it has no host");
        }
        if !rest.starts_with("//") {
            return Err("it is no URL");
        }
        let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
        let authority = uri.authority().ok_or("it has no host")?.as_str();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        // Hosts name directories of certificates, too.
        if host_of(authority).bytes().all(|byte| byte == b'.') {
            return Err("it has no host");
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self::new(Origin::new(tls, authority), target))
    }

    /// Returns the address that a `Location` in an answer from here means (RFC 3986, 5.2).
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn join(&self, location: &str) -> Result<Self, &'static str> {
        let scheme = if self.origin.tls { "https" } else { "http" };
        if has_scheme(location) {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let target = match location.as_bytes().first() {
            None | Some(b'#') => self.target.clone(),
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{}{location}", self.path()),
            Some(_) => format!("{}/{location}", self.path().rsplit_once('/').map_or("", |(directory, _)| directory)),
        };
        Self::parse(&format!("{scheme}://{}{}", self.origin.authority, without_dots(&target)))
    }

    /// Returns this address with `name=value` added to its query; the value is escaped.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        Self::new(self.origin.clone(), format!("{}{mark}{name}={}", self.target, escape(value)))
    }

    /// Returns the path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the whole URL, for the wire alone.
    pub fn wire(&self) -> String {
        let scheme = if self.origin.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.origin.authority, self.target)
    }
}

/// Escapes what has no place in the value of a query.
pub(crate) fn escape(value: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');
    utf8_percent_encode(value, KEPT).to_string()
}

/// Reports whether `text` begins with a scheme, which a relative reference may not (RFC 3986, 4.2).
fn has_scheme(text: &str) -> bool {
    let head = text.split(['/', '?', '#']).next().unwrap_or_default();
    head.contains(':')
}

/// Takes `.` and `..` out of a path (RFC 3986, 5.2.4); a query stays.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut parts: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            "." if last => parts.push(""),
            "." => {}
            ".." => {
                parts.pop();
                if last {
                    parts.push("");
                }
            }
            other => parts.push(other),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", printable(&self.origin.authority), printable(self.path()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined() {
        let here = Address::parse("https://R.example:443/v2/x/blobs/uploads/?a=b").expect("an address");
        let cases = [
            ("/v2/y?_state=q%3D", "https://r.example/v2/y?_state=q%3D"),
            ("https://CDN.example:8443/z", "https://cdn.example:8443/z"),
            ("http://[::1]:5000", "http://[::1]:5000/"),
            ("//other/z", "https://other/z"),
            ("abc?x", "https://r.example/v2/x/blobs/uploads/abc?x"),
            ("../m", "https://r.example/v2/x/blobs/m"),
            ("/a/./b/../../../c/.", "https://r.example/c/"),
            ("?n=2", "https://r.example/v2/x/blobs/uploads/?n=2"),
            ("", "https://r.example/v2/x/blobs/uploads/?a=b"),
            ("https://user:secret@h/p#f", "https://h/p"),
        ];
        for (location, whole) in cases {
            assert_eq!(here.join(location).map(|a| a.wire()), Ok(whole.to_owned()), "{location}");
        }
    }

    #[test]
    fn strange_locations_are_refused() {
        let here = Address::parse("https://r/v2/").expect("an address");
        for location in [
            "file:///etc/passwd",
            "ftp://h/x",
            "file:x",
            "javascript:1",
            "http:///x",
            "http:x",
            "https:80",
            "http:/h/x",
            "/a b",
            "https://",
            "/\u{7f}\n",
            "https://@/x",
            "https://./x",
            "https://..:443/x",
        ] {
            assert!(here.join(location).is_err(), "{location:?}: {:?}", here.join(location));
        }
    }

    #[test]
    fn a_printed_address_has_neither_query_nor_user() {
        let address = Address::parse("https://user:hunter2@h/p?token=hunter2").expect("an address");
        assert_eq!(format!("{address} {address:?}"), "https://h/p https://h/p");
        let long = Address::parse(&format!("https://h/{}", "p".repeat(10_000))).expect("an address");
        assert!(long.to_string().len() < 500);
        let long = Address::parse(&format!("https://{}/", "h".repeat(10_000))).expect("an address");
        assert!(long.to_string().len() < 500);
        assert_eq!(address.with("digest", "sha256:ab&").wire(), "https://h/p?token=hunter2&digest=sha256:ab%26");
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (authority, host, port) in
            [("h", "h", None), ("h:1", "h", Some("1")), ("[::1]", "::1", None), ("[::1]:5", "::1", Some("5"))]
        {
            assert_eq!((host_of(authority), port_of(authority)), (host, port));
        }
        for (host, is) in [
            ("localhost", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("a.localhost", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
        ] {
            assert_eq!(is_loopback(host), is, "{host}");
        }
    }
}
