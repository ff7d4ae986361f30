//! `--mount` of RUN: comma-separated fields, checked as far as they hold no variables (FEATURES 1.7-5).

use super::directives::is_boolean;
use super::error::{MountError, ParseError};
use super::instruction::{Mount, Word};
use super::suggest::nearest;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

/// Every key with its long form.
const KEYS: [(&str, &str); 18] = [
    ("type", "type"),
    ("from", "from"),
    ("source", "source"),
    ("src", "source"),
    ("target", "target"),
    ("dst", "target"),
    ("destination", "target"),
    ("readonly", "readonly"),
    ("ro", "readonly"),
    ("readwrite", "readwrite"),
    ("rw", "readwrite"),
    ("required", "required"),
    ("size", "size"),
    ("id", "id"),
    ("sharing", "sharing"),
    ("mode", "mode"),
    ("uid", "uid"),
    ("gid", "gid"),
];
/// The key that only secrets take.
const ENVIRONMENT: &str = "env";

/// Parses one `--mount`; a key given twice is a warning, for the last one counts.
pub(super) fn parse(flag: Word, warnings: &mut Vec<Diagnostic>) -> Result<Spanned<Mount>, ParseError> {
    let span = flag.span;
    let mount = read(&flag.value, |key| {
        let message = format!("mount key `{key}` is given more than once; the last one counts");
        let warning = Diagnostic { severity: crate::diagnostic::Severity::Warning, ..Diagnostic::error(message) };
        warnings.push(warning.at(span, ""));
    });
    mount.map(|mount| Spanned::new(mount, span)).map_err(|error| ParseError::Mount { error, span })
}

fn read(text: &str, mut twice: impl FnMut(&str)) -> Result<Mount, MountError> {
    let mut mount = Mount::default();
    for field in fields(text)? {
        let (key, value) = key_and_value(&field)?;
        let known =
            if key == "type" { mount.kind.is_some() } else { mount.fields.iter().any(|(other, _)| other == key) };
        if known {
            twice(key);
        }
        match value {
            Some(value) if key == "type" => mount.kind = Some(kind(&value)?),
            value => mount.fields.push((key.to_owned(), value)),
        }
    }
    for (key, value) in &mount.fields {
        check_key(mount.kind.as_deref().unwrap_or("bind"), key)?;
        check_value(key, value.as_deref())?;
    }
    Ok(mount)
}

/// Splits at commas; a field may be quoted with `"`, which is doubled inside.
fn fields(text: &str) -> Result<Vec<String>, MountError> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(MountError::Quote),
        }
    }
}

/// Reads a plain field up to the next comma.
fn plain_field(text: &str) -> Result<(String, &str), MountError> {
    let (field, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
    if field.contains('"') { Err(MountError::Quote) } else { Ok((field.to_owned(), rest)) }
}

/// Reads a quoted field up to its closing quote.
fn quoted_field(text: &str) -> Result<(String, &str), MountError> {
    let mut field = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        field.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(after) => rest = after,
            None => return Ok((field, rest)),
        }
        field.push('"');
    }
    Err(MountError::Quote)
}

/// Returns the long form of the key, and the value.
fn key_and_value(field: &str) -> Result<(&'static str, Option<String>), MountError> {
    let (typed, value) = field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value.to_owned())));
    let lower = typed.to_ascii_lowercase();
    let known = KEYS.iter().find(|(key, _)| *key == lower).map(|(_, long)| *long);
    let known = known.or_else(|| (lower == ENVIRONMENT).then_some(ENVIRONMENT));
    match (known, value) {
        (Some(key @ ("readonly" | "readwrite" | "required")), None) => Ok((key, None)),
        (Some(key), Some(value)) => Ok((key, Some(value))),
        (_, None) => Err(MountError::NoValue { field: field.to_owned() }),
        (None, Some(_)) => {
            let suggestion = nearest_key(&lower);
            Err(MountError::UnknownKey { key: typed.to_owned(), field: field.to_owned(), suggestion })
        }
    }
}

fn nearest_key(key: &str) -> Option<&'static str> {
    nearest(key, KEYS.iter().map(|(key, _)| *key).chain([ENVIRONMENT]))
}

/// Returns the type, lower case unless it holds a variable.
fn kind(value: &str) -> Result<String, MountError> {
    if value.contains('$') {
        return Ok(value.to_owned());
    }
    let lower = value.to_ascii_lowercase();
    if TYPES.contains(&lower.as_str()) {
        return Ok(lower);
    }
    Err(MountError::UnknownType { found: value.to_owned(), suggestion: nearest(value, TYPES) })
}

/// Checks that a mount of type `kind` takes `key`.
fn check_key(kind: &str, key: &str) -> Result<(), MountError> {
    let fits = match key {
        "size" => kind == "tmpfs",
        "sharing" => kind == "cache",
        "required" => matches!(kind, "secret" | "ssh"),
        "env" => kind == "secret",
        "from" => !matches!(kind, "secret" | "ssh"),
        "mode" | "uid" | "gid" => matches!(kind, "secret" | "ssh" | "cache"),
        _ => true,
    };
    if fits || kind.contains('$') {
        return Ok(());
    }
    Err(MountError::KeyNotAllowed { key: key.to_owned(), kind: kind.to_owned() })
}

/// Checks a value that holds no variable.
fn check_value(key: &str, value: Option<&str>) -> Result<(), MountError> {
    let Some(value) = value else { return Ok(()) };
    if key == "from" {
        let variable = value.find('$').is_some_and(|at| at + 1 != value.len());
        return if variable { Err(MountError::VariableInFrom { value: value.to_owned() }) } else { Ok(()) };
    }
    let valid = match key {
        _ if value.contains('$') => true,
        "readonly" | "readwrite" | "required" => is_boolean(value),
        "sharing" => matches!(value.to_ascii_lowercase().as_str(), "shared" | "private" | "locked"),
        "mode" => is_number(value, 8),
        "uid" | "gid" => is_number(value, 10),
        _ => true,
    };
    if valid { Ok(()) } else { Err(MountError::InvalidValue { key: key.to_owned(), value: value.to_owned() }) }
}

fn is_number(text: &str, radix: u32) -> bool {
    !text.starts_with('+') && u32::from_str_radix(text, radix).is_ok()
}
