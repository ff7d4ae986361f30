//! The functions of a template.

use super::{TemplateError, printf, text};
use serde_json::Value;
use std::cmp::Ordering;

/// Their names.
pub(super) const NAMES: [&str; 23] = [
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad", "print",
    "printf", "println", "slice", "split", "title", "truncate", "upper",
];

/// Calls a function.
///
/// # Errors
/// [`TemplateError`].
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    let call = Call { name, arguments };
    match name {
        "and" => call.chosen(|value| !text::is_true(value)),
        "or" => call.chosen(text::is_true),
        "not" => Ok(Value::Bool(!text::is_true(call.only()?))),
        "eq" => call.equal(),
        "ne" => call.compared(|order| order != Some(Ordering::Equal)),
        "lt" => call.compared(|order| order == Some(Ordering::Less)),
        "le" => call.compared(|order| matches!(order, Some(Ordering::Less | Ordering::Equal))),
        "gt" => call.compared(|order| order == Some(Ordering::Greater)),
        "ge" => call.compared(|order| matches!(order, Some(Ordering::Greater | Ordering::Equal))),
        "json" => Ok(Value::String(call.only()?.to_string())),
        "len" => call.length(),
        "index" => call.index(),
        "slice" => call.slice(),
        "join" => call.join(),
        "split" => call.split(),
        "lower" => Ok(Value::String(call.text(0)?.to_lowercase())),
        "upper" => Ok(Value::String(call.text(0)?.to_uppercase())),
        "title" => Ok(Value::String(title(call.text(0)?))),
        "pad" => call.pad(),
        "truncate" => call.truncate(),
        "print" => Ok(Value::String(printf::joined(arguments))),
        "println" => Ok(Value::String(arguments.iter().map(text::of).collect::<Vec<_>>().join(" ") + "\n")),
        "printf" => match arguments.split_first() {
            Some((Value::String(format), rest)) => Ok(Value::String(printf::formatted(format, rest))),
            _ => Err(call.wrong("its first argument is a text")),
        },
        _ => Err(TemplateError::NoFunction { name: name.to_owned() }),
    }
}

struct Call<'a> {
    name: &'a str,
    arguments: &'a [Value],
}

