//! [`BuildSettings`]: what `lbuild build` was told.

use super::OnFail;
use super::call::{self, Call};
use super::{
    Config, Environment, SettingsError, arguments, fetch_limits, on_fail, output, place, platform, secret, ssh,
    surroundings,
};
use crate::args::{BuildArgs, NetworkArg, ProgressArg, PullArg};
use crate::flags;
use crate::terminal;
use crate::ui::View;
use builder::DockerfilePlace;
use builder::diagnostic::Diagnostic;
use builder::fetch_context::{ContextPlace, LateContext};
use builder::git_ref::is_url;
use builder::plan::op::Network;
use builder::request::{BuildContextSource, BuildRequest, ContextSource, PullPolicy, SshSpec};
use builder::source::Source;
use layerfs::io_error::{IoContext, IoError};
use layerfs::reference::ImageRef;
use layerfs::registry::settings::RegistrySettings;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes that a Dockerfile may have.
const DOCKERFILE_LIMIT: u64 = 16 << 20;

/// The proxy variables that go to commands, in the order in which they are handed over.
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The variables that git gets besides proxies; what else the caller's environment has may be secret.
const GIT: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
];

/// What `lbuild build` was told.
#[derive(Debug)]
pub struct BuildSettings {
    /// What to build.
    pub request: BuildRequest,
    /// How to show it.
    pub view: View,
    /// Where the image ID goes, besides.
    pub iidfile: Option<PathBuf>,
    /// Where the Dockerfile is, if it is to be fetched.
    pub dockerfile: Option<DockerfilePlace>,
    /// Where what the build came to goes, besides.
    pub metadata_file: Option<PathBuf>,
    /// File for where the time went.
    pub trace: Option<PathBuf>,
    /// What is to be said of the build in place of doing it.
    pub call: Option<Call>,
    /// What is done with a RUN that failed.
    pub on_fail: Option<OnFail>,
    /// What the user should know of the flags.
    pub warnings: Vec<Diagnostic>,
    /// Whether the image ID goes to standard output.
    pub prints_id: bool,
}

/// Returns what `args` mean.
///
/// # Errors
/// [`SettingsError`], before anything is written.
pub fn build(
    typed: &BuildArgs,
    config: &Config,
    registries: RegistrySettings,
    environment: &Environment,
) -> Result<BuildSettings, SettingsError> {
    let mut warnings = flags::judge(&typed.foreign)?;
    let args = &config.build.completed(typed);
    let context = context(&args.path)?;
    let from_stdin = args.file.as_deref() == Some(Path::new("-"));
    let is_elsewhere = matches!(context, ContextSource::Elsewhere(_));
    if from_stdin && context == ContextSource::Elsewhere(ContextPlace::Stdin) {
        return Err(malformed("--file", "-", "standard input is the build context already"));
    }
    let file = args.file.as_ref().map(|file| file.display().to_string());
    let place = match file {
        Some(url) if is_url(&url) => Some(DockerfilePlace::Url(url)),
        file => (is_elsewhere && !from_stdin).then_some(DockerfilePlace::InContext(file)),
    };
    let (dockerfile, dockerfile_path) = match &place {
        Some(_) => (Source::new("", ""), None),
        None => dockerfile(args)?,
    };
    let around = &args.surroundings;
    let (platform, more_platforms) = platform::of_build(around, config.build.platform(), environment)?;
    let platforms = [std::slice::from_ref(&platform), &more_platforms].concat();
    let outputs = output::outputs(args, &platforms, environment)?;
    let written = [("--iidfile", &args.iidfile), ("--metadata-file", &args.destinations.metadata_file)];
    for (flag, path) in written.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))) {
        place::check_file(flag, &path.display().to_string(), path)?;
    }
    let view = view(args.progress.or(config.progress), args.quiet, environment, std::io::stderr().is_terminal())?;
    let on_fail = on_fail::on_fail(around.on_fail.as_deref(), terminal::is_there())?;
    let prints_id = view == View::Quiet && !outputs.iter().any(output::is_stdout);
    let request = BuildRequest {
        context,
        dockerfile,
        dockerfile_path,
        target: args.target.clone(),
        build_args: arguments::build_arguments(args, environment, &mut warnings)?,
        build_contexts: args.build_context.iter().map(|text| build_context(text)).collect::<Result<_, _>>()?,
        secrets: secrets(args, environment)?,
        ssh: agents(args, environment)?,
        allow_insecure: allows_insecure(&args.allow)?,
        labels: args.label.iter().map(|text| label(text)).collect::<Result<_, _>>()?,
        no_cache: args.no_cache,
        no_cache_stages: around.no_cache_filter.clone(),
        extra_hosts: surroundings::extra_hosts(around)?,
        limits: surroundings::limits(around)?,
        fetch_limits: fetch_limits::fetch_limits(&around.limit)?,
        ignore_file: around.ignorefile.clone(),
        emulated: platform::emulated(),
        network: network(around.network.unwrap_or(NetworkArg::Default)),
        jobs: args.jobs,
        platform,
        more_platforms,
        source_date_epoch: source_date_epoch(around.source_date_epoch.as_deref(), environment)?,
        proxies: if around.http_proxy { proxies(environment) } else { Vec::new() },
        git_environment: git_environment(environment),
        outputs,
        squash: args.destinations.squash,
        pull: pull_policy(args),
        registries,
    };
    let (call, iidfile) = (call::call(args)?, args.iidfile.clone());
    let (metadata_file, trace) = (args.destinations.metadata_file.clone(), args.destinations.trace.clone());
    Ok(BuildSettings {
        request,
        view,
        on_fail,
        iidfile,
        metadata_file,
        trace,
        call,
        dockerfile: place,
        warnings,
        prints_id,
    })
}

