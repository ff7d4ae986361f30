//! What the environment, the home and the flags say about registries: which files count. None is read here.

use super::{Environment, SettingsError};
use layerfs::reference::{DEFAULT_HOST, ImageRef};
use layerfs::registry::routing::Unverified;
use layerfs::registry::secret::Secret;
use layerfs::registry::settings::{Patience, Proxies, RegistrySettings};
use std::path::{Path, PathBuf};

const INSECURE: &str = "--insecure-registry";
/// The directories in which Docker's and containers' tools keep what is for all users.
const SYSTEM: &str = "/etc";

/// Returns the settings for registries; `insecure` are the values of `--insecure-registry`.
///
/// # Errors
/// [`SettingsError::Malformed`] for a value that is no host.
pub fn registry(insecure: &[String], environment: &Environment) -> Result<RegistrySettings, SettingsError> {
    for text in insecure {
        Unverified::parse(text).map_err(|_| SettingsError::Malformed {
            flag: INSECURE,
            text: text.clone(),
            why: "it is no `HOST[:PORT]`".to_owned(),
        })?;
    }
    let user = nix::unistd::getuid().as_raw();
    Ok(RegistrySettings { insecure: insecure.to_vec(), ..of_environment(environment, Path::new(SYSTEM), user) })
}

/// Returns the registry that `typed` means: a host, or a URL of which the host counts.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn registry_host(typed: &str) -> Result<String, SettingsError> {
    let bare = match typed.strip_prefix("https://").or(typed.strip_prefix("http://")) {
        Some(url) => url.split('/').next().unwrap_or(url),
        None => typed.trim_end_matches('/'),
    };
    match format!("{bare}/x").parse::<ImageRef>() {
        Ok(name) if name.repository == "x" => Ok(name.host),
        Ok(name) if name.host == DEFAULT_HOST && name.repository == "library/x" => Ok(name.host),
        _ => Err(SettingsError::Malformed {
            flag: "HOST",
            text: typed.to_owned(),
            why: "it is no registry: those have a `.` or a `:PORT`, or are `localhost`".to_owned(),
        }),
    }
}

/// Returns what the variables lead to, with `system` in the place of `/etc`, for the user with the id `user`.
fn of_environment(environment: &Environment, system: &Path, user: u32) -> RegistrySettings {
    let places = Places::of(environment, system, user);
    RegistrySettings {
        auth_files: places.auth_files(),
        auth_inline: environment.text("DOCKER_AUTH_CONFIG").map(Secret::new),
        login_file: places.registry_auth_file.clone().or_else(|| places.docker_config()),
        search_path: environment.get("PATH").map(Into::into),
        registries_conf: places.registries_conf(),
        daemon_json: places.daemon_json(),
        certificate_directories: places.certificate_directories(),
        ca_file: environment.path("SSL_CERT_FILE"),
        ca_directory: environment.path("SSL_CERT_DIR"),
        insecure: Vec::new(),
        proxies: proxies(environment),
        patience: Patience::default(),
    }
}

