//! [`Recorder`]: keeps the last output of each step, for the report of a failing one.

use super::lines::Lines;
use super::terminal_line::terminal_line;
use super::watch::Watcher;
use builder::progress::{Event, Outcome, StepId, Stream};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines that are kept of a step.
const KEPT: usize = 20;

/// Keeps the last output of each step that runs.
#[derive(Debug, Default)]
pub struct Recorder {
    steps: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<StepId, Log>,
    failed: Vec<(StepId, FailedLog)>,
}

#[derive(Debug)]
struct Log {
    name: String,
    started: Instant,
    partial: [Lines; 2],
    tail: Tail,
    /// Whether there were more lines than are kept.
    more: bool,
}

/// Lines as they came, each with the time since the step began. Nothing is made of them until they are told: most never are.
#[derive(Debug, Default)]
struct Tail(VecDeque<(Duration, Vec<u8>)>);

impl Tail {
    /// Keeps a line, and reports whether another one had to go.
    fn keep(&mut self, at: Duration, line: &[u8]) -> bool {
        let old = if self.0.len() == KEPT { self.0.pop_front() } else { None };
        let is_full = old.is_some();
        let mut room = old.map(|(_, old)| old).unwrap_or_default();
        room.clear();
        room.extend_from_slice(line);
        self.0.push_back((at, room));
        is_full
    }

    fn told(self) -> Vec<String> {
        let line = |(at, line): (Duration, Vec<u8>)| format!("{:.3} {}", at.as_secs_f64(), terminal_line(&line));
        self.0.into_iter().map(line).collect()
    }
}

/// The last output of a step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailedLog {
    /// The step's name, as shown.
    pub name: String,
    /// Its last lines, each with its time.
    pub lines: Vec<String>,
    /// What `lbuild logs` calls the step, if it wrote more lines than these.
    pub more: Option<String>,
}

impl Recorder {
    /// Returns the last output of the failed step that comes first in the Dockerfile.
    pub fn finish(self) -> Option<FailedLog> {
        let state = self.steps.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.into_iter().min_by_key(|(step, _)| *step).map(|(_, log)| log)
    }
}

impl State {
    fn record(&mut self, event: &Event) {
        match event {
            Event::StepStarted { step, name } => {
                self.running.insert(*step, Log::new(name.clone()));
            }
            Event::Output { step, stream, bytes } => {
                if let Some(log) = self.running.get_mut(step) {
                    log.push(*stream, bytes);
                }
            }
            Event::StepFinished { step, outcome, .. } => {
                let log = self.running.remove(step);
                if let (Outcome::Failed(_), Some(log)) = (outcome, log) {
                    self.failed.push((*step, log.finish(*step)));
                }
            }
            Event::PlanReady { .. }
            | Event::StepCached { .. }
            | Event::Transfer { .. }
            | Event::Waiting { .. }
            | Event::Warning(_) => {}
        }
    }
}

impl Log {
    fn new(name: String) -> Self {
        Self { name, started: Instant::now(), partial: Default::default(), tail: Tail::default(), more: false }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let at = self.started.elapsed();
        let mut went = false;
        let are_all = self.partial[stream as usize].last(bytes, KEPT, |line| went |= self.tail.keep(at, line));
        self.more |= went || !are_all;
    }

    fn finish(mut self, step: StepId) -> FailedLog {
        let at = self.started.elapsed();
        for lines in &mut self.partial {
            lines.flush(|line| self.more |= self.tail.keep(at, line));
        }
        FailedLog { name: self.name, lines: self.tail.told(), more: self.more.then(|| step.to_string()) }
    }
}

impl Watcher for Recorder {
    fn see(&self, event: &Event) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).record(event);
    }
}