/// Returns the network that was typed.
pub fn network(typed: NetworkArg) -> Network {
    match typed {
        NetworkArg::Default | NetworkArg::Host => Network::Host,
        NetworkArg::None => Network::None,
    }
}

fn pull_policy(args: &BuildArgs) -> PullPolicy {
    match args.pull {
        None if args.surroundings.pull_always => PullPolicy::Always,
        None if args.surroundings.pull_never => PullPolicy::Never,
        None | Some(PullArg::Missing) => PullPolicy::Missing,
        Some(PullArg::Always) => PullPolicy::Always,
        Some(PullArg::Newer) => PullPolicy::Newer,
        Some(PullArg::Never) => PullPolicy::Never,
    }
}

/// Returns an image's name as typed with `-t`.
pub fn tag(text: &str) -> Result<ImageRef, SettingsError> {
    text.parse().map_err(|source| SettingsError::Tag { text: text.to_owned(), source })
}

/// Returns a name that an image is to be given: one with a digest would state what the name cannot decide.
///
/// # Errors
/// [`SettingsError`].
pub fn new_name(text: &str) -> Result<ImageRef, SettingsError> {
    let name = tag(text)?;
    match name.digest {
        Some(_) => Err(SettingsError::DigestAsName { text: text.to_owned() }),
        None => Ok(name),
    }
}

