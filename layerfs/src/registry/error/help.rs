//! What can be done about a [`RegistryError`].

use super::{ANONYMOUS, Refusal, RegistryError};
use std::path::PathBuf;
use std::time::Duration;

impl RegistryError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Blocked { path, .. } => Some(format!("take `blocked = true` out of `{}`", path.display())),
            Self::Helper { named_in, .. } => {
                Some(format!("`{}` names this helper in `credsStore` or `credHelpers`", named_in.display()))
            }
            Self::Denied(refusal) => Some(of_denied(refusal)),
            Self::NotTls { host, .. } => {
                Some(format!("if it is to be trusted all the same, add `--insecure-registry {host}`"))
            }
            Self::TooMany(refusal) if refusal.retry_after.is_some() => refusal.retry_after.map(of_wait),
            Self::Untrusted { host, read, .. } => Some(of_untrusted(host, read)),
            Self::NotFound { near, .. } if !near.is_empty() => {
                let near: Vec<String> = near.iter().map(|tag| format!("`{tag}`")).collect();
                Some(format!("there is {}", near.join(", ")))
            }
            other => of_others(other).map(str::to_owned),
        }
    }
}

fn of_others(error: &RegistryError) -> Option<&'static str> {
    Some(match error {
        RegistryError::Proxy { .. } => "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        RegistryError::UnknownHost { .. } => "check the name's first part, and the network",
        RegistryError::Unreachable { .. } => "check host and port, and whether a proxy is needed (HTTPS_PROXY)",
        RegistryError::NotFound { .. } => "check repository and tag; a private repository may also look like this",
        RegistryError::TooLarge(_) => {
            "make the layer smaller, or raise the limit of the registry or of the proxy before it"
        }
        RegistryError::Immutable(_) => "push under another tag, or let the registry's owner change the rule",
        RegistryError::TooMany(_) => "wait, log in (more is allowed to accounts), or set up a mirror",
        RegistryError::Broken { .. } | RegistryError::UploadLost { .. } => "try again; what was transferred is kept",
        RegistryError::Schema1 { .. } => "push the image again with any tool of the last years",
        RegistryError::Digest { .. } | RegistryError::Size { .. } => {
            "the registry, or something on the way to it, changes bytes: try again, or another mirror"
        }
        RegistryError::TooBig { .. } => "if the file is what you want, allow more with `--limit download=SIZE`",
        RegistryError::PlainRealm { .. } => "let the registry name a token server with `https`",
        _ => return None,
    })
}

fn of_denied(refusal: &Refusal) -> String {
    if refusal.credential.starts_with(ANONYMOUS) {
        return format!("run `lbuild login {}`, if the repository is yours to use", refusal.host);
    }
    format!("check that this account may do it, or run `lbuild login {}` with another", refusal.host)
}

fn of_wait(time: Duration) -> String {
    format!("it asks to wait {} s: do so, log in (more is allowed to accounts), or set up a mirror", time.as_secs())
}

fn of_untrusted(host: &str, read: &[PathBuf]) -> String {
    let read: Vec<String> = read.iter().map(|path| format!("`{}`", path.display())).collect();
    let read = if read.is_empty() { "no file".to_owned() } else { read.join(", ") };
    format!(
        "authorities were read from {read}: put the registry's into `/etc/docker/certs.d/{host}/ca.crt`, or name it in \
         SSL_CERT_FILE"
    )
}
