//! [`Plan`]: a build in which all variables are gone; a value.
//!
//! ```text
//! stage -> scope (what variables are worth) -> stage (one instruction after another)
//!            config (metadata)   run, mount, copy (ops)   history, names (what to show)
//! ```

mod base;
mod chmod;
mod config;
mod copy;
mod edges;
mod error;
mod history;
mod lint;
mod mount;
mod names;
pub mod op;
mod ports;
mod read;
mod run;
mod scope;
mod signal;
pub mod size;
mod stage;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use error::PlanError;
pub use mount::MountError;

use crate::bases::Bases;
use crate::diagnostic::Diagnostic;
use crate::dockerfile::Dockerfile;
use crate::graph::StageGraph;
use crate::source::Span;
use layerfs::image::{History, ImageConfig};
use layerfs::platform::Platform;
use op::{ExtraHost, Network, Op};
use stage::{Input, StagePlanner};

/// A build in which all variables are gone: the stages that the target needs, in the order of the Dockerfile.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The stages.
    pub stages: Vec<PlannedStage>,
    /// Index into `stages` of the one that becomes the image.
    pub target: usize,
    /// The platform of the image.
    pub platform: Platform,
    /// SOURCE_DATE_EPOCH in seconds: the build argument, else what the caller said.
    pub source_date_epoch: Option<i64>,
}

/// What the caller says about the plan; build arguments and platforms came with the graph.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Proxy variables of the caller, for every RUN; proxy build arguments stand before them.
    pub proxies: Vec<(String, String)>,
    /// The network of a RUN that does not choose one.
    pub network: Network,
    /// Labels of the image, set last.
    pub labels: Vec<(String, String)>,
    /// Host name of every RUN; the build argument `BUILDKIT_SANDBOX_HOSTNAME` stands before it.
    pub host_name: Option<String>,
    /// `--add-host`: more lines of /etc/hosts.
    pub extra_hosts: Vec<ExtraHost>,
    /// SOURCE_DATE_EPOCH in seconds; the build argument stands before it.
    pub source_date_epoch: Option<i64>,
    /// `--allow security.insecure`.
    pub allow_insecure: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            proxies: Vec::new(),
            network: Network::Host,
            labels: Vec::new(),
            host_name: None,
            extra_hosts: Vec::new(),
            source_date_epoch: None,
            allow_insecure: false,
        }
    }
}

impl Plan {
    /// Returns the plan of the stages in `graph`, and what the user should look at. `bases` has the images of
    /// [`StageGraph::images`], in that order.
    ///
    /// # Errors
    /// [`PlanError`], each with its place.
    pub fn new(
        dockerfile: &Dockerfile,
        graph: &StageGraph,
        bases: &Bases,
        options: &PlanOptions,
    ) -> Result<(Self, Vec<Diagnostic>), PlanError> {
        let input = Input::new(dockerfile, graph, bases, options)?;
        let mut warnings = lint::unconsumed_arguments(dockerfile, &graph.globals);
        let mut states = Vec::with_capacity(graph.stages.len());
        let mut stages = Vec::with_capacity(graph.stages.len());
        for stage in &graph.stages {
            let planned = StagePlanner::new(&input, stage, &states)?.plan()?;
            stages.push(planned.stage);
            states.push(planned.state);
            warnings.extend(planned.warnings);
        }
        let target: &mut PlannedStage = &mut stages[graph.target];
        if !options.labels.is_empty() {
            target.config.config.labels.get_or_insert_default().extend(options.labels.iter().cloned());
        }
        let (target, platform) = (graph.target, graph.platform.clone());
        Ok((Self { stages, target, platform, source_date_epoch: input.source_date_epoch }, warnings))
    }
}

/// A stage of a plan.
#[derive(Debug, Clone)]
pub struct PlannedStage {
    /// Its number in the Dockerfile, from 0.
    pub number: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The platform that it is built for.
    pub platform: Platform,
    /// What it starts from.
    pub base: PlanBase,
    /// Where its FROM stands.
    pub span: Span,
    /// The name to show while its image is fetched: `[build 1/5] FROM debian`; none if it starts from no image.
    pub base_name: Option<String>,
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

/// Returns the history line of a layer of which nothing is known (9-2).
pub(crate) fn synthesised_history() -> History {
    history::synthesised(None)
}

/// Returns the config of an image of nothing.
pub(crate) fn empty_config(platform: &Platform) -> ImageConfig {
    base::empty(platform)
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
