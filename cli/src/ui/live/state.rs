//! [`State`]: what the view shows.

use super::super::text::{visible, waiting};
use super::row::Row;
use builder::progress::{Event, StepId};
use std::time::Duration;

/// What the view shows.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The steps, in the order in which they were heard of.
    pub rows: Vec<Row>,
    /// What the user should look at, safe to show.
    pub warnings: Vec<String>,
    /// The registry that is let be, and until when.
    pub waiting: Option<(Duration, String)>,
    /// Steps of the plan.
    pub total: usize,
}

impl State {
    /// Takes an event that came `now`, since the view began.
    pub fn take(&mut self, event: Event, now: Duration) {
        match event {
            // Each platform has a plan of its own.
            Event::PlanReady { steps, .. } => self.total += steps.len(),
            Event::StepStarted { step, name } => self.rows.push(Row::new(step, &name, now)),
            Event::StepCached { step, name } => self.rows.push(Row::cached(step, &name, now)),
            Event::Output { step, stream, bytes } => self.with(step, |row| row.push(stream, &bytes)),
            Event::StepFinished { step, took, outcome } => self.with(step, |row| row.finish(took, &outcome)),
            Event::Transfer { step, what, done, total } => self.with(step, |row| row.moved(&what, done, total, now)),
            Event::Waiting { host, why, wait } => {
                self.waiting = Some((now + wait, visible(&waiting(&host, &why, wait))));
            }
            Event::Warning(warning) => self.warnings.push(visible(&warning.message)),
        }
    }

    fn with(&mut self, step: StepId, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.rows.iter_mut().rev().find(|row| row.step == step) {
            change(row);
        }
    }
}
