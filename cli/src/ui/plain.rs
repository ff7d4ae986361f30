//! [`Plain`]: one line per event, in BuildKit's form (FEATURES 3.3-2).
//!
//! ```text
//! #1 [build 2/5] RUN make
//! #1 0.123 a line that the command wrote
//! #1 ...
//!
//! #2 [other 2/3] RUN sleep 1
//! #2 CACHED
//! ```
//!
//! A step has the number in whose order it was first heard of. What commands write is passed on as it is, escape
//! sequences included: this form is for logs.

use super::lines::Lines;
use super::watch::Screen;
use builder::diagnostic::Diagnostic;
use builder::progress::{Event, Outcome, ProgressSink, StepId, Stream};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of output that are shown by one write, before their lines have got what stands before them.
const PART: usize = 64 << 10;

/// Shows one line per event.
pub struct Plain {
    state: Mutex<State>,
}

type Clock = Box<dyn Fn() -> Duration + Send>;

struct State {
    out: Box<dyn Write + Send>,
    clock: Clock,
    steps: BTreeMap<StepId, Step>,
    /// The step whose lines were shown last, if it has not ended.
    current: Option<StepId>,
    /// Whether anything was shown yet.
    begun: bool,
    /// What is about to be written.
    text: Vec<u8>,
}

struct Step {
    number: usize,
    name: String,
    started: Duration,
    partial: [Lines; 2],
}

impl Step {
    /// Returns what stands before a line that comes now.
    fn before(&self, now: Duration) -> String {
        format!("#{} {:.3} ", self.number, now.saturating_sub(self.started).as_secs_f64())
    }
}

impl Plain {
    /// Returns a view on `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        let start = Instant::now();
        Self::with_clock(out, move || start.elapsed())
    }

    /// Returns a view on `out` for which `clock` tells the time since some moment.
    pub fn with_clock(out: impl Write + Send + 'static, clock: impl Fn() -> Duration + Send + 'static) -> Self {
        let (out, clock) = (Box::new(out), Box::new(clock));
        let state = State { out, clock, steps: BTreeMap::new(), current: None, begun: false, text: Vec::new() };
        Self { state: Mutex::new(state) }
    }
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain").finish_non_exhaustive()
    }
}

impl Screen for Plain {
    fn as_sink(&self) -> &dyn ProgressSink {
        self
    }
}

impl ProgressSink for Plain {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A screen that is gone must not end the build.
        if state.show(event).is_err() {
            state.out = Box::new(std::io::sink());
        }
    }
}

impl State {
    fn show(&mut self, event: Event) -> std::io::Result<()> {
        match event {
            Event::PlanReady { .. } => Ok(()),
            Event::StepStarted { step, name } => self.started(step, name),
            Event::StepCached { step, name } => self.cached(step, name),
            Event::Output { step, stream, bytes } => self.output(step, stream, &bytes),
            Event::StepFinished { step, took, outcome } => self.finished(step, took, &outcome),
            Event::Transfer { step, what, done, total } => self.transfer(step, &what, done, total),
            Event::Waiting { host, why, wait } => {
                writeln!(self.out, "WAIT: {}", super::text::waiting(&host, &why, wait))
            }
            Event::Warning(warning) => self.warning(&warning),
        }
    }

    fn add(&mut self, step: StepId, name: String) {
        let (number, started) = (self.steps.len() + 1, (self.clock)());
        self.steps.entry(step).or_insert(Step { number, name, started, partial: Default::default() });
    }

    fn started(&mut self, step: StepId, name: String) -> std::io::Result<()> {
        self.add(step, name);
        self.turn_to(step)
    }

    fn cached(&mut self, step: StepId, name: String) -> std::io::Result<()> {
        self.add(step, name);
        self.line(step, "CACHED")?;
        self.current = None;
        Ok(())
    }

