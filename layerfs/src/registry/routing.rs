//! [`Routes`]: which hosts stand for a name, in which order.

mod daemon_json;
mod host;
mod registries_conf;

pub use host::Unverified;

use super::error::RegistryError;
use super::settings::RegistrySettings;
use super::settings::file::{list, text, wrong};
use crate::reference::{DEFAULT_HOST, ImageRef};
use daemon_json::{DaemonJson, HubMirror};
use registries_conf::{RegistriesConf, Registry};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The host that serves the images of `docker.io`.
const HUB: &str = "registry-1.docker.io";

/// A place that may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host to connect to, with its port: `registry-1.docker.io`, `localhost:5000`.
    pub host: String,
    /// The repository there: `library/fedora`.
    pub repository: String,
    /// How it may be spoken to.
    pub scheme: Scheme,
    /// Stands for another host; asked only to pull.
    pub mirror: bool,
    /// A mirror that is asked for digests only (`mirror-by-digest-only`, `pull-from-mirror`), not for tags; or the reverse.
    pub serves: Serves,
    /// The host whose credentials count: the name's own (`docker.io`), or the mirror's.
    pub credentials_host: String,
}

/// What a mirror is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serves {
    /// All.
    #[default]
    All,
    /// References with a digest.
    Digests,
    /// References with a tag.
    Tags,
}

/// How a host may be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TLS with a certificate that is trusted.
    Https,
    /// TLS first; plain http where nothing speaks TLS, as Docker does with loopback addresses.
    HttpsOrHttp,
    /// TLS with any certificate first, then plain http: the user said so.
    Insecure,
    /// Plain http: the user wrote it.
    Http,
}

/// What the settings say about routing. A value, made once.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    conf: RegistriesConf,
    hub_mirrors: Vec<HubMirror>,
    unverified: Vec<Unverified>,
    passed_over: Vec<PathBuf>,
}

impl Routes {
    /// Reads `registries.conf` (version 2), its drop-ins, and `daemon.json`.
    ///
    /// # Errors
    /// [`RegistryError::Settings`].
    pub fn read(settings: &RegistrySettings) -> Result<Self, RegistryError> {
        let mut routes = Self::default();
        for path in expanded(&settings.registries_conf)? {
            if let Some(text) = text(&path)? {
                routes.conf.overlay(registries_conf::parse(&path, &text)?);
            }
        }
        for path in &settings.daemon_json {
            // It is the daemon's: where it is root's alone, a user without a daemon can do nothing about that.
            if std::fs::File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
                routes.passed_over.push(path.clone());
                continue;
            }
            if let Some(text) = text(path)? {
                let DaemonJson { mirrors, unverified } = daemon_json::parse(path, &text)?;
                routes.hub_mirrors.extend(mirrors);
                routes.unverified.extend(unverified);
            }
        }
        for host in &settings.insecure {
            let host = Unverified::parse(host).map_err(|why| wrong(Path::new("--insecure-registry"), why))?;
            routes.unverified.push(host);
        }
        Ok(routes)
    }

    /// Returns the `daemon.json` that may not be read, so that their mirrors do not count.
    pub fn passed_over(&self) -> &[PathBuf] {
        &self.passed_over
    }

    /// Returns the places to pull `name` from, mirrors first. All are there, whatever they serve: a mirror for digests
    /// may still serve what another place said the tag stands for.
    ///
    /// # Errors
    /// [`RegistryError::Blocked`]; [`RegistryError::Settings`] for a location that makes no name of it.
    pub fn pull(&self, name: &ImageRef) -> Result<Vec<Endpoint>, RegistryError> {
        let matched = self.registry(name)?;
        let mut endpoints = Vec::new();
        let mut own = Place::of(name);
        if let Some(matched) = &matched {
            for mirror in &matched.registry.mirrors {
                let endpoint = self.endpoint(matched.rewritten(&mirror.location)?, mirror.insecure);
                endpoints.push(Endpoint { mirror: true, serves: mirror.serves, ..endpoint });
            }
            if let Some(location) = &matched.registry.location {
                own = matched.rewritten(location)?;
            }
        }
        if own.host == DEFAULT_HOST {
            endpoints.extend(self.hub_mirrors.iter().map(|mirror| self.hub_mirror(mirror, &own.repository)));
        }
        endpoints.push(self.endpoint(own, matched.is_some_and(|matched| matched.registry.insecure)));
        Ok(endpoints)
    }

    /// Returns the place to push `name` to: mirrors and locations are for reading only, as with containers' tools.
    ///
    /// # Errors
    /// [`RegistryError::Blocked`].
    pub fn push(&self, name: &ImageRef) -> Result<Endpoint, RegistryError> {
        let insecure = self.registry(name)?.is_some_and(|matched| matched.registry.insecure);
        Ok(self.endpoint(Place::of(name), insecure))
    }

    /// Returns what a short name without host (`fedora`, `fedora:41`) stands for by the aliases of `registries.conf`, if
    /// for anything. Tag and digest are kept.
    pub fn alias(&self, short: &str) -> Option<ImageRef> {
        let end = short.find([':', '@']).unwrap_or(short.len());
        let (name, suffix) = short.split_at(end);
        let target = self.conf.aliases.get(name).filter(|target| !target.is_empty())?;
        // What is no name is no alias: the short name then means what it means to Docker.
        format!("{target}{suffix}").parse().ok()
    }

    /// Returns the table that counts for `name`: the one with the longest prefix.
    fn registry(&self, name: &ImageRef) -> Result<Option<Matched<'_>>, RegistryError> {
        let text = name.to_string();
        let fitting = self.conf.registries.iter().filter(|registry| matched(&registry.prefix, &text).is_some());
        match fitting.max_by_key(|registry| registry.prefix.len()) {
            Some(registry) if registry.blocked => {
                Err(RegistryError::Blocked { name: text, path: registry.file.clone() })
            }
            Some(registry) => Ok(Some(Matched { registry, name: text })),
            None => Ok(None),
        }
    }

    fn endpoint(&self, place: Place, insecure: bool) -> Endpoint {
        let Place { host, repository } = place;
        let connected = if host == DEFAULT_HOST { HUB.to_owned() } else { host.clone() };
        let scheme = match insecure || self.is_unverified(&host) || self.is_unverified(&connected) {
            true => Scheme::Insecure,
            false if host::is_loopback(&host) => Scheme::HttpsOrHttp,
            false => Scheme::Https,
        };
        let credentials_host = if connected == HUB { DEFAULT_HOST.to_owned() } else { host };
        Endpoint { host: connected, repository, scheme, mirror: false, serves: Serves::All, credentials_host }
    }

    fn hub_mirror(&self, mirror: &HubMirror, repository: &str) -> Endpoint {
        let scheme = match mirror.plain {
            true => Scheme::Http,
            false if self.is_unverified(&mirror.host) => Scheme::Insecure,
            false => Scheme::Https,
        };
        let place = Place { host: mirror.host.clone(), repository: format!("{}{repository}", mirror.path) };
        Endpoint { mirror: true, scheme, ..self.endpoint(place, false) }
    }

    fn is_unverified(&self, host: &str) -> bool {
        self.unverified.iter().any(|unverified| unverified.matches(host))
    }
}

