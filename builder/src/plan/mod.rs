//! [`Plan`]: a build in which all variables are gone; a value.

pub mod op;

use crate::source::Span;
use layerfs::image::{History, ImageConfig};
use layerfs::platform::Platform;
use op::Op;

/// A build in which all variables are gone: the stages that the target needs, in the order of the Dockerfile.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The stages.
    pub stages: Vec<PlannedStage>,
    /// Index into `stages` of the one that becomes the image.
    pub target: usize,
    /// The platform of the image.
    pub platform: Platform,
}

/// A stage of a plan.
#[derive(Debug, Clone)]
pub struct PlannedStage {
    /// Its number in the Dockerfile, from 0.
    pub number: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What it starts from.
    pub base: PlanBase,
    /// Where its FROM stands.
    pub span: Span,
    /// What changes files, in order.
    pub steps: Vec<Step>,
    /// The image config at its end: everything but `created`, `rootfs.diff_ids` and the times of history lines.
    pub config: ImageConfig,
    /// History lines that this stage adds to those of its base, in order; `created` is still empty.
    pub history: Vec<HistoryLine>,
}

/// A history line, and the step whose layer it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The line without its time.
    pub line: History,
    /// Index into the stage's `steps` if the line has a layer.
    pub step: Option<usize>,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanBase {
    /// Nothing.
    Scratch,
    /// Another stage: index into [`Plan::stages`].
    Stage(usize),
    /// An image: index into [`crate::bases::Bases`].
    Image(usize),
}

/// One step: what changes files.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it does.
    pub op: Op,
    /// Where it stands.
    pub span: Span,
    /// The name to show: `[build 2/5] RUN make`.
    pub name: String,
}
