//! [`StepRun`]: one step under way, from its key to its record.

use crate::cache::{RECORD_VERSION, Record};
use crate::error::StepError;
use crate::exec::session::Session;
use crate::exec::stage::StepKey;
use crate::exec::state::State;
use crate::plan::op::Op;
use crate::progress::StepId;
use layerfs::layer::{Layer, LayerKey};

/// One step under way.
pub(super) struct StepRun<'a> {
    /// The build.
    pub session: &'a Session<'a>,
    /// Index of its stage in the plan.
    pub stage: usize,
    /// Its number in the stage.
    pub at: usize,
    /// Its name for events.
    pub id: StepId,
    /// Where the stage stands before it.
    pub state: &'a State,
    /// Its key.
    pub key: &'a StepKey,
}

impl StepRun<'_> {
    /// Runs the step and returns its record, which is not filed yet.
    ///
    /// # Errors
    /// Whatever the step fails with.
    pub fn execute(&self) -> Result<Record, StepError> {
        let execution = (self.session.build.settings.random)();
        let key = LayerKey::Execution(execution);
        // Before it is published, or a prune takes half of it away.
        self.session.build.shelf.hold_layer(key)?;
        match &self.session.build.plan.stages[self.stage].steps[self.at].op {
            Op::Run(run) => self.run(run, key)?,
            Op::Copy(copy) => self.copy(copy, key)?,
            Op::Workdir(workdir) => self.workdir(workdir, key)?,
        }
        let mut stack = self.state.stack.clone();
        stack.push(Layer::Built { execution, created: (self.session.build.settings.now)() });
        Ok(Record {
            version: RECORD_VERSION,
            key: self.key.key,
            execution,
            ancestors: self.state.chain.clone(),
            stack,
            components: self.key.components.clone(),
        })
    }
}
