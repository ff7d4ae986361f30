//! [`Args`]: what was typed. What it means is found out in [`crate::settings`].

mod care;
mod destinations;
mod images;
mod surroundings;
mod words;

pub(crate) use words::is_word;

pub use destinations::{Destinations, ManifestFormat};
pub use images::{DiffArgs, HistoryArgs, ImagesArgs, InspectArgs, LoadArgs, RmiArgs, SaveArgs, SaveFormatArg, TagArgs};

use crate::flags;
pub use care::{
    CompletionsArgs, DoctorArgs, DuArgs, LogsArgs, ManArgs, PlanArgs, PlanShapeArg, PruneArgs, ShapeArg, ShellArgs,
};
use clap::{ArgAction, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use layerfs::reference::DEFAULT_HOST;
use layerfs::registry::secret::Secret;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
pub use surroundings::Surroundings;

/// Turns a Dockerfile into an OCI image: one binary, no daemon, no root.
#[derive(Debug, Parser)]
#[command(name = "lbuild", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "`build` is the default command: `lbuild -t app .` is `lbuild build -t app .`. \
                        A directory that is called like a command is typed `./build`.\n\n\
                        Exit status: that of a failing RUN (128+n if signal n ended it), 125 if lbuild itself could not \
                        go on, 130 if it was interrupted.")]
pub struct Args {
    /// The store [default: $LBUILD_ROOT, else $XDG_DATA_HOME/lbuild, else ~/.local/share/lbuild]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Registry that may speak http or show any certificate, or a network of such (10.0.0.0/8); may be repeated
    #[arg(long, global = true, value_name = "HOST[:PORT]")]
    pub insecure_registry: Vec<String>,
    /// Docker's configuration, as `$DOCKER_CONFIG`
    #[arg(long, value_name = "DIR", hide = true)]
    pub config: Option<PathBuf>,
    /// Docker's address, as `$DOCKER_HOST`
    #[arg(short = 'H', long, value_name = "ADDRESS", hide = true)]
    pub host: Option<String>,
    /// Of Docker, Podman and Buildah
    #[command(flatten)]
    pub elsewhere: Elsewhere,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that stand before the commands of others, and mean nothing here.
#[derive(Debug, ClapArgs)]
pub struct Elsewhere {
    #[arg(short = 'D', long, hide = true)]
    debug: bool,
    #[arg(short = 'c', long, hide = true)]
    context: Option<String>,
    #[arg(short = 'l', long, hide = true)]
    log_level: Option<String>,
    #[arg(long, hide = true)]
    cgroup_manager: Option<String>,
    #[arg(long, hide = true)]
    events_backend: Option<String>,
    #[arg(long, hide = true)]
    registries_conf: Option<String>,
    #[arg(long, hide = true)]
    runroot: Option<String>,
    #[arg(long, hide = true)]
    storage_driver: Option<String>,
    #[arg(long, hide = true)]
    storage_opt: Vec<String>,
}

impl Elsewhere {
    /// Returns those that were typed, and why they mean nothing.
    pub fn typed(&self) -> Vec<(&'static str, &'static str)> {
        const STORE: &str = "`--root` says where the store is, and there is one kind of it";
        let known = [
            ("--debug", self.debug, "`--progress=plain` shows all that commands write"),
            ("--log-level", self.log_level.is_some(), "`--progress=plain` shows all that commands write"),
            ("--context", self.context.is_some(), "there is no daemon to choose"),
            ("--cgroup-manager", self.cgroup_manager.is_some(), "no containers are kept"),
            ("--events-backend", self.events_backend.is_some(), "no events are kept"),
            ("--registries-conf", self.registries_conf.is_some(), "`~/.config/containers/registries.conf` is read"),
            ("--runroot", self.runroot.is_some(), STORE),
            ("--storage-driver", self.storage_driver.is_some(), STORE),
            ("--storage-opt", !self.storage_opt.is_empty(), STORE),
        ];
        known.into_iter().filter(|(_, typed, _)| *typed).map(|(flag, _, why)| (flag, why)).collect()
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile (the default command)
    Build(Box<BuildArgs>),
    /// Fetch images from their registries into the store
    Pull(PullArgs),
    /// Run a command in an image; what it changes is thrown away
    Run(RunArgs),
    /// Push images of the store to registries
    Push(PushArgs),
    /// Look at manifests of registries, or join images of several platforms under one name
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Show what the parser sees in a Dockerfile, as JSON; status 1 if something is wrong with it
    Parse(ParseArgs),
    /// List the images of the store
    Images(ImagesArgs),
    /// Show an image as JSON
    Inspect(InspectArgs),
    /// Remove names of images
    Rmi(RmiArgs),
    /// Log in to a registry
    Login(LoginArgs),
    /// Forget the password for a registry
    Logout(LogoutArgs),
    /// Show what a build would do; nothing is run
    Plan(Box<PlanArgs>),
    /// Open a shell in a failed step that `--on-fail=bundle:DIR` wrote
    Shell(ShellArgs),
    /// Show what the commands of a build wrote
    Logs(LogsArgs),
    /// Say what this machine allows, and what to do where it does not
    Doctor(DoctorArgs),
    /// Print what a shell needs to complete the command line
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
    /// What manages builders of `docker buildx`
    #[command(hide = true)]
    Builder(BuilderArgs),
    /// Check every object of the store
    Fsck(FsckArgs),
    /// Show what takes room in the store
    Du(DuArgs),
    /// Remove what no image needs
    Prune(PruneArgs),
    /// Give an image further names
    Tag(TagArgs),
    /// Show how an image came about
    History(HistoryArgs),
    /// Show which files differ between two images or layers, and how
    Diff(DiffArgs),
    /// Write images to an archive or layout
    Save(SaveArgs),
    /// Bring the images of an archive or layout into the store
    Load(LoadArgs),
}

impl Command {
    /// Names of the commands, as typed.
    pub const NAMES: [&str; 26] = [
        "build",
        "pull",
        "run",
        "push",
        "manifest",
        "parse",
        "images",
        "inspect",
        "rmi",
        "login",
        "logout",
        "plan",
        "shell",
        "logs",
        "doctor",
        "completions",
        "man",
        "builder",
        "fsck",
        "du",
        "prune",
        "tag",
        "history",
        "diff",
        "save",
        "load",
    ];
}

/// `lbuild build`.
#[derive(Debug, Clone, ClapArgs)]
pub struct BuildArgs {
    /// Name for the image, `NAME[:TAG]`; may be repeated
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// The Dockerfile, relative to the current directory; `-` reads standard input [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Stage to build: name or number [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Value for an ARG; without `=VALUE` it is taken from the environment; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Name for FROM and --from: `NAME=DIR`, `NAME=oci-layout://DIR[:TAG]` or `NAME=docker-archive:FILE[:TAG]`; may be
    /// repeated
    #[arg(long, value_name = "NAME=SOURCE")]
    pub build_context: Vec<String>,
    /// Secret for `RUN --mount=type=secret`: `id=ID[,src=FILE|,env=VARIABLE]`; may be repeated
    #[arg(long, value_name = "id=ID[,src=FILE|,env=VAR]")]
    pub secret: Vec<String>,
    /// SSH agent for `RUN --mount=type=ssh`: its id, alone for the caller's agent, else with a socket or keys; may be
    /// repeated
    #[arg(long, value_name = "ID[=SOCKET|=KEY[,KEY]]")]
    pub ssh: Vec<String>,
    /// What the Dockerfile may ask for: `security.insecure` for `RUN --security=insecure`; may be repeated
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// Label for the image; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Run every step again
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub no_cache: bool,
    /// Ask the registries for every image, also if it is in the store; `missing` asks for those that have no name there,
    /// `newer` takes the store's where no registry answers, `never` asks none [default: missing]
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub pull: Option<PullArg>,
    /// Where the image goes: type=image[,push=true], type=registry, type=oci,dest=FILE[,tar=false],
    /// type=docker[,dest=FILE]; its files alone: type=tar,dest=FILE or type=local,dest=DIR[,mode=delete], in short `FILE`;
    /// type=cacheonly. Attributes: name=NAME, push-by-digest=true, compression=uncompressed|gzip|zstd,
    /// compression-level=N, force-compression=true, oci-mediatypes=false, annotation.KEY=VALUE, rewrite-timestamp=true,
    /// source-date-epoch=SECONDS; may be repeated
    #[arg(short, long, value_name = "type=TYPE[,dest=FILE]")]
    pub output: Vec<String>,
    /// Push the image under its names, as `--output=type=registry` does
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub push: bool,
    /// How progress is shown [default: $BUILDKIT_PROGRESS, else auto]
    #[arg(long, value_enum)]
    pub progress: Option<ProgressArg>,
    /// Show nothing but the image ID, on standard output
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub quiet: bool,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Where the image goes, besides
    #[command(flatten)]
    pub destinations: Destinations,
    /// Say what the build checks find, and build nothing: `--call=check`
    #[arg(long, conflicts_with = "call", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set, hide_default_value = true,
          hide_possible_values = true)]
    pub check: bool,
    /// Say something of the build in place of doing it: `check`, `outline`, `targets`, each also with `,format=json`
    #[arg(long, value_name = "METHOD[,format=json]")]
    pub call: Option<String>,
    /// Do at most so many steps at once; 0 is no limit [default: no limit on commands]
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<NonZeroUsize>,
    /// What it runs with
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// Flags of other builders that were typed
    #[arg(skip)]
    pub foreign: Vec<flags::Typed>,
    /// What COPY and ADD read from: a directory, a git repository, a URL of an archive, or `-` for one on standard input
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
}

/// `docker buildx create` and the like.
#[derive(Debug, ClapArgs)]
pub struct BuilderArgs {
    /// What is to be done
    pub word: String,
    /// With what
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// `lbuild parse`.
#[derive(Debug, ClapArgs)]
pub struct ParseArgs {
    /// The Dockerfile; `-` reads standard input
    #[arg(value_name = "FILE", default_value = "Dockerfile")]
    pub file: PathBuf,
}

/// `lbuild pull`.
#[derive(Debug, ClapArgs)]
pub struct PullArgs {
    /// Platform to choose of an image that is there for several, `os/arch[/variant]` [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Show nothing but the names
    #[arg(short, long)]
    pub quiet: bool,
    /// How progress is shown [default: $BUILDKIT_PROGRESS, else auto]
    #[arg(long, value_enum)]
    pub progress: Option<ProgressArg>,
    /// The images: `NAME[:TAG]` or `NAME@DIGEST`
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// `lbuild run`.
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// Network of the command
    #[arg(long, value_enum, default_value_t = NetworkArg::Host)]
    pub network: NetworkArg,
    /// Environment variable; without `=VALUE` it is taken from the environment; may be repeated
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// User, `USER[:GROUP]`, by name or number
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Working directory in the image
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Entry point in place of the image's; an empty one takes it away
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Accepted as Docker's: nothing is left of a container
    #[arg(long)]
    pub rm: bool,
    /// Refused: the command has no input
    #[arg(short, long, hide = true)]
    pub interactive: bool,
    /// Refused: the command has no terminal
    #[arg(short, long, hide = true)]
    pub tty: bool,
    /// The image: a name, an image ID or the beginning of one
    pub image: String,
    /// The command and its arguments, in place of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `lbuild push`.
#[derive(Debug, ClapArgs)]
pub struct PushArgs {
    /// Push every tag that the store has of each repository
    #[arg(short, long)]
    pub all_tags: bool,
    /// Show nothing but the names
    #[arg(short, long)]
    pub quiet: bool,
    /// How progress is shown [default: $BUILDKIT_PROGRESS, else auto]
    #[arg(long, value_enum)]
    pub progress: Option<ProgressArg>,
    /// The images, by the names to push them under
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// `lbuild manifest`.
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Show the manifest or index of an image in a registry
    Inspect(ManifestInspectArgs),
    /// Make an index of images that are in registries or in the store
    Create(ManifestCreateArgs),
}

/// `lbuild manifest inspect`.
#[derive(Debug, ClapArgs)]
pub struct ManifestInspectArgs {
    /// Print the bytes as the registry gave them
    #[arg(long)]
    pub raw: bool,
    /// The image: `[HOST/]REPOSITORY[:TAG|@DIGEST]`
    #[arg(value_name = "IMAGE")]
    pub name: String,
}

/// `lbuild manifest create`.
#[derive(Debug, ClapArgs)]
pub struct ManifestCreateArgs {
    /// Show the index, and push nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How progress is shown [default: $BUILDKIT_PROGRESS, else auto]
    #[arg(long, value_enum)]
    pub progress: Option<ProgressArg>,
    /// Name for the index, as `docker buildx imagetools create` has it: then all others are images; may be repeated
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// Annotation of the index, or with `manifest-descriptor[PLATFORM]:` before it of an image's descriptor in it; may be
    /// repeated
    #[arg(long, value_name = "[LEVEL:]KEY=VALUE")]
    pub annotation: Vec<String>,
    /// The name of the index, and the images: one for each platform, or indexes of some
    #[arg(required = true, value_name = "NAME|IMAGE")]
    pub images: Vec<String>,
}

/// `lbuild login`.
#[derive(Debug, ClapArgs)]
pub struct LoginArgs {
    /// User name [default: asked for on the terminal]
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,
    /// Take the password from standard input, even if that is a terminal
    #[arg(long)]
    pub password_stdin: bool,
    /// Password; others can see it while lbuild runs: --password-stdin hides it
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin", value_parser = hidden)]
    pub password: Option<Secret>,
    /// The registry
    #[arg(value_name = "HOST[:PORT]", default_value = DEFAULT_HOST)]
    pub host: String,
}

/// `lbuild logout`.
#[derive(Debug, ClapArgs)]
pub struct LogoutArgs {
    /// The registry
    #[arg(value_name = "HOST[:PORT]", default_value = DEFAULT_HOST)]
    pub host: String,
}

fn hidden(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// `lbuild fsck`.
#[derive(Debug, ClapArgs)]
pub struct FsckArgs {
    /// Remove what is damaged; the next build makes it again
    #[arg(long)]
    pub repair: bool,
}

/// Values of `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullArg {
    /// Ask for every image
    #[value(alias = "true")]
    Always,
    /// Ask for images that have no name in the store
    #[value(alias = "false", alias = "ifmissing")]
    Missing,
    /// Ask for every image, and take the store's where no registry answers
    #[value(alias = "ifnewer")]
    Newer,
    /// Ask for none
    Never,
}

/// Values of `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkArg {
    /// As `host`
    Default,
    /// The caller's network
    Host,
    /// Loopback only
    None,
}

/// Reads `--jobs`, where 0 is no limit, as Podman has it.
fn jobs(text: &str) -> Result<NonZeroUsize, std::num::ParseIntError> {
    text.parse().map(|jobs| NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MAX))
}

/// Values of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// `tty` on a terminal, else `plain`
    Auto,
    /// One line per event, for logs
    Plain,
    /// A live view
    Tty,
    /// Nothing but the image ID
    #[value(alias = "none")]
    Quiet,
    /// One JSON object per event, for programs
    Rawjson,
}

