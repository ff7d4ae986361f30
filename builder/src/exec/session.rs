//! [`Session`]: one build under way; what its stages share.

use crate::bases::Bases;
use crate::cache::{CacheBackend, Record};
use crate::diagnostic::Diagnostic;
use crate::error::{BuildError, StepError};
use crate::exec::agent::Agents;
use crate::exec::contexts::Contexts;
use crate::exec::failed::FailedRun;
use crate::exec::lazy_worker::LazyWorker;
use crate::exec::made::Made;
use crate::exec::material::Selected;
use crate::exec::pins::Pins;
use crate::exec::remote::Fetched;
use crate::exec::shelf::{Position, Shelf};
use crate::exec::state::{StageCell, State};
use crate::fetch_limits::FetchLimits;
use crate::git_ref::GitRef;
use crate::key::CacheKey;
use crate::plan::Plan;
use crate::plan::op::Remote;
use crate::progress::{Event, ProgressSink, StepId};
use crate::request::{SecretSpec, SshSpec};
use crate::sandbox::limits::RunLimits;
use layerfs::cancel::Cancel;
use layerfs::flight::Flight;
use layerfs::layer::ExecutionId;
use layerfs::meta::Timestamp;
use layerfs::registry::Registries;
use layerfs::store::Store;
use layerfs::trace::{Phase, Trace};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, Once, PoisonError};

/// What a build is told about how to run, apart from its plan.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Stages of the plan whose steps all run again.
    pub no_cache: HashSet<usize>,
    /// What ran for other platforms, and counts for those stages, too.
    pub made: Option<&'a Made>,
    /// How much a command may have.
    pub limits: RunLimits,
    /// How much of what others wrote is taken in.
    pub fetch_limits: FetchLimits,
    /// Whether what a failed command leaves is kept as long as the worker lives.
    pub keep_failed: bool,
    /// At most so many commands at once.
    pub jobs: Option<usize>,
    /// Secrets by id.
    pub secrets: &'a [SecretSpec],
    /// Authorities that replace the system's, for git.
    pub ca_file: Option<&'a Path>,
    /// What git gets of the caller's environment.
    pub git_environment: &'a [(String, OsString)],
    /// SSH agents by id.
    pub ssh: &'a [SshSpec],
    /// Name of the id tier, part of every RUN's key.
    pub tier: &'a str,
    /// The clock: when a step runs.
    pub now: fn() -> Timestamp,
    /// Random names of executions.
    pub random: fn() -> ExecutionId,
    /// What the user should know before the first command runs; the `Once` is of the whole build.
    pub before_commands: (&'a Once, Option<Diagnostic>),
}

/// What a build works on and with.
pub struct Build<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// The images it starts from.
    pub bases: &'a Bases,
    /// How to do it.
    pub settings: &'a Settings<'a>,
    /// Files of the user.
    pub contexts: &'a Contexts,
    /// Where layers are.
    pub store: &'a Store,
    /// Layers in every form.
    pub shelf: &'a Shelf<'a>,
    /// The worker.
    pub worker: &'a LazyWorker<'a>,
    /// Records.
    pub cache: &'a dyn CacheBackend,
    /// Who fetches files of the web.
    pub registries: &'a Registries,
    /// Who listens.
    pub sink: &'a dyn ProgressSink,
    /// What ends it.
    pub cancel: &'a Cancel,
}

/// One build under way.
pub struct Session<'a> {
    /// What it works on and with.
    pub build: Build<'a>,
    pins: Mutex<Pins>,
    runs: Flight<CacheKey, Record>,
    failed: Mutex<Vec<FailedRun>>,
    pub(super) selections: Flight<(usize, usize), Arc<Selected>>,
    pub(super) cells: Vec<StageCell>,
    image_stages: HashSet<usize>,
    slots: Slots,
    pub(super) agents: Agents<'a>,
    pub(super) commits: Flight<GitRef, String>,
    pub(super) remotes: Flight<Remote, Arc<Fetched>>,
    /// How many files of the web were asked for.
    pub(super) files: AtomicUsize,
}

impl<'a> Session<'a> {
    /// Returns a session that has done nothing yet.
    pub fn new(build: Build<'a>) -> Self {
        Self {
            pins: Mutex::default(),
            runs: Flight::default(),
            failed: Mutex::default(),
            selections: Flight::default(),
            cells: build.plan.stages.iter().map(|_| StageCell::default()).collect(),
            image_stages: image_stages(build.plan),
            slots: Slots::new(build.settings.jobs),
            commits: Flight::default(),
            remotes: Flight::default(),
            files: AtomicUsize::default(),
            agents: Agents::new(build.settings.ssh, build.store.temporary()),
            build,
        }
    }

