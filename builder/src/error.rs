//! [`BuildError`]: what can go wrong with a build; [`StepError`]: with one of its steps.

use crate::assemble::AssembleError;
use crate::context::local::ContextError;
use crate::copy::error::CopyError;
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::dockerfile::ParseError;
use crate::fetch_context::FetchContextError;
use crate::git::GitError;
use crate::graph::GraphError;
use crate::plan::PlanError;
use crate::progress::StepId;
use crate::resolve::BaseError;
use crate::several::OneImageOnly;
use crate::source::Span;
use crate::tokens::TokenError;
use crate::worker::WorkerError;
use crate::worker::WorkerStartError;
use crate::worker::protocol::Exit;
use layerfs::digest::Digest;
use layerfs::error::StoreError;
use layerfs::io_error::{CURE_OF_FULL_DISK, IoError};
use layerfs::layer::{ExecutionId, LayerKey};
use layerfs::reference::ImageRef;
use layerfs::registry::error::RegistryError;
use layerfs::unpack::LayerError;
use std::path::PathBuf;

/// What can go wrong with one step.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A command ended with another status than 0.
    #[error("process `{command}` did not complete successfully: {}", exit_text(*.exit))]
    Command {
        /// The command, for people.
        command: String,
        /// How it ended.
        exit: Exit,
        /// Why it had only one id and what to do about it, if it had only one.
        one_id: Option<String>,
    },
    /// A secret that the step needs was not given.
    #[error("secret `{id}` is required and was not given")]
    SecretMissing {
        /// Its id.
        id: String,
        /// One that was given and may have been meant.
        similar: Option<String>,
    },
    /// A secret that is to be an environment variable is no text.
    #[error("secret `{id}` is not UTF-8 and cannot be an environment variable")]
    SecretNotText {
        /// Its id.
        id: String,
    },
    /// A secret that opens a repository or a file of the web cannot be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A secret is larger than secrets may be.
    #[error("secret `{id}` is larger than 500 KiB")]
    SecretTooLarge {
        /// Its id.
        id: String,
    },
    /// An SSH agent that the step needs was not given.
    #[error("ssh agent `{id}` is required and was not given")]
    AgentMissing {
        /// Its id.
        id: String,
        /// One that was given and may have been meant.
        similar: Option<String>,
    },
    /// An SSH agent cannot be had.
    #[error("ssh agent `{id}`: {why}")]
    Agent {
        /// Its id.
        id: String,
        /// Why.
        why: String,
    },
    /// A URL cannot be fetched.
    #[error("fetch `{url}`: {why}")]
    Fetch {
        /// The URL, without user and query.
        url: String,
        /// Why.
        why: String,
    },
    /// What a URL gave is not what was asked for.
    #[error("digest mismatch for `{url}`: {found} (expected: {wanted})")]
    WrongDigest {
        /// The URL, without user and query.
        url: String,
        /// What came.
        found: Digest,
        /// What was to come.
        wanted: Digest,
    },
    /// A server did not give what was asked for.
    #[error(transparent)]
    Web(#[from] RegistryError),
    /// A repository cannot be had.
    #[error(transparent)]
    Git(GitError),
    /// A directory that was fetched cannot be read.
    #[error(transparent)]
    Context(ContextError),
    /// The source of a mount is not there.
    #[error("mount `{source_text}`: not found")]
    MountSource {
        /// The source, from the root of the context or stage.
        source_text: String,
        /// One that is there and may have been meant.
        similar: Option<String>,
    },
    /// COPY, ADD or WORKDIR failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The worker failed.
    #[error(transparent)]
    Worker(WorkerError),
    /// The worker did not start.
    #[error(transparent)]
    WorkerStart(#[from] WorkerStartError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image that is finished and in the store could not be pushed.
    #[error("{error}")]
    Push {
        /// The names by which it is in the store.
        names: Vec<ImageRef>,
        /// Why.
        #[source]
        error: Box<StoreError>,
    },
    /// A layer is wrong.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A layer of an image that the build starts from is wrong, or cannot be made here.
    #[error("layer {layer} of image `{image}`: {error}")]
    BaseLayer {
        /// Which image, as the Dockerfile has it.
        image: String,
        /// Which blob.
        layer: Digest,
        /// What is wrong.
        #[source]
        error: Box<StepError>,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A layer that a record names is in no form any more. The build strikes its records and starts again.
    #[error("the layer of execution {0} is gone")]
    LayerGone(ExecutionId),
    /// A base's blob is neither in the store nor in the image it came from.
    #[error("blob {0} of a base image is gone")]
    BlobGone(Digest),
    /// A directory is no bundle of a failed step.
    #[error("`{}` is no bundle of a failed step: {why}", path.display())]
    Bundle {
        /// Its description.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The build was ended.
    #[error("cancelled")]
    Cancelled,
}

/// A call that was cancelled is a step that was cancelled, wherever it was noticed; a layer that was built here and that
/// the worker misses is made again by running its step.
impl From<WorkerError> for StepError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Cancelled => Self::Cancelled,
            WorkerError::NoLayer(LayerKey::Execution(execution)) => Self::LayerGone(execution),
            other => Self::Worker(other),
        }
    }
}

