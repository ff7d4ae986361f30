//! Parser directives: `# syntax=`, `# escape=` and `# check=` at the very top (FEATURES 1.1-6 to 1.1-9).

use super::Directives;
use super::error::ParseError;
use super::lines::{Line, Lines};
use crate::source::Span;

/// Reads the directives; leaves `lines` as they were, for directives are comments too.
pub(super) fn parse(source: &str, errors: &mut Vec<ParseError>) -> Directives {
    let mut directives = Directives::default();
    for line in Lines::new(source) {
        let Some((name, value)) = directive(line, "#") else { break };
        let known = match name.as_str() {
            "syntax" => set(&mut directives.syntax, first_word(value.text), &name, line, errors),
            "check" => {
                check(value, errors);
                set(&mut directives.check, value.text.to_owned(), &name, line, errors)
            }
            "escape" => escape(&mut directives, value, &name, line, errors),
            _ => false,
        };
        if !known {
            break;
        }
    }
    if directives.syntax.is_none() {
        directives.syntax = other_syntax(source);
    }
    directives
}

/// Returns the name, lower case, and the value of a directive after the comment mark.
fn directive<'a>(line: Line<'a>, mark: &str) -> Option<(String, Line<'a>)> {
    let line = line.trim_start();
    let body = line.text.strip_prefix(mark)?.trim_start();
    let (name, value) = body.split_once('=')?;
    let name = name.trim_end();
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let value = value.trim();
    if !starts_well || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) || value.is_empty() {
        return None;
    }
    let start = line.start + line.text.rfind(value).unwrap_or(0);
    Some((name.to_ascii_lowercase(), Line { text: value, start, next: line.next }))
}

/// Stores a directive; a second one of its name is an error. Returns true: the directive is known.
fn set<T>(slot: &mut Option<T>, value: T, name: &str, line: Line<'_>, errors: &mut Vec<ParseError>) -> bool {
    if slot.is_some() {
        errors.push(ParseError::DuplicateDirective { name: name.to_owned(), span: line.span() });
    } else {
        *slot = Some(value);
    }
    true
}

fn escape(
    directives: &mut Directives,
    value: Line<'_>,
    name: &str,
    line: Line<'_>,
    errors: &mut Vec<ParseError>,
) -> bool {
    match value.text {
        "`" => set(&mut directives.escape, '`', name, line, errors),
        "\\" => set(&mut directives.escape, '\\', name, line, errors),
        found => {
            errors.push(ParseError::InvalidEscape { found: found.to_owned(), span: value.span() });
            true
        }
    }
}

/// Checks the options of `# check=`; [`super::checks`] says what they do.
fn check(value: Line<'_>, errors: &mut Vec<ParseError>) {
    let mut invalid =
        |found: &str| errors.push(ParseError::InvalidCheck { found: found.to_owned(), span: value.span() });
    for option in value.text.splitn(3, ';') {
        match option.trim().split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("skip" | "experimental", _)) => {}
            Some(("error", flag)) if is_boolean(flag) => {}
            _ => invalid(option.trim()),
        }
    }
}

/// Returns whether Go's `strconv.ParseBool` takes the text.
pub(super) fn is_boolean(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// Returns the syntax asked for below a `#!` line, after `//`, or in a JSON object.
fn other_syntax(source: &str) -> Option<String> {
    let mut lines = Lines::new(source).peekable();
    let shebang = lines.next_if(|line| line.text.starts_with("#!")).is_some();
    let body: Vec<Line<'_>> = lines.take(64).collect();
    let marked = |mark| {
        let read = body.iter().map_while(|&line| directive(line, mark));
        let known = read.take_while(|(name, _)| matches!(name.as_str(), "syntax" | "escape" | "check"));
        known.filter(|(name, _)| name == "syntax").map(|(_, value)| first_word(value.text)).next()
    };
    let below_shebang = if shebang { marked("#") } else { None };
    below_shebang.or_else(|| marked("//")).or_else(|| json_syntax(source))
}

fn json_syntax(source: &str) -> Option<String> {
    let source = source.trim_start_matches('\u{feff}').trim_start();
    if !source.starts_with('{') {
        return None;
    }
    // Whatever is not such an object is a Dockerfile: its own errors are reported.
    let object: serde_json::Value = serde_json::from_str(source).ok()?;
    object.get("syntax")?.as_str().map(str::to_owned)
}

fn first_word(value: &str) -> String {
    value.split(' ').next().unwrap_or_default().to_owned()
}

/// Returns an error for every line that is too long.
pub(super) fn check_lengths(source: &str, errors: &mut Vec<ParseError>) {
    for line in Lines::new(source).filter(|line| line.text.len() > super::lines::MAX_LINE) {
        let span = Span::new(line.start, line.start);
        errors.push(ParseError::LineTooLong { length: line.text.len(), span });
    }
}