    /// Builds every stage and returns the state of the target.
    ///
    /// First every stage, in order, tries to end on records alone, so that a stage whose last record stands never runs
    /// a step of its own just because another had to. Then those that did not end run side by side.
    ///
    /// # Errors
    /// The earliest failure in the order of the Dockerfile.
    pub fn run(&self) -> Result<State, BuildError> {
        for stage in 0..self.build.plan.stages.len() {
            if let Some(state) = self.probe(stage)? {
                self.cells[stage].set(Some(state));
            }
        }
        let failures: Mutex<Vec<BuildError>> = Mutex::default();
        std::thread::scope(|scope| {
            for (stage, cell) in self.cells.iter().enumerate() {
                if cell.peek().is_none() {
                    let failures = &failures;
                    scope.spawn(move || self.run_and_settle(stage, scope, failures));
                }
            }
        });
        let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.sort_by_key(BuildError::rank);
        match failures.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(self.cells[self.build.plan.target].peek().expect("a build without failure ends every stage")),
        }
    }

    fn run_and_settle<'scope>(
        &'scope self,
        stage: usize,
        scope: &'scope std::thread::Scope<'scope, '_>,
        failures: &Mutex<Vec<BuildError>>,
    ) {
        let settle = Settle(&self.cells[stage]);
        match self.run_stage(stage, scope) {
            Ok(Some(state)) => settle.0.set(Some(state)),
            Ok(None) => {}
            Err(error) => {
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                self.cancel_others();
            }
        }
    }

    /// Ends the other stages after a failure.
    fn cancel_others(&self) {
        self.build.cancel.cancel();
    }

    /// Returns the record of `key` that this build may use in `stage`: the pinned one, or one in the cache that agrees with the
    /// pins and whose layers are all there. What is returned is pinned.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn usable_record(&self, stage: usize, key: &CacheKey) -> Result<Option<Record>, StepError> {
        if let Some(record) = self.lock_pins().get(key) {
            return Ok(Some(record));
        }
        let is_to_run = self.build.settings.no_cache.contains(&stage);
        if is_to_run && self.build.settings.made.is_none() {
            return Ok(None);
        }
        let Some(record) = self.build.cache.get(key)? else { return Ok(None) };
        if is_to_run && self.build.settings.made.is_none_or(|made| !made.has(record.execution)) {
            return Ok(None);
        }
        if !self.build.shelf.are_available(&record.stack)? {
            return Ok(None);
        }
        Ok(self.lock_pins().take(&record).then_some(record))
    }

    /// Returns the record of `key`, running `execute` if there is none; a key runs once, however many stages and
    /// processes ask. The flag says whether it ran in this call.
    ///
    /// # Errors
    /// What `execute` failed with; the store's.
    pub(super) fn record_or_run(
        &self,
        stage: usize,
        key: CacheKey,
        execute: impl FnOnce() -> Result<Record, StepError>,
    ) -> Result<(Record, bool), StepError> {
        let mut ran = false;
        let record = self.runs.get_or_try(key, || {
            let waiting = self.trace().begin(Phase::Waiting, || format!("turn of {key}"));
            let turn = self.build.cache.lock(&key, &|| self.build.cancel.is_cancelled())?;
            drop(waiting);
            let _turn = turn.ok_or(StepError::Cancelled)?;
            if let Some(record) = self.usable_record(stage, &key)? {
                return Ok(record);
            }
            if self.build.settings.no_cache.contains(&stage) {
                self.strike(&key)?;
            }
            let waiting = self.trace().begin(Phase::Waiting, || "free slot".to_owned());
            let _slot = self.slots.take();
            drop(waiting);
            let record = execute()?;
            ran = true;
            self.build.cache.put(&record)?;
            self.build.settings.made.inspect(|made| made.note(record.execution));
            assert!(self.lock_pins().take(&record), "a key that was not pinned has no other execution");
            Ok::<_, StepError>(record)
        })?;
        Ok((record, ran))
    }

    /// Returns who is told where the time goes.
    pub(super) fn trace(&self) -> &Trace {
        self.build.store.trace()
    }

    /// Notes what a failed command left.
    pub(super) fn note_failed(&self, failed: FailedRun) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
    }

    /// Takes what the failed command of the step `id` left, if it was kept.
    pub fn take_failed(&self, id: StepId) -> Option<FailedRun> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let at = failed.iter().position(|failed| failed.id == id)?;
        Some(failed.swap_remove(at))
    }

    /// Says what the user should know of commands, before the first one of the build.
    pub(super) fn tell_before_commands(&self) {
        let (once, warning) = &self.build.settings.before_commands;
        if let Some(warning) = warning {
            once.call_once(|| self.build.sink.event(Event::Warning(warning.clone())));
        }
    }

    /// Strikes the record of `key` and all that descend from it.
    fn strike(&self, key: &CacheKey) -> Result<(), StepError> {
        if let Some(old) = self.build.cache.get(key)? {
            self.build.cache.strike(&[old.execution])?;
        }
        Ok(())
    }

    /// Returns where the layer of a step goes.
    pub(super) fn position(&self, stage: usize, at: usize) -> Position {
        let plan = self.build.plan;
        match self.image_stages.contains(&stage) {
            true if stage == plan.target && at + 1 == plan.stages[stage].steps.len() => Position::Top,
            true => Position::Below,
            false => Position::Outside,
        }
    }

    fn lock_pins(&self) -> std::sync::MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles a cell with failure if its stage ends in any other way than well.
struct Settle<'a>(&'a StageCell);

impl Drop for Settle<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// Returns the target and the stages it is made of through FROM.
fn image_stages(plan: &Plan) -> HashSet<usize> {
    let mut stages = HashSet::new();
    let mut at = Some(plan.target);
    while let Some(stage) = at {
        stages.insert(stage);
        at = match plan.stages[stage].base {
            crate::plan::PlanBase::Stage(below) => Some(below),
            _ => None,
        };
    }
    stages
}

/// Counts steps that run at once.
#[derive(Debug)]
struct Slots {
    free: Mutex<Option<usize>>,
    changed: std::sync::Condvar,
}

impl Slots {
    fn new(limit: Option<usize>) -> Self {
        Self { free: Mutex::new(limit), changed: std::sync::Condvar::new() }
    }

    /// Waits for a free slot; without a limit there always is one.
    fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == Some(0) {
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(count) = &mut *free {
            *count -= 1;
        }
        Slot(self)
    }
}

struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Some(count) = &mut *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) {
            *count += 1;
        }
        self.0.changed.notify_one();
    }
}
