//! [`Certificates`]: an authority of its own, and what it signed.

use crate::harness::output;
use std::fs;
use std::path::{Path, PathBuf};

/// A private authority, a server on loopback and a client, all signed by it.
pub struct Certificates {
    directory: tempfile::TempDir,
}

/// Sections for `openssl req`: without them its defaults make everyone an authority.
const SECTIONS: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = a test of lbuild
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, IP:127.0.0.2, DNS:localhost
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
";

impl Certificates {
    /// Makes keys and certificates.
    pub fn new() -> Self {
        let made = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        fs::write(made.path("sections"), SECTIONS).expect("a file");
        made.sign("authority", "authority", None);
        made.sign("server", "server", Some("authority"));
        made.sign("client", "client", Some("authority"));
        made
    }

    fn sign(&self, name: &str, section: &str, by: Option<&str>) {
        let at = |name: String| self.path(&name).to_string_lossy().into_owned();
        let (key, certificate, sections) =
            (at(format!("{name}.key")), at(format!("{name}.crt")), at("sections".into()));
        let mut line = vec!["req", "-x509", "-new", "-nodes", "-sha256", "-days", "30", "-newkey", "ec"];
        line.extend(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config", &sections, "-extensions", section]);
        // Each has a name of its own, or a certificate would seem to be its own issuer's.
        let subject = format!("/CN=lbuild test {name}");
        line.extend(["-subj", &subject, "-keyout", &key, "-out", &certificate]);
        let signer = by.map(|by| (at(format!("{by}.crt")), at(format!("{by}.key"))));
        if let Some((certificate, key)) = &signer {
            line.extend(["-CA", certificate, "-CAkey", key]);
        }
        output("openssl", &line);
    }

    /// Returns the path of `authority.crt`, `server.crt`, `server.key`, `client.crt` or `client.key`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts the authority's certificate where containers' tools look for it: below `home`, for `host`.
    pub fn trust(&self, home: &Path, host: &str) -> PathBuf {
        let directory = home.join(".config/containers/certs.d").join(host);
        fs::create_dir_all(&directory).expect("directories");
        fs::copy(self.path("authority.crt"), directory.join("ca.crt")).expect("copied");
        directory
    }

    /// Puts the client's certificate and key there, too.
    pub fn show(&self, home: &Path, host: &str) {
        let directory = self.trust(home, host);
        fs::copy(self.path("client.crt"), directory.join("client.cert")).expect("copied");
        fs::copy(self.path("client.key"), directory.join("client.key")).expect("copied");
    }
}
