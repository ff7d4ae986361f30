//! [`Globs`]: many patterns that are matched in one pass over a path, each directory of it once for all that it holds.
//!
//! The places that are live after a piece of text are a state. A state is made when text first leads to it, and keeps to
//! which state each character leads on, so that a name costs a look at a table for each of its bytes, however many
//! patterns there are (a deterministic automaton, built as it is needed).

use super::glob::{Glob, Token, advance, next_character, skip_empty};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The most states that are kept. What leads to others is worked out at each character anew.
const STATES: usize = 4096;
/// The most bytes that states take, about.
const STATE_BYTES: usize = 8 << 20;
/// Columns of a state's table: the ASCII characters, and all others that no pattern names.
const COLUMNS: usize = 129;

/// Many patterns; the first is number 0.
#[derive(Debug)]
pub(super) struct Globs {
    /// Their tokens, one pattern after the other, each with its [`Token::End`].
    tokens: Vec<Token>,
    /// Where their ends stand.
    ends: Vec<usize>,
    /// Ranges of characters beyond ASCII that patterns name.
    named: Vec<(u32, u32)>,
    /// What is live before any text.
    start: Reading,
    states: Box<[OnceLock<Box<State>>]>,
    known: Mutex<Known>,
}

/// What is known of states by their places.
#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<Arc<[u32]>, u32>,
    bytes: usize,
}

/// Where a piece of text leads.
#[derive(Debug)]
struct State {
    /// The live places, in order.
    places: Arc<[u32]>,
    /// The last pattern that matches the text.
    matched: Option<usize>,
    /// The number of the state that a column's character leads to, plus one; 0 while nobody asked.
    next: [AtomicU32; COLUMNS],
}

/// What was read of a path: which places of the patterns are live.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    State(u32),
    /// There was no room for another state.
    Places(Arc<[u32]>),
}

impl Default for Globs {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Globs {
    pub(super) fn new(globs: Vec<Glob>) -> Self {
        let states = if globs.is_empty() { 0 } else { STATES };
        Self::with_room(globs, states)
    }

    fn with_room(globs: Vec<Glob>, states: usize) -> Self {
        let tokens: Vec<Token> = globs.into_iter().flat_map(Glob::into_tokens).collect();
        let ends = (0..tokens.len()).filter(|at| tokens[*at] == Token::End).collect();
        let named = tokens.iter().flat_map(Token::characters).filter(|(_, high)| *high >= 0x80).collect();
        let states = (0..states).map(|_| OnceLock::new()).collect();
        let start = Reading::Places(Arc::default());
        let mut all = Self { tokens, ends, named, start, states, known: Mutex::default() };
        all.start = all.at_starts();
        all
    }

    /// Returns what is live before any text.
    pub(super) fn start(&self) -> &Reading {
        &self.start
    }

    fn at_starts(&self) -> Reading {
        let mut live = vec![false; self.tokens.len()];
        let mut start = 0;
        for end in &self.ends {
            live[start] = true;
            start = end + 1;
        }
        skip_empty(&self.tokens, &mut live);
        self.reading(&live)
    }

    /// Returns what is live after `text`, from what was before it. The text ends between two characters.
    pub(super) fn read(&self, before: &Reading, text: &[u8]) -> Reading {
        let (mut reading, mut rest) = (before.clone(), text);
        while let Some(c) = next_character(&mut rest) {
            reading = self.step(reading, c);
        }
        reading
    }

    /// Returns the number of the last pattern that matches all that was read.
    pub(super) fn last_match(&self, reading: &Reading) -> Option<usize> {
        match reading {
            Reading::State(number) => self.state(*number).matched,
            Reading::Places(places) => self.matched(places),
        }
    }

    /// Reports whether one of the `wanted` patterns could match with more text.
    pub(super) fn may_go_on(&self, reading: &Reading, wanted: impl Fn(usize) -> bool) -> bool {
        let places = self.places(reading).iter().map(|place| *place as usize);
        places.filter(|place| self.tokens[*place] != Token::End).any(|place| wanted(self.pattern_of(place)))
    }

    fn step(&self, reading: Reading, c: u32) -> Reading {
        let Reading::State(number) = reading else { return self.after(&reading, c) };
        let Some(column) = self.column(c) else { return self.after(&reading, c) };
        let next = &self.state(number).next[column];
        match next.load(Ordering::Acquire) {
            0 => {
                let after = self.after(&reading, c);
                if let Reading::State(number) = after {
                    next.store(number + 1, Ordering::Release);
                }
                after
            }
            number => Reading::State(number - 1),
        }
    }

    /// Works out what is live after `c`.
    fn after(&self, reading: &Reading, c: u32) -> Reading {
        let (mut live, mut next) = (vec![false; self.tokens.len()], vec![false; self.tokens.len()]);
        for place in self.places(reading) {
            live[*place as usize] = true;
        }
        advance(&self.tokens, &live, c, &mut next);
        self.reading(&next)
    }

