//! [`Ledger`]: what became of each step, for the summary at the end.

use super::live::seconds;
use super::plain::bytes;
use super::text::{clipped, visible};
use super::watch::Watcher;
use builder::progress::{Event, Outcome, StepId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Steps of the longest way that are named.
const NAMED: usize = 3;
/// One step in so many parts of the way is worth naming.
const LEAST: u32 = 20;
/// Most columns of a step's name.
const WIDTH: usize = 70;
/// Fewest.
const LEAST_WIDTH: usize = 20;
/// Columns before it: its time.
const BEFORE: usize = 9;

/// Notes what became of each step.
#[derive(Debug)]
pub struct Ledger {
    began: Instant,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    steps: Vec<(StepId, String)>,
    edges: Vec<(StepId, StepId)>,
    cached: Vec<StepId>,
    took: BTreeMap<StepId, Duration>,
}

/// What a line may have.
#[derive(Debug, Clone, Copy)]
struct Room {
    width: usize,
    unicode: bool,
}

/// The image that came of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The image ID.
    pub id: String,
    /// Its names.
    pub names: Vec<String>,
    /// Its layers.
    pub layers: usize,
    /// Bytes of its layers as they are kept.
    pub size: u64,
}

impl Ledger {
    /// Returns an empty one; the time begins now.
    pub fn new() -> Self {
        Self { began: Instant::now(), notes: Mutex::default() }
    }

    /// Returns what the user wants to know at the end: the image, what was cached, and what took longest.
    /// `width` is that of the screen, where there is one; without `unicode`, all of it is ASCII.
    pub fn summary(&self, made: &Made, width: Option<usize>, unicode: bool) -> String {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.summary(made, self.began.elapsed(), Room { width: width.unwrap_or(usize::MAX), unicode })
    }
}

impl Watcher for Ledger {
    fn see(&self, event: &Event) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::PlanReady { steps, edges } => {
                notes.steps.extend(steps.iter().cloned());
                notes.edges.extend(edges);
            }
            Event::StepCached { step, .. } => notes.cached.push(*step),
            Event::StepFinished { step, took, outcome: Outcome::Done } => {
                notes.took.insert(*step, *took);
            }
            _ => {}
        }
    }
}

impl Notes {
    fn summary(&self, made: &Made, time: Duration, room: Room) -> String {
        let hex = made.id.strip_prefix("sha256:").unwrap_or(&made.id);
        let id = hex.get(..12).unwrap_or(hex);
        let layers = if made.layers == 1 { "layer" } else { "layers" };
        let mut text = format!("image {id}  {} in {} {layers}", bytes(made.size), made.layers);
        if !made.names.is_empty() {
            text.push_str(&format!("  {}", made.names.join(" ")));
        }
        text.push_str(&format!("\n{} in {}", self.counts(), seconds(time)));
        let (way, length) = self.longest_way();
        if !way.is_empty() {
            text.push_str(&format!("; longest way {}:{}", seconds(length), self.told(&way, length, room)));
        }
        text.push('\n');
        text
    }

    fn counts(&self) -> String {
        let cached = self.steps.iter().filter(|(step, _)| self.cached.contains(step)).count();
        let total = self.steps.len();
        match (total, cached) {
            (0, _) => "no steps".to_owned(),
            (1, cached) => format!("{cached} of 1 step cached"),
            (total, cached) if total == cached => format!("all {total} steps cached"),
            (total, cached) => format!("{cached} of {total} steps cached"),
        }
    }

    /// Returns the steps of the way that took longest, in order, and how long that was: no number of processors makes
    /// the build faster than that.
    fn longest_way(&self) -> (Vec<StepId>, Duration) {
        let mut best: HashMap<StepId, (Duration, Option<StepId>)> = HashMap::new();
        for (step, _) in &self.steps {
            let before = self.edges.iter().filter(|(_, next)| next == step).map(|(earlier, _)| *earlier);
            let longest = before.max_by_key(|earlier| best.get(earlier).map(|(length, _)| *length));
            let already = longest.and_then(|earlier| best.get(&earlier)).map_or(Duration::ZERO, |(length, _)| *length);
            let own = self.took.get(step).copied().unwrap_or_default();
            best.insert(*step, (already + own, longest));
        }
        let last = best.iter().max_by_key(|(step, (length, _))| (*length, **step));
        let Some((&last, &(length, _))) = last.filter(|(_, (length, _))| !length.is_zero()) else {
            return (Vec::new(), Duration::ZERO);
        };
        let next = |step: &StepId| best.get(step).and_then(|(_, before)| *before);
        let mut way: Vec<StepId> = std::iter::successors(Some(last), next).collect();
        way.retain(|step| self.took.contains_key(step));
        way.reverse();
        (way, length)
    }

