//! `$name` and `${name…}`: the lexer's part that knows the modifiers.

use super::error::ExpandError;
use super::glob::{Glob, GlobError};
use super::lexer::Lexer;

/// What stands after `$`.
struct Reference {
    name: String,
    /// Offset of the `$`.
    dollar: usize,
}

impl Lexer<'_> {
    /// Reads a `$` and what belongs to it; returns what takes its place.
    pub(super) fn dollar(&mut self) -> Result<String, ExpandError> {
        let dollar = self.at;
        self.next();
        if self.peek() == Some('{') {
            self.next();
            return self.braced(dollar);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        let value = self.value(&name)?;
        Ok(self.plain_value(value, || format!("${name}")))
    }

    fn braced(&mut self, dollar: usize) -> Result<String, ExpandError> {
        match self.peek() {
            None => return Err(ExpandError::MissingBrace { offset: dollar }),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution { offset: dollar }),
            Some(_) => {}
        }
        let reference = Reference { name: self.name(), dollar };
        match self.next() {
            None => Err(ExpandError::MissingBrace { offset: dollar }),
            Some('}') => {
                let value = self.value(&reference.name)?;
                Ok(self.plain_value(value, || format!("${{{}}}", reference.name)))
            }
            Some(':') => self.colon(&reference),
            Some(modifier @ ('-' | '+' | '?')) => self.conditional(&reference, modifier, false),
            Some(modifier @ ('#' | '%')) => self.trim(&reference, modifier),
            Some('/') => self.replace(&reference),
            Some(other) => Err(unsupported(other.to_string(), dollar)),
        }
    }

    fn colon(&mut self, reference: &Reference) -> Result<String, ExpandError> {
        match self.next() {
            None => Err(ExpandError::MissingBrace { offset: reference.dollar }),
            Some(modifier @ ('-' | '+' | '?')) => self.conditional(reference, modifier, true),
            Some(other) => Err(unsupported(format!(":{other}"), reference.dollar)),
        }
    }

    /// `-`, `+` and `?`; with a colon, empty counts as unset.
    fn conditional(&mut self, reference: &Reference, modifier: char, colon: bool) -> Result<String, ExpandError> {
        let word = self.modifier_word('}', false, reference.dollar)?;
        let value = self.value_if_set(&reference.name)?;
        if value.is_none() && self.options.keep_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{}{colon}{modifier}{word}}}", reference.name));
        }
        let unset = value.is_none();
        let value = value.filter(|value| !(colon && value.is_empty()));
        match modifier {
            '-' => Ok(value.unwrap_or(word)),
            '+' => Ok(value.map_or_else(String::new, |_| word)),
            _ => value.ok_or_else(|| required(reference, unset, word)),
        }
    }

    /// `#`, `##`, `%` and `%%`.
    fn trim(&mut self, reference: &Reference, modifier: char) -> Result<String, ExpandError> {
        let word = self.modifier_word('}', true, reference.dollar)?;
        let Some(value) = self.value(&reference.name)? else {
            return Ok(self.plain_value(None, || format!("${{{}{modifier}{word}}}", reference.name)));
        };
        let pattern = word.strip_prefix(modifier);
        let longest = pattern.is_some();
        let glob = parse_glob(pattern.unwrap_or(&word), reference)?;
        let trimmed = if modifier == '#' {
            glob.trim_prefix(&value, longest, &mut self.budget)
        } else {
            glob.trim_suffix(&value, longest, &mut self.budget)
        };
        trimmed.map(str::to_owned).map_err(|_exhausted| ExpandError::TooMuchWork { offset: reference.dollar })
    }

    /// `/pattern/replacement` and `//pattern/replacement`.
    fn replace(&mut self, reference: &Reference) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.modifier_word('/', true, reference.dollar)?;
        let replacement = self.modifier_word('}', true, reference.dollar)?;
        let Some(value) = self.value(&reference.name)? else {
            let slash = if all { "//" } else { "/" };
            return Ok(self.plain_value(None, || format!("${{{}{slash}{pattern}/{replacement}}}", reference.name)));
        };
        let glob = parse_glob(&pattern, reference)?;
        let replaced = if all {
            glob.replace_all(&value, &replacement, &mut self.budget)
        } else {
            glob.replace_first(&value, &replacement, &mut self.budget)
        };
        replaced.map_err(|_exhausted| ExpandError::TooMuchWork { offset: reference.dollar })
    }

    /// Reads a modifier's word up to `stop`; that the text ended outweighs whatever else was wrong with it.
    fn modifier_word(&mut self, stop: char, keep_escapes: bool, dollar: usize) -> Result<String, ExpandError> {
        let word = self.nested(stop, keep_escapes, dollar);
        word.map_err(|error| match stop {
            _ if error.is_limit() || self.peek().is_some() => error,
            '/' => ExpandError::MissingSlash { offset: dollar },
            _ => ExpandError::MissingBrace { offset: dollar },
        })
    }

    /// Returns the value, or what stands for an unset one.
    fn plain_value(&self, value: Option<String>, typed: impl FnOnce() -> String) -> String {
        match value {
            Some(value) => value,
            None if self.options.keep_unset => typed(),
            None => String::new(),
        }
    }

    /// Reads a name: all digits of a positional parameter, one special parameter, or letters, digits and `_`.
    fn name(&mut self) -> String {
        match self.peek() {
            Some(character) if character.is_ascii_digit() => self.take_while(|character| character.is_ascii_digit()),
            Some(character) if "@*#?-$!".contains(character) => {
                self.next();
                character.to_string()
            }
            _ => self.take_while(|character| character.is_alphanumeric() || character == '_'),
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(character) = self.peek().filter(|&character| belongs(character)) {
            self.next();
            taken.push(character);
        }
        taken
    }
}

fn parse_glob(pattern: &str, reference: &Reference) -> Result<Glob, ExpandError> {
    Glob::parse(pattern).map_err(|GlobError { escaped }| ExpandError::InvalidPattern {
        pattern: pattern.to_owned(),
        escaped: escaped.map(String::from).unwrap_or_default(),
        offset: reference.dollar,
    })
}

fn required(reference: &Reference, unset: bool, word: String) -> ExpandError {
    let standard = if unset { "is not allowed to be unset" } else { "is not allowed to be empty" };
    let message = if word.is_empty() { standard.to_owned() } else { word };
    ExpandError::Required { name: reference.name.clone(), message, offset: reference.dollar }
}

fn unsupported(modifier: String, offset: usize) -> ExpandError {
    ExpandError::UnsupportedModifier { modifier, offset }
}