impl Call<'_> {
    fn wrong(&self, why: &str) -> TemplateError {
        TemplateError::Arguments { function: self.name.to_owned(), why: why.to_owned() }
    }

    fn argument(&self, at: usize) -> Result<&Value, TemplateError> {
        self.arguments.get(at).ok_or_else(|| self.wrong(&format!("argument {} is missing", at + 1)))
    }

    fn only(&self) -> Result<&Value, TemplateError> {
        match self.arguments {
            [value] => Ok(value),
            _ => Err(self.wrong("it takes one argument")),
        }
    }

    fn text(&self, at: usize) -> Result<&str, TemplateError> {
        let wrong = || self.wrong(&format!("argument {} is no text", at + 1));
        self.argument(at)?.as_str().ok_or_else(wrong)
    }

    fn number(&self, at: usize) -> Result<usize, TemplateError> {
        let number = self.argument(at)?.as_u64().and_then(|number| usize::try_from(number).ok());
        number
            .filter(|number| *number <= 1 << 20)
            .ok_or_else(|| self.wrong(&format!("argument {} is no number", at + 1)))
    }

    /// Returns the first argument that `ends` holds for, else the last.
    fn chosen(&self, ends: impl Fn(&Value) -> bool) -> Result<Value, TemplateError> {
        let last = self.arguments.last().ok_or_else(|| self.wrong("it takes arguments"))?;
        Ok(self.arguments.iter().find(|value| ends(value)).unwrap_or(last).clone())
    }

    /// Compares the first argument with each of the others.
    fn equal(&self) -> Result<Value, TemplateError> {
        self.argument(1)?;
        Ok(Value::Bool(
            self.arguments[1..].iter().any(|other| order(&self.arguments[0], other) == Some(Ordering::Equal)),
        ))
    }

    fn compared(&self, holds: impl Fn(Option<Ordering>) -> bool) -> Result<Value, TemplateError> {
        Ok(Value::Bool(holds(order(self.argument(0)?, self.argument(1)?))))
    }

    fn length(&self) -> Result<Value, TemplateError> {
        match self.only()? {
            Value::String(text) => Ok(text.len().into()),
            Value::Array(items) => Ok(items.len().into()),
            Value::Object(map) => Ok(map.len().into()),
            // Go's nil lists and maps have a length.
            Value::Null => Ok(0.into()),
            _ => Err(self.wrong("its argument has no length")),
        }
    }

    /// Takes items by numbers and values by keys, one in the other. A key that is missing gives an empty text, as in the
    /// maps of texts that images have.
    fn index(&self) -> Result<Value, TemplateError> {
        let mut value = self.argument(0)?.clone();
        for at in 1..self.arguments.len() {
            value = match value {
                Value::Array(items) => {
                    let missing = || self.wrong(&format!("the list has {} items", items.len()));
                    items.get(self.number(at)?).cloned().ok_or_else(missing)?
                }
                Value::Object(mut map) => map.remove(self.text(at)?).unwrap_or_else(|| "".into()),
                Value::Null => "".into(),
                other => return Err(self.wrong(&format!("{} has no items", text::kind(&other)))),
            };
        }
        Ok(value)
    }

    fn slice(&self) -> Result<Value, TemplateError> {
        let length = match self.argument(0)? {
            Value::String(text) => text.len(),
            Value::Array(items) => items.len(),
            other => return Err(self.wrong(&format!("{} cannot be cut", text::kind(other)))),
        };
        let bound = |at: usize, usual: usize| if at < self.arguments.len() { self.number(at) } else { Ok(usual) };
        let range = bound(1, 0)?..bound(2, length)?;
        let missing = || self.wrong(&format!("there are {length}"));
        match self.argument(0)? {
            Value::String(text) => text.get(range).map(Value::from).ok_or_else(missing),
            Value::Array(items) => items.get(range).map(|items| items.to_vec().into()).ok_or_else(missing),
            other => Err(self.wrong(&format!("{} cannot be cut", text::kind(other)))),
        }
    }

    fn join(&self) -> Result<Value, TemplateError> {
        let items: &[Value] = match self.argument(0)? {
            Value::Array(items) => items,
            Value::Null => &[],
            _ => return Err(self.wrong("argument 1 is no list")),
        };
        Ok(Value::String(items.iter().map(text::of).collect::<Vec<_>>().join(self.text(1)?)))
    }

    fn split(&self) -> Result<Value, TemplateError> {
        Ok(self.text(0)?.split(self.text(1)?).map(Value::from).collect())
    }

    /// Puts so many spaces before and after a text that is not empty.
    fn pad(&self) -> Result<Value, TemplateError> {
        let (text, before, after) = (self.text(0)?, self.number(1)?, self.number(2)?);
        if text.is_empty() {
            return Ok("".into());
        }
        Ok(format!("{}{text}{}", " ".repeat(before), " ".repeat(after)).into())
    }

    fn truncate(&self) -> Result<Value, TemplateError> {
        let most = self.number(1)?;
        Ok(self.text(0)?.chars().take(most).collect::<String>().into())
    }
}

/// Compares numbers, texts and truth values among themselves; anything else is equal or not.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (left, right) => (left == right).then_some(Ordering::Equal),
    }
}

/// Returns a text with the first letter of each word as a capital.
fn title(text: &str) -> String {
    let mut begins = true;
    let capital = |letter: char| {
        let first = std::mem::replace(&mut begins, letter.is_whitespace());
        if first { letter.to_uppercase().collect::<String>() } else { letter.to_string() }
    };
    text.chars().map(capital).collect()
}
