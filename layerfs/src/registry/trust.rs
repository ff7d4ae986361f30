//! [`Trust`]: which certificates a host may show, and which we show it.

use super::error::RegistryError;
use super::settings::RegistrySettings;
use super::settings::file::{bytes, list, wrong};
use rustls_native_certs::load_certs_from_paths;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

/// Where distributions keep the certificates of the authorities they trust: the first that is there counts.
const SYSTEM_FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Directories of single certificates, for systems without such a file: the first that is there counts.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// The names that `certs.d` may have for Docker Hub.
const HUB: [&str; 2] = ["docker.io", "registry-1.docker.io"];

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
        let mut trust = Self { authorities: Vec::new(), client: None, read: Vec::new() };
        trust.add_authorities(settings)?;
        for directory in &settings.certificate_directories {
            if HUB.contains(&host) {
                for name in HUB {
                    trust.add_directory(&directory.join(name))?;
                }
            } else {
                trust.add_directory(&directory.join(host))?;
            }
        }
        Ok(trust)
    }

    /// Adds the authorities that the user named in the system's place, else the system's.
    fn add_authorities(&mut self, settings: &RegistrySettings) -> Result<(), RegistryError> {
        let (file, directories) = (&settings.ca_file, &settings.ca_directory);
        if file.is_none() && directories.is_none() {
            self.add_system();
            return Ok(());
        }
        if let Some(file) = file {
            self.read.push(file.clone());
            let bytes = bytes(file)?.ok_or_else(|| wrong(file, "it is not there"))?;
            self.authorities.extend(certificates(file, &bytes)?);
        }
        for directory in directories.iter().flat_map(std::env::split_paths) {
            // As everywhere, what is in such a directory and is no certificate does not count.
            self.load(None, Some(&directory));
        }
        Ok(())
    }

    /// Adds the system's: those of its file, which holds what its directory holds and is read in a tenth of the time; of
    /// the directory if that says nothing.
    fn add_system(&mut self) {
        self.add_first_of(&SYSTEM_FILES.map(Path::new), &SYSTEM_DIRECTORIES.map(Path::new));
    }

    fn add_first_of(&mut self, files: &[&Path], directories: &[&Path]) {
        let before = self.authorities.len();
        if let Some(file) = files.iter().find(|path| path.is_file()) {
            self.load(Some(file), None);
        }
        if self.authorities.len() == before {
            self.load(None, directories.iter().copied().find(|path| path.is_dir()));
        }
    }

    /// Adds what certificates are in a file and in a directory, and can be read.
    fn load(&mut self, file: Option<&Path>, directory: Option<&Path>) {
        self.read.extend(file.into_iter().chain(directory).map(Path::to_owned));
        let loaded = load_certs_from_paths(file, directory).certs;
        self.authorities.extend(loaded.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
    }

    /// Adds what a directory of `certs.d` holds: `*.crt`, and pairs of `*.cert` and `*.key` (containers-certs.d(5)).
    fn add_directory(&mut self, directory: &Path) -> Result<(), RegistryError> {
        self.read.push(directory.to_owned());
        // Those of the system may be root's alone; the other tools pass them over, too.
        if std::fs::read_dir(directory).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            return Ok(());
        }
        for path in list(directory, "crt")? {
            self.authorities.extend(certificates(&path, &content(&path)?)?);
        }
        for path in list(directory, "key")? {
            if !path.with_extension("cert").exists() {
                return Err(wrong(&path, "there is no `.cert` of that name beside this key"));
            }
        }
        for path in list(directory, "cert")? {
            let client = client(&path)?;
            self.client.get_or_insert(client);
        }
        Ok(())
    }
}

fn client(path: &Path) -> Result<ClientCert, RegistryError> {
    let key_path = path.with_extension("key");
    let Some(key) = bytes(&key_path)? else {
        return Err(wrong(
            path,
            "there is no `.key` of that name beside this client certificate (a `.crt` is an authority's)",
        ));
    };
    let key = PrivateKey::from_pem(&key)
        .map_err(|_| wrong(&key_path, "it holds no private key in PEM form, or one that needs a password"))?;
    Ok(ClientCert::new_with_certs(&certificates(path, &content(path)?)?, key))
}

fn content(path: &Path) -> Result<Vec<u8>, RegistryError> {
    bytes(path)?.ok_or_else(|| wrong(path, "it is not there"))
}

/// Returns the certificates in PEM form that `bytes` hold.
fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let mut certificates = Vec::new();
    for item in parse_pem(bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(wrong(path, "it is damaged: what is in it is not PEM")),
        }
    }
    if certificates.is_empty() { Err(wrong(path, "it holds no certificate in PEM form")) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests;