    /// Returns the state that has these places, made now if there is room.
    fn reading(&self, live: &[bool]) -> Reading {
        let places: Arc<[u32]> = (0..).zip(live).filter(|(_, live)| **live).map(|(place, _)| place).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.numbers.get(&places) {
            return Reading::State(*number);
        }
        let number = known.numbers.len();
        let bytes = known.bytes + size_of::<State>() + size_of_val(&*places);
        let Some(slot) = self.states.get(number).filter(|_| bytes <= STATE_BYTES) else {
            return Reading::Places(places);
        };
        let matched = self.matched(&places);
        slot.get_or_init(|| {
            Box::new(State { places: places.clone(), matched, next: [const { AtomicU32::new(0) }; COLUMNS] })
        });
        known.bytes = bytes;
        let number = number as u32;
        known.numbers.insert(places, number);
        Reading::State(number)
    }

    fn state(&self, number: u32) -> &State {
        self.states[number as usize].get().expect("a state is made before its number is told")
    }

    fn places<'a>(&'a self, reading: &'a Reading) -> &'a [u32] {
        match reading {
            Reading::State(number) => &self.state(*number).places,
            Reading::Places(places) => places,
        }
    }

    fn matched(&self, places: &[u32]) -> Option<usize> {
        let last = places.iter().rev().map(|place| *place as usize).find(|place| self.tokens[*place] == Token::End);
        last.map(|place| self.pattern_of(place))
    }

    fn pattern_of(&self, place: usize) -> usize {
        self.ends.partition_point(|end| *end < place)
    }

    /// Returns the column of a character; nothing if it is beyond ASCII and named by a pattern.
    fn column(&self, c: u32) -> Option<usize> {
        match c {
            0..0x80 => Some(c as usize),
            _ if self.named.iter().any(|(low, high)| (*low..=*high).contains(&c)) => None,
            _ => Some(COLUMNS - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn globs(patterns: &[&str]) -> Vec<Glob> {
        patterns.iter().filter_map(|pattern| Glob::with_double_star(pattern.as_bytes()).ok()).collect()
    }

    /// Compares one pass with one pattern after the other, reading `path` in two pieces.
    fn agrees(globs: Vec<Glob>, rooms: &[usize], path: &[u8], cut: usize) {
        let wanted = globs.iter().rposition(|glob| glob.matches(path));
        let goes_on = |glob: &Glob| glob.run(&[path, b"/"].concat()).split_last().unwrap().1.contains(&true);
        let below: Vec<bool> = globs.iter().map(goes_on).collect();
        for room in rooms {
            let all = Globs::with_room(globs.clone(), *room);
            let read = all.read(&all.read(all.start(), &path[..cut]), &path[cut..]);
            assert_eq!(all.last_match(&read), wanted, "{room}");
            let inside = all.read(&read, b"/");
            for (number, below) in below.iter().enumerate() {
                assert_eq!(all.may_go_on(&inside, |pattern| pattern == number), *below, "{room} {number}");
            }
        }
    }

    proptest! {
        #[test]
        fn one_pass_finds_what_one_pattern_after_the_other_does(
            patterns in prop::collection::vec("(\\*\\*/|\\*|\\?|\\[\\^?a-cä\\]|a|b|ä|€|/){0,6}", 0..8),
            path in "[abcä€/]{0,8}",
            cut in 0..8_usize,
        ) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let cut = (0..=cut.min(path.len())).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
            agrees(globs(&patterns), &[0, 1, 3, STATES], path.as_bytes(), cut);
        }

        #[test]
        fn bytes_that_are_no_text_are_characters_of_their_own(path: Vec<u8>) {
            agrees(globs(&["*", "?", "**/?a", "[^a]*"]), &[0, STATES], &path, 0);
        }
    }

    #[test]
    fn row_2_6_what_may_lie_below_a_directory() {
        for (pattern, directory, wanted) in [
            ("a/b", "a/", true),
            ("a/b", "b/", false),
            ("a/b", "a/b/", false),
            ("**/x", "deep/down/", true),
            ("*/x", "a/", true),
            ("*/x", "a/b/", false),
            ("a/**", "a/", true),
        ] {
            let all = Globs::new(globs(&[pattern]));
            let read = all.read(all.start(), directory.as_bytes());
            assert_eq!(all.may_go_on(&read, |_| true), wanted, "{pattern} {directory}");
        }
    }

    #[test]
    fn names_alike_lead_to_states_that_are_there() {
        let all = Globs::new(globs(&["**/*.log", "docs", "**/node_modules", "a/**/b", "[x-z]*"]));
        let read = |name: String| all.read(all.start(), name.as_bytes());
        read("file-0.txt".to_owned());
        let made = || all.known.lock().unwrap().numbers.len();
        let before = made();
        for number in 0..10_000 {
            assert_eq!(all.last_match(&read(format!("file-{number}.text"))), None);
        }
        assert_eq!(all.last_match(&read("w/ü/x.log".to_owned())), Some(0));
        assert!(made() < before + 20, "{} after {before}", made());
    }

    #[test]
    fn states_take_bounded_memory() {
        // Of 18 letters, which are there and which are not is remembered: more states than there is room for.
        let all = Globs::new(globs(&["*a????????????????"]));
        for number in 0..1_u32 << 14 {
            let name: String = (0..17).map(|bit| if number >> bit & 1 == 1 { 'a' } else { 'b' }).collect();
            assert_eq!(all.last_match(&all.read(all.start(), name.as_bytes())).is_some(), number & 1 == 1, "{name}");
        }
        let known = all.known.lock().unwrap();
        assert_eq!(known.numbers.len(), STATES);
        assert!(known.bytes <= STATE_BYTES);
    }
}
