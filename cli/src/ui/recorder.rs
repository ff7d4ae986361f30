//! [`Recorder`]: keeps the last output of each step, for the report of a failing one.

use super::lines::Lines;
use super::watch::Watcher;
use builder::progress::{Event, Outcome, StepId, Stream};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

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
    lines: VecDeque<String>,
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
        Self { name, started: Instant::now(), partial: Default::default(), lines: VecDeque::new() }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        for line in self.partial[stream as usize].push_last(bytes, KEPT) {
            self.keep(&line);
        }
    }

    fn keep(&mut self, line: &str) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:.3} {line}", self.started.elapsed().as_secs_f64()));
    }

    fn finish(mut self) -> FailedLog {
        let rest: Vec<String> = self.partial.iter_mut().filter_map(Lines::flush).collect();
        rest.iter().for_each(|line| self.keep(line));
        FailedLog { name: self.name, lines: self.lines.into() }
    }
}

impl Watcher for Recorder {
    fn see(&self, event: &Event) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).record(event);
    }
}
