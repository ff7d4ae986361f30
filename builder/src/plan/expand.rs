//! [`WordExpander`]: what the graph and the plan need of the expansion of words; `dockerfile::words` does the work.

use std::collections::{BTreeMap, BTreeSet};

/// Answers with the value of a variable, or nothing if it is unset.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A word after expansion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// Names of variables that were asked for and are unset, in order.
    pub unset: Vec<String>,
    /// Names of variables that were asked for and are set.
    pub used: BTreeSet<String>,
}

/// A word after expansion and splitting at blanks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpandedWords {
    /// The words.
    pub words: Vec<String>,
    /// Names of variables that were asked for and are unset, in order.
    pub unset: Vec<String>,
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpansionError(pub String);

/// Expands variables, quotes and escapes in the words of a Dockerfile; `escape` is the file's escape character.
pub trait WordExpander {
    /// Returns `word` expanded.
    ///
    /// # Errors
    /// [`ExpansionError`] if the word is malformed or a mandatory variable (`${x:?}`) is unset.
    fn expand(&self, word: &str, escape: char, lookup: Lookup<'_>) -> Result<Expanded, ExpansionError>;

    /// Returns `word` expanded, then split at blanks.
    ///
    /// # Errors
    /// As [`WordExpander::expand`].
    fn expand_words(&self, word: &str, escape: char, lookup: Lookup<'_>) -> Result<ExpandedWords, ExpansionError>;

    /// Returns the body of a heredoc expanded: quotes mean nothing in it.
    ///
    /// # Errors
    /// As [`WordExpander::expand`].
    fn expand_heredoc(&self, body: &str, lookup: Lookup<'_>) -> Result<Expanded, ExpansionError>;

    /// Returns an instruction's text for showing it: variables that are set replaced, all else as typed.
    ///
    /// # Errors
    /// As [`WordExpander::expand`]; callers then show the text as typed.
    fn expand_display(&self, text: &str, escape: char, lookup: Lookup<'_>) -> Result<Expanded, ExpansionError>;
}

/// Returns a lookup in `values`.
pub fn in_map(values: &BTreeMap<String, String>) -> impl Fn(&str) -> Option<String> {
    |name| values.get(name).cloned()
}

/// The expansion of the Dockerfile language, [`crate::dockerfile::words`].
#[derive(Debug, Clone, Copy)]
pub struct DockerfileWords;

impl WordExpander for DockerfileWords {
    fn expand(&self, word: &str, escape: char, lookup: Lookup<'_>) -> Result<Expanded, ExpansionError> {
        words::Expander::new(escape, lookup).expand(word).map(Expanded::from).map_err(ExpansionError::from)
    }

    fn expand_words(&self, word: &str, escape: char, lookup: Lookup<'_>) -> Result<ExpandedWords, ExpansionError> {
        let words = words::Expander::new(escape, lookup).expand_words(word)?;
        Ok(ExpandedWords { words: words.words, unset: words.unset })
    }

    fn expand_heredoc(&self, body: &str, lookup: Lookup<'_>) -> Result<Expanded, ExpansionError> {
        words::Expander::new('\\', lookup).expand_heredoc(body).map(Expanded::from).map_err(ExpansionError::from)
    }
}

impl From<words::Expanded> for Expanded {
    fn from(expanded: words::Expanded) -> Self {
        Self { text: expanded.text, unset: expanded.unset, used: expanded.used.into_iter().collect() }
    }
}

impl From<words::ExpandError> for ExpansionError {
    fn from(error: words::ExpandError) -> Self {
        Self(error.to_string())
    }
}
