//! [`Lexer`]: quotes, escapes and `$` of one word.

use super::budget::Budget;
use super::error::ExpandError;
use super::splitter::Splitter;
use super::{MAX_DEPTH, MAX_LENGTH};
use std::collections::BTreeSet;

/// What is done with quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// They quote and are removed.
    Remove,
    /// They quote and stay.
    Keep,
    /// They are characters like any other.
    Plain,
}

/// How a word is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) escape: char,
    pub(super) quotes: Quotes,
    pub(super) keep_escapes: bool,
    pub(super) keep_unset: bool,
}

impl Options {
    /// Returns the options of an ordinary word.
    pub(super) fn new(escape: char) -> Self {
        Self { escape, quotes: Quotes::Remove, keep_escapes: false, keep_unset: false }
    }

    /// Returns the options under which only variables that are set change the text.
    pub(super) fn display(escape: char) -> Self {
        Self { escape, quotes: Quotes::Keep, keep_escapes: true, keep_unset: true }
    }
}

/// Reads one word from its start to its end.
pub(super) struct Lexer<'a> {
    source: &'a str,
    pub(super) at: usize,
    pub(super) options: Options,
    pub(super) budget: Budget,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: Vec<String>,
    seen_unset: BTreeSet<String>,
    used: BTreeSet<String>,
    depth: usize,
    keep_escapes: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str, options: Options, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            source,
            at: 0,
            options,
            budget: Budget::new(),
            lookup,
            unset: Vec::new(),
            seen_unset: BTreeSet::new(),
            used: BTreeSet::new(),
            depth: 0,
            keep_escapes: options.keep_escapes,
        }
    }

    /// Returns the whole word, expanded.
    pub(super) fn text(&mut self) -> Result<String, ExpandError> {
        self.until(None, None)
    }

    /// Returns the whole text, expanded and split.
    pub(super) fn words(&mut self) -> Result<Vec<String>, ExpandError> {
        let mut splitter = Splitter::default();
        self.until(None, Some(&mut splitter))?;
        Ok(splitter.finish())
    }

    /// Returns the names that were not set, in order, and those that were.
    pub(super) fn into_names(self) -> (Vec<String>, BTreeSet<String>) {
        (self.unset, self.used)
    }

    /// Returns the next character without taking it.
    pub(super) fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    /// Takes the next character.
    pub(super) fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Reads the nested word of a modifier up to `stop`, one level deeper.
    pub(super) fn nested(&mut self, stop: char, keep_escapes: bool, dollar: usize) -> Result<String, ExpandError> {
        if self.depth == MAX_DEPTH {
            return Err(ExpandError::TooDeep { limit: MAX_DEPTH, offset: dollar });
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let result = self.until(Some(stop), None);
        self.keep_escapes = outer;
        self.depth -= 1;
        result
    }

    /// Returns the variable's value and notes that it was asked for.
    pub(super) fn value(&mut self, name: &str) -> Result<Option<String>, ExpandError> {
        let value = self.value_if_set(name)?;
        if value.is_none() && self.seen_unset.insert(name.to_owned()) {
            self.unset.push(name.to_owned());
        }
        Ok(value)
    }

    /// Returns the variable's value where the word says what else to take: being unset is then nothing to note.
    pub(super) fn value_if_set(&mut self, name: &str) -> Result<Option<String>, ExpandError> {
        let value = (self.lookup)(name);
        if let Some(value) = &value {
            self.used.insert(name.to_owned());
            self.spend(value.len())?;
        }
        Ok(value)
    }

    /// Spends work.
    pub(super) fn spend(&mut self, amount: usize) -> Result<(), ExpandError> {
        self.budget.spend(amount).map_err(|_exhausted| ExpandError::TooMuchWork { offset: self.at })
    }

    /// Reads up to `stop` (taken, not returned) or the end.
    fn until(&mut self, stop: Option<char>, mut splitter: Option<&mut Splitter>) -> Result<String, ExpandError> {
        let mut text = String::new();
        while let Some(character) = self.peek() {
            if stop == Some(character) {
                self.next();
                return Ok(text);
            }
            let from = text.len();
            let splits = self.piece(character, &mut text)?;
            self.check_length(&text)?;
            self.spend(text.len() - from)?;
            if let Some(splitter) = splitter.as_deref_mut() {
                if splits { splitter.split(&text[from..]) } else { splitter.keep(&text[from..]) }
            }
        }
        // The caller knows which of its texts fits; it looks at the position.
        if stop.is_some() { Err(ExpandError::MissingBrace { offset: self.at }) } else { Ok(text) }
    }

    /// Reads what starts with `character` and adds it to `text`; returns whether its white space separates words.
    fn piece(&mut self, character: char, text: &mut String) -> Result<bool, ExpandError> {
        match character {
            '$' => text.push_str(&self.dollar()?),
            '\'' if self.options.quotes != Quotes::Plain => {
                self.single_quoted(text)?;
                return Ok(false);
            }
            '"' if self.options.quotes != Quotes::Plain => {
                self.double_quoted(text)?;
                return Ok(false);
            }
            _ if character == self.options.escape => {
                self.escaped(text);
                return Ok(false);
            }
            _ => {
                self.next();
                text.push(character);
            }
        }
        Ok(true)
    }

    /// Reads an escape character and the one after it; at the end of the word the escape character is dropped.
    fn escaped(&mut self, text: &mut String) {
        self.next();
        if self.keep_escapes {
            text.push(self.options.escape);
        }
        text.extend(self.next());
    }

    fn single_quoted(&mut self, text: &mut String) -> Result<(), ExpandError> {
        let offset = self.at;
        self.next();
        let rest = &self.source[self.at..];
        let length = rest.find('\'').ok_or(ExpandError::UnbalancedQuote { quote: "single-quote", offset });
        let length = length.inspect_err(|_error| self.at = self.source.len())?;
        self.quote('\'', text);
        text.push_str(&rest[..length]);
        self.quote('\'', text);
        self.at += length + 1;
        Ok(())
    }

    fn double_quoted(&mut self, text: &mut String) -> Result<(), ExpandError> {
        let offset = self.at;
        self.next();
        self.quote('"', text);
        loop {
            match self.peek() {
                None => return Err(ExpandError::UnbalancedQuote { quote: "double-quote", offset }),
                Some('"') => break,
                Some('$') => text.push_str(&self.dollar()?),
                Some(character) if character == self.options.escape => self.escaped_in_quotes(text),
                Some(character) => {
                    self.next();
                    text.push(character);
                }
            }
            self.check_length(text)?;
        }
        self.next();
        self.quote('"', text);
        Ok(())
    }

    /// Reads an escape character between double quotes: it escapes `"`, `$` and itself; before anything else it stays.
    fn escaped_in_quotes(&mut self, text: &mut String) {
        self.next();
        let escape = self.options.escape;
        if self.keep_escapes {
            text.push(escape);
        }
        match self.peek() {
            None => {}
            Some(character) if character == '"' || character == '$' || character == escape => {
                self.next();
                text.push(character);
            }
            Some(_) if self.keep_escapes => {}
            Some(_) => text.push(escape),
        }
    }

    fn quote(&self, quote: char, text: &mut String) {
        if self.options.quotes == Quotes::Keep {
            text.push(quote);
        }
    }

    fn check_length(&self, text: &str) -> Result<(), ExpandError> {
        if text.len() > MAX_LENGTH {
            return Err(ExpandError::TooLong { limit: MAX_LENGTH, offset: self.at });
        }
        Ok(())
    }
}
