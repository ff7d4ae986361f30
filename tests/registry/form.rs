//! [`Form`]: a registry in one of the forms that users have, and what lets them in.

use super::{Certificates, PASSWORD, Post, Registry, TokenServer, USER, layout, wire};
use crate::harness::{Lab, Run};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A registry, and the means to be let in.
pub struct Form {
    /// What it is.
    pub name: &'static str,
    /// The registry.
    pub registry: Registry,
    /// Who gives its tokens.
    pub tokens: Option<TokenServer>,
    certificates: Option<(Certificates, bool)>,
    password: bool,
}

impl Form {
    fn new(name: &'static str, registry: Registry) -> Self {
        Self { name, registry, tokens: None, certificates: None, password: false }
    }

    /// Plain http, open to all.
    pub fn plain() -> Self {
        Self::new("plain http", Registry::plain())
    }

    /// TLS under a private authority.
    pub fn tls() -> Self {
        let certificates = Certificates::new();
        let form = Self::new("TLS", Registry::tls(&certificates));
        Self { certificates: Some((certificates, false)), ..form }
    }

    /// TLS, and certificates of clients.
    pub fn mutual_tls() -> Self {
        let certificates = Certificates::new();
        let form = Self::new("certificates of clients", Registry::mutual_tls(&certificates));
        Self { certificates: Some((certificates, true)), ..form }
    }

    /// A file of passwords.
    pub fn htpasswd() -> Self {
        Self { password: true, ..Self::new("htpasswd", Registry::htpasswd()) }
    }

    /// A token server.
    pub fn token(post: Post) -> Self {
        let server = TokenServer::new(post, 300);
        let form = Self::new("tokens", Registry::token(&server));
        Self { password: true, tokens: Some(server), ..form }
    }

    /// Puts what lets one in where users have it, below a home.
    pub fn let_in(&self, home: &Path) -> &Self {
        match &self.certificates {
            Some((certificates, false)) => drop(certificates.trust(home, &self.registry.address)),
            Some((certificates, true)) => certificates.show(home, &self.registry.address),
            None => {}
        }
        if self.password {
            write_config(home, &entry(&self.registry.address, USER, PASSWORD));
        }
        self
    }

    /// Runs skopeo with this home; TLS is never left out where there is any.
    #[track_caller]
    pub fn skopeo(&self, home: &Path, arguments: &[&str]) -> Run {
        let mut command = Command::new("skopeo");
        command.arg("--insecure-policy").args(arguments).env("HOME", home).env_remove("XDG_RUNTIME_DIR");
        Run::within(&mut command, 60)
    }

    /// Returns the option by which skopeo and others speak to it, with this prefix.
    pub fn verify(&self, prefix: &str) -> String {
        format!("--{prefix}tls-verify={}", self.certificates.is_some())
    }

    /// Copies the busybox base here under a name.
    #[track_caller]
    pub fn fill(&self, home: &Path, image: &str) {
        self.fill_from(home, image, "busybox");
    }

    /// Copies the base called `base` here under a name.
    #[track_caller]
    pub fn fill_from(&self, home: &Path, image: &str, base: &str) {
        let to = format!("docker://{}", self.registry.name(image));
        self.skopeo(home, &["copy", "-q", "--preserve-digests", &self.verify("dest-"), &layout(base), &to]).ok();
    }
}

/// Returns an entry of `auths`.
pub fn entry(key: &str, user: &str, password: &str) -> String {
    let auth = wire::base64(format!("{user}:{password}").as_bytes());
    format!("{{\"auths\":{{\"{key}\":{{\"auth\":\"{auth}\"}}}}}}")
}

/// Writes Docker's `config.json` below a home.
pub fn write_config(home: &Path, text: &str) {
    fs::create_dir_all(home.join(".docker")).expect("a directory");
    fs::write(home.join(".docker/config.json"), text).expect("a file");
}

/// Writes containers' `registries.conf` below a home.
pub fn write_registries(home: &Path, text: &str) {
    fs::create_dir_all(home.join(".config/containers")).expect("directories");
    fs::write(home.join(".config/containers/registries.conf"), text).expect("a file");
}

/// Returns a `registries.conf` in which docker.io has these mirrors.
pub fn mirrors(of: &[&str]) -> String {
    let one = |place: &&str| format!("[[registry.mirror]]\nlocation = \"{place}\"\ninsecure = true\n");
    format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n{}",
        of.iter().map(one).collect::<String>()
    )
}

/// Returns a lab whose Dockerfile takes `image` and copies one file.
pub fn copy_onto(image: &str) -> Lab {
    let lab = Lab::with(&format!("FROM {image}\nCOPY f /f\nCMD [\"cat\", \"/f\"]\n"));
    lab.file("f", "what was copied\n");
    lab
}