impl From<GitError> for StepError {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Cancelled => Self::Cancelled,
            other => Self::Git(other),
        }
    }
}

impl StepError {
    /// Returns how a command ended, if it is a command that failed; one that could not be started counts as ended with
    /// 127 or 126, as a shell would say.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            StepError::Command { exit, .. } => Some(*exit),
            StepError::Worker(error) => error.exit_status().map(Exit::Status),
            _ => None,
        }
    }

    /// Returns the error of a system call.
    pub(crate) fn io(act: &str, path: &str, source: &std::io::Error) -> Self {
        Self::Io(IoError::new(act, path, source))
    }

    /// Returns the error with the name of the image and the layer that it is about, if it is about a layer.
    pub(crate) fn of_base_layer(self, image: &str, layer: Digest) -> Self {
        use WorkerError::{DiffIdMismatch, IdNotMapped, OneId};
        match self {
            StepError::Layer(LayerError::Io(_) | LayerError::Full { .. }) => self,
            StepError::Layer(_)
            | StepError::Worker(
                WorkerError::Layer { .. } | DiffIdMismatch { .. } | IdNotMapped { .. } | OneId { .. },
            ) => StepError::BaseLayer { image: image.to_owned(), layer, error: Box::new(self) },
            other => other,
        }
    }

    /// Returns the error of a stream that could not be read.
    pub(crate) fn stream(source: std::io::Error) -> Self {
        Self::Layer(layerfs::tar::TarError::Stream { act: "read", source }.into())
    }
}

fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Status(status) => format!("exit code: {status}"),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
    }
}

