//! Image configs of finished stages.
//!
//! A config is a function of the plan, the base and the layers with their times. The times come from records, so a
//! cached rebuild gives the same bytes as the build that ran the steps.

#[cfg(test)]
mod tests;
mod time;

pub(crate) use time::rfc3339;

use crate::diagnostic::{Diagnose, Diagnostic};
use crate::plan::{Plan, PlanBase, PlannedStage};
use layerfs::digest::DiffId;
use layerfs::image::{History, ImageConfig};
use layerfs::meta::Timestamp;

/// A layer that a step ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssembledLayer {
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// When the step ran: the time in its record.
    pub created: Timestamp,
}

/// Why a stage has no image config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// Fewer or more layers than steps.
    #[error("assemble the image config of stage {stage}: {steps} steps gave {layers} layers")]
    LayerCount {
        /// The stage's number in the Dockerfile.
        stage: usize,
        /// How many steps it and the stages it starts from have.
        steps: usize,
        /// How many layers were handed over.
        layers: usize,
    },
    /// The config of the base image is missing, or there is one but the stage starts from nothing.
    #[error("assemble the image config of stage {stage}: its base does not fit")]
    Base {
        /// The stage's number in the Dockerfile.
        stage: usize,
    },
}

impl Diagnose for AssembleError {
    fn diagnose(&self) -> Diagnostic {
        Diagnostic::error(self.to_string())
    }
}

/// Returns the stages that `stage` stands on and itself, the outermost first; indexes into [`Plan::stages`].
pub fn chain(plan: &Plan, stage: usize) -> Vec<usize> {
    let mut chain = vec![stage];
    while let PlanBase::Stage(parent) = plan.stages[chain[chain.len() - 1]].base {
        chain.push(parent);
    }
    chain.reverse();
    chain
}

/// Returns the image config of `stage`, an index into [`Plan::stages`]. `base` is the config of the image that its
/// outermost stage starts from, nothing for scratch. `layers` are those of the steps of its [`chain`], the lowest first.
///
/// There are as many history lines with a layer as layers (9-2): where the base has fewer, lines are added for it; where
/// it has more, the last ones count as empty. A line with a layer has its step's time; another has that of the line
/// before it in this build, else the base's. With SOURCE_DATE_EPOCH all lines of this build have that time. The image's
/// time is that of its last line, else the base's.
///
/// # Errors
/// [`AssembleError`] if `layers` or `base` do not fit the plan.
pub fn image_config(
    plan: &Plan,
    stage: usize,
    base: Option<&ImageConfig>,
    layers: &[AssembledLayer],
) -> Result<ImageConfig, AssembleError> {
    let stages: Vec<&PlannedStage> = chain(plan, stage).into_iter().map(|index| &plan.stages[index]).collect();
    check(plan, stage, &stages, base, layers)?;
    let mut config = plan.stages[stage].config.clone();
    let mut history = base.map(base_history).unwrap_or_default();
    let base_created = base.and_then(|base| base.created.clone());
    let mut lines = Lines { layers: layers.iter(), last: base_created.clone(), epoch: plan.source_date_epoch };
    history.extend(stages.iter().flat_map(|stage| lines.of(stage)));
    config.created = history.last().and_then(|line| line.created.clone()).or(base_created);
    config.history = history;
    let below = base.map(|base| base.rootfs.diff_ids.clone()).unwrap_or_default();
    config.rootfs.diff_ids = below.into_iter().chain(layers.iter().map(|layer| layer.diff_id)).collect();
    Ok(config.without_empty())
}

fn check(
    plan: &Plan,
    stage: usize,
    stages: &[&PlannedStage],
    base: Option<&ImageConfig>,
    layers: &[AssembledLayer],
) -> Result<(), AssembleError> {
    let number = plan.stages[stage].number;
    let steps: usize = stages.iter().map(|stage| stage.steps.len()).sum();
    let needs_base = matches!(stages[0].base, PlanBase::Image(_));
    if needs_base != base.is_some() {
        return Err(AssembleError::Base { stage: number });
    }
    if steps != layers.len() {
        return Err(AssembleError::LayerCount { stage: number, steps, layers: layers.len() });
    }
    Ok(())
}

/// Returns the history of a base, with as many lines that have a layer as it has layers.
fn base_history(base: &ImageConfig) -> Vec<History> {
    let layers = base.rootfs.diff_ids.len();
    let mut seen = 0;
    let mut history: Vec<History> = base.history.clone();
    for line in history.iter_mut().filter(|line| line.empty_layer != Some(true)) {
        seen += 1;
        if seen > layers {
            line.empty_layer = Some(true);
        }
    }
    let synthesised = || History { created: base.created.clone(), ..crate::plan::synthesised_history() };
    history.extend((seen..layers).map(|_| synthesised()));
    history
}

/// Gives history lines their times.
struct Lines<'a, I: Iterator<Item = &'a AssembledLayer>> {
    /// The layers of the steps to come.
    layers: I,
    /// The time of the line before.
    last: Option<String>,
    epoch: Option<i64>,
}

impl<'a, I: Iterator<Item = &'a AssembledLayer>> Lines<'a, I> {
    fn of(&mut self, stage: &PlannedStage) -> Vec<History> {
        stage.history.iter().map(|line| self.timed(&line.line, line.step.is_some())).collect()
    }

    fn timed(&mut self, line: &History, has_layer: bool) -> History {
        let layer = if has_layer { self.layers.next() } else { None };
        let own = self.epoch.map(Timestamp::from_seconds).or(layer.map(|layer| layer.created));
        if let Some(own) = own {
            self.last = Some(time::rfc3339(own));
        }
        History { created: self.last.clone(), ..line.clone() }
    }
}
