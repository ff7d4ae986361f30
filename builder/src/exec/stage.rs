//! How one stage gets from its base to its end: the deepest record, then the steps after it.

use crate::cache::Record;
use crate::error::{BuildError, StepError};
use crate::exec::session::Session;
use crate::exec::shelf::Position;
use crate::exec::state::{StageCell, State};
use crate::exec::step::StepRun;
use crate::key::{self, CacheKey, Component};
use crate::plan::op::Op;
use crate::plan::{PlanBase, Step};
use crate::progress::{Event, Outcome, StepId};
use layerfs::layer::Layer;
use layerfs::trace::Phase;
use std::collections::VecDeque;
use std::thread::Scope;
use std::time::Instant;

/// The key of a step, with what it was made of.
#[derive(Debug, Clone)]
pub(super) struct StepKey {
    pub(super) key: CacheKey,
    pub(super) components: Vec<Component>,
}

impl Session<'_> {
    /// Returns the end of a stage if records alone lead there; runs nothing.
    ///
    /// # Errors
    /// What working out its keys failed with.
    pub(super) fn probe(&self, stage: usize) -> Result<Option<State>, BuildError> {
        let Some(mut state) = self.base_state(stage, |cell| cell.peek()) else { return Ok(None) };
        let count = self.build.plan.stages[stage].steps.len();
        let keys = self.keys_from(stage, 0, state.key)?;
        if keys.len() < count {
            return Ok(None);
        }
        let Some(last) = keys.last() else { return Ok(Some(state)) };
        let record = self.usable_record(stage, &last.key).map_err(|error| self.failure(stage, count - 1, error))?;
        let Some(record) = record else { return Ok(None) };
        state = state.after(&record);
        (0..count).for_each(|step| self.report_cached(stage, step));
        Ok(Some(state))
    }

    /// Brings a stage to its end; nothing if a stage that it reads failed.
    ///
    /// # Errors
    /// The step that failed.
    pub(super) fn run_stage<'scope>(
        &'scope self,
        stage: usize,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Option<State>, BuildError> {
        let Some(mut state) = self.base_state(stage, |cell| self.wait(cell)) else { return Ok(None) };
        let steps = &self.build.plan.stages[stage].steps;
        // Keys of the steps from `at` on, which were looked for once: a stage of hundreds of steps has as many of each.
        let (mut at, mut keys) = (0, VecDeque::new());
        while at < steps.len() {
            self.check_cancelled(stage, at)?;
            let known = at + keys.len();
            let parent = keys.back().map_or(state.key, |last: &StepKey| last.key);
            let more = self.keys_from(stage, known, parent)?;
            let deepest = self.deepest(stage, known, &more)?;
            keys.extend(more);
            if keys.is_empty() {
                if !self.wait_for_sources(&steps[at].op) {
                    return Ok(None);
                }
                continue;
            }
            let (record, done) = match deepest {
                Some((record, last)) => {
                    (at..=last).for_each(|step| self.report_cached(stage, step));
                    (record, last + 1 - at)
                }
                None => (self.run_step(stage, at, &keys[0], &state)?, 1),
            };
            state = state.after(&record);
            at += done;
            keys.drain(..done);
            self.begin_tar(self.position(stage, at - 1), &state, scope);
        }
        Ok(Some(state))
    }

    /// Returns where a stage begins; nothing if the stage it starts from has no end (yet).
    fn base_state(&self, stage: usize, end: impl Fn(&StageCell) -> Option<State>) -> Option<State> {
        let platform = &self.build.plan.stages[stage].platform;
        match self.build.plan.stages[stage].base {
            PlanBase::Scratch => Some(State::base(key::scratch_key(platform).0, Vec::new())),
            PlanBase::Stage(below) => end(&self.cells[below]),
            PlanBase::Image(number) => {
                let base = &self.build.bases.images[number];
                let diff_ids = &base.image.config.rootfs.diff_ids;
                Some(State::base(key::base_key(diff_ids, platform).0, self.base_layers(number)))
            }
        }
    }

    /// Returns the layers of an image of this build.
    pub(super) fn base_layers(&self, number: usize) -> Vec<Layer> {
        Layer::of_image(&self.build.bases.images[number].image)
    }

    /// Returns the keys of the steps from `start` on, as far as they can be known while some stages have not ended.
    fn keys_from(&self, stage: usize, start: usize, parent: CacheKey) -> Result<Vec<StepKey>, BuildError> {
        let steps = &self.build.plan.stages[stage].steps;
        let (mut keys, mut key) = (Vec::new(), parent);
        for (at, step) in steps.iter().enumerate().skip(start) {
            if !step.op.stages_read().into_iter().all(|source| self.cells[source].peek().is_some()) {
                break;
            }
            let made = self.step_key(stage, at, key).map_err(|error| self.failure(stage, at, error))?;
            key = made.key;
            keys.push(made);
        }
        Ok(keys)
    }

    /// Returns the deepest of the steps from `start` on, whose keys are `keys`, that has a usable record.
    fn deepest(&self, stage: usize, start: usize, keys: &[StepKey]) -> Result<Option<(Record, usize)>, BuildError> {
        for (depth, step) in keys.iter().enumerate().rev() {
            let record =
                self.usable_record(stage, &step.key).map_err(|error| self.failure(stage, start + depth, error))?;
            if let Some(record) = record {
                return Ok(Some((record, start + depth)));
            }
        }
        Ok(None)
    }

    fn run_step(&self, stage: usize, at: usize, key: &StepKey, state: &State) -> Result<Record, BuildError> {
        let step = &self.build.plan.stages[stage].steps[at];
        let id = self.step_id(stage, at);
        let began = Instant::now();
        let run = StepRun { session: self, stage, at, id, state, key };
        let result = self.record_or_run(stage, key.key, || {
            self.build.sink.event(Event::StepStarted { step: id, name: step.name.clone() });
            run.execute()
        });
        let finish = |outcome| self.build.sink.event(Event::StepFinished { step: id, took: began.elapsed(), outcome });
        match result {
            Ok((record, true)) => {
                finish(Outcome::Done);
                Ok(record)
            }
            Ok((record, false)) => {
                self.report_cached(stage, at);
                Ok(record)
            }
            Err(error) => {
                let cancelled = matches!(error, StepError::Cancelled) || self.build.cancel.is_cancelled();
                finish(if cancelled { Outcome::Cancelled } else { Outcome::Failed(error.to_string()) });
                Err(self.failure(stage, at, error))
            }
        }
    }

    /// Begins to write the tar of a state's last layer beside what comes next, if the image will hold it.
    fn begin_tar<'scope>(&'scope self, position: Position, state: &State, scope: &'scope Scope<'scope, '_>) {
        if position == Position::Outside {
            return;
        }
        if let Some(Layer::Built { execution, .. }) = state.stack.last() {
            let execution = *execution;
            scope.spawn(move || {
                if self.build.shelf.begin_tar(execution, position).is_err() {
                    // Whoever needs the blob at the end asks again, and gets the error with its place.
                }
            });
        }
    }

    /// Waits for the stages that a step reads; false if one of them failed.
    fn wait_for_sources(&self, op: &Op) -> bool {
        op.stages_read().into_iter().all(|source| self.wait(&self.cells[source]).is_some())
    }

    /// Waits for a stage to end.
    fn wait(&self, cell: &StageCell) -> Option<State> {
        let _waiting = self.trace().begin(Phase::Waiting, || "another stage".to_owned());
        cell.wait()
    }

    fn check_cancelled(&self, stage: usize, at: usize) -> Result<(), BuildError> {
        if self.build.cancel.is_cancelled() { Err(self.failure(stage, at, StepError::Cancelled)) } else { Ok(()) }
    }

    /// Returns an error of a step with its place.
    pub(super) fn failure(&self, stage: usize, at: usize, error: StepError) -> BuildError {
        let Step { op, span, name } = &self.build.plan.stages[stage].steps[at];
        let source = match (op, &error) {
            (Op::Copy(copy), StepError::Copy(error)) => error.source_text().and_then(|text| copy.span_of(text)),
            _ => None,
        };
        let span = source.unwrap_or(*span);
        BuildError::Step { span, name: name.clone(), id: self.step_id(stage, at), error: Box::new(error) }
    }

    fn step_id(&self, stage: usize, at: usize) -> StepId {
        StepId { stage: self.build.plan.stages[stage].number, step: at }
    }

    fn report_cached(&self, stage: usize, at: usize) {
        let name = self.build.plan.stages[stage].steps[at].name.clone();
        self.build.sink.event(Event::StepCached { step: self.step_id(stage, at), name });
    }
}