/// Where settings are kept.
struct Places {
    system: PathBuf,
    home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    config: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR/containers`, else what containers' tools use in its place.
    runtime: PathBuf,
    docker: Option<PathBuf>,
    registry_auth_file: Option<PathBuf>,
    own_registries_conf: Option<PathBuf>,
}

impl Places {
    fn of(environment: &Environment, system: &Path, user: u32) -> Self {
        // The XDG base directory specification says that a relative path is to be ignored.
        let absolute = |name: &str| environment.path(name).filter(|path| path.is_absolute());
        let home = environment.path("HOME");
        let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
        Self {
            system: system.to_owned(),
            config: absolute("XDG_CONFIG_HOME").or_else(|| below_home(".config")),
            runtime: absolute("XDG_RUNTIME_DIR")
                .map_or_else(|| format!("/run/containers/{user}").into(), |directory| directory.join("containers")),
            docker: environment.path("DOCKER_CONFIG").or_else(|| below_home(".docker")),
            registry_auth_file: environment.path("REGISTRY_AUTH_FILE"),
            own_registries_conf: environment.path("CONTAINERS_REGISTRIES_CONF"),
            home,
        }
    }

    fn docker_config(&self) -> Option<PathBuf> {
        self.docker.as_ref().map(|docker| docker.join("config.json"))
    }

    /// Returns the files of credentials as containers-auth.json(5) orders them.
    fn auth_files(&self) -> Vec<PathBuf> {
        if let Some(only) = &self.registry_auth_file {
            return vec![only.clone()];
        }
        let runtime = Some(self.runtime.join("auth.json"));
        let legacy = self.home.as_ref().map(|home| home.join(".dockercfg"));
        [runtime, self.configured("containers/auth.json"), self.docker_config(), legacy].into_iter().flatten().collect()
    }

    /// Returns `registries.conf` and the directories of its drop-ins, as containers-registries.conf.d(5) says: with a
    /// file of the user's, none of the system's count.
    fn registries_conf(&self) -> Vec<PathBuf> {
        if let Some(only) = &self.own_registries_conf {
            return vec![only.clone()];
        }
        let drop_ins = self.configured("containers/registries.conf.d");
        match self.configured("containers/registries.conf").filter(|path| path.exists()) {
            Some(own) => std::iter::once(own).chain(drop_ins).collect(),
            None => ["registries.conf", "registries.conf.d"]
                .map(|name| self.system.join("containers").join(name))
                .into_iter()
                .chain(drop_ins)
                .collect(),
        }
    }

    /// Returns Docker's `daemon.json`, that of a rootless daemon first.
    fn daemon_json(&self) -> Vec<PathBuf> {
        let system = self.system.join("docker/daemon.json");
        self.configured("docker/daemon.json").into_iter().chain([system]).collect()
    }

    /// Returns the directories `certs.d`, the user's first: the first client certificate is the one that is shown.
    fn certificate_directories(&self) -> Vec<PathBuf> {
        let names = ["containers/certs.d", "docker/certs.d"];
        let own = names.into_iter().filter_map(|name| self.configured(name));
        own.chain(names.map(|name| self.system.join(name))).collect()
    }

    fn configured(&self, name: &str) -> Option<PathBuf> {
        self.config.as_ref().map(|config| config.join(name))
    }
}

/// Returns the proxies: names in capitals go first, as in Docker's client.
fn proxies(environment: &Environment) -> Proxies {
    let either = |capitals: &str| environment.text(capitals).or(environment.text(&capitals.to_lowercase()));
    Proxies {
        http: either("HTTP_PROXY").map(Secret::new),
        https: either("HTTPS_PROXY").map(Secret::new),
        no_proxy: either("NO_PROXY").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u32 = 7;

    fn settings(variables: &[(&str, &str)]) -> RegistrySettings {
        of_environment(&variables.iter().copied().collect(), Path::new("/e"), USER)
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    /// FEATURES 6-2.
    #[test]
    fn files_of_credentials_are_those_of_containers_and_docker() {
        for (variables, wanted, login) in [
            (&[][..], &["/run/containers/7/auth.json"][..], None),
            (
                &[("HOME", "/h")],
                &[
                    "/run/containers/7/auth.json",
                    "/h/.config/containers/auth.json",
                    "/h/.docker/config.json",
                    "/h/.dockercfg",
                ],
                Some("/h/.docker/config.json"),
            ),
            (
                &[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_CONFIG_HOME", "/c"), ("DOCKER_CONFIG", "d")],
                &["/r/containers/auth.json", "/c/containers/auth.json", "d/config.json", "/h/.dockercfg"],
                Some("d/config.json"),
            ),
            (
                &[("HOME", "/h"), ("XDG_RUNTIME_DIR", "r"), ("XDG_CONFIG_HOME", ""), ("DOCKER_CONFIG", "")],
                &[
                    "/run/containers/7/auth.json",
                    "/h/.config/containers/auth.json",
                    "/h/.docker/config.json",
                    "/h/.dockercfg",
                ],
                Some("/h/.docker/config.json"),
            ),
            (&[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/a")], &["/a"], Some("/a")),
        ] {
            let settings = settings(variables);
            assert_eq!(settings.auth_files, paths(wanted), "{variables:?}");
            assert_eq!(settings.login_file.as_deref(), login.map(Path::new), "{variables:?}");
        }
    }

    /// FEATURES 6-4.
    #[test]
    fn the_user_s_registries_conf_takes_the_system_s_place() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("containers");
        std::fs::create_dir(&config)?;
        let home = dir.path().to_str().ok_or("a text")?;
        let (own, drop_ins) = (config.join("registries.conf"), config.join("registries.conf.d"));
        let system = paths(&["/e/containers/registries.conf", "/e/containers/registries.conf.d"]);
        let variables = [("XDG_CONFIG_HOME", home)];
        assert_eq!(settings(&variables).registries_conf, [&system[..], std::slice::from_ref(&drop_ins)].concat());
        std::fs::write(&own, "")?;
        assert_eq!(settings(&variables).registries_conf, [own, drop_ins]);
        let only = [("XDG_CONFIG_HOME", home), ("CONTAINERS_REGISTRIES_CONF", "/only")];
        assert_eq!(settings(&only).registries_conf, paths(&["/only"]));
        assert_eq!(settings(&[]).registries_conf, system);
        Ok(())
    }

    /// FEATURES 6-6.
    #[test]
    fn docker_s_files_and_certificates_are_the_user_s_and_the_system_s() {
        let found =
            settings(&[("HOME", "/h"), ("SSL_CERT_FILE", "/ca.pem"), ("SSL_CERT_DIR", "/a:/b"), ("PATH", "/bin")]);
        assert_eq!(found.daemon_json, paths(&["/h/.config/docker/daemon.json", "/e/docker/daemon.json"]));
        let directories = [
            "/h/.config/containers/certs.d",
            "/h/.config/docker/certs.d",
            "/e/containers/certs.d",
            "/e/docker/certs.d",
        ];
        assert_eq!(found.certificate_directories, paths(&directories));
        assert_eq!((found.ca_file, found.ca_directory), (Some("/ca.pem".into()), Some("/a:/b".into())));
        assert_eq!(found.search_path, Some("/bin".into()));
        let empty = settings(&[("SSL_CERT_FILE", ""), ("SSL_CERT_DIR", "")]);
        assert_eq!((empty.ca_file, empty.ca_directory), (None, None));
    }

    #[test]
    fn proxies_and_inline_credentials_are_secrets() {
        let found = settings(&[
            ("HTTP_PROXY", "http://hush"),
            ("http_proxy", "lower"),
            ("https_proxy", "https://hush"),
            ("no_proxy", "a,b"),
            ("DOCKER_AUTH_CONFIG", "hush"),
        ]);
        let shown = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        assert_eq!(shown(&found.proxies.http).as_deref(), Some("http://hush"));
        assert_eq!(shown(&found.proxies.https).as_deref(), Some("https://hush"));
        assert_eq!(found.proxies.no_proxy.as_deref(), Some("a,b"));
        assert_eq!(shown(&found.auth_inline).as_deref(), Some("hush"));
        assert!(!format!("{found:?}").contains("hush"));
    }

    #[test]
    fn hosts_are_checked() {
        let nothing = Environment::default();
        let found = registry(&["a.example:5000".to_owned(), "10.0.0.0/8".to_owned()], &nothing);
        assert_eq!(found.map(|found| found.insecure.len()).ok(), Some(2));
        let error = registry(&["a/b".to_owned()], &nothing).map(|_| ()).expect_err("refused").to_string();
        assert_eq!(error, "`--insecure-registry a/b`: it is no `HOST[:PORT]`");
        for (typed, wanted) in [
            ("docker.io", Some("docker.io")),
            ("index.docker.io", Some("docker.io")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("http://localhost:5000/v2/", Some("localhost:5000")),
            ("quay.io/", Some("quay.io")),
            ("localhost", Some("localhost")),
            ("[::1]:5000", Some("[::1]:5000")),
            ("quay.io/ns", None),
            ("docker.io/ns", None),
            ("myregistry", None),
            ("", None),
            ("https://", None),
            ("user@host.example", None),
        ] {
            assert_eq!(registry_host(typed).ok().as_deref(), wanted, "{typed}");
        }
    }
}
