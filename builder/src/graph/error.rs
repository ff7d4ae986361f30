//! [`GraphError`]: why a Dockerfile has no graph of stages.

use super::suggest::did_you_mean;
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::dockerfile::ExpandError;
use crate::source::Span;
use layerfs::platform::PlatformError;
use layerfs::reference::ReferenceError;

/// Why a Dockerfile has no graph of stages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The Dockerfile has no FROM.
    #[error("the Dockerfile has no build stage")]
    NoStage,
    /// A word cannot be expanded.
    #[error("expand `{word}`: {error}")]
    Expansion {
        /// The word as typed.
        word: String,
        /// What is wrong.
        error: ExpandError,
        /// Where it stands.
        span: Span,
    },
    /// The base of a stage is blank after expansion.
    #[error("base name `{word}` is blank after expansion")]
    BlankBase {
        /// The word as typed.
        word: String,
        /// A variable in it that is unset.
        unset: Option<Unset>,
        /// Where it stands.
        span: Span,
    },
    /// The base of a stage is no image name after expansion.
    #[error("expand base name `{word}`")]
    InvalidBase {
        /// The word as typed.
        word: String,
        /// What is wrong.
        #[source]
        error: ReferenceError,
        /// A variable in it that is unset.
        unset: Box<Unset>,
        /// Where it stands.
        span: Span,
    },
    /// The platform of a stage is blank after expansion.
    #[error("platform `{word}` is blank after expansion")]
    BlankPlatform {
        /// The word as typed.
        word: String,
        /// A variable in it that is unset.
        unset: Option<Unset>,
        /// Where it stands.
        span: Span,
    },
    /// The platform of a stage is none.
    #[error("parse platform of `{word}`")]
    InvalidPlatform {
        /// The word as typed.
        word: String,
        /// What is wrong.
        #[source]
        error: PlatformError,
        /// Where it stands.
        span: Span,
    },
    /// `--target` names no stage.
    #[error("target stage `{target}` could not be found")]
    UnknownTarget {
        /// What was asked for.
        target: String,
        /// What may have been meant.
        suggestion: Option<String>,
        /// The names that stages have, in their order.
        names: Vec<String>,
    },
    /// A variable where none is expanded.
    #[error("variables are not expanded in `{flag}`: `{text}`")]
    VariableInFrom {
        /// `COPY --from` or `RUN --mount from`.
        flag: &'static str,
        /// The value as typed.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// `COPY --from=N` counts past the stages.
    #[error("invalid stage index {index}: {}", stages(*count))]
    StageIndex {
        /// The index as typed.
        index: String,
        /// How many stages there are.
        count: usize,
        /// Where it stands.
        span: Span,
    },
    /// COPY reads a stage that comes later.
    #[error("cannot copy from stage `{from}`: it needs to be defined before stage `{stage}`")]
    LaterStage {
        /// The stage that is read.
        from: String,
        /// The stage that reads it.
        stage: String,
        /// Where the COPY names it.
        span: Span,
        /// Where it is defined.
        defined: Span,
    },
    /// Stages need each other.
    #[error("circular dependency on stage `{stage}`")]
    Cycle {
        /// One of them.
        stage: String,
        /// Each dependency of the circle: its place, and what stands there.
        places: Vec<(Span, String)>,
    },
    /// A trigger of a base image is no instruction.
    #[error("ONBUILD trigger `{trigger}` of the base image `{image}`: {why}")]
    Trigger {
        /// The base image.
        image: String,
        /// The trigger, as its config has it.
        trigger: String,
        /// What is wrong with it.
        why: String,
        /// The FROM.
        span: Span,
    },
}

/// A variable in a FROM line that is unset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    /// Its name.
    pub name: String,
    /// The name that may have been meant.
    pub suggestion: Option<String>,
}

impl Unset {
    fn cure(&self) -> String {
        let Self { name, suggestion } = self;
        match suggestion {
            Some(meant) => format!("`{name}` is not set: did you mean `{meant}`?"),
            None => format!("give `{name}` a default with ARG before the first FROM, or pass --build-arg {name}=…"),
        }
    }
}

fn stages(count: usize) -> String {
    match count {
        1 => "the Dockerfile has one stage, number 0".to_owned(),
        _ => format!("the Dockerfile has {count} stages, counted from 0"),
    }
}

impl Diagnose for GraphError {
    fn diagnose(&self) -> Diagnostic {
        let base = match std::error::Error::source(self) {
            Some(source) => Diagnostic::error(format!("{self}: {source}")),
            None => Diagnostic::error(self.to_string()),
        };
        let placed = self.places().into_iter().fold(base, |diagnostic, (span, text)| diagnostic.at(span, text));
        match self.cure() {
            Some(cure) => placed.help(cure),
            None => placed,
        }
    }
}

impl GraphError {
    /// Returns the places that the error is about, the main one first.
    fn places(&self) -> Vec<(Span, String)> {
        let one = |span: &Span| vec![(*span, String::new())];
        match self {
            Self::NoStage | Self::UnknownTarget { .. } => Vec::new(),
            Self::Expansion { span, .. }
            | Self::BlankBase { span, .. }
            | Self::InvalidBase { span, .. }
            | Self::BlankPlatform { span, .. }
            | Self::InvalidPlatform { span, .. }
            | Self::VariableInFrom { span, .. }
            | Self::StageIndex { span, .. }
            | Self::Trigger { span, .. } => one(span),
            Self::LaterStage { span, defined, .. } => {
                vec![(*span, String::new()), (*defined, "the stage is defined here".to_owned())]
            }
            Self::Cycle { places, .. } => places.clone(),
        }
    }

    /// Returns what to do about it.
    fn cure(&self) -> Option<String> {
        match self {
            Self::NoStage => Some("start with `FROM`".to_owned()),
            Self::Expansion { error, .. } => error.cure(),
            Self::BlankBase { unset, .. } | Self::BlankPlatform { unset, .. } => unset.as_ref().map(Unset::cure),
            Self::InvalidBase { unset, .. } => Some(unset.cure()),
            Self::UnknownTarget { suggestion: None, names, .. } if names.is_empty() => {
                Some("no stage has a name: give it one with `FROM … AS NAME`".to_owned())
            }
            Self::UnknownTarget { suggestion: None, names, .. } => Some(format!(
                "stages are: {}",
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )),
            Self::UnknownTarget { suggestion, .. } => did_you_mean(suggestion.as_deref()),
            Self::VariableInFrom { .. } => Some(
                "define a stage with `FROM` that uses an ARG from before the first FROM, and name that stage"
                    .to_owned(),
            ),
            Self::LaterStage { from, .. } => Some(format!("move the stage `{from}` up")),
            Self::Cycle { places, .. } if places.len() == 1 => {
                Some("a stage cannot read itself: name an earlier stage, an image or a build context".to_owned())
            }
            Self::Cycle { .. } => Some("make what both need in a stage of its own, before them".to_owned()),
            Self::Trigger { .. } => Some("the image is at fault: build it again, or start from another".to_owned()),
            _ => None,
        }
    }
}
