//! [`SettingsError`]: what can be wrong with a command line or its environment.

use builder::diagnostic::{Diagnose, Diagnostic};
use builder::dockerfile::suggest::nearest;
use layerfs::io_error::IoError;
use layerfs::reference::ReferenceError;
use std::path::{Path, PathBuf};

/// What can be wrong with a command line or its environment.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No place for the store.
    #[error("no place for the store is known: neither `--root`, `LBUILD_ROOT`, `XDG_DATA_HOME` nor `HOME` is set")]
    NoRoot,
    /// A flag's value has the wrong form.
    #[error("`{flag} {text}`: {why}")]
    Malformed {
        /// The flag.
        flag: &'static str,
        /// Its value.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A flag's value has an attribute that nobody knows.
    #[error("`{flag} {text}`: no attribute is called `{name}`")]
    UnknownAttribute {
        /// The flag.
        flag: &'static str,
        /// Its value.
        text: String,
        /// The attribute.
        name: String,
        /// Names that it could have been.
        known: &'static [&'static str],
    },
    /// An archive would go to a terminal.
    #[error("refusing to write an archive to the terminal")]
    Terminal,
    /// An archive would come from a terminal.
    #[error("refusing to read an archive from the terminal")]
    TerminalInput,
    /// Neither an image nor a layer.
    #[error("the store has neither an image nor a layer `{0}`")]
    NoSide(String),
    /// An index of nothing.
    #[error("an index joins images, and none is named")]
    NothingToJoin,
    /// Neither Docker nor Podman is here.
    #[error("neither Docker (`/var/run/docker.sock`, `DOCKER_HOST`) nor Podman is here to load the image into")]
    NoEngine,
    /// A flag of another builder that lbuild cannot honour.
    #[error("`{flag}` is of `{owner}`, and lbuild does not do it")]
    ForeignFlag {
        /// As typed.
        flag: String,
        /// Whose it is.
        owner: &'static str,
        /// What to do in its place.
        cure: &'static str,
    },
    /// A file of settings cannot be understood.
    #[error("{}: {why}", place(path, *line))]
    File {
        /// Which.
        path: PathBuf,
        /// The line, from 1; 0 if it is about the whole file.
        line: usize,
        /// What is wrong.
        why: String,
        /// What to do.
        help: Option<String>,
    },
    /// Something that is not kept any more.
    #[error("{what} is not kept")]
    NotKept {
        /// What.
        what: String,
        /// What is.
        help: String,
    },
    /// Something that lbuild does not do yet.
    #[error("{what} is not built yet")]
    Later {
        /// What.
        what: String,
        /// What to do in its place.
        help: String,
    },
    /// A name is no image name.
    #[error("invalid tag `{text}`")]
    Tag {
        /// As typed.
        text: String,
        /// Why not.
        #[source]
        source: ReferenceError,
    },
    /// A name with a digest, where an image is to be given a name.
    #[error("`{text}`: refusing to create a tag with a digest reference")]
    DigestAsName {
        /// As typed.
        text: String,
    },
    /// An image is to be pushed, and has no name to push it to.
    #[error("`{flag}`: no name to push to")]
    NoName {
        /// The flag, with its value.
        flag: String,
        /// What to add.
        help: String,
    },
    /// A command is to have input or a terminal.
    #[error("`lbuild run` gives a command neither input nor a terminal")]
    Interactive {
        /// The image.
        image: String,
    },
    /// The context is not there, or is no directory.
    #[error("unable to prepare context: {why}")]
    Context {
        /// As typed.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The Dockerfile is not there.
    #[error("no Dockerfile: `{}` does not exist", path.display())]
    NoDockerfile {
        /// Where it was looked for.
        path: PathBuf,
        /// Whether `-f` named it.
        typed: bool,
    },
    /// The Dockerfile is no text.
    #[error("`{name}` is not UTF-8: byte {offset} (0x{byte:02x}) on line {line} starts no character")]
    NotText {
        /// The file.
        name: String,
        /// Offset of the byte.
        offset: usize,
        /// Line of the byte.
        line: usize,
        /// The byte.
        byte: u8,
    },
    /// The Dockerfile is longer than any Dockerfile.
    #[error("`{name}` is longer than {limit} bytes")]
    TooLong {
        /// The file.
        name: String,
        /// Most bytes allowed.
        limit: u64,
    },
    /// A secret cannot be had.
    #[error("secret `{id}`: {why}")]
    Secret {
        /// Its id.
        id: String,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// There is nothing to log in with.
    #[error("log in to `{host}`: {why}")]
    Login {
        /// The registry.
        host: String,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// A variable has the wrong form.
    #[error("environment variable `{name}`: `{value}` is not {wanted}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl SettingsError {
    fn cure(&self) -> Option<String> {
        match self {
            Self::NoRoot => Some("say `--root DIR`".into()),
            Self::UnknownAttribute { name, known, .. } => Some(match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are: {}", known.join(", ")),
            }),
            Self::Later { help, .. }
            | Self::NotKept { help, .. }
            | Self::Secret { help, .. }
            | Self::NoName { help, .. }
            | Self::Login { help, .. } => Some(help.clone()),
            Self::ForeignFlag { cure, .. } => Some((*cure).to_owned()),
            Self::File { help, .. } => help.clone(),
            Self::Tag { source, .. } => Some(source.why.clone()),
            Self::Interactive { image } => {
                Some(format!("leave `-i` and `-t` out, or `lbuild save {image} | docker load` and run it there"))
            }
            Self::Context { path, .. } => Some(context_cure(&path.to_string_lossy())),
            Self::NoDockerfile { typed: true, .. } => {
                Some("`-f` is relative to the current directory, not to the build context".into())
            }
            Self::NoDockerfile { .. } => Some("name the file with `-f FILE`, or `-f -` for standard input".into()),
            Self::NothingToJoin => Some("write `lbuild manifest create NAME IMAGE…`".into()),
            Self::NoEngine => Some(
                "leave `--load` out to keep the image in the store, or write an archive: `-o type=docker,dest=FILE`"
                    .into(),
            ),
            Self::Terminal => Some("name a file with `-o FILE`, or redirect standard output".into()),
            Self::TerminalInput => Some("name a file with `-i FILE`, or redirect standard input".into()),
            Self::Malformed { .. }
            | Self::NotText { .. }
            | Self::TooLong { .. }
            | Self::Variable { .. }
            | Self::DigestAsName { .. }
            | Self::NoSide(_)
            | Self::Io(_) => None,
        }
    }
}

impl Diagnose for SettingsError {
    fn diagnose(&self) -> Diagnostic {
        Diagnostic { help: self.cure(), ..Diagnostic::error(self.to_string()) }
    }
}

fn place(path: &Path, line: usize) -> String {
    if line == 0 { format!("`{}`", path.display()) } else { format!("`{}`, line {line}", path.display()) }
}

fn context_cure(path: &str) -> String {
    match nearest(path, crate::args::Command::NAMES) {
        Some(near) => format!("did you mean the command `{near}`?"),
        None if crate::args::is_word(path) => "name the directory to build from; `lbuild --help` lists the commands".to_owned(),
        None => "give the directory of the files that the build reads, often `.`, a URL, or `-`; a Dockerfile is named with `-f`"
            .to_owned(),
    }
}