/// Returns what was typed.
///
/// # Errors
/// What clap has to say, help included.
pub fn parse(typed: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    let command = Args::command();
    let foreign = command.find_subcommand("build").map(flags::foreign_to).unwrap_or_default();
    let command = command
        .mut_subcommand("build", |build| flags::with_flags(build, &foreign))
        .mut_subcommand("plan", |plan| flags::with_flags(plan, &foreign));
    let words = words::in_our_words(typed);
    let matches = command.try_get_matches_from(&words.words).map_err(|error| words.explained(error))?;
    let mut args = Args::from_arg_matches(&matches)?;
    match (&mut args.command, matches.subcommand()) {
        (Command::Build(build), Some((_, matches))) => build.foreign = flags::typed(matches, &foreign),
        (Command::Plan(plan), Some((_, matches))) => plan.build.foreign = flags::typed(matches, &foreign),
        _ => {}
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_agrees_with_itself() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_is_known_by_name() {
        let names: Vec<String> = Args::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        assert_eq!(names, Command::NAMES);
    }

    #[test]
    fn registries_are_named_before_and_after_the_command() {
        for typed in [&["--insecure-registry=h:1", "login", "x.y"][..], &["login", "x.y", "--insecure-registry", "h:1"]]
        {
            let args = Args::try_parse_from([&["lbuild"], typed].concat()).expect("parses");
            assert_eq!(args.insecure_registry, ["h:1"]);
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let args = Args::try_parse_from(["lbuild", "login", "-u", "u", "-p", "hush"]).expect("parses");
        assert!(!format!("{args:?}").contains("hush"));
        let Command::Login(login) = args.command else { panic!("login") };
        assert_eq!((login.host.as_str(), login.password.as_ref().map(Secret::expose)), ("docker.io", Some("hush")));
        assert!(Args::try_parse_from(["lbuild", "login", "-p", "a", "--password-stdin"]).is_err());
    }

    #[test]
    fn no_jobs_are_any_number() {
        for (typed, wanted) in [("0", NonZeroUsize::new(usize::MAX)), ("3", NonZeroUsize::new(3))] {
            let args = Args::try_parse_from(["lbuild", "build", "--jobs", typed, "."]).expect("parses");
            let Command::Build(build) = args.command else { panic!("build") };
            assert_eq!(build.jobs, wanted, "{typed}");
        }
        assert!(Args::try_parse_from(["lbuild", "build", "--jobs", "-1", "."]).is_err());
    }

    #[test]
    fn run_passes_flags_of_the_command_on() {
        let args = Args::try_parse_from(["lbuild", "run", "-e", "A=1", "x", "ls", "-l", "--help"]).expect("parses");
        let Command::Run(run) = args.command else { panic!("run") };
        assert_eq!((run.image.as_str(), run.command), ("x", vec!["ls".into(), "-l".into(), "--help".into()]));
    }
}