impl Diagnose for StepError {
    fn diagnose(&self) -> Diagnostic {
        match self {
            StepError::Copy(error) => error.diagnose(),
            StepError::MountSource { similar, .. } => {
                let cure = match similar {
                    Some(similar) => format!("did you mean `/{similar}`?"),
                    None => "`source=` is looked up from the root of the build context, stage or image".to_owned(),
                };
                Diagnostic::error(self.to_string()).help(cure)
            }
            StepError::Worker(error) => error.diagnose(),
            StepError::WorkerStart(error) => error.diagnose(),
            StepError::SecretMissing { similar: Some(similar), .. } => {
                Diagnostic::error(self.to_string()).help(format!("did you mean `{similar}`, which was given?"))
            }
            StepError::SecretMissing { id, .. } => Diagnostic::error(self.to_string())
                .help(format!("give it with `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`")),
            StepError::Web(error) => error.diagnose(),
            StepError::Git(error) => with_cure(self.to_string(), error.help()),
            StepError::WrongDigest { .. } => {
                Diagnostic::error(self.to_string()).help("if the file was changed in good faith, change `--checksum`")
            }
            StepError::AgentMissing { similar: Some(similar), .. } => {
                Diagnostic::error(self.to_string()).help(format!("did you mean `{similar}`, which was given?"))
            }
            StepError::AgentMissing { id, .. } => Diagnostic::error(self.to_string())
                .help(format!("give it with `--ssh {id}` for your agent, or `--ssh {id}=KEY`")),
            StepError::Agent { .. } => Diagnostic::error(self.to_string())
                .help("give the socket of a running agent, or keys without passphrase (needs openssh-client)"),
            StepError::Command { one_id: Some(help), .. } => {
                Diagnostic::error(self.to_string()).help(format!("if it needs ids other than 0: {help}"))
            }
            StepError::Store(error) => error.diagnose(),
            StepError::Push { names, error } => push_again(names, error.diagnose()),
            StepError::SecretNotText { .. } => {
                Diagnostic::error(self.to_string()).help("mount it as a file: leave `env=` out, or add `target=`")
            }
            StepError::Io(error) if error.is_full() => Diagnostic::error(self.to_string()).help(CURE_OF_FULL_DISK),
            StepError::Layer(error) => with_cure(self.to_string(), error.cure()),
            StepError::BaseLayer { error, .. } => {
                let cure = error.diagnose().help;
                with_cure(self.to_string(), cure.or_else(|| Some(CURE_OF_BAD_LAYER.to_owned())))
            }
            _ => Diagnostic::error(self.to_string()),
        }
    }
}

impl Diagnose for StoreError {
    fn diagnose(&self) -> Diagnostic {
        with_cure(self.to_string(), self.help())
    }
}

impl Diagnose for RegistryError {
    fn diagnose(&self) -> Diagnostic {
        with_cure(self.to_string(), self.help())
    }
}

/// What to do about an image whose layers are wrong.
const CURE_OF_BAD_LAYER: &str =
    "the image is damaged, or made to do harm: get it anew from where you trust it to be good";

/// Adds how a push that failed goes on.
fn push_again(names: &[ImageRef], diagnostic: Diagnostic) -> Diagnostic {
    if names.is_empty() {
        return diagnostic;
    }
    let names: Vec<String> = names.iter().map(ImageRef::familiar).collect();
    let again = format!("the image is kept in the store: `lbuild push {}` goes on from here", names.join(" "));
    let help = diagnostic.help.map_or(again.clone(), |help| format!("{help}; {again}"));
    Diagnostic { help: Some(help), ..diagnostic }
}

fn with_cure(message: String, cure: Option<String>) -> Diagnostic {
    Diagnostic { help: cure, ..Diagnostic::error(message) }
}

