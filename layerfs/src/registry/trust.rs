//! [`Trust`]: which certificates a host may show, and which we show it.

use super::error::RegistryError;
use super::settings::RegistrySettings;
use std::path::PathBuf;
use ureq::tls::{Certificate, ClientCert};

/// The certificates for one host.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Authorities: the system's (or SSL_CERT_FILE's), and those of `certs.d/<host>/*.crt`.
    pub authorities: Vec<Certificate<'static>>,
    /// What we show: `certs.d/<host>/*.cert` with its `.key`.
    pub client: Option<ClientCert>,
    /// Files and directories that were looked into, for errors.
    pub read: Vec<PathBuf>,
}

impl Trust {
    /// Reads the certificates for `host` (`name[:port]`).
    ///
    /// # Errors
    /// [`RegistryError::Settings`] for a file that is no certificate, or a `.cert` without its `.key`.
    pub fn read(settings: &RegistrySettings, host: &str) -> Result<Self, RegistryError> {
        todo!("{settings:?} {host}")
    }
}
