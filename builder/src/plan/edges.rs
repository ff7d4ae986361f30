//! Which step of a plan waits for which.

use super::op::{From, Op};
use super::read::sources;
use super::{Plan, PlanBase};
use crate::progress::StepId;

impl Op {
    /// Returns the stages whose files the step reads: indexes into [`Plan::stages`].
    pub(crate) fn stages_read(&self) -> Vec<usize> {
        let stage = |from: &From| if let From::Stage(stage) = from { Some(*stage) } else { None };
        sources(self).filter_map(stage).collect()
    }
}

impl Plan {
    /// Returns the steps that may run, in the order of the Dockerfile, with the names to show.
    pub fn step_names(&self) -> Vec<(StepId, String)> {
        let stages = self.stages.iter();
        stages
            .flat_map(|stage| {
                let steps = stage.steps.iter().enumerate();
                steps.map(|(at, step)| (StepId { stage: stage.number, step: at }, step.name.clone()))
            })
            .collect()
    }

    /// Returns which step waits for which other one, directly, the earlier one first.
    pub fn edges(&self) -> Vec<(StepId, StepId)> {
        let mut edges = Vec::new();
        for (number, stage) in self.stages.iter().enumerate() {
            for (at, step) in stage.steps.iter().enumerate() {
                let own = StepId { stage: stage.number, step: at };
                let read = step.op.stages_read().into_iter().filter_map(|stage| self.last_step(stage));
                edges.extend(read.chain(self.before(number, at)).map(|earlier| (earlier, own)));
            }
        }
        edges
    }

    /// Returns the step before the step `at` of a stage, be it one of the stage below.
    fn before(&self, stage: usize, at: usize) -> Option<StepId> {
        match (at.checked_sub(1), &self.stages[stage].base) {
            (Some(before), _) => Some(StepId { stage: self.stages[stage].number, step: before }),
            (None, PlanBase::Stage(below)) => self.last_step(*below),
            (None, _) => None,
        }
    }

    /// Returns the last step that a stage stands on.
    fn last_step(&self, stage: usize) -> Option<StepId> {
        self.before(stage, self.stages[stage].steps.len())
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::testing::case;

    #[test]
    fn a_step_waits_for_the_one_before_it_and_for_the_stages_it_reads() {
        let plan = case(
            "FROM scratch AS a\nWORKDIR /x\nCOPY f /\nFROM a AS b\nFROM b\nRUN --mount=from=a,target=/m [\"x\"]\n\
             COPY --from=b f /\n",
        );
        let (plan, _) = plan.plan().map_err(|error| error.diagnose()).expect("a plan");
        let shown: Vec<String> = plan.edges().iter().map(|(one, next)| format!("{one}->{next}")).collect();
        assert_eq!(shown, ["0.0->0.1", "0.1->2.0", "0.1->2.0", "0.1->2.1", "2.0->2.1"]);
        assert_eq!(plan.step_names()[2].1, "[stage-2 1/2] RUN --mount=from=a,target=/m [\"x\"]");
    }
}
