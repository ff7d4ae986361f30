//! [`Tty`]: paints the live view on standard error.

use super::super::style::Style;
use super::super::text::width_of;
use super::super::watch::Screen;
use super::draw::Room;
use super::state::State;
use builder::progress::{Event, ProgressSink};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two paintings.
const BEAT: Duration = Duration::from_millis(100);

/// Shows a live view on standard error. The cursor stands below it and is never hidden, so that the screen is whole
/// whenever lbuild ends.
#[derive(Debug)]
pub struct Tty {
    shared: Arc<Shared>,
    painter: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    began: Instant,
    style: Style,
    ended: AtomicBool,
}

impl Tty {
    /// Returns a view and starts to paint it.
    ///
    /// # Errors
    /// The operating system's, if the thread cannot be started.
    pub fn start(style: Style) -> std::io::Result<Self> {
        let (state, ended) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { state, began: Instant::now(), style, ended });
        let painted = Arc::clone(&shared);
        let painter = std::thread::Builder::new().name("screen".into()).spawn(move || painted.paint())?;
        Ok(Self { shared, painter: Mutex::new(Some(painter)) })
    }
}

impl Drop for Tty {
    /// Paints once more and leaves the view on the screen.
    fn drop(&mut self) {
        self.settle();
    }
}

impl Screen for Tty {
    fn settle(&self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(painter) = self.painter.lock().unwrap_or_else(PoisonError::into_inner).take() {
            painter.thread().unpark();
            if painter.join().is_err() {
                // The painter panicked: its own message is on the screen already.
            }
        }
    }

    fn as_sink(&self) -> &dyn ProgressSink {
        self
    }
}

impl ProgressSink for Tty {
    fn event(&self, event: Event) {
        let now = self.shared.began.elapsed();
        self.shared.lock().take(event, now);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paint(&self) {
        let mut widths = Vec::new();
        loop {
            let last = self.ended.load(Ordering::SeqCst);
            let (width, height) = size();
            let room = Room { width, height: height.saturating_sub(1).max(2) };
            let lines = self.lock().draw(self.began.elapsed(), room, &self.style, last);
            if repaint(&lines, &mut widths, width).is_err() || last {
                return;
            }
            std::thread::park_timeout(BEAT);
        }
    }
}

/// Returns columns and lines of the terminal.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or((80, 24), |(width, height)| (usize::from(width.0).max(1), usize::from(height.0)))
}

/// Writes `lines` over the last ones, whose widths are `painted`.
fn repaint(lines: &[String], painted: &mut Vec<usize>, width: usize) -> std::io::Result<()> {
    let frame = frame(lines, painted, width);
    *painted = lines.iter().map(|line| width_of(line)).collect();
    let mut screen = std::io::stderr().lock();
    screen.write_all(frame.as_bytes())?;
    screen.flush()
}

/// Returns what paints `lines` over lines of the widths `painted`. Meanwhile the terminal wraps nothing (DECAWM): of some
/// letters, emoji above all, terminals think that they are wider than we do.
pub(super) fn frame(lines: &[String], painted: &[usize], width: usize) -> String {
    let mut frame = String::from("\u{1b}[?7l");
    match lines_taken(painted, width) {
        0 => {}
        height => frame.push_str(&format!("\u{1b}[{height}A")),
    }
    for line in lines {
        frame.push_str(&format!("\r\u{1b}[2K{line}\n"));
    }
    frame.push_str("\u{1b}[J\u{1b}[?7h");
    frame
}

/// Returns how many lines of a terminal of `width` columns lines of these widths take: one that has become narrower may
/// have wrapped them.
pub(super) fn lines_taken(painted: &[usize], width: usize) -> usize {
    painted.iter().map(|line| line.div_ceil(width.max(1)).max(1)).sum()
}
