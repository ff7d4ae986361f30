//! [`RegistryError`]: what can go wrong between lbuild and a registry.

mod help;
mod said;

pub use said::Said;
pub(super) use said::printable;

use crate::digest::Digest;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::StatusCode;

/// What can go wrong between lbuild and a registry. No text in it holds a secret; URLs are without user, query and token.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A settings file cannot be understood.
    #[error("`{}`: {why}", path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `registries.conf` blocks the name.
    #[error("`{name}` is blocked by `{}`", path.display())]
    Blocked {
        /// The image's name.
        name: String,
        /// By which file.
        path: PathBuf,
    },
    /// A program that keeps credentials failed.
    #[error("`docker-credential-{name} {act}` for `{server}`: {why}")]
    Helper {
        /// What follows `docker-credential-` in its name.
        name: String,
        /// The settings file that names it.
        named_in: PathBuf,
        /// What it was asked to do: `get`, `store` or `erase`.
        act: &'static str,
        /// The registry, as helpers call it.
        server: String,
        /// What went wrong, in its own words if it had any.
        why: String,
    },
    /// Ctrl-C.
    #[error("cancelled")]
    Cancelled,
    /// A proxy's URL cannot be used.
    #[error("the proxy for `{host}` cannot be used: {why}")]
    Proxy {
        /// The host that is asked through it.
        host: String,
        /// What is wrong, without the URL, which may hold a password.
        why: String,
    },
    /// The host's name has no address.
    #[error("{act}: host `{host}` is unknown")]
    UnknownHost {
        /// What was being done, on what.
        act: String,
        /// The host.
        host: String,
    },
    /// Nobody listens there, or no route leads there.
    #[error("{act}: `{url}` cannot be reached: {why}")]
    Unreachable {
        /// What was being done, on what.
        act: String,
        /// Where.
        url: String,
        /// The operating system's words.
        why: String,
    },
    /// The host does not speak TLS.
    #[error("{act}: `{host}` does not speak TLS")]
    NotTls {
        /// What was being done, on what.
        act: String,
        /// The host.
        host: String,
    },
    /// The host's certificate is not trusted.
    #[error("{act}: the certificate of `{host}` is not trusted: {why}")]
    Untrusted {
        /// What was being done, on what.
        act: String,
        /// The host.
        host: String,
        /// What is wrong with it.
        why: String,
        /// Files and directories whose authorities were tried.
        read: Vec<PathBuf>,
    },
    /// The connection broke off, or nothing came, as often as it was tried.
    #[error("{act}: the connection to `{url}` broke: {why}")]
    Broken {
        /// What was being done, on what.
        act: String,
        /// Where.
        url: String,
        /// How.
        why: String,
    },
    /// The registry does not let us.
    #[error("{} ({})", .0, .0.credential)]
    Denied(Box<Refusal>),
    /// There is no such thing.
    #[error("{refusal}")]
    NotFound {
        /// The answer.
        refusal: Box<Refusal>,
        /// Tags of the repository that look like the one asked for.
        near: Vec<String>,
    },
    /// The registry, or a proxy before it, takes no body of this size (413).
    #[error("{0}")]
    TooLarge(Box<Refusal>),
    /// The tag may not be written again.
    #[error("{0}")]
    Immutable(Box<Refusal>),
    /// Too many requests (429), as often as it was tried.
    #[error("{0}")]
    TooMany(Box<Refusal>),
    /// Any other answer that is no success.
    #[error("{0}")]
    Answered(Box<Refusal>),
    /// A redirect that is not followed.
    #[error("{act}: `{url}` redirects {why}")]
    Redirect {
        /// What was being done, on what.
        act: String,
        /// Which address redirects.
        url: String,
        /// Where to, and why it is not followed.
        why: String,
    },
    /// A token server that would get the credentials in the clear.
    #[error("{act}: the registry sends us with our credentials to `{url}`, which is not encrypted")]
    PlainRealm {
        /// What was being done, on what.
        act: String,
        /// The token server.
        url: String,
    },
    /// An answer that breaks the protocol.
    #[error("{act}: the answer of `{url}` is wrong: {why}")]
    Malformed {
        /// What was being done, on what.
        act: String,
        /// Who answered.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// A manifest that does not have the digest it was asked for by, or that the registry states.
    #[error("{act}: the bytes from `{url}` have digest {got}, not {wanted}")]
    Digest {
        /// What was being done, on what.
        act: String,
        /// Who answered.
        url: String,
        /// The digest asked for or stated.
        wanted: Digest,
        /// The digest of the bytes.
        got: Digest,
    },
    /// A blob of another size than its descriptor states.
    #[error("{act}: `{url}` has {got} bytes, the descriptor says {wanted}")]
    Size {
        /// What was being done, on what.
        act: String,
        /// Who answered.
        url: String,
        /// As the descriptor states.
        wanted: u64,
        /// As the registry states.
        got: u64,
    },
    /// A file of the web above the caller's limit.
    #[error("`{url}` has more than {limit} bytes")]
    TooBig {
        /// Where it is.
        url: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A manifest of Docker's schema 1.
    #[error("{act}: the manifest is of Docker's schema 1, which is not supported")]
    Schema1 {
        /// What was being done, on what.
        act: String,
    },
    /// The registry forgot a half-sent blob: it is to be sent again from its start.
    #[error("{act}: the registry lost the upload at `{url}`")]
    UploadLost {
        /// What was being done, on what.
        act: String,
        /// The upload.
        url: String,
    },
    /// The registry takes no chunks: the blob is to be sent whole ([`super::remote::Remote::upload_whole`]).
    #[error("{act}: the registry takes no blob in chunks")]
    NoChunks {
        /// What was being done, on what.
        act: String,
    },
    /// The bytes to send could not be read.
    #[error("{act}: {source}")]
    Source {
        /// What was being done, on what.
        act: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{act}: `{url}` answered {}{said}", status_line(*.status))]
pub struct Refusal {
    /// What was being done, on what.
    pub act: String,
    /// Who answered.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// The server's own words.
    pub said: Said,
    /// Which credential was used and where it was found, or where none was found; empty where it does not matter.
    pub credential: String,
    /// The host whose credentials count.
    pub host: String,
    /// How long the server asks us to wait.
    pub retry_after: Option<Duration>,
}

/// Returns a status with the words that RFC 9110 has for it.
fn status_line(status: u16) -> String {
    let words = StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    words.map_or_else(|| status.to_string(), |words| format!("{status} {words}"))
}

impl RegistryError {
    /// Reports whether the same request may well succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::TooMany(_) => true,
            Self::Answered(refusal) => is_transient(refusal.status),
            _ => false,
        }
    }

    /// Returns how long the server asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany(refusal) | Self::Answered(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Returns what went wrong in a few words, for a line of progress.
    pub(super) fn brief(&self) -> String {
        match self {
            Self::Broken { why, .. } | Self::Unreachable { why, .. } => why.clone(),
            Self::TooMany(refusal) | Self::Answered(refusal) => {
                format!("it answered {}{}", status_line(refusal.status), refusal.said)
            }
            other => other.to_string(),
        }
    }
}

/// How [`Refusal::credential`] begins where there was none.
pub(super) const ANONYMOUS: &str = "no credentials";

/// Reports whether an answer with `status` is worth another try: 408, 429, and what servers and proxies say in trouble.
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429) || (status >= 500 && status != 501 && status != 505)
}

impl From<RegistryError> for std::io::Error {
    fn from(error: RegistryError) -> Self {
        Self::other(error)
    }
}
