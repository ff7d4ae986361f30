//! [`BuildSettings`]: what `lbuild build` was told.

use super::call::{self, Call};
use super::{Environment, SettingsError, output, secret, ssh};
use crate::args::{BuildArgs, NetworkArg, ProgressArg, PullArg};
use builder::fetch_context::ContextPlace;
use builder::plan::op::Network;
use builder::request::{BuildContextSource, BuildRequest, ContextSource, Destination, Output, PullPolicy, SshSpec};
use builder::source::Source;
use layerfs::io_error::{IoContext, IoError};
use layerfs::platform::Platform;
use layerfs::reference::ImageRef;
use layerfs::registry::settings::RegistrySettings;
use std::ffi::OsStr;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

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

/// What `lbuild build` was told.
#[derive(Debug)]
pub struct BuildSettings {
    /// What to build.
    pub request: BuildRequest,
    /// How to show it; never [`ProgressArg::Auto`].
    pub progress: ProgressArg,
    /// Where the image ID goes, besides.
    pub iidfile: Option<PathBuf>,
    /// That the Dockerfile is in a context that is to be fetched, and its name there if one was typed.
    pub in_context: Option<Option<String>>,
    /// What is to be said of the build in place of doing it.
    pub call: Option<Call>,
    /// Whether the image ID goes to standard output.
    pub prints_id: bool,
}

impl BuildSettings {
    /// Reports whether a context is to be fetched.
    pub fn is_elsewhere(&self) -> bool {
        let named = |(_, source): &(String, BuildContextSource)| matches!(source, BuildContextSource::Elsewhere(_));
        matches!(self.request.context, ContextSource::Elsewhere(_)) || self.request.build_contexts.iter().any(named)
    }
}

/// Returns what `args` mean.
///
/// # Errors
/// [`SettingsError`], before anything is written.
pub fn build(
    args: &BuildArgs,
    registries: RegistrySettings,
    environment: &Environment,
) -> Result<BuildSettings, SettingsError> {
    let context = context(&args.path)?;
    let from_stdin = args.file.as_deref() == Some(Path::new("-"));
    let is_elsewhere = matches!(context, ContextSource::Elsewhere(_));
    if from_stdin && context == ContextSource::Elsewhere(ContextPlace::Stdin) {
        return Err(malformed("--file", "-", "standard input is the build context already"));
    }
    let in_context = (is_elsewhere && !from_stdin).then(|| args.file.as_ref().map(|file| file.display().to_string()));
    let (dockerfile, dockerfile_path) = match &in_context {
        Some(_) => (Source::new("", ""), None),
        None => dockerfile(args)?,
    };
    let outputs = outputs(args)?;
    let progress = progress(args.progress, args.quiet, environment, std::io::stderr().is_terminal())?;
    let prints_id = progress == ProgressArg::Quiet && !outputs.iter().any(is_stdout);
    let request = BuildRequest {
        context,
        dockerfile,
        dockerfile_path,
        target: args.target.clone(),
        build_args: args.build_arg.iter().map(|text| build_argument(text, environment)).collect::<Result<_, _>>()?,
        build_contexts: args.build_context.iter().map(|text| build_context(text)).collect::<Result<_, _>>()?,
        secrets: secrets(args, environment)?,
        ssh: agents(args, environment)?,
        allow_insecure: allows_insecure(&args.allow)?,
        labels: args.label.iter().map(|text| label(text)).collect::<Result<_, _>>()?,
        no_cache: args.no_cache,
        network: network(args.network),
        jobs: args.jobs,
        platform: build_platform(environment)?,
        source_date_epoch: source_date_epoch(environment)?,
        proxies: proxies(environment),
        outputs,
        pull: pull_policy(args.pull),
        registries,
    };
    Ok(BuildSettings {
        request,
        progress,
        iidfile: args.iidfile.clone(),
        call: call::call(args)?,
        in_context,
        prints_id,
    })
}

/// Returns the network that was typed.
pub fn network(typed: NetworkArg) -> Network {
    match typed {
        NetworkArg::Host => Network::Host,
        NetworkArg::None => Network::None,
    }
}

fn pull_policy(typed: Option<PullArg>) -> PullPolicy {
    match typed {
        None | Some(PullArg::Missing) => PullPolicy::Missing,
        Some(PullArg::Always) => PullPolicy::Always,
        Some(PullArg::Newer) => PullPolicy::Newer,
        Some(PullArg::Never) => PullPolicy::Never,
    }
}

/// Returns the platform that was typed; this machine's where none was.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn platform(typed: Option<&str>) -> Result<Platform, SettingsError> {
    let Some(text) = typed else { return Ok(Platform::host()) };
    text.parse().map_err(|_| SettingsError::Malformed {
        flag: "--platform",
        text: text.to_owned(),
        why: "it is not of the form `os/arch[/variant]`".to_owned(),
    })
}

