//! [`Chronicle`]: where the time of a build went, for `--trace`; docs/trace.md describes the file.

mod file;
mod lanes;
mod print;

pub use file::TraceFile;

use crate::ui::{Watcher, visible};
use builder::progress::{Event, Outcome, StepId};
use lanes::Place;
use layerfs::trace::{Phase, Span, Tracer, now};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Waits that are shorter say nothing.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

/// Keeps where the time of a build goes: its steps, as events tell of them, and the spans of the core.
#[derive(Debug)]
pub struct Chronicle {
    began: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    running: BTreeMap<StepId, Running>,
}

/// A step that has not ended.
#[derive(Debug)]
struct Running {
    name: String,
    began: Duration,
    /// Bytes that were moved for it, by what is moved.
    moved: HashMap<String, u64>,
}

/// Something that took a while, or a moment of nothing's length.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    place: Place,
    began: Duration,
    took: Duration,
    category: &'static str,
    name: String,
    details: Map<String, Value>,
}

impl Chronicle {
    /// Returns a chronicle that begins now.
    pub fn new() -> Self {
        Self { began: now(), state: Mutex::default() }
    }

    /// Returns the trace as JSON, in the order of the beginnings; steps that have not ended end here.
    pub fn print(&self) -> String {
        let mut state = self.lock();
        while let Some((step, running)) = state.running.pop_first() {
            let entry = running.ended(step, &Outcome::Cancelled);
            state.entries.push(entry);
        }
        print::json(&mut state.entries, self.began)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn see(&mut self, event: &Event) {
        match event {
            Event::StepStarted { step, name } => {
                let running = Running { name: visible(name), began: now(), moved: HashMap::new() };
                self.running.insert(*step, running);
            }
            Event::Transfer { step, what, done, .. } => {
                if let Some(running) = self.running.get_mut(step) {
                    running.moved.insert(what.clone(), *done);
                }
            }
            Event::StepFinished { step, outcome, .. } => {
                let ended = self.running.remove(step).map(|running| running.ended(*step, outcome));
                self.entries.extend(ended);
            }
            Event::StepCached { step, name } => self.entries.push(Entry {
                place: Place::Step(*step),
                began: now(),
                took: Duration::ZERO,
                category: "cached",
                name: visible(name),
                details: Map::from_iter([("step".to_owned(), json!(step.to_string()))]),
            }),
            Event::Waiting { host, why, wait } => self.entries.push(Entry {
                place: Place::Waits,
                began: now(),
                took: *wait,
                category: Phase::Waiting.name(),
                name: format!("{host}: {why}"),
                details: Map::new(),
            }),
            Event::PlanReady { .. } | Event::Output { .. } | Event::Warning(_) => {}
        }
    }
}

impl Running {
    fn ended(self, step: StepId, outcome: &Outcome) -> Entry {
        let took = now().saturating_sub(self.began);
        let mut details = Map::from_iter([("step".to_owned(), json!(step.to_string()))]);
        if !self.moved.is_empty() {
            details.insert("bytes".to_owned(), json!(self.moved.values().sum::<u64>()));
        }
        match outcome {
            Outcome::Done => {}
            Outcome::Failed(why) => drop(details.insert("failed".to_owned(), json!(visible(why)))),
            Outcome::Cancelled => drop(details.insert("cancelled".to_owned(), json!(true))),
        }
        let category = category(step, &self.name);
        Entry { place: Place::Step(step), began: self.began, took, category, name: self.name, details }
    }
}

/// Returns what the time of a step goes into as a whole.
fn category(step: StepId, name: &str) -> &'static str {
    match step.stage {
        _ if step.is_fetch() => Phase::Pulling.name(),
        StepId::INTERNAL if name.starts_with("pushing ") => Phase::Pushing.name(),
        StepId::INTERNAL => Phase::Exporting.name(),
        _ => "step",
    }
}

impl Watcher for Chronicle {
    fn see(&self, event: &Event) {
        self.lock().see(event);
    }
}

impl Tracer for Chronicle {
    fn span(&self, span: Span) {
        if span.phase == Phase::Waiting && span.took < SHORTEST_WAIT {
            return;
        }
        let mut details = Map::new();
        if let Some(bytes) = span.bytes {
            details.insert("bytes".to_owned(), json!(bytes));
        }
        if let Some(cpu) = span.cpu {
            details.insert("cpu_us".to_owned(), json!(cpu.as_micros()));
        }
        let place = Place::Thread { in_worker: span.in_worker, number: span.thread };
        let name = format!("{} {}", span.phase.name(), visible(&span.what));
        let (began, took, category) = (span.began, span.took, span.phase.name());
        self.lock().entries.push(Entry { place, began, took, category, name, details });
    }
}

#[cfg(test)]
mod tests;
