//! [`RegistrySettings`]: what the user set about registries; a value.

pub(super) mod file;

use super::secret::Secret;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the user set about registries. This crate reads no environment: `cli` fills this in. Files that are missing count
/// as empty.
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {
    /// Files of credentials (`config.json`, `auth.json`), the one that goes first first.
    pub auth_files: Vec<PathBuf>,
    /// `DOCKER_AUTH_CONFIG`: the text of such a file; goes before all files.
    pub auth_inline: Option<Secret>,
    /// The file that `login` writes where no helper is set up and no file has an entry for the host.
    pub login_file: Option<PathBuf>,
    /// Directories that credential helpers are looked for in, as in `PATH`; those of this process if nothing is said.
    pub search_path: Option<OsString>,
    /// containers' `registries.conf`, the one to use: the user's, else the system's; drop-ins after it. A directory stands
    /// for the files `*.conf` in it, sorted.
    pub registries_conf: Vec<PathBuf>,
    /// Docker's `daemon.json`, for its `registry-mirrors` and `insecure-registries`.
    pub daemon_json: Vec<PathBuf>,
    /// Directories with one directory for each `host[:port]`: `ca.crt`, `client.cert`, `client.key`.
    pub certificate_directories: Vec<PathBuf>,
    /// `SSL_CERT_FILE`: replaces the system's certificates.
    pub ca_file: Option<PathBuf>,
    /// `SSL_CERT_DIR`: replaces the system's certificates. Several directories are parted by `:`.
    pub ca_directory: Option<PathBuf>,
    /// `--insecure-registry`: `host[:port]` that may speak http or show any certificate.
    pub insecure: Vec<String>,
    /// Proxies, as URLs.
    pub proxies: Proxies,
    /// How long to wait.
    pub patience: Patience,
}

/// Proxies of the user's environment.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<Secret>,
    /// For `https://`.
    pub https: Option<Secret>,
    /// Hosts that are asked directly, as in `NO_PROXY`.
    pub no_proxy: Option<String>,
}

/// How long to wait for a registry, and how often to try.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// Between two bytes.
    pub idle: Duration,
    /// Times that a request is tried in all, unless bytes came in between.
    pub attempts: u32,
    /// The first wait before trying again; doubled each time, with jitter.
    pub first_wait: Duration,
    /// The longest wait that a `Retry-After` may ask for.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            attempts: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(120),
        }
    }
}
