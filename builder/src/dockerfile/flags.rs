//! [`Flags`]: the `--flag`s between an instruction's name and its arguments (FEATURES 1.1-10, 1.1-11).

use super::error::ParseError;
use super::instruction::Word;
use super::joined::Slice;
use super::keyword::Keyword;
use super::suggest::nearest;
use crate::source::{Span, Spanned};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, or true or false.
    Boolean,
    /// One value, once.
    One,
    /// A value each time it is given.
    Many,
}

/// A flag as typed, quotes and escapes gone.
#[derive(Debug)]
pub(super) struct RawFlag {
    text: String,
    span: Span,
    /// Where the value was typed.
    value_span: Span,
}

/// Flags that were found good.
#[derive(Debug, Default)]
pub(super) struct Flags {
    values: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Checks the flags of `keyword`; those that are wrong become errors and are left out.
    pub(super) fn check(keyword: Keyword, raw: &[RawFlag], errors: &mut Vec<ParseError>) -> Self {
        let mut flags = Self::default();
        for flag in raw {
            match flags.checked(keyword, flag) {
                Ok(value) => flags.values.push(value),
                Err(error) => errors.push(error),
            }
        }
        flags
    }

    /// Takes the value of a flag that is given once.
    pub(super) fn one(&mut self, name: &str) -> Option<Word> {
        let at = self.values.iter().position(|(given, _)| *given == name)?;
        Some(self.values.remove(at).1)
    }

    /// Takes the values of a flag that may be repeated.
    pub(super) fn many(&mut self, name: &str) -> Vec<Word> {
        let (taken, left) = std::mem::take(&mut self.values).into_iter().partition(|(given, _)| *given == name);
        self.values = left;
        let taken: Vec<(&str, Word)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// Takes a boolean flag.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.one(name).map(|value| value.value == "true")
    }

    fn checked(&self, keyword: Keyword, raw: &RawFlag) -> Result<(&'static str, Word), ParseError> {
        let (name, value, _) = split_flag(raw);
        let Some(&(known, takes)) = keyword.flags().iter().find(|(known, _)| *known == name) else {
            let suggestion = nearest(name, keyword.flags().iter().map(|(known, _)| *known));
            return Err(ParseError::UnknownFlag { keyword, flag: name.to_owned(), suggestion, span: raw.span });
        };
        if takes != Takes::Many && self.values.iter().any(|(given, _)| *given == known) {
            return Err(ParseError::DuplicateFlag { flag: known, span: raw.span });
        }
        let value = if takes == Takes::Boolean { boolean(known, value, raw)? } else { text(known, value, raw)? };
        Ok((known, Spanned::new(value, raw.value_span)))
    }
}

/// Returns name, value and place of a flag.
pub(super) fn split_flag(raw: &RawFlag) -> (&str, Option<&str>, Span) {
    let body = raw.text.strip_prefix("--").unwrap_or(&raw.text);
    let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
    (name, value, raw.span)
}

fn boolean(flag: &'static str, value: Option<&str>, raw: &RawFlag) -> Result<String, ParseError> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("true") => Ok("true".to_owned()),
        Some("false") => Ok("false".to_owned()),
        Some("") => Err(ParseError::MissingFlagValue { flag, span: raw.span }),
        Some(_) => {
            let found = value.unwrap_or_default().to_owned();
            Err(ParseError::NotBoolean { flag, found, span: raw.value_span })
        }
    }
}

fn text(flag: &'static str, value: Option<&str>, raw: &RawFlag) -> Result<String, ParseError> {
    value.map(str::to_owned).ok_or(ParseError::MissingFlagValue { flag, span: raw.span })
}

/// Splits the flags off an instruction's arguments. A word that starts with `--` is one; `--` alone ends them. In
/// flags the escape character is always `\`.
pub(super) fn split(arguments: Slice<'_>) -> (Vec<RawFlag>, Slice<'_>) {
    let mut flags = Vec::new();
    let mut rest = arguments.trim();
    while rest.text().starts_with("--") {
        let (text, length) = unquote(rest.text());
        let word = rest.part(0, length);
        rest = rest.from(length).trim();
        if text == "--" {
            break;
        }
        let value = word.text().find('=').map_or(length, |at| at + 1);
        flags.push(RawFlag { text, span: word.span(), value_span: word.from(value).span() });
    }
    (flags, rest)
}

/// Returns the first word of `text` without its quotes and escapes, and its length as typed.
fn unquote(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, _) if character.is_whitespace() => return (word, at),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (_, '\\') => word.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => word.push(character),
        }
    }
    (word, text.len())
}
