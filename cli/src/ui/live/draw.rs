//! Drawing: a pure function of the state, the time and the size of the screen.

use super::super::plain::bytes;
use super::super::style::{Role, Style};
use super::super::text::{clipped, width_of};
use super::row::{End, Row, Transfer};
use super::state::State;
use std::time::Duration;

/// Lines shown below a step that runs, where there is room.
const TAIL: usize = 6;
/// Most columns of a bar.
const BAR: usize = 24;
/// Fewest columns that are worth a bar.
const SHORTEST_BAR: usize = 8;

/// A line of the view.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    role: Role,
    text: String,
}

/// The size that the view may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

impl State {
    /// Returns the lines of the view at `now`: at most `room.height`, each at most `room.width` columns wide, painted.
    /// The last view, which stays, has all steps and no tails; its height is not limited.
    pub(super) fn draw(&self, now: Duration, room: Room, style: &Style, last: bool) -> Vec<String> {
        let drawing = Drawing { state: self, now, room, style };
        let lines = if last { drawing.whole() } else { drawing.fitted() };
        lines.iter().map(|line| style.paint(line.role, &clipped(&line.text, room.width, style.unicode))).collect()
    }
}

struct Drawing<'a> {
    state: &'a State,
    now: Duration,
    room: Room,
    style: &'a Style,
}