/// Returns an image's name as typed with `-t`.
pub fn tag(text: &str) -> Result<ImageRef, SettingsError> {
    text.parse().map_err(|source| SettingsError::Tag { text: text.to_owned(), source })
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
        Some(file) if file.to_string_lossy().contains("://") => Err(SettingsError::Later {
            what: format!("the Dockerfile `{}`", file.display()),
            help: "fetch it first, or pipe it to `-f -`".into(),
        }),
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
    String::from_utf8(bytes).map(|text| Source::new(name, text)).map_err(|error| not_text(name, &error))
}

fn not_text(name: &str, error: &std::string::FromUtf8Error) -> SettingsError {
    let offset = error.utf8_error().valid_up_to();
    let before = &error.as_bytes()[..offset];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    SettingsError::NotText { name: name.to_owned(), offset, line, byte: error.as_bytes()[offset] }
}

fn build_argument(text: &str, environment: &Environment) -> Result<(String, Option<String>), SettingsError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, environment.get(text).map(|value| value.to_string_lossy().into_owned())),
    };
    if name.is_empty() {
        return Err(malformed("--build-arg", text, "the name is missing: write `NAME=VALUE`"));
    }
    Ok((name.to_owned(), value))
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
            Some(place) => BuildContextSource::Elsewhere(place),
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
        BuildContextSource::Image(_) | BuildContextSource::Elsewhere(_) | BuildContextSource::Fetched(_) => {
            return Ok(());
        }
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
fn allows_insecure(allowed: &[String]) -> Result<bool, SettingsError> {
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

/// Returns the outputs; without `-o` the image goes to the store.
fn outputs(args: &BuildArgs) -> Result<Vec<Output>, SettingsError> {
    let names: Vec<ImageRef> = args.tag.iter().map(|text| tag(text)).collect::<Result<_, _>>()?;
    if args.output.is_empty() && !args.push {
        return Ok(vec![Output::Store { names }]);
    }
    let terminal = std::io::stdout().is_terminal();
    let typed = args.output.iter().map(|text| output::output(text, &names, terminal));
    let mut outputs: Vec<Output> = typed.collect::<Result<Vec<_>, _>>()?.concat();
    if args.push {
        outputs.extend(output::pushed(&outputs, &names)?);
    }
    let to_stdout = outputs.iter().filter(|output| is_stdout(output)).count();
    if to_stdout > 1 {
        return Err(malformed("--output", &args.output.join(" "), "only one output can go to standard output"));
    }
    if to_stdout == 1 && args.quiet {
        return Err(malformed(
            "--output",
            &args.output.join(" "),
            "`-q` prints the image ID where the archive would go",
        ));
    }
    Ok(outputs)
}

fn is_stdout(output: &Output) -> bool {
    match output {
        Output::Oci { destination, .. } | Output::Docker { destination, .. } => *destination == Destination::Stdout,
        Output::Store { .. } | Output::Registry { .. } => false,
    }
}

/// Returns how progress is shown; never [`ProgressArg::Auto`].
///
/// # Errors
/// [`SettingsError::Variable`].
pub fn progress(
    typed: Option<ProgressArg>,
    quiet: bool,
    environment: &Environment,
    terminal: bool,
) -> Result<ProgressArg, SettingsError> {
    let from_variable = || match environment.text("BUILDKIT_PROGRESS") {
        None | Some("auto") => Ok(ProgressArg::Auto),
        Some("plain") => Ok(ProgressArg::Plain),
        Some("tty") => Ok(ProgressArg::Tty),
        Some("quiet" | "none") => Ok(ProgressArg::Quiet),
        Some(other) => Err(SettingsError::Variable {
            name: "BUILDKIT_PROGRESS",
            value: other.to_owned(),
            wanted: "`auto`, `plain`, `tty` or `quiet`",
        }),
    };
    let wanted = match (quiet, typed) {
        (true, _) => ProgressArg::Quiet,
        (false, Some(typed)) => typed,
        (false, None) => from_variable()?,
    };
    Ok(match wanted {
        ProgressArg::Auto | ProgressArg::Tty if terminal => ProgressArg::Tty,
        ProgressArg::Auto | ProgressArg::Tty => ProgressArg::Plain,
        other => other,
    })
}

/// Returns the machine's own platform, the only one so far; a wish for another must not go unheard.
fn build_platform(environment: &Environment) -> Result<Platform, SettingsError> {
    const NAME: &str = "DOCKER_DEFAULT_PLATFORM";
    let host = Platform::host();
    let Some(text) = environment.text(NAME) else { return Ok(host) };
    let wish: Platform = text.parse().map_err(|_| SettingsError::Variable {
        name: NAME,
        value: text.to_owned(),
        wanted: "a platform of the form `os/arch[/variant]`",
    })?;
    if wish.accepts(&host) {
        return Ok(host);
    }
    let help = format!("unset `{NAME}`: this machine is {host}");
    Err(SettingsError::Later { what: format!("building for {wish} (`{NAME}`)"), help })
}

fn source_date_epoch(environment: &Environment) -> Result<Option<u64>, SettingsError> {
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

fn malformed(flag: &'static str, text: &str, why: &str) -> SettingsError {
    SettingsError::Malformed { flag, text: text.to_owned(), why: why.to_owned() }
}