    /// Shows all lines of a part at once: one write, or one look at the clock, for each would cost more than the command.
    fn output(&mut self, step: StepId, stream: Stream, bytes: &[u8]) -> std::io::Result<()> {
        let now = (self.clock)();
        bytes.chunks(PART).try_for_each(|part| self.lines_of(step, stream, part, now))
    }

    fn lines_of(&mut self, step: StepId, stream: Stream, part: &[u8], now: Duration) -> std::io::Result<()> {
        let Some(known) = self.steps.get_mut(&step) else { return Ok(()) };
        let before = known.before(now);
        let mut text = std::mem::take(&mut self.text);
        known.partial[stream as usize].each(part, |line| add_line(&mut text, before.as_bytes(), line));
        self.pass_on(step, text)
    }

    /// Shows the lines that have no end.
    fn rest(&mut self, step: StepId) -> std::io::Result<()> {
        let now = (self.clock)();
        let Some(known) = self.steps.get_mut(&step) else { return Ok(()) };
        let before = known.before(now);
        let mut text = std::mem::take(&mut self.text);
        for lines in &mut known.partial {
            lines.flush(|line| add_line(&mut text, before.as_bytes(), line));
        }
        self.pass_on(step, text)
    }

    /// Writes whole lines of a step, and keeps their room for the next.
    fn pass_on(&mut self, step: StepId, mut text: Vec<u8>) -> std::io::Result<()> {
        if !text.is_empty() {
            self.turn_to(step)?;
            self.out.write_all(&text)?;
        }
        text.clear();
        self.text = text;
        Ok(())
    }

    fn finished(&mut self, step: StepId, took: Duration, outcome: &Outcome) -> std::io::Result<()> {
        if !self.steps.contains_key(&step) {
            return Ok(());
        }
        self.rest(step)?;
        let last = match outcome {
            Outcome::Done => format!("DONE {:.1}s", took.as_secs_f64()),
            Outcome::Failed(why) => format!("ERROR: {why}"),
            Outcome::Cancelled => "CANCELED".to_owned(),
        };
        self.line(step, &last)?;
        self.current = None;
        self.out.flush()
    }

    fn transfer(&mut self, step: StepId, what: &str, done: u64, total: Option<u64>) -> std::io::Result<()> {
        // Only the end is a line of its own: a log is no place for a moving number.
        if total != Some(done) || !self.steps.contains_key(&step) {
            return Ok(());
        }
        self.line(step, &format!("{what} {} done", bytes(done)))
    }

    fn warning(&mut self, warning: &Diagnostic) -> std::io::Result<()> {
        let rule = warning.rule.map(|rule| format!("{rule}: ")).unwrap_or_default();
        writeln!(self.out, "WARN: {rule}{}", warning.message)
    }

    fn line(&mut self, step: StepId, text: &str) -> std::io::Result<()> {
        self.turn_to(step)?;
        let number = self.steps.get(&step).map_or(0, |known| known.number);
        writeln!(self.out, "#{number} {text}")
    }

    /// Makes `step` the one whose lines are shown, with its name before them.
    fn turn_to(&mut self, step: StepId) -> std::io::Result<()> {
        if self.current == Some(step) {
            return Ok(());
        }
        if let Some(left) = self.current.and_then(|current| self.steps.get(&current)) {
            writeln!(self.out, "#{} ...", left.number)?;
        }
        if self.begun {
            writeln!(self.out)?;
        }
        (self.begun, self.current) = (true, Some(step));
        let Some(known) = self.steps.get(&step) else { return Ok(()) };
        writeln!(self.out, "#{} {}", known.number, known.name)
    }
}

fn add_line(text: &mut Vec<u8>, before: &[u8], line: &[u8]) {
    text.extend_from_slice(before);
    text.extend_from_slice(line);
    text.push(b'\n');
}

/// Returns a number of bytes as people read it, as BuildKit prints it: `1.20MB`, with powers of 1000.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count}B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value < 10.0 { 2 } else { 1 };
    format!("{value:.digits$}{}", UNITS[unit])
}
