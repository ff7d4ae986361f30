//! EXPOSE: ports, ranges and protocols (1.5-4).

use std::net::IpAddr;

/// The ports of one word of EXPOSE.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// Each as `80/tcp`, in order.
    pub ports: Vec<String>,
    /// True if the protocol is not in lower case.
    pub casing: bool,
    /// True if the word has an address or a host port, which EXPOSE has no use for.
    pub mapping: bool,
}

/// What is wrong with a word of EXPOSE: which part, and the part.
pub(super) type Invalid = (&'static str, String);

/// Returns the ports of `word`: `[[ip]:[hostport]:]port[-port][/protocol]`.
pub(super) fn parse(word: &str) -> Result<Ports, Invalid> {
    let (before, container) = word.rsplit_once(':').map_or((None, word), |(before, port)| (Some(before), port));
    let (range, typed) = container.split_once('/').unwrap_or((container, ""));
    let protocol = typed.to_ascii_lowercase();
    let protocol = match protocol.as_str() {
        "" | "tcp" => "tcp",
        "udp" | "sctp" => &protocol,
        _ => return Err(("protocol", typed.to_owned())),
    };
    let (first, last) = parse_range(range).ok_or_else(|| ("port", range.to_owned()))?;
    if let Some(mapping) = before {
        check_mapping(mapping, last - first)?;
    }
    Ok(Ports {
        ports: (first..=last).map(|port| format!("{port}/{protocol}")).collect(),
        casing: typed.bytes().any(|b| b.is_ascii_uppercase()),
        mapping: before.is_some(),
    })
}

/// Returns the first and last port of `80` or `80-90`.
fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_port(first)?, parse_port(last)?);
    (first <= last).then_some((first, last))
}

/// Returns a port of digits only: a sign is none.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Checks `[ip:]hostport`; a range of host ports must be as long as that of the ports unless they are one.
fn check_mapping(mapping: &str, span: u16) -> Result<(), Invalid> {
    let (address, host) = mapping.rsplit_once(':').map_or(("", mapping), |(address, host)| (address, host));
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(("IP address", address.to_owned()));
    }
    if host.is_empty() {
        return Ok(());
    }
    match parse_range(host) {
        Some((first, last)) if last - first == span || span == 0 => Ok(()),
        _ => Err(("host port", host.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_1_5_4() {
        for (word, wanted) in [
            ("80", "80/tcp"),
            ("80/", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("7/sctp", "7/sctp"),
            ("8000-8002", "8000/tcp 8001/tcp 8002/tcp"),
            ("8080:80", "80/tcp"),
            ("127.0.0.1:8080:80/udp", "80/udp"),
            ("[::1]:8080:80", "80/tcp"),
            ("::1:8080:80", "80/tcp"),
            ("127.0.0.1::80", "80/tcp"),
            ("8000-8010:80", "80/tcp"),
            ("65535", "65535/tcp"),
            ("0", "0/tcp"),
        ] {
            assert_eq!(parse(word).map(|ports| ports.ports.join(" ")), Ok(wanted.to_owned()), "{word}");
        }
        for (word, part, text) in [
            ("", "port", ""),
            ("x", "port", "x"),
            ("65536", "port", "65536"),
            ("+80", "port", "+80"),
            ("90-80", "port", "90-80"),
            ("1-2-3", "port", "1-2-3"),
            ("80/icmp", "protocol", "icmp"),
            ("1.2.3:80:80", "IP address", "1.2.3"),
            ("a:80", "host port", "a"),
            ("1-3:80-81", "host port", "1-3"),
        ] {
            assert_eq!(parse(word), Err((part, text.to_owned())), "{word}");
        }
    }

    #[test]
    fn oddities_of_1_8_21_and_1_8_22_are_noted() {
        for (word, casing, mapping) in [("80/tcp", false, false), ("80/TCP", true, false), ("80:80", false, true)] {
            let ports = parse(word).expect("a good word");
            assert_eq!((ports.casing, ports.mapping), (casing, mapping), "{word}");
        }
    }
}
