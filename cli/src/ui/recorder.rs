//! [`Recorder`]: keeps the last output of each step, for the report of a failing one.

use super::lines::Lines;
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
}

/// Lines as they came, each with the time since the step began. Nothing is made of them until they are told: most never are.
#[derive(Debug, Default)]
struct Tail(VecDeque<(Duration, Vec<u8>)>);

impl Tail {
    fn keep(&mut self, at: Duration, line: &[u8]) {
        let mut room =
            if self.0.len() == KEPT { self.0.pop_front().map(|(_, old)| old) } else { None }.unwrap_or_default();
        room.clear();
        room.extend_from_slice(line);
        self.0.push_back((at, room));
    }

    fn told(self) -> Vec<String> {
        let line =
            |(at, line): (Duration, Vec<u8>)| format!("{:.3} {}", at.as_secs_f64(), String::from_utf8_lossy(&line));
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
                    self.failed.push((*step, log.finish()));
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
        Self { name, started: Instant::now(), partial: Default::default(), tail: Tail::default() }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let at = self.started.elapsed();
        self.partial[stream as usize].last(bytes, KEPT, |line| self.tail.keep(at, line));
    }

    fn finish(mut self) -> FailedLog {
        let at = self.started.elapsed();
        self.partial.iter_mut().for_each(|lines| lines.flush(|line| self.tail.keep(at, line)));
        FailedLog { name: self.name, lines: self.tail.told() }
    }
}

impl Watcher for Recorder {
    fn see(&self, event: &Event) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).record(event);
    }
}
