//! Which Docker or Podman of this machine `--load` means.

use super::{Environment, SettingsError};
use builder::request::Engine;
use std::path::{Path, PathBuf};

/// Where Docker listens by default.
const SOCKET: &str = "/var/run/docker.sock";

/// Returns the engine: what `LBUILD_ENGINE` says; else Docker where `DOCKER_HOST` says or at its usual socket if the
/// caller may speak to it; else Podman.
///
/// # Errors
/// [`SettingsError::NoEngine`]; [`SettingsError::Variable`].
pub fn engine(environment: &Environment) -> Result<Engine, SettingsError> {
    find(environment, Path::new(SOCKET))
}

fn find(environment: &Environment, socket: &Path) -> Result<Engine, SettingsError> {
    match environment.text("LBUILD_ENGINE") {
        Some("podman") => return podman(environment).ok_or(SettingsError::NoEngine),
        Some("docker") | None => {}
        Some(other) => {
            let (value, wanted) = (other.to_owned(), "`docker` or `podman`");
            return Err(SettingsError::Variable { name: "LBUILD_ENGINE", value, wanted });
        }
    }
    if let Some(host) = environment.text("DOCKER_HOST") {
        return of_host(host);
    }
    let docker = || Engine::Socket(socket.to_owned());
    if environment.text("LBUILD_ENGINE").is_some() || is_open(socket) {
        return Ok(docker());
    }
    // One that is there and shut says so, if there is no other.
    podman(environment).or_else(|| socket.exists().then(docker)).ok_or(SettingsError::NoEngine)
}

/// Reports whether a socket is there and the caller may speak to it.
fn is_open(socket: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(socket);
    socket.exists() && connected.map_or_else(|error| error.kind() != std::io::ErrorKind::PermissionDenied, |_| true)
}

fn podman(environment: &Environment) -> Option<Engine> {
    let path = environment.get("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&path).map(|directory| directory.join("podman"));
    programs.find(|program| program.is_file()).map(Engine::Podman)
}

fn of_host(host: &str) -> Result<Engine, SettingsError> {
    match host.split_once("://") {
        Some(("unix", path)) if !path.is_empty() => Ok(Engine::Socket(PathBuf::from(path))),
        Some(("tcp" | "http", address)) if !address.is_empty() => {
            Ok(Engine::Tcp(address.trim_end_matches('/').to_owned()))
        }
        _ => Err(SettingsError::Variable {
            name: "DOCKER_HOST",
            value: host.to_owned(),
            wanted: "an address that images can be loaded to: `unix://PATH` or `tcp://HOST:PORT`",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_goes_before_podman() {
        let dir = tempfile::tempdir().expect("a directory");
        let (socket, program) = (dir.path().join("docker.sock"), dir.path().join("podman"));
        let path = dir.path().to_string_lossy().into_owned();
        let found = |variables: &[(&str, &str)]| find(&variables.iter().copied().collect(), &socket);
        assert!(matches!(found(&[("PATH", &path)]), Err(SettingsError::NoEngine)));
        std::fs::write(&program, "").expect("written");
        assert_eq!(found(&[("PATH", &path)]).expect("podman"), Engine::Podman(program.clone()));
        std::fs::write(&socket, "").expect("written");
        assert_eq!(found(&[("PATH", &path)]).expect("docker"), Engine::Socket(socket.clone()));
        let asked = |name: &str| found(&[("PATH", &path), ("DOCKER_HOST", "tcp://h:1"), ("LBUILD_ENGINE", name)]);
        assert_eq!(asked("podman").expect("podman"), Engine::Podman(program));
        assert_eq!(asked("docker").expect("docker"), Engine::Tcp("h:1".to_owned()));
        assert!(matches!(asked("kaniko"), Err(SettingsError::Variable { name: "LBUILD_ENGINE", .. })));
        for (host, wanted) in [
            ("unix:///run/d.sock", Some(Engine::Socket("/run/d.sock".into()))),
            ("tcp://localhost:2375", Some(Engine::Tcp("localhost:2375".to_owned()))),
            ("ssh://host", None),
            ("nonsense", None),
        ] {
            assert_eq!(found(&[("DOCKER_HOST", host)]).ok(), wanted, "{host}");
        }
    }
}
