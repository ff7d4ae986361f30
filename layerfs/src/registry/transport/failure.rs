//! Turns what `ureq` and `rustls` report into [`RegistryError`]s.

use super::super::address::Address;
use super::super::error::{RegistryError, printable};
use super::super::settings::Patience;
use rustls::{AlertDescription, CertificateError, InvalidMessage};
use std::io::ErrorKind;
use std::path::PathBuf;
use ureq::{Error, Timeout};

/// Returns what `error` means, met while `act` was done at `address`; `read` are the files of the trusted authorities.
pub(super) fn of(error: Error, act: &str, address: &Address, patience: &Patience, read: &[PathBuf]) -> RegistryError {
    let place = Place { act, address, read };
    match error {
        Error::Io(error) => place.of_io(error),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            place.unreachable(format!("no connection within {}", seconds(patience.connect)))
        }
        Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
            place.broken(format!("nothing moved for {}", seconds(patience.idle)))
        }
        Error::Timeout(_) => place.broken("the answer took too long".to_owned()),
        Error::HostNotFound => place.unknown_host(),
        Error::ConnectProxyFailed(why) => place.unreachable(format!("its proxy does not connect us: {why}")),
        Error::ConnectionFailed => place.unreachable("no connection could be made".to_owned()),
        Error::Rustls(error) => place.of_tls(&error),
        Error::Tls(why) => place.unreachable(why.to_owned()),
        Error::Protocol(error) => place.broken(format!("what came is no HTTP: {error}")),
        Error::LargeResponseHeader(_, most) => place.malformed(format!("its headers have more than {most} bytes")),
        // The others are about URLs, whose text may hold a token, or cannot be met.
        _ => place.malformed("the request cannot be made".to_owned()),
    }
}

/// How the standard library begins what getaddrinfo(3) says.
const LOOK_UP: &str = "failed to lookup address information";
/// What it says of a name server that does not answer (EAI_AGAIN).
const FOR_NOW: &str = "Temporary failure in name resolution";

fn seconds(time: std::time::Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0)
}

/// What is known besides the error.
struct Place<'a> {
    act: &'a str,
    address: &'a Address,
    read: &'a [PathBuf],
}

impl Place<'_> {
    fn of_io(&self, error: std::io::Error) -> RegistryError {
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return self.of_tls(inner);
        }
        let text = error.to_string();
        match error.kind() {
            ErrorKind::ConnectionRefused => self.unreachable("connection refused".to_owned()),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
                self.unreachable(text)
            }
            // The standard library has no kind for what getaddrinfo(3) says.
            _ if text.starts_with(LOOK_UP) && text.ends_with(FOR_NOW) => {
                self.unreachable("its name cannot be looked up at the moment".to_owned())
            }
            _ if text.starts_with(LOOK_UP) => self.unknown_host(),
            ErrorKind::UnexpectedEof => self.broken("it ended too early".to_owned()),
            _ => self.broken(text),
        }
    }

    fn of_tls(&self, error: &rustls::Error) -> RegistryError {
        let (act, host) = (self.act.to_owned(), self.address.origin.authority.clone());
        match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => RegistryError::NotTls { act, host },
            rustls::Error::InvalidCertificate(error) => {
                RegistryError::Untrusted { act, host, why: of_certificate(error), read: self.read.to_vec() }
            }
            rustls::Error::NoCertificatesPresented => {
                RegistryError::Untrusted { act, host, why: "it shows none".to_owned(), read: self.read.to_vec() }
            }
            rustls::Error::AlertReceived(alert) => self.unreachable(of_alert(alert)),
            other => self.broken(other.to_string()),
        }
    }

    fn unknown_host(&self) -> RegistryError {
        RegistryError::UnknownHost { act: self.act.to_owned(), host: self.address.origin.host().to_owned() }
    }

    fn unreachable(&self, why: String) -> RegistryError {
        RegistryError::Unreachable { act: self.act.to_owned(), url: self.address.to_string(), why: printable(&why) }
    }

    fn broken(&self, why: String) -> RegistryError {
        RegistryError::Broken { act: self.act.to_owned(), url: self.address.to_string(), why: printable(&why) }
    }

    fn malformed(&self, why: String) -> RegistryError {
        RegistryError::Malformed { act: self.act.to_owned(), url: self.address.to_string(), why: printable(&why) }
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "no known authority has signed it".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host".to_owned()
        }
        CertificateError::Revoked => "it is revoked".to_owned(),
        other => other.to_string(),
    }
}

fn of_alert(alert: &AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "it asks for a client certificate".to_owned(),
        AlertDescription::BadCertificate | AlertDescription::UnknownCA | AlertDescription::CertificateUnknown => {
            "it refuses our client certificate".to_owned()
        }
        other => format!("it ended the TLS handshake with alert {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_unknown_is_told_from_a_name_server_that_is_away() {
        let address = Address::parse("https://r.example/v2/").expect("an address");
        let of = |text: &str| {
            let error = std::io::Error::other(format!("failed to lookup address information: {text}"));
            super::of(error.into(), "read", &address, &Patience::default(), &[]).to_string()
        };
        assert_eq!(of("Name or service not known"), "read: host `r.example` is unknown");
        assert_eq!(
            of("Temporary failure in name resolution"),
            "read: `https://r.example/v2/` cannot be reached: its name cannot be looked up at the moment"
        );
    }

    #[test]
    fn what_libraries_say_is_made_fit_to_print() {
        let address = Address::parse("https://r.example/v2/").expect("an address");
        let error = std::io::Error::other("\u{1b}[31mred".repeat(1000));
        let text = super::of(error.into(), "read", &address, &Patience::default(), &[]).to_string();
        assert!(text.contains("\\u{1b}[31mred") && !text.contains('\u{1b}') && text.len() < 600, "{text}");
    }
}
