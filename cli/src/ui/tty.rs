//! [`Tty`]: a live view for terminals: one line per step, and the last lines of the steps that run.
//!
//! Drawing is a pure function of the state ([`State::draw`]); a thread repaints ten times a second.

use super::lines::Lines;
use super::text::{clipped, visible};
use builder::progress::{Event, Outcome, ProgressSink, StepId, Stream};
use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines shown below a step that runs.
const TAIL: usize = 6;
/// Time between two paintings.
const BEAT: Duration = Duration::from_millis(100);

/// Shows a live view on standard error.
#[derive(Debug)]
pub struct Tty {
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
    painter: Option<JoinHandle<()>>,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct State {
    began: Instant,
    rows: Vec<Row>,
    warnings: Vec<String>,
    /// The registry that is let be, and until when.
    waiting: Option<(Instant, String)>,
    total: usize,
}

#[derive(Debug)]
struct Row {
    step: StepId,
    name: String,
    started: Instant,
    ended: Option<(Duration, String)>,
    partial: [Lines; 2],
    tail: VecDeque<String>,
}

impl Tty {
    /// Returns a view and starts to paint it.
    ///
    /// # Errors
    /// The operating system's, if the thread cannot be started.
    pub fn start() -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(State::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (painted, end) = (Arc::clone(&state), Arc::clone(&ended));
        let painter = std::thread::Builder::new().name("screen".into()).spawn(move || paint(&painted, &end))?;
        Ok(Self { state, ended, painter: Some(painter) })
    }
}

impl Drop for Tty {
    /// Paints once more and leaves the view on the screen.
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(painter) = self.painter.take()
            && painter.join().is_err()
        {
            // The painter panicked: its own message is on the screen already.
        }
    }
}

impl ProgressSink for Tty {
    fn event(&self, event: Event) {
        lock(&self.state).take(event);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn paint(state: &Mutex<State>, ended: &AtomicBool) {
    let mut height = 0;
    loop {
        let last = ended.load(Ordering::SeqCst);
        let (columns, rows) = terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0, height.0));
        // The last painting stays, so it may be longer than the screen.
        let limit = if last { usize::MAX } else { usize::from(rows).saturating_sub(1).max(2) };
        let lines = lock(state).draw(usize::from(columns), limit, !last);
        if repaint(&lines, &mut height).is_err() || last {
            return;
        }
        std::thread::sleep(BEAT);
    }
}

fn repaint(lines: &[String], height: &mut usize) -> std::io::Result<()> {
    let mut frame = String::new();
    if *height > 0 {
        frame.push_str(&format!("\u{1b}[{height}A"));
    }
    for line in lines {
        frame.push_str(&format!("\r\u{1b}[2K{line}\n"));
    }
    frame.push_str("\u{1b}[J");
    *height = lines.len();
    let mut screen = std::io::stderr().lock();
    screen.write_all(frame.as_bytes())?;
    screen.flush()
}

impl State {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), rows: Vec::new(), warnings: Vec::new(), waiting: None, total: 0 }
    }

    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::PlanReady { steps } => self.total = steps.len(),
            Event::StepStarted { step, name } => self.rows.push(Row::new(step, name)),
            Event::StepCached { step, name } => {
                let row = Row { ended: Some((Duration::ZERO, "CACHED".into())), ..Row::new(step, name) };
                self.rows.push(row);
            }
            Event::Output { step, stream, bytes } => self.with(step, |row| row.push(stream, &bytes)),
            Event::StepFinished { step, took, outcome } => self.with(step, |row| row.end(took, &outcome)),
            Event::Transfer { step, what, done, total } => self.with(step, |row| row.transfer(&what, done, total)),
            Event::Waiting { host, why, wait } => {
                self.waiting = Some((Instant::now() + wait, visible(&super::text::waiting(&host, &why, wait))));
            }
            Event::Warning(warning) => self.warnings.push(visible(&warning.message)),
        }
    }

    fn with(&mut self, step: StepId, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.rows.iter_mut().rev().find(|row| row.step == step) {
            change(row);
        }
    }

    /// Returns the lines of the view: at most `limit`, each at most `width` characters.
    pub(super) fn draw(&self, width: usize, limit: usize, with_tails: bool) -> Vec<String> {
        let done = self.rows.iter().filter(|row| row.ended.is_some()).count();
        let seconds = self.began.elapsed().as_secs_f64();
        let head = format!("[+] {seconds:.1}s, {done} of {} steps done", self.total.max(self.rows.len()));
        let mut body: Vec<String> = self.rows.iter().flat_map(|row| row.draw(with_tails)).collect();
        body.extend(self.warnings.iter().map(|warning| format!(" warning: {warning}")));
        let waiting = self.waiting.iter().filter(|(until, _)| *until > Instant::now());
        body.extend(waiting.map(|(_, text)| format!(" {text}")));
        // What runs is at the end: of a long build, the beginning goes out of sight.
        let hidden = (body.len() + 1).saturating_sub(limit);
        std::iter::once(head).chain(body.split_off(hidden)).map(|line| clipped(&line, width)).collect()
    }
}

impl Row {
    fn new(step: StepId, name: String) -> Self {
        Self { step, name, started: Instant::now(), ended: None, partial: Default::default(), tail: VecDeque::new() }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        for line in self.partial[stream as usize].push(bytes) {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            // Of a line that was overwritten by carriage returns, the last state counts.
            self.tail.push_back(visible(line.rsplit('\r').next().unwrap_or_default()));
        }
    }

    fn transfer(&mut self, what: &str, done: u64, total: Option<u64>) {
        let whole = total.map(|total| format!(" / {}", super::plain::bytes(total))).unwrap_or_default();
        self.tail = VecDeque::from([format!("{} {}{whole}", visible(what), super::plain::bytes(done))]);
    }

    fn end(&mut self, took: Duration, outcome: &Outcome) {
        let word = match outcome {
            Outcome::Done => "",
            Outcome::Failed(_) => "ERROR",
            Outcome::Cancelled => "CANCELED",
        };
        self.ended = Some((took, word.to_owned()));
    }

    fn draw(&self, with_tail: bool) -> Vec<String> {
        let name = visible(&self.name);
        match &self.ended {
            Some((_, word)) if word == "CACHED" => vec![format!(" CACHED {name}")],
            Some((took, word)) if word.is_empty() => vec![format!(" => {name}  {:.1}s", took.as_secs_f64())],
            Some((took, word)) => vec![format!(" {word} {name}  {:.1}s", took.as_secs_f64())],
            None => {
                let head = format!(" => {name}  {:.1}s", self.started.elapsed().as_secs_f64());
                let tail = self.tail.iter().filter(|_| with_tail).map(|line| format!("    {line}"));
                std::iter::once(head).chain(tail).collect()
            }
        }
    }
}
