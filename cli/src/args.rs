//! [`Args`]: what was typed. What it means is found out in [`crate::settings`].

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

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
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile (the default command)
    Build(Box<BuildArgs>),
    /// Run a command in an image; what it changes is thrown away
    Run(RunArgs),
    /// List the images of the store
    Images(ImagesArgs),
    /// Show an image as JSON
    Inspect(InspectArgs),
    /// Remove names of images
    Rmi(RmiArgs),
    /// Check every object of the store
    Fsck,
    /// Remove what no image needs
    Prune(PruneArgs),
    /// Give an image further names
    Tag(TagArgs),
}

impl Command {
    /// Names of the commands, as typed.
    pub const NAMES: [&str; 8] = ["build", "run", "images", "inspect", "rmi", "fsck", "prune", "tag"];
}

/// `lbuild build`.
#[derive(Debug, ClapArgs)]
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
    /// Label for the image; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Run every step again
    #[arg(long)]
    pub no_cache: bool,
    /// Network of RUN
    #[arg(long, value_enum, default_value_t = NetworkArg::Host)]
    pub network: NetworkArg,
    /// Where the image goes: type=image, type=oci,dest=FILE[,tar=false] or type=docker,dest=FILE; attributes
    /// compression=uncompressed|gzip|zstd, compression-level=N, force-compression=true; may be repeated
    #[arg(short, long, value_name = "type=TYPE[,dest=FILE]")]
    pub output: Vec<String>,
    /// How progress is shown [default: $BUILDKIT_PROGRESS, else auto]
    #[arg(long, value_enum)]
    pub progress: Option<ProgressArg>,
    /// Show nothing but the image ID, on standard output
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Do at most so many steps at once [default: no limit on commands]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// The directory that COPY and ADD read from
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
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
    /// The image: a name, an image ID or the beginning of one
    pub image: String,
    /// The command and its arguments, in place of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `lbuild images`.
#[derive(Debug, ClapArgs)]
pub struct ImagesArgs {
    /// Show image IDs only
    #[arg(short, long)]
    pub quiet: bool,
    /// How the list is shown
    #[arg(long, value_enum, default_value_t = FormatArg::Table, conflicts_with = "quiet")]
    pub format: FormatArg,
}

/// `lbuild inspect`.
#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    /// The images: names, image IDs or beginnings of them
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// `lbuild rmi`.
#[derive(Debug, ClapArgs)]
pub struct RmiArgs {
    /// The images: a name takes that name away, an image ID all names of the image
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// `lbuild prune`.
#[derive(Debug, ClapArgs)]
pub struct PruneArgs {
    /// Remove the records and layers of the build cache, too
    #[arg(short, long)]
    pub all: bool,
    /// Accepted as Docker's: lbuild does not ask
    #[arg(short, long)]
    pub force: bool,
}

/// `lbuild tag`.
#[derive(Debug, ClapArgs)]
pub struct TagArgs {
    /// The image: a name, an image ID or the beginning of one
    #[arg(value_name = "SOURCE")]
    pub image: String,
    /// The names to give, `NAME[:TAG]`; an image that has one of them loses it
    #[arg(required = true, value_name = "TARGET")]
    pub names: Vec<String>,
}

/// Values of `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkArg {
    /// The caller's network
    Host,
    /// Loopback only
    None,
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
    Quiet,
}

/// Values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// A table
    Table,
    /// One JSON array
    Json,
}

/// Commands that stand behind a word of Docker's, and what they are called here.
const GROUPED: [(&str, &[(&str, &str)]); 3] = [
    (
        "image",
        &[
            ("build", "build"),
            ("history", "history"),
            ("inspect", "inspect"),
            ("list", "images"),
            ("load", "load"),
            ("ls", "images"),
            ("prune", "prune"),
            ("pull", "pull"),
            ("push", "push"),
            ("remove", "rmi"),
            ("rm", "rmi"),
            ("save", "save"),
            ("tag", "tag"),
        ],
    ),
    ("buildx", &[("b", "build"), ("build", "build"), ("prune", "prune")]),
    ("builder", &[("build", "build"), ("prune", "prune")]),
];

