//! [`Event`]: what a build reports while it runs; [`ProgressSink`]: who listens.

use crate::diagnostic::Diagnostic;
use std::sync::Arc;
use std::time::Duration;

/// Names a step of a build: stage and step, both from 0; a step that is not of the Dockerfile (`load build context`,
/// `exporting`) has a stage of its own, [`StepId::INTERNAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId {
    /// The stage.
    pub stage: usize,
    /// The step in it.
    pub step: usize,
}

impl StepId {
    /// The stage number of steps that are not of the Dockerfile.
    pub const INTERNAL: usize = usize::MAX;

    /// Returns the id of the step that fetches the `number`-th image.
    pub fn pull(number: usize) -> Self {
        Self { stage: Self::INTERNAL, step: Self::PULLS + number }
    }

    /// Returns the id of the step that fetches the build context (0), the Dockerfile (1), or a named context.
    pub fn context(number: usize) -> Self {
        Self { stage: Self::INTERNAL, step: Self::CONTEXTS + number }
    }

    /// Returns the id of the step that fetches the `number`-th file of the web.
    pub fn file(number: usize) -> Self {
        Self { stage: Self::INTERNAL, step: Self::FILES + number }
    }

    /// Returns the id of the same step where it is one of the `number`-th platform's that an image is built for.
    pub fn of_platform(self, number: usize) -> Self {
        Self { step: self.step % Self::PLATFORMS + number * Self::PLATFORMS, ..self }
    }

    /// Returns the id of the step that keeps what the `number`-th output makes of one of several platforms.
    pub fn kept(number: usize) -> Self {
        Self { stage: Self::INTERNAL, step: Self::KEPT + number }
    }

    /// Reports whether this step writes an output.
    pub fn is_output(self) -> bool {
        self.stage == Self::INTERNAL && self.step % Self::PLATFORMS < Self::PULLS
    }

    /// Steps from this one on are of the second platform, from twice this one on of the third, and so on.
    const PLATFORMS: usize = 1 << 48;
    /// Internal steps from this one on fetch images; those of outputs are before.
    const PULLS: usize = 1 << 32;
    /// Internal steps from this one on fetch contexts.
    const CONTEXTS: usize = 1 << 33;
    /// Internal steps from this one on fetch files of the web.
    const FILES: usize = 1 << 34;
    /// Internal steps from this one on keep images until those of other platforms are there.
    const KEPT: usize = 1 << 35;

    /// Reports whether this step fetches something: an image, a context, a file.
    pub fn is_fetch(self) -> bool {
        self.stage == Self::INTERNAL && (Self::PULLS..Self::KEPT).contains(&(self.step % Self::PLATFORMS))
    }

    /// Returns the id of the `step`-th internal step.
    pub fn internal(step: usize) -> Self {
        Self { stage: Self::INTERNAL, step }
    }
}

impl std::fmt::Display for StepId {
    /// Prints `1.2` for the third step of the second stage, `pull.0` for the fetching of an image, `context.0` for that of
    /// the build context, `file.0` for that of a file of the web, `output.0` for an output, `kept.0` for its part of one
    /// platform, and `1.2@1` for a step of the second platform.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (platform, step) = (self.step / Self::PLATFORMS, self.step % Self::PLATFORMS);
        match self.stage {
            Self::INTERNAL if step >= Self::KEPT => write!(f, "kept.{}", step - Self::KEPT)?,
            Self::INTERNAL if step >= Self::FILES => write!(f, "file.{}", step - Self::FILES)?,
            Self::INTERNAL if step >= Self::CONTEXTS => write!(f, "context.{}", step - Self::CONTEXTS)?,
            Self::INTERNAL if step >= Self::PULLS => write!(f, "pull.{}", step - Self::PULLS)?,
            Self::INTERNAL => write!(f, "output.{step}")?,
            stage => write!(f, "{stage}.{step}")?,
        }
        if platform > 0 { write!(f, "@{platform}") } else { Ok(()) }
    }
}

/// A stream of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a build reports.
#[derive(Debug, Clone)]
pub enum Event {
    /// The plan stands: the steps that may run, in the order of the Dockerfile, as `[stage 2/5] RUN …`.
    PlanReady {
        /// Steps with the names to show.
        steps: Vec<(StepId, String)>,
        /// Which step waits for which other one, directly: the earlier one first.
        edges: Vec<(StepId, StepId)>,
    },
    /// A step began.
    StepStarted {
        /// Which.
        step: StepId,
        /// The name to show.
        name: String,
    },
    /// A step was found in the cache.
    StepCached {
        /// Which.
        step: StepId,
        /// The name to show.
        name: String,
    },
    /// A command wrote something, cut at any byte.
    Output {
        /// The step that runs it.
        step: StepId,
        /// Where to.
        stream: Stream,
        /// What; shared, because much of it passes by and most who see it keep nothing.
        bytes: Arc<Vec<u8>>,
    },
    /// A step ended.
    StepFinished {
        /// Which.
        step: StepId,
        /// How long it took.
        took: Duration,
        /// How it ended.
        outcome: Outcome,
    },
    /// Bytes moved for a step.
    Transfer {
        /// For which step.
        step: StepId,
        /// What is moved: a digest or a name.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
    },
    /// A registry is asked again after a while.
    Waiting {
        /// Which.
        host: String,
        /// Why, in a few words.
        why: String,
        /// How long it is let be.
        wait: Duration,
    },
    /// Something the user should look at.
    Warning(Diagnostic),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// Not well, with the error in one line.
    Failed(String),
    /// It was ended because of an error elsewhere, or by the user.
    Cancelled,
}

/// Listens to a build. Called from several threads.
pub trait ProgressSink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}
