//! Expansion of variables in words: `$name`, `${name}` with every modifier, quotes and escapes.
//!
//! ```text
//! words.rs Expander (the door) -> lexer.rs (quotes, escapes, `$`) -> modifier.rs (`:-` `#` `/` …) -> glob.rs (patterns)
//! ```
//!
//! Hostile input is expected: nesting, the length of the result and the work spent on one word are bounded, so that
//! expansion always ends soon and never overflows the stack.

mod budget;
mod error;
mod glob;
mod lexer;
mod modifier;
mod splitter;
#[cfg(test)]
mod tests;

pub use error::ExpandError;

use lexer::{Lexer, Options, Quotes};
use std::collections::BTreeSet;
use std::fmt;

/// Longest result of one word, in bytes.
pub const MAX_LENGTH: usize = 1 << 20;
/// Deepest nesting of `${…}`.
pub const MAX_DEPTH: usize = 100;

/// Expands words with the variables that `lookup` knows.
pub struct Expander<'a> {
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// A word after expansion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The text, quotes and escapes gone.
    pub text: String,
    /// Variables that were asked for and not set, each once, in order.
    pub unset: Vec<String>,
    /// Variables that were asked for and set.
    pub used: BTreeSet<String>,
}

/// A word that expansion split into several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpandedWords {
    /// The words; empty ones are dropped.
    pub words: Vec<String>,
    /// Variables that were asked for and not set, each once, in order.
    pub unset: Vec<String>,
    /// Variables that were asked for and set.
    pub used: BTreeSet<String>,
}

impl fmt::Debug for Expander<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Expander").field("escape", &self.escape).finish_non_exhaustive()
    }
}

impl<'a> Expander<'a> {
    /// Returns an expander for a Dockerfile whose escape character is `escape`.
    pub fn new(escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { escape, lookup }
    }

    /// Expands one word; quotes are processed and removed, spaces stay.
    ///
    /// # Errors
    /// [`ExpandError`] if the word is not well formed, a variable that must be set is not, or a bound is passed.
    pub fn expand(&self, word: &str) -> Result<Expanded, ExpandError> {
        self.run(word, Options::new(self.escape))
    }

    /// Expands a text and splits the result at unquoted spaces, as EXPOSE wants it.
    ///
    /// # Errors
    /// As [`Expander::expand`].
    pub fn expand_words(&self, text: &str) -> Result<ExpandedWords, ExpandError> {
        let mut lexer = Lexer::new(text, Options::new(self.escape), self.lookup);
        let words = lexer.words()?;
        let (unset, used) = lexer.into_names();
        Ok(ExpandedWords { words, unset, used })
    }

    /// Expands the body of a heredoc: quotes are plain characters, and the escape character is `\` whatever the
    /// Dockerfile says.
    ///
    /// # Errors
    /// As [`Expander::expand`].
    pub fn expand_heredoc(&self, body: &str) -> Result<Expanded, ExpandError> {
        self.run(body, Options { quotes: Quotes::Plain, ..Options::new('\\') })
    }

    /// Expands an instruction's text for showing it: variables that are set are replaced, everything else (quotes,
    /// escapes, unset variables) stays as typed.
    ///
    /// # Errors
    /// As [`Expander::expand`]; callers then show the text as typed.
    pub fn expand_display(&self, text: &str) -> Result<Expanded, ExpandError> {
        self.run(text, Options::display(self.escape))
    }

    fn run(&self, word: &str, options: Options) -> Result<Expanded, ExpandError> {
        let mut lexer = Lexer::new(word, options, self.lookup);
        let text = lexer.text()?;
        let (unset, used) = lexer.into_names();
        Ok(Expanded { text, unset, used })
    }
}

/// Returns a heredoc's delimiter without quotes and whether any part of it was quoted; nothing if `typed` is not one
/// word.
pub(super) fn heredoc_name(typed: &str) -> Option<(String, bool)> {
    let plain = Options { keep_unset: true, ..Options::new('\\') };
    let names = Lexer::new(typed, plain, &|_name| None).words();
    let as_typed = Lexer::new(typed, Options::display('\\'), &|_name| None).words();
    match (names.ok()?.as_slice(), as_typed.ok()?.as_slice()) {
        ([name], [typed]) => Some((name.clone(), name != typed)),
        _ => None,
    }
}
