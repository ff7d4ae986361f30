//! `print` and `printf` as Go has them.

use super::text;
use serde_json::Value;

/// Widest field that is made.
const WIDEST: usize = 4096;

/// Returns values one after another, with a space between two of which neither is a text.
pub(super) fn joined(values: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && !value.is_string() && !values[at - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&text::of(value));
    }
    out
}

/// Returns `format` with its verbs replaced by the values: `%v %s %d %q %t %f %x`, with `-`, `0`, width and precision.
pub(super) fn formatted(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (verb, next) = Verb::read(after);
        rest = next;
        match verb.letter {
            Some('%') => out.push('%'),
            Some(letter) => out.push_str(
                &values
                    .next()
                    .map_or_else(|| format!("%!{letter}(MISSING)"), |value| verb.padded(verb.shown(letter, value))),
            ),
            None => out.push_str("%!(NOVERB)"),
        }
    }
    out.push_str(rest);
    out
}

/// What stands after a `%`.
struct Verb {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    letter: Option<char>,
}

impl Verb {
    fn read(text: &str) -> (Self, &str) {
        let flags = text.len() - text.trim_start_matches(['-', '0', '+', ' ', '#']).len();
        let (width, rest) = number(&text[flags..]);
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (precision, rest) = number(rest);
                (Some(precision), rest)
            }
            None => (None, rest),
        };
        let mut letters = rest.chars();
        let letter = letters.next();
        let (left, zeros) = (text[..flags].contains('-'), text[..flags].contains('0'));
        (Self { left, zeros, width, precision, letter }, letters.as_str())
    }

    fn shown(&self, letter: char, value: &Value) -> String {
        match (letter, value) {
            ('v', _) | ('s', Value::String(_) | Value::Array(_)) => self.cut(text::of(value)),
            ('q', Value::String(_)) => value.to_string(),
            ('d', Value::Number(number)) if !number.is_f64() => text::of(value),
            ('t', Value::Bool(_)) => text::of(value),
            ('f', Value::Number(number)) => {
                format!("{:.*}", self.precision.unwrap_or(6), number.as_f64().unwrap_or_default())
            }
            ('x', Value::Number(number)) => number.as_u64().map_or_else(String::new, |number| format!("{number:x}")),
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            _ => format!("%!{letter}({})", text::of(value)),
        }
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text,
        }
    }

    fn padded(&self, text: String) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        match (self.left, self.zeros) {
            (true, _) => text + &" ".repeat(missing),
            (false, true) => "0".repeat(missing) + &text,
            (false, false) => " ".repeat(missing) + &text,
        }
    }
}

fn number(text: &str) -> (usize, &str) {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    (text[..digits].parse().unwrap_or(0).min(WIDEST), &text[digits..])
}
