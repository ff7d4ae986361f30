//! Build arguments: typed, from files, and the proxies of Docker's configuration.

use super::{Environment, SettingsError};
use crate::args::BuildArgs;
use builder::diagnostic::Diagnostic;
use layerfs::io_error::{IoContext, IoError};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A build argument; one without a value is named, but not set in the environment.
type Argument = (String, Option<String>);

/// The keys of `proxies` in config.json, and the arguments that they become (3.3-10).
const PROXIES: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

/// Returns the build arguments in order: those of files, then those that were typed; of two with one name the later
/// counts. Proxies that Docker's configuration names stand before them, where no argument of the same name is given.
/// Adds to `warnings` that the configuration may not be read.
///
/// # Errors
/// [`SettingsError`].
pub fn build_arguments(
    args: &BuildArgs,
    environment: &Environment,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Vec<Argument>, SettingsError> {
    let mut arguments = Vec::new();
    for file in &args.surroundings.build_arg_file {
        arguments.extend(of_file(file, environment)?);
    }
    for text in &args.build_arg {
        arguments.push(argument(text, environment)?);
    }
    let mut all = proxies(environment, warnings)?;
    all.retain(|(name, _)| !arguments.iter().any(|(given, _): &Argument| given.eq_ignore_ascii_case(name)));
    all.extend(arguments);
    Ok(all)
}

fn argument(text: &str, environment: &Environment) -> Result<Argument, SettingsError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, environment.get(text).map(|value| value.to_string_lossy().into_owned())),
    };
    if name.is_empty() {
        return Err(SettingsError::Malformed {
            flag: "--build-arg",
            text: text.to_owned(),
            why: "the name is missing: write `NAME=VALUE`".to_owned(),
        });
    }
    Ok((name.to_owned(), value))
}

/// Reads lines `NAME=VALUE`; empty ones and those that begin with `#` do not count (3.1-5).
fn of_file(path: &Path, environment: &Environment) -> Result<Vec<Argument>, SettingsError> {
    let text = std::fs::read_to_string(path).at("read build arguments from", path)?;
    let mut arguments = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        arguments.push(argument(line, environment).map_err(|_| SettingsError::File {
            path: path.to_owned(),
            line: number + 1,
            why: "the name is missing: write `NAME=VALUE`".to_owned(),
            help: None,
        })?);
    }
    Ok(arguments)
}

/// Returns the proxies of Docker's config.json, under `proxies.default`, in both cases.
fn proxies(environment: &Environment, warnings: &mut Vec<Diagnostic>) -> Result<Vec<Argument>, SettingsError> {
    let Some(path) = docker_config(environment) else { return Ok(Vec::new()) };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        // `sudo docker login` leaves such files behind; Docker goes on, too.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let place = path.parent().unwrap_or(&path).display();
            warnings.push(Diagnostic::warning(format!(
                "`{}` may not be read: its proxies and credentials are not used; `sudo chown -R $(id -u) {place}` makes it yours",
                path.display()
            )));
            return Ok(Vec::new());
        }
        Err(error) => return Err(IoError::new("read", path, &error).into()),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let parsed: Value = serde_json::from_slice(&bytes).map_err(|error| SettingsError::File {
        path: path.clone(),
        line: error.line(),
        why: "it is not JSON".to_owned(),
        help: None,
    })?;
    Ok(PROXIES.iter().flat_map(|(key, name)| pair(&parsed["proxies"]["default"][key], name)).collect())
}

fn pair(value: &Value, name: &str) -> Vec<Argument> {
    let Some(value) = value.as_str().filter(|value| !value.is_empty()) else { return Vec::new() };
    [name.to_owned(), name.to_lowercase()].map(|name| (name, Some(value.to_owned()))).into()
}

fn docker_config(environment: &Environment) -> Option<PathBuf> {
    let directory = environment.path("DOCKER_CONFIG").or_else(|| Some(environment.path("HOME")?.join(".docker")));
    directory.map(|directory| directory.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn arguments(typed: &[&str], variables: &[(&str, &str)]) -> Result<Vec<Argument>, String> {
        let args = Args::try_parse_from(["lbuild", "build", "."].iter().chain(typed)).expect("parses");
        let Command::Build(build) = args.command else { panic!("build") };
        let environment = variables.iter().copied().collect();
        build_arguments(&build, &environment, &mut Vec::new()).map_err(|error| error.to_string())
    }

    fn pair(name: &str, value: &str) -> Argument {
        (name.to_owned(), Some(value.to_owned()))
    }

    /// FEATURES 3.1-5.
    #[test]
    fn arguments_of_files_stand_before_those_that_are_typed() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("args").to_string_lossy().into_owned();
        std::fs::write(&file, "# a comment\n\nA=1\n  B=x = y \r\nC\n").expect("written");
        let found = arguments(&["--build-arg", "A=2", "--build-arg-file", &file], &[("C", "outside")]);
        let wanted = [pair("A", "1"), pair("B", "x = y "), pair("C", "outside"), pair("A", "2")];
        assert_eq!(found.expect("good"), wanted);
        std::fs::write(&file, "A=1\n=2\n").expect("written");
        let refused = arguments(&["--build-arg-file", &file], &[]).expect_err("no name");
        assert_eq!(refused, format!("`{file}`, line 2: the name is missing: write `NAME=VALUE`"));
        let missing = arguments(&["--build-arg-file", "/no/such"], &[]).expect_err("no file");
        assert_eq!(missing, "read build arguments from `/no/such`: No such file or directory");
    }

    /// FEATURES 3.3-10.
    #[test]
    fn proxies_of_dockers_configuration_are_build_arguments() {
        let directory = tempfile::tempdir().expect("a directory");
        let docker = directory.path().to_string_lossy().into_owned();
        let variables = [("DOCKER_CONFIG", docker.as_str())];
        assert_eq!(arguments(&[], &variables), Ok(Vec::new()));
        let config =
            r#"{"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "a,b"}, "tcp://d": {"ftpProxy": "x"}}}"#;
        std::fs::write(directory.path().join("config.json"), config).expect("written");
        let no_proxy = [pair("NO_PROXY", "a,b"), pair("no_proxy", "a,b")];
        let wanted = [&[pair("HTTP_PROXY", "http://p:1"), pair("http_proxy", "http://p:1")], &no_proxy[..]].concat();
        assert_eq!(arguments(&[], &variables), Ok(wanted));
        let typed = arguments(&["--build-arg", "http_proxy=own"], &variables).expect("good");
        assert_eq!(typed, [&no_proxy[..], &[pair("http_proxy", "own")]].concat());
        std::fs::write(directory.path().join("config.json"), "{\n\"a\": ]").expect("written");
        let refused = arguments(&[], &variables).expect_err("no JSON");
        assert_eq!(refused, format!("`{docker}/config.json`, line 2: it is not JSON"));
    }
}
