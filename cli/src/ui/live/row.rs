//! [`Row`]: one step, as the view knows it.

use super::super::lines::Lines;
use super::super::terminal_line::terminal_line;
use super::super::text::visible;
use builder::progress::{Outcome, StepId, Stream};
use std::collections::VecDeque;
use std::time::Duration;

/// Lines that are kept of a step that runs.
const KEPT: usize = 6;

/// One step.
#[derive(Debug)]
pub(super) struct Row {
    /// Which.
    pub step: StepId,
    /// Its name, safe to show.
    pub name: String,
    /// When it began, since the view did.
    pub started: Duration,
    /// How it ended.
    pub end: Option<End>,
    /// What is moved for it.
    pub transfers: Vec<Transfer>,
    /// Its last lines that ended, safe to show.
    ended: VecDeque<String>,
    partial: [Lines; 2],
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was in the cache.
    Cached,
    /// Well, after so long.
    Done(Duration),
    /// Not well.
    Failed(Duration),
    /// It was ended.
    Cancelled(Duration),
}

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// What, safe to show.
    pub what: String,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
    first: (Duration, u64),
    last: Duration,
}

impl Transfer {
    /// Returns bytes a second since it was first heard of; nothing for the first moment.
    pub fn rate(&self) -> Option<u64> {
        let (began, already) = self.first;
        let seconds = self.last.saturating_sub(began).as_secs_f64();
        (seconds >= 0.1).then(|| (self.done.saturating_sub(already) as f64 / seconds) as u64)
    }

    /// Reports whether everything has arrived.
    pub fn is_done(&self) -> bool {
        self.total == Some(self.done)
    }
}

impl Row {
    pub fn new(step: StepId, name: &str, now: Duration) -> Self {
        Self {
            step,
            name: visible(name).replace('\t', " "),
            started: now,
            end: None,
            transfers: Vec::new(),
            ended: VecDeque::new(),
            partial: Default::default(),
        }
    }

    pub fn cached(step: StepId, name: &str, now: Duration) -> Self {
        Self { end: Some(End::Cached), ..Self::new(step, name, now) }
    }

    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let ended = &mut self.ended;
        self.partial[stream as usize].last(bytes, KEPT, |line| {
            if ended.len() == KEPT {
                ended.pop_front();
            }
            ended.push_back(terminal_line(line));
        });
    }

    /// Returns its last lines, at most `most`: what was written of the next one, too, as progress bars and questions are.
    pub fn tail(&self, most: usize) -> Vec<String> {
        let unfinished = self.partial.iter().map(|lines| terminal_line(lines.unfinished()));
        let unfinished = unfinished.filter(|line| !line.is_empty());
        let lines: Vec<String> = self.ended.iter().cloned().chain(unfinished).collect();
        lines[lines.len().saturating_sub(most)..].to_vec()
    }

    pub fn moved(&mut self, what: &str, done: u64, total: Option<u64>, now: Duration) {
        let what = visible(what);
        match self.transfers.iter_mut().find(|transfer| transfer.what == what) {
            Some(known) => (known.done, known.total, known.last) = (done, total, now),
            None => self.transfers.push(Transfer { what, done, total, first: (now, done), last: now }),
        }
    }

    pub fn finish(&mut self, took: Duration, outcome: &Outcome) {
        self.end = Some(match outcome {
            Outcome::Done => End::Done(took),
            Outcome::Failed(_) => End::Failed(took),
            Outcome::Cancelled => End::Cancelled(took),
        });
        // What ended well is told in one line.
        self.ended.clear();
        self.partial = Default::default();
        self.transfers.clear();
    }

    /// Reports whether it ended as it should.
    pub fn is_done(&self) -> bool {
        matches!(self.end, Some(End::Cached | End::Done(_)))
    }

    /// Reports whether it is of the Dockerfile.
    pub fn is_of_the_plan(&self) -> bool {
        self.step.stage != StepId::INTERNAL
    }
}