fn context(path: &Path) -> Result<ContextSource, SettingsError> {
    let text = path.to_string_lossy();
    if let Some(place) = place("PATH", &text)? {
        return Ok(ContextSource::Elsewhere(place));
    }
    let failed = |why: String| SettingsError::Context { path: path.to_owned(), why };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(ContextSource::Directory(path.to_owned())),
        Ok(_) => Err(failed(format!("path `{text}` is not a directory"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(failed(format!("path `{text}` not found"))),
        Err(error) => Err(failed(IoError::new("open", path, &error).to_string())),
    }
}

/// Returns the place that is no directory of the user; nothing if it is one.
fn place(flag: &'static str, text: &str) -> Result<Option<ContextPlace>, SettingsError> {
    ContextPlace::of(text).map_err(|error| malformed(flag, text, &error.to_string()))
}

fn dockerfile(args: &BuildArgs) -> Result<(Source, Option<PathBuf>), SettingsError> {
    match args.file.as_deref() {
        Some(file) if file == OsStr::new("-") => Ok((read("<stdin>", std::io::stdin())?, None)),
        Some(file) => open(file, true),
        // Docker takes the lower-case name where the usual one is missing.
        None => open(&args.path.join("Dockerfile"), false).or_else(|missing| match missing {
            SettingsError::NoDockerfile { .. } => open(&args.path.join("dockerfile"), false).map_err(|_| missing),
            other => Err(other),
        }),
    }
}

/// Returns the text of a Dockerfile; `-` is standard input.
///
/// # Errors
/// [`SettingsError`] if it cannot be read, is too long, or is no text.
pub fn dockerfile_at(path: &Path) -> Result<Source, SettingsError> {
    match path == Path::new("-") {
        true => read("<stdin>", std::io::stdin()),
        false => Ok(open(path, true)?.0),
    }
}

fn open(path: &Path, typed: bool) -> Result<(Source, Option<PathBuf>), SettingsError> {
    match std::fs::File::open(path) {
        Ok(file) => Ok((read(&shown(path), file)?, Some(path.to_owned()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(SettingsError::NoDockerfile { path: path.to_owned(), typed })
        }
        Err(error) => Err(IoError::new("open", path, &error).into()),
    }
}

/// Returns the name that errors give a file: `Dockerfile`, not `./Dockerfile` (row 3.3-3).
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn read(name: &str, from: impl Read) -> Result<Source, SettingsError> {
    let mut bytes = Vec::new();
    from.take(DOCKERFILE_LIMIT + 1).read_to_end(&mut bytes).at("read", name)?;
    if bytes.len() as u64 > DOCKERFILE_LIMIT {
        return Err(SettingsError::TooLong { name: name.to_owned(), limit: DOCKERFILE_LIMIT });
    }
    Source::of_bytes(name, bytes).map_err(|error| not_text(name, &error))
}

fn not_text(name: &str, error: &std::string::FromUtf8Error) -> SettingsError {
    let offset = error.utf8_error().valid_up_to();
    let before = &error.as_bytes()[..offset];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    SettingsError::NotText { name: name.to_owned(), offset, line, byte: error.as_bytes()[offset] }
}

fn label(text: &str) -> Result<(String, String), SettingsError> {
    match text.split_once('=').unwrap_or((text, "")) {
        ("", _) => Err(malformed("--label", text, "the key is missing: write `KEY=VALUE`")),
        (key, value) => Ok((key.to_owned(), value.to_owned())),
    }
}

fn build_context(text: &str) -> Result<(String, BuildContextSource), SettingsError> {
    const FLAG: &str = "--build-context";
    let Some((name, source)) = text.split_once('=').filter(|(name, source)| !name.is_empty() && !source.is_empty())
    else {
        return Err(malformed(
            FLAG,
            text,
            "write `NAME=DIR`, `NAME=oci-layout://DIR[:TAG]` or `NAME=docker-archive:FILE[:TAG]`",
        ));
    };
    let source = match source.split_once(':') {
        Some(("oci-layout", rest)) => oci_layout(rest.strip_prefix("//").unwrap_or(rest)),
        Some(("docker-archive", rest)) => docker_archive(rest.strip_prefix("//").unwrap_or(rest)),
        Some(("docker-image", rest)) => BuildContextSource::Image(tag(rest.strip_prefix("//").unwrap_or(rest))?),
        Some(("target", _)) => return Err(malformed(FLAG, text, "`target:` names a target of a bake file")),
        _ if source == "-" => {
            return Err(malformed(FLAG, text, "only the build context itself comes from standard input"));
        }
        _ => match place(FLAG, source)? {
            Some(place) => BuildContextSource::Elsewhere(Arc::new(LateContext::new(place))),
            None => BuildContextSource::Directory(source.into()),
        },
    };
    exists(FLAG, text, &source)?;
    Ok((name.to_owned(), source))
}

fn oci_layout(text: &str) -> BuildContextSource {
    let (dir, reference) = match text.split_once('@') {
        Some((dir, digest)) => (dir, Some(digest)),
        None => split_tag(text),
    };
    BuildContextSource::OciLayout { dir: dir.into(), reference: reference.map(str::to_owned) }
}

/// Splits `FILE[:NAME[:TAG]]`; a file that is there wins over a file with a tag.
fn docker_archive(text: &str) -> BuildContextSource {
    let (file, tag) = match text.split_once(':') {
        Some((file, tag)) if !Path::new(text).exists() => (file, Some(tag.to_owned())),
        _ => (text, None),
    };
    BuildContextSource::DockerArchive { file: file.into(), tag }
}

/// Splits `DIR[:TAG]`; a directory that is there wins over a directory with a tag.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((dir, tag)) if !tag.contains('/') && !Path::new(text).exists() => (dir, Some(tag)),
        _ => (text, None),
    }
}

fn exists(flag: &'static str, text: &str, source: &BuildContextSource) -> Result<(), SettingsError> {
    let (path, wanted) = match source {
        BuildContextSource::Directory(dir) => (dir, "directory"),
        BuildContextSource::OciLayout { dir, .. } => (dir, "OCI layout"),
        BuildContextSource::DockerArchive { file, .. } => (file, "file"),
        BuildContextSource::Image(_) | BuildContextSource::Elsewhere(_) => return Ok(()),
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() != (wanted == "file") => Ok(()),
        Ok(_) => Err(malformed(
            flag,
            text,
            &format!("`{}` is not a{} {wanted}", path.display(), if wanted == "OCI layout" { "n" } else { "" }),
        )),
        Err(error) => Err(malformed(flag, text, &IoError::new("open", path, &error).to_string())),
    }
}

fn secrets(args: &BuildArgs, environment: &Environment) -> Result<Vec<builder::request::SecretSpec>, SettingsError> {
    let mut secrets: Vec<builder::request::SecretSpec> = Vec::new();
    for text in &args.secret {
        let secret = secret::secret(text, environment)?;
        if secrets.iter().any(|earlier| earlier.id == secret.id) {
            return Err(malformed("--secret", text, &format!("id `{}` is given twice", secret.id)));
        }
        secrets.push(secret);
    }
    Ok(secrets)
}

fn agents(args: &BuildArgs, environment: &Environment) -> Result<Vec<SshSpec>, SettingsError> {
    let mut agents: Vec<SshSpec> = Vec::new();
    for text in &args.ssh {
        let agent = ssh::ssh(text, environment)?;
        if agents.iter().any(|earlier| earlier.id == agent.id) {
            return Err(malformed("--ssh", text, &format!("id `{}` is given twice", agent.id)));
        }
        agents.push(agent);
    }
    Ok(agents)
}

/// Returns whether `--allow` lets commands run without the sandbox's limits. The caller's network is what a RUN has in
/// any case, so that leave for it changes nothing.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn allows_insecure(allowed: &[String]) -> Result<bool, SettingsError> {
    let mut insecure = false;
    for text in allowed.iter().flat_map(|text| text.split(',')) {
        match text {
            "security.insecure" => insecure = true,
            "network.host" => {}
            _ => return Err(malformed("--allow", text, "write `security.insecure` or `network.host`")),
        }
    }
    Ok(insecure)
}

/// Returns how progress is shown.
///
/// # Errors
/// [`SettingsError::Variable`].
pub fn view(
    typed: Option<ProgressArg>,
    quiet: bool,
    environment: &Environment,
    terminal: bool,
) -> Result<View, SettingsError> {
    let from_variable = || match environment.text("BUILDKIT_PROGRESS") {
        None | Some("auto") => Ok(ProgressArg::Auto),
        Some("plain") => Ok(ProgressArg::Plain),
        Some("tty") => Ok(ProgressArg::Tty),
        Some("quiet" | "none") => Ok(ProgressArg::Quiet),
        Some("rawjson") => Ok(ProgressArg::Rawjson),
        Some(other) => Err(SettingsError::Variable {
            name: "BUILDKIT_PROGRESS",
            value: other.to_owned(),
            wanted: "`auto`, `plain`, `tty`, `quiet` or `rawjson`",
        }),
    };
    let wanted = match (quiet, typed) {
        (true, _) => ProgressArg::Quiet,
        (false, Some(typed)) => typed,
        (false, None) => from_variable()?,
    };
    Ok(match wanted {
        ProgressArg::Tty if terminal => View::Tty,
        // A dumb terminal, an editor's mostly, cannot move its cursor.
        ProgressArg::Auto if terminal && environment.text("TERM") != Some("dumb") => View::Tty,
        ProgressArg::Auto => View::of_log(environment),
        ProgressArg::Tty | ProgressArg::Plain => View::Plain,
        ProgressArg::Quiet => View::Quiet,
        ProgressArg::Rawjson => View::Raw,
    })
}

fn source_date_epoch(typed: Option<&str>, environment: &Environment) -> Result<Option<u64>, SettingsError> {
    if let Some(text) = typed {
        let wrong = |_| malformed("--source-date-epoch", text, "it is no number of seconds since 1970");
        return text.parse().map(Some).map_err(wrong);
    }
    let wrong = |value: &str| SettingsError::Variable {
        name: "SOURCE_DATE_EPOCH",
        value: value.to_owned(),
        wanted: "a number of seconds since 1970",
    };
    let set = environment.get("SOURCE_DATE_EPOCH").map(OsStr::to_string_lossy).filter(|text| !text.is_empty());
    set.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()
}

fn proxies(environment: &Environment) -> Vec<(String, String)> {
    let set = |name: &&str| environment.text(name).map(|value| ((*name).to_owned(), value.to_owned()));
    PROXIES.iter().filter_map(set).collect()
}

fn git_environment(environment: &Environment) -> Vec<(String, OsString)> {
    let set = |name: &&str| environment.get(name).map(|value| ((*name).to_owned(), value.to_owned()));
    GIT.iter().chain(&PROXIES).filter_map(set).collect()
}

fn malformed(flag: &'static str, text: &str, why: &str) -> SettingsError {
    SettingsError::Malformed { flag, text: text.to_owned(), why: why.to_owned() }
}