/// A host as it stands in names, and a repository there.
struct Place {
    host: String,
    repository: String,
}

impl Place {
    fn of(name: &ImageRef) -> Self {
        Self { host: name.host.clone(), repository: name.repository.clone() }
    }
}

/// The table that counts for a name.
struct Matched<'a> {
    registry: &'a Registry,
    /// The name, in full.
    name: String,
}

impl Matched<'_> {
    /// Returns the name with `location` in the place of the prefix.
    fn rewritten(&self, location: &str) -> Result<Place, RegistryError> {
        let failed =
            |why: &str| wrong(&self.registry.file, format!("location `{location}` for `{}`: {why}", self.name));
        let length = matched(&self.registry.prefix, &self.name).unwrap_or_default();
        let (host, path) = location.split_once('/').unwrap_or((location, ""));
        // A prefix of a bare name may be replaced by a bare host, as `a/b` by `c` in `a/b/d:1`.
        let rest = &self.name[length..];
        let whole = if path.is_empty() { format!("{host}{rest}") } else { format!("{host}/{path}{rest}") };
        let (host, path) = whole.split_once('/').ok_or_else(|| failed("it leaves no repository"))?;
        // A host without dot and port is no host to the parser of names.
        let parsed = format!("localhost/{path}").parse::<ImageRef>().map_err(|error| failed(&error.why))?;
        let name: Option<ImageRef> = self.name.parse().ok();
        if !name.is_some_and(|name| name.tag == parsed.tag && name.digest == parsed.digest) {
            return Err(failed("it would change the tag or digest"));
        }
        match host::is_host(host) {
            true => Ok(Place { host: host.to_owned(), repository: parsed.repository }),
            false => Err(failed(&format!("`{host}` is not a registry host"))),
        }
    }
}

/// Returns how many bytes of `name`, a full name, `prefix` stands for, if it stands for any.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    let length = match prefix.strip_prefix('*') {
        None => name.starts_with(prefix).then_some(prefix.len())?,
        Some(domain) => {
            let host = name.split('/').next().unwrap_or(name);
            host::name(host).ends_with(domain).then(|| host::name(host).len())?
        }
    };
    let next = name.as_bytes().get(length);
    next.is_none_or(|next| matches!(next, b'/' | b':' | b'@')).then_some(length)
}

/// Returns `paths` with each directory replaced by the `*.conf` in it.
fn expanded(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RegistryError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(list(path, "conf")?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
