//! [`Glob`]: the patterns of `#`, `%` and `/`: `*`, `?` and literals, no brackets.
//!
//! Neither `*` nor `?` matches a line feed. Matching advances a set of states over the text, so that it takes at most
//! (length of the pattern) x (length of the text) steps, all charged to the word's [`Budget`].

use super::budget::{Budget, Exhausted};

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Any characters.
    Star,
    /// Any one character.
    Any,
    /// This character.
    Literal(char),
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

/// A `\` before a character that it cannot escape.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GlobError {
    /// The character; none at the pattern's end.
    pub(super) escaped: Option<char>,
}

/// The states that are alive: state `n` has matched the first `n` tokens.
struct States<'a> {
    tokens: &'a [Token],
    live: Vec<bool>,
    count: usize,
}

impl Glob {
    /// Parses a pattern. `\` escapes `*`, `?` and itself, and the `}` and `/` that would end the pattern.
    ///
    /// # Errors
    /// [`GlobError`] if it stands before anything else.
    pub(super) fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Literal(escaped),
                    escaped => return Err(GlobError { escaped }),
                },
                _ => Token::Literal(character),
            });
        }
        Ok(Self { tokens })
    }

    /// Returns `value` without its shortest or longest prefix that matches.
    pub(super) fn trim_prefix<'v>(
        &self,
        value: &'v str,
        longest: bool,
        budget: &mut Budget,
    ) -> Result<&'v str, Exhausted> {
        let end = match_length(&self.tokens, value.chars(), longest, budget)?;
        Ok(&value[end.unwrap_or(0)..])
    }

    /// Returns `value` without its shortest or longest suffix that matches.
    pub(super) fn trim_suffix<'v>(
        &self,
        value: &'v str,
        longest: bool,
        budget: &mut Budget,
    ) -> Result<&'v str, Exhausted> {
        let length = match_length(&self.reversed(), value.chars().rev(), longest, budget)?;
        Ok(&value[..value.len() - length.unwrap_or(0)])
    }

    /// Returns `value` with its first match, the longest at its place, replaced.
    pub(super) fn replace_first(
        &self,
        value: &str,
        replacement: &str,
        budget: &mut Budget,
    ) -> Result<String, Exhausted> {
        let starts = self.starts(value, budget)?;
        let Some(start) = starts.iter().position(|&starts| starts) else { return Ok(value.to_owned()) };
        let length = match_length(&self.tokens, value[start..].chars(), true, budget)?.unwrap_or(0);
        Ok([&value[..start], replacement, &value[start + length..]].concat())
    }

    /// Returns `value` with every match replaced. `$0` in the replacement stands for the match, `$$` for a dollar, and
    /// any other `$name` for nothing, as BuildKit's regular expressions have it.
    pub(super) fn replace_all(&self, value: &str, replacement: &str, budget: &mut Budget) -> Result<String, Exhausted> {
        let starts = self.starts(value, budget)?;
        let mut replaced = String::new();
        let mut kept = 0;
        let mut previous_end = None;
        let mut at = 0;
        while let Some(start) = (at..=value.len()).find(|&start| starts[start]) {
            let length = match_length(&self.tokens, value[start..].chars(), true, budget)?.unwrap_or(0);
            let end = start + length;
            // An empty match that touches the one before it does not count.
            if length > 0 || previous_end != Some(start) {
                replaced.push_str(&value[kept..start]);
                insert(replacement, &value[start..end], &mut replaced);
                budget.spend(replacement.len() + length)?;
                (kept, previous_end) = (end, Some(end));
            }
            at = if length > 0 { end } else { end + 1 };
            if replaced.len() > super::MAX_LENGTH {
                break; // the caller refuses this length
            }
        }
        replaced.push_str(&value[kept..]);
        Ok(replaced)
    }

    fn reversed(&self) -> Vec<Token> {
        self.tokens.iter().rev().copied().collect()
    }

    /// Returns, for every byte offset, whether a match starts there: one walk from the end with the pattern reversed.
    fn starts(&self, value: &str, budget: &mut Budget) -> Result<Vec<bool>, Exhausted> {
        let tokens = self.reversed();
        let mut starts = vec![false; value.len() + 1];
        let mut states = States::new(&tokens);
        starts[value.len()] = states.accepts();
        for (offset, character) in value.char_indices().rev() {
            budget.spend(tokens.len() + 1)?;
            states.advance(character);
            states.enter(0);
            starts[offset] = states.accepts();
        }
        Ok(starts)
    }
}

/// Returns the length in bytes of the shortest or longest match at the start of `text`.
fn match_length(
    tokens: &[Token],
    text: impl Iterator<Item = char>,
    longest: bool,
    budget: &mut Budget,
) -> Result<Option<usize>, Exhausted> {
    let mut states = States::new(tokens);
    let mut length = 0;
    let mut found = states.accepts().then_some(0);
    for character in text {
        if states.count == 0 || (found.is_some() && !longest) {
            break;
        }
        budget.spend(tokens.len() + 1)?;
        states.advance(character);
        length += character.len_utf8();
        if states.accepts() {
            found = Some(length);
        }
    }
    Ok(found)
}

impl<'a> States<'a> {
    fn new(tokens: &'a [Token]) -> Self {
        let mut states = Self { tokens, live: vec![false; tokens.len() + 1], count: 0 };
        states.enter(0);
        states
    }

    /// Makes a state live, and those that it reaches without a character.
    fn enter(&mut self, mut state: usize) {
        while !self.live[state] {
            self.live[state] = true;
            self.count += 1;
            if self.tokens.get(state) != Some(&Token::Star) {
                break;
            }
            state += 1;
        }
    }

    /// Takes one character. States go from the last to the first, so that none sees what this character made live.
    fn advance(&mut self, character: char) {
        for state in (0..self.live.len()).rev() {
            if !std::mem::replace(&mut self.live[state], false) {
                continue;
            }
            self.count -= 1;
            match self.tokens.get(state) {
                Some(Token::Star) if character != '\n' => self.enter(state),
                Some(Token::Any) if character != '\n' => self.enter(state + 1),
                Some(Token::Literal(literal)) if *literal == character => self.enter(state + 1),
                _ => {}
            }
        }
    }

    fn accepts(&self) -> bool {
        self.live[self.tokens.len()]
    }
}

/// Adds the replacement, its `$` references resolved (Go, package regexp, `Expand`).
fn insert(replacement: &str, matched: &str, out: &mut String) {
    let mut rest = replacement;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = group(rest) {
            if !name.is_empty() && name.bytes().all(|digit| digit == b'0') {
                out.push_str(matched);
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
}

/// Splits `name` or `{name}` off the text after a `$`.
fn group(text: &str) -> Option<(&str, &str)> {
    let (braced, body) = text.strip_prefix('{').map_or((false, text), |body| (true, body));
    let length = body.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(body.len());
    let (name, after) = body.split_at(length);
    if name.is_empty() {
        return None;
    }
    if braced { after.strip_prefix('}').map(|after| (name, after)) } else { Some((name, after)) }
}