/// What can go wrong with a build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile does not parse; every error, the earliest first.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Parse(Vec<ParseError>),
    /// The stages do not fit together.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An image that the Dockerfile names cannot be had.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// An instruction means nothing.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Build checks found something, and `check=error=true` makes that an error.
    #[error("lint violation found for rules: {}", rules.join(", "))]
    Checks {
        /// Names of the rules.
        rules: Vec<&'static str>,
    },
    /// An output takes one image only.
    #[error(transparent)]
    OneImageOnly(#[from] OneImageOnly),
    /// A build context is wrong.
    #[error(transparent)]
    Context(ContextError),
    /// A named context cannot be fetched.
    #[error("{error}")]
    NamedContext {
        /// The first place that needs it.
        span: Span,
        /// Why.
        #[source]
        error: Box<FetchContextError>,
    },
    /// The plan and the layers do not fit together.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A step failed.
    #[error("{error}")]
    Step {
        /// Where it stands.
        span: Span,
        /// Its name.
        name: String,
        /// Its number.
        id: StepId,
        /// Why.
        #[source]
        error: Box<StepError>,
    },
    /// Writing an output failed.
    #[error(transparent)]
    Output(#[from] StepError),
    /// Writing several outputs failed.
    #[error("{} outputs could not be written", .0.len())]
    Outputs(Vec<StepError>),
    /// The build was ended from outside.
    #[error("cancelled")]
    Cancelled,
}

impl BuildError {
    /// Returns what errors are ordered by: those that say why before those that are only a consequence, then by place.
    pub(crate) fn rank(&self) -> (bool, usize) {
        match self {
            BuildError::Step { error, span, .. } => (matches!(**error, StepError::Cancelled), span.start),
            BuildError::Cancelled => (true, 0),
            _ => (false, 0),
        }
    }

    /// Returns how the command ended, if a command failed.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            BuildError::Step { error, .. } => error.exit(),
            _ => None,
        }
    }

    /// Returns every diagnostic of this error, the earliest first.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            BuildError::Parse(errors) => errors.iter().map(Diagnose::diagnose).collect(),
            BuildError::Graph(error) => vec![error.diagnose()],
            BuildError::Base(error) => vec![error.diagnose()],
            BuildError::Plan(error) => vec![error.diagnose()],
            BuildError::OneImageOnly(error) => vec![error.diagnose()],
            BuildError::Checks { .. } => vec![
                Diagnostic::error(self.to_string())
                    .help("the warnings say what to change; `# check=skip=RULE` leaves one out"),
            ],
            BuildError::Context(error) => vec![Diagnostic::error(error.to_string())],
            BuildError::NamedContext { span, error } => vec![error.diagnose().at(*span, "")],
            BuildError::Assemble(error) => vec![error.diagnose()],
            BuildError::Step { span, error, .. } => vec![error.diagnose().at(*span, "")],
            BuildError::Output(error) => vec![error.diagnose()],
            BuildError::Outputs(errors) => without_repeats(errors.iter().map(Diagnose::diagnose)),
            BuildError::Cancelled => vec![Diagnostic::error("cancelled")],
        }
    }

    /// Returns the execution whose layer is gone, if that is what happened.
    pub(crate) fn gone(&self) -> Option<ExecutionId> {
        match self {
            BuildError::Step { error, .. } => match **error {
                StepError::LayerGone(execution) => Some(execution),
                _ => None,
            },
            BuildError::Output(StepError::LayerGone(execution)) => Some(*execution),
            _ => None,
        }
    }
}

/// Returns each diagnostic once: what several outputs failed with may be one thing.
fn without_repeats(diagnostics: impl Iterator<Item = Diagnostic>) -> Vec<Diagnostic> {
    let mut told: Vec<Diagnostic> = Vec::new();
    diagnostics.for_each(|diagnostic| {
        if !told.contains(&diagnostic) {
            told.push(diagnostic);
        }
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::error::SandboxError;

    /// Of several failures the one that says why is told, wherever the cancelled step stands and whoever noticed.
    #[test]
    fn what_was_cancelled_comes_last() {
        let failure = |start: usize, error: StepError| BuildError::Step {
            span: Span { start, end: start },
            name: String::new(),
            id: StepId::internal(0),
            error: Box::new(error),
        };
        let why = || StepError::Command { command: "false".into(), exit: Exit::Status(1), one_id: None };
        for cancelled in [StepError::Cancelled, WorkerError::Cancelled.into()] {
            let mut failures = [failure(1, cancelled), failure(2, why())];
            failures.sort_by_key(BuildError::rank);
            assert_eq!(failures[0].exit(), Some(Exit::Status(1)));
        }
    }

    #[test]
    fn a_command_that_cannot_be_started_has_a_shells_status() {
        let exec = |errno: i32| SandboxError::Exec { program: "/x".into(), errno, message: String::new() };
        for (error, wanted) in [
            (exec(libc::ENOENT), Some(Exit::Status(127))),
            (exec(libc::EACCES), Some(Exit::Status(126))),
            (SandboxError::NotInPath { program: "x".into() }, Some(Exit::Status(127))),
            (SandboxError::Lost, None),
        ] {
            assert_eq!(StepError::from(WorkerError::from(error)).exit(), wanted);
        }
    }
}