    /// Returns the steps of a way that took most of its time, in order, each on a line with its time.
    fn told(&self, way: &[StepId], length: Duration, room: Room) -> String {
        let took = |step: &StepId| self.took.get(step).copied().unwrap_or_default();
        let mut longest: Vec<StepId> = way.iter().copied().filter(|step| took(step) * LEAST >= length).collect();
        longest.sort_by_key(|step| std::cmp::Reverse(took(step)));
        longest.truncate(NAMED);
        let name = |step: &StepId| self.steps.iter().find(|(known, _)| known == step).map_or("", |(_, name)| name);
        let width = room.width.saturating_sub(BEFORE).clamp(LEAST_WIDTH, WIDTH);
        let named = way.iter().filter(|step| longest.contains(step));
        named
            .map(|step| format!("\n{:>7}  {}", seconds(took(step)), clipped(&visible(name(step)), width, room.unicode)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { width: 80, unicode: true };

    fn id(stage: usize, step: usize) -> StepId {
        StepId { stage, step }
    }

    fn notes(steps: &[(usize, usize, u64)], edges: &[[(usize, usize); 2]]) -> Notes {
        let name = |stage, step| (id(stage, step), format!("[s{stage} {step}]"));
        let done = |(stage, step, millis): &(usize, usize, u64)| {
            (*millis > 0).then(|| (id(*stage, *step), Duration::from_millis(*millis)))
        };
        Notes {
            steps: steps.iter().map(|(stage, step, _)| name(*stage, *step)).collect(),
            edges: edges.iter().map(|[one, next]| (id(one.0, one.1), id(next.0, next.1))).collect(),
            cached: steps
                .iter()
                .filter(|(.., millis)| *millis == 0)
                .map(|(stage, step, _)| id(*stage, *step))
                .collect(),
            took: steps.iter().filter_map(done).collect(),
        }
    }

    fn made(names: &[&str]) -> Made {
        let id = format!("sha256:{}", "ab".repeat(32));
        Made { id, names: names.iter().map(|name| (*name).to_owned()).collect(), layers: 1, size: 1200 }
    }

    #[test]
    fn the_longest_way_goes_through_the_stages_that_are_read() {
        let steps = [(0, 0, 500), (0, 1, 2000), (1, 0, 1000), (1, 1, 900), (2, 0, 0), (2, 1, 100)];
        let edges = [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(2, 0), (2, 1)], [(0, 1), (2, 1)], [(1, 1), (2, 1)]];
        let text = notes(&steps, &edges).summary(&made(&["app:1"]), Duration::from_secs(3), ROOM);
        let wanted = "image abababababab  1.20kB in 1 layer  app:1\n\
                      1 of 6 steps cached in 3.0s; longest way 2.6s:\n   0.5s  [s0 0]\n   2.0s  [s0 1]\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_build_from_the_cache_has_no_longest_way() {
        let text =
            notes(&[(0, 0, 0), (0, 1, 0)], &[[(0, 0), (0, 1)]]).summary(&made(&[]), Duration::from_millis(40), ROOM);
        assert_eq!(text, "image abababababab  1.20kB in 1 layer\nall 2 steps cached in 0.0s\n");
        assert!(notes(&[], &[]).summary(&made(&[]), Duration::ZERO, ROOM).ends_with("\nno steps in 0.0s\n"));
    }

    #[test]
    fn names_are_as_long_as_the_screen_is_wide() {
        let mut notes = notes(&[(0, 0, 500)], &[]);
        notes.steps[0].1 = "x".repeat(100);
        for (width, unicode, wanted) in
            [(usize::MAX, true, 9 + 70), (100, true, 9 + 70), (40, true, 40), (40, false, 40), (10, true, 9 + 20)]
        {
            let text = notes.summary(&made(&[]), Duration::from_secs(1), Room { width, unicode });
            assert_eq!(text.is_ascii(), !unicode, "{text}");
            let last = text.lines().last().expect("a line").chars().count();
            assert_eq!(last, wanted, "{text}");
            assert!(text.contains("\n0 of 1 step cached in "), "{text}");
        }
    }
}
