//! [`Registry`]: a real registry, Debian's `docker-registry`.

use super::{Certificates, TokenServer};
use crate::harness::output;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The user that a registry with passwords knows.
pub const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "correct-horse-battery-staple";
/// Her line in a file of passwords (bcrypt).
const HTPASSWD: &str = "alice:$2b$04$MIiiQM6a/Q9kFrBdPqX.e.g1T58f6d4wSK7KtnwAzGYPB63Bi8LF6\n";

/// A running registry with a storage of its own; dropped, it ends.
pub struct Registry {
    child: Child,
    home: tempfile::TempDir,
    /// Where it listens: `127.0.0.1:40000`.
    pub address: String,
}

impl Registry {
    /// Starts one that speaks plain http and knows nobody.
    pub fn plain() -> Self {
        Self::start("", "")
    }

    /// Starts one that speaks TLS.
    pub fn tls(certificates: &Certificates) -> Self {
        Self::start(&tls(certificates, false), "")
    }

    /// Starts one that speaks TLS, and only to clients who show a certificate.
    pub fn mutual_tls(certificates: &Certificates) -> Self {
        Self::start(&tls(certificates, true), "")
    }

    /// Starts one that knows [`USER`] by her [`PASSWORD`].
    pub fn htpasswd() -> Self {
        Self::start("", "auth: {htpasswd: {realm: a test, path: HOME/htpasswd}}\n")
    }

    /// Starts one that believes the tokens of `server`.
    pub fn token(server: &TokenServer) -> Self {
        Self::start("", &server.registry_section())
    }

    fn start(http: &str, auth: &str) -> Self {
        let home = tempfile::Builder::new().prefix("lbuild-registry.").tempdir().expect("a temporary directory");
        let at = home.path().to_string_lossy().into_owned();
        let config = format!(
            "version: 0.1\n\
             log: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage:\n  filesystem: {{rootdirectory: {at}/data}}\n  delete: {{enabled: true}}\n  \
             maintenance: {{uploadpurging: {{enabled: false}}}}\n\
             http:\n  addr: 127.0.0.1:0\n  secret: a test\n{http}{}",
            auth.replace("HOME", &at)
        );
        fs::write(home.path().join("config.yml"), config).expect("a file");
        fs::write(home.path().join("htpasswd"), HTPASSWD).expect("a file");
        let log = fs::File::create(home.path().join("log")).expect("a file");
        let child = Command::new("docker-registry")
            .args(["serve", &format!("{at}/config.yml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .expect("docker-registry: run `tests/setup test`");
        let mut registry = Self { child, home, address: String::new() };
        registry.address = registry.wait_until_it_listens();
        registry
    }

    /// It says on which port the kernel let it listen.
    fn wait_until_it_listens(&mut self) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if let Some(rest) = log.split("listening on ").nth(1) {
                return rest.split(['"', ',']).next().expect("an address").to_owned();
            }
            let ended = self.child.try_wait().expect("waited");
            assert!(ended.is_none() && start.elapsed() < Duration::from_secs(20), "docker-registry: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns what it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).expect("a log")
    }

    /// Returns the directory of its storage.
    pub fn storage(&self) -> PathBuf {
        self.home.path().join("data/docker/registry/v2")
    }

    /// Returns a blob's file.
    pub fn blob(&self, digest: &str) -> PathBuf {
        blob_below(&self.storage(), digest)
    }

    /// Returns the full name of an image here.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    /// Copies an image here with skopeo, as it is, which must be allowed to anyone.
    #[track_caller]
    pub fn fill(&self, image: &str, from: &str) {
        self.fill_with(image, from, &["--preserve-digests"]);
    }

    /// Copies an image here with skopeo and these options.
    #[track_caller]
    pub fn fill_with(&self, image: &str, from: &str, options: &[&str]) {
        let to = format!("docker://{}", self.name(image));
        let how = ["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"];
        output("skopeo", &[&how[..], options, &[from, &to]].concat());
    }

    /// Reports whether it keeps an image under this name.
    pub fn has(&self, repository: &str, tag: &str) -> bool {
        self.manifest_link(repository, tag).exists()
    }

    /// Returns the digest of the manifest that a tag stands for.
    #[track_caller]
    pub fn digest(&self, repository: &str, tag: &str) -> String {
        let link = self.manifest_link(repository, tag);
        fs::read_to_string(&link).unwrap_or_else(|_| panic!("the registry has no {repository}:{tag}"))
    }

    /// Returns the manifest that a tag stands for.
    #[track_caller]
    pub fn manifest(&self, repository: &str, tag: &str) -> serde_json::Value {
        let bytes = fs::read(self.blob(&self.digest(repository, tag))).expect("a manifest");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Returns the digests of an image's layers.
    #[track_caller]
    pub fn layers(&self, repository: &str, tag: &str) -> Vec<String> {
        let manifest = self.manifest(repository, tag);
        let layers = manifest["layers"].as_array().expect("layers");
        layers.iter().map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect()
    }

    fn manifest_link(&self, repository: &str, tag: &str) -> PathBuf {
        self.storage().join(format!("repositories/{repository}/_manifests/tags/{tag}/current/link"))
    }
}

/// Returns a blob's file below a storage.
pub fn blob_below(storage: &Path, digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    storage.join("blobs/sha256").join(hex.get(..2).unwrap_or_default()).join(hex).join("data")
}

fn tls(certificates: &Certificates, mutual: bool) -> String {
    let at = |name: &str| certificates.path(name).to_string_lossy().into_owned();
    let clients = if mutual { format!(", clientcas: [{}]", at("authority.crt")) } else { String::new() };
    format!("  tls: {{certificate: {}, key: {}{clients}}}\n", at("server.crt"), at("server.key"))
}

impl Drop for Registry {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().expect("the registry ends");
        }
    }
}