/// Returns the command line with Docker's two words for a command turned into one, and with `build` put in where no command
/// was typed.
pub fn with_default_command(typed: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = typed.into_iter().collect();
    let mut at = 1;
    while let Some(width) = arguments.get(at).and_then(|argument| root_width(&argument.to_string_lossy())) {
        at += width;
    }
    if let [first, second, ..] = arguments.get(at..).unwrap_or_default()
        && let Some(command) = grouped(&first.to_string_lossy(), &second.to_string_lossy())
    {
        arguments.splice(at..at + 2, [command.into()]);
    }
    if arguments.get(at).is_some_and(|argument| starts_a_build(&argument.to_string_lossy())) {
        arguments.insert(at, "build".into());
    }
    arguments
}

/// Returns the command that Docker calls `group word`.
fn grouped(group: &str, word: &str) -> Option<&'static str> {
    let (_, words) = GROUPED.iter().find(|(name, _)| *name == group)?;
    words.iter().find(|(name, _)| *name == word).map(|(_, command)| *command)
}

/// Returns how many arguments `--root` takes, if `argument` is it.
fn root_width(argument: &str) -> Option<usize> {
    match argument {
        "--root" => Some(2),
        _ if argument.starts_with("--root=") => Some(1),
        _ => None,
    }
}

fn starts_a_build(argument: &str) -> bool {
    !matches!(argument, "--help" | "-h" | "--version" | "-V") && !Command::NAMES.contains(&argument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn completed(typed: &[&str]) -> Vec<String> {
        let arguments = std::iter::once("lbuild").chain(typed.iter().copied()).map(OsString::from);
        with_default_command(arguments).into_iter().skip(1).map(|a| a.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn clap_agrees_with_itself() {
        Args::command().debug_assert();
    }

    #[test]
    fn build_is_the_default_command() {
        for (typed, wanted) in [
            (&["-t", "x", "."][..], &["build", "-t", "x", "."][..]),
            (&["."], &["build", "."]),
            (&["./build"], &["build", "./build"]),
            (&["build", "."], &["build", "."]),
            (&["images"], &["images"]),
            (&["--root", "r", "-t", "x", "."], &["--root", "r", "build", "-t", "x", "."]),
            (&["--root=r", "fsck"], &["--root=r", "fsck"]),
            (&["--help"], &["--help"]),
            (&["-V"], &["-V"]),
            (&[], &[]),
        ] {
            assert_eq!(completed(typed), wanted, "{typed:?}");
        }
    }

    /// FEATURES 3.5-7, 3.5-8.
    #[test]
    fn two_words_of_docker_are_one_command() {
        for (typed, wanted) in [
            (&["image", "ls", "-q"][..], &["images", "-q"][..]),
            (&["image", "rm", "x"], &["rmi", "x"]),
            (&["image", "tag", "x", "y"], &["tag", "x", "y"]),
            (&["image", "prune", "-f"], &["prune", "-f"]),
            (&["buildx", "build", "-t", "x", "."], &["build", "-t", "x", "."]),
            (&["--root", "r", "image", "inspect", "x"], &["--root", "r", "inspect", "x"]),
            (&["-t", "image", "ls"], &["build", "-t", "image", "ls"]),
            (&["image"], &["build", "image"]),
            (&["image", "frobnicate"], &["build", "image", "frobnicate"]),
        ] {
            assert_eq!(completed(typed), wanted, "{typed:?}");
        }
    }

    #[test]
    fn every_command_is_known_by_name() {
        let names: Vec<String> = Args::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        assert_eq!(names, Command::NAMES);
    }

    #[test]
    fn run_passes_flags_of_the_command_on() {
        let args = Args::try_parse_from(["lbuild", "run", "-e", "A=1", "x", "ls", "-l", "--help"]).expect("parses");
        let Command::Run(run) = args.command else { panic!("run") };
        assert_eq!((run.image.as_str(), run.command), ("x", vec!["ls".into(), "-l".into(), "--help".into()]));
    }
}