impl Drawing<'_> {
    /// Returns every step in one line, for the screen that stays.
    fn whole(&self) -> Vec<Line> {
        let rows = self.state.rows.iter().map(|row| self.step(row));
        std::iter::once(self.head()).chain(rows).chain(self.notes()).collect()
    }

    /// Returns what fits: what runs, its last lines, then as many of the steps that ended as there is room for.
    fn fitted(&self) -> Vec<Line> {
        let (ended, running): (Vec<&Row>, Vec<&Row>) = self.state.rows.iter().partition(|row| row.end.is_some());
        let notes = self.notes();
        let room = self.room.height.saturating_sub(1 + notes.len());
        let running = self.running(&running, room.saturating_sub(usize::from(!ended.is_empty())));
        let ended = self.ended(&ended, room.saturating_sub(running.len()));
        let mut lines = vec![self.head()];
        lines.extend(ended);
        lines.extend(running);
        lines.extend(notes);
        // A screen of very few lines shows the beginning.
        lines.truncate(self.room.height.max(1));
        lines
    }

    fn head(&self) -> Line {
        let of_plan = || self.state.rows.iter().filter(|row| row.is_of_the_plan());
        let done = of_plan().filter(|row| row.is_done()).count();
        let cached = of_plan().filter(|row| row.end == Some(End::Cached)).count();
        let total = self.state.total.max(done);
        let cached = if cached == 0 { String::new() } else { format!(", {cached} cached") };
        let steps = if total == 1 { "step" } else { "steps" };
        let text = format!("[+] {} {done} of {total} {steps}{cached}", seconds(self.now));
        Line { role: Role::Plain, text }
    }

    /// Returns the steps that ended, the last ones where there is no room for all; the others are folded into one line,
    /// those that failed after all others.
    fn ended(&self, rows: &[&Row], room: usize) -> Vec<Line> {
        if rows.len() <= room {
            return rows.iter().map(|row| self.step(row)).collect();
        }
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| !row.is_done());
        let shown = room.saturating_sub(1);
        let (folded, shown) = rows.split_at(rows.len() - shown);
        let cached = folded.iter().filter(|row| row.end == Some(End::Cached)).count();
        let text = format!(" {} {} steps done, {cached} of them cached", self.style.sign("✔", "+"), folded.len());
        let fold = (room > 0).then_some(Line { role: Role::Faint, text });
        fold.into_iter().chain(shown.iter().map(|row| self.step(row))).collect()
    }

    /// Returns the steps that run, with as many of their last lines as there is room for.
    fn running(&self, rows: &[&Row], room: usize) -> Vec<Line> {
        if rows.len() > room {
            let shown = room.saturating_sub(1);
            let text = format!(" {} {} more steps run", self.style.sign("…", "..."), rows.len() - shown);
            let rest = (room > 0).then_some(Line { role: Role::Faint, text });
            return rows.iter().take(shown).map(|row| self.step(row)).chain(rest).collect();
        }
        let spare = (room - rows.len()).checked_div(rows.len()).unwrap_or_default().min(TAIL);
        rows.iter().flat_map(|row| std::iter::once(self.step(row)).chain(self.below(row, spare))).collect()
    }

    /// Returns bars and last lines of a step that runs, at most `room` of them.
    fn below(&self, row: &Row, room: usize) -> Vec<Line> {
        let mut bars: Vec<&Transfer> = row.transfers.iter().filter(|transfer| !transfer.is_done()).collect();
        bars.truncate(room);
        let tail = row.tail(room - bars.len()).into_iter();
        let edge = self.style.sign("│", "|");
        let tail = tail.map(|line| Line { role: Role::Faint, text: format!("   {edge} {line}") });
        bars.iter().map(|transfer| self.bar(transfer)).chain(tail).collect()
    }

    /// Returns a step in one line: sign, name, time at the right edge.
    fn step(&self, row: &Row) -> Line {
        let (done, failed) = (self.style.sign("✔", "+"), self.style.sign("✘", "x"));
        let (role, sign, end) = match row.end {
            None => (Role::Run, self.style.sign("▸", ">"), seconds(self.now.saturating_sub(row.started))),
            Some(End::Cached) => (Role::Run, done, "CACHED".to_owned()),
            Some(End::Done(took)) => (Role::Run, done, seconds(took)),
            Some(End::Failed(took)) => (Role::Error, failed, format!("ERROR {}", seconds(took))),
            Some(End::Cancelled(took)) => (Role::Cancel, failed, format!("CANCELED {}", seconds(took))),
        };
        let room = self.room.width.saturating_sub(width_of(&end) + 4);
        let name = clipped(&row.name, room, self.style.unicode);
        let gap = " ".repeat(room - width_of(&name));
        Line { role, text: format!(" {sign} {name}{gap} {end}") }
    }

    fn bar(&self, transfer: &Transfer) -> Line {
        let what = short(&transfer.what, self.room.width);
        let whole = transfer.total.map(|total| format!(" / {}", bytes(total))).unwrap_or_default();
        let rate = transfer.rate().map(|rate| format!(" {}/s", bytes(rate))).unwrap_or_default();
        let numbers = format!("{}{whole}{rate}", bytes(transfer.done));
        let room = self.room.width.saturating_sub(width_of(&what) + width_of(&numbers) + 8).min(BAR);
        let text = match transfer.total.filter(|total| *total > 0 && room >= SHORTEST_BAR) {
            Some(total) => {
                let full = usize::try_from(u128::from(transfer.done.min(total)) * room as u128 / u128::from(total));
                let full = full.unwrap_or(room);
                let (done, rest) = (self.style.sign("█", "#"), self.style.sign("░", "."));
                format!("     {what} {}{} {numbers}", done.repeat(full), rest.repeat(room - full))
            }
            None => format!("     {what} {numbers}"),
        };
        Line { role: Role::Plain, text }
    }

    /// Returns warnings, and who is waited for.
    fn notes(&self) -> Vec<Line> {
        const SHOWN: usize = 4;
        let warnings = &self.state.warnings;
        let hidden = warnings.len().saturating_sub(SHOWN);
        let more = (hidden > 0).then(|| format!(" {hidden} more warnings"));
        let lines = warnings.iter().take(SHOWN).map(|warning| format!(" warning: {warning}")).chain(more);
        let lines = lines.map(|text| Line { role: Role::Warning, text });
        let waiting = self.state.waiting.iter().filter(|(until, _)| *until > self.now);
        lines.chain(waiting.map(|(_, text)| Line { role: Role::Faint, text: format!(" {text}") })).collect()
    }
}

/// Returns a time as people read it: `0.4s`, `1m05s`, `2h03m`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    match whole {
        0..60 => format!("{:.1}s", time.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// Returns what is moved in few letters: of a digest the first twelve, of a path that takes more than half of the line its
/// last name.
pub(super) fn short(what: &str, width: usize) -> String {
    let digest = what.split_once("sha256:").and_then(|(before, hex)| Some(format!("{before}{}", hex.get(..12)?)));
    let shown = digest.unwrap_or_else(|| what.to_owned());
    match shown.rsplit_once('/') {
        Some((_, name)) if width_of(&shown) > width / 2 && !name.is_empty() => name.to_owned(),
        _ => shown,
    }
}
