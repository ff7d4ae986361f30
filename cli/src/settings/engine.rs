//! Which Docker or Podman of this machine `--load` means.

use super::{Environment, SettingsError};
use builder::request::Engine;
use std::path::{Path, PathBuf};

/// Where Docker listens by default.
const SOCKET: &str = "/var/run/docker.sock";

/// Returns the engine: Docker where `DOCKER_HOST` says or at its usual socket, else Podman.
///
/// # Errors
/// [`SettingsError::NoEngine`]; [`SettingsError::Variable`].
pub fn engine(environment: &Environment) -> Result<Engine, SettingsError> {
    find(environment, Path::new(SOCKET))
}

fn find(environment: &Environment, socket: &Path) -> Result<Engine, SettingsError> {
    if let Some(host) = environment.text("DOCKER_HOST").filter(|host| !host.is_empty()) {
        return of_host(host);
    }
    if socket.exists() {
        return Ok(Engine::Socket(socket.to_owned()));
    }
    let path = environment.get("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&path).map(|directory| directory.join("podman"));
    programs.find(|program| program.is_file()).map(Engine::Podman).ok_or(SettingsError::NoEngine)
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
        assert_eq!(found(&[("PATH", &path)]).expect("podman"), Engine::Podman(program));
        std::fs::write(&socket, "").expect("written");
        assert_eq!(found(&[("PATH", &path)]).expect("docker"), Engine::Socket(socket.clone()));
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
