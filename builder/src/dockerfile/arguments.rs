//! How arguments are split: JSON arrays, lists at blanks, shell-like words (FEATURES 1.1-12, 1.1-13).

use super::heredoc::HeredocWord;
use super::instruction::Word;
use super::joined::{Slice, is_blank};
use serde_json::Value;

/// What a text that may be a JSON array is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// An array of strings.
    Strings(Vec<Word>),
    /// A valid array with something else in it.
    Mixed,
    /// No JSON array: the text is for the shell.
    Not,
}

/// Reads a JSON array. Whatever is not valid JSON is text.
pub(super) fn json(arguments: Slice<'_>) -> Json {
    let arguments = arguments.trim();
    if !arguments.text().starts_with('[') {
        return Json::Not;
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(arguments.text()) else { return Json::Not };
    let strings: Option<Vec<String>> = values.into_iter().map(string).collect();
    let Some(strings) = strings else { return Json::Mixed };
    let places = json_places(arguments);
    Json::Strings(strings.into_iter().zip(places).map(|(value, place)| place.with(value)).collect())
}

fn string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Returns where the strings of a valid JSON array of strings stand, quotes included.
fn json_places<'a>(array: Slice<'a>) -> impl Iterator<Item = Slice<'a>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + array.text()[from..].find('"')?;
        let end = start + 1 + closing_quote(&array.text()[start + 1..])? + 1;
        from = end;
        Some(array.part(start, end))
    })
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Splits at blanks; quotes mean nothing.
pub(super) fn list(arguments: Slice<'_>) -> Vec<Slice<'_>> {
    list_with_heredocs(arguments, &[])
}

/// Splits at blanks, each heredoc word being one item however it is quoted.
pub(super) fn list_with_heredocs<'a>(arguments: Slice<'a>, heredocs: &[HeredocWord]) -> Vec<Slice<'a>> {
    let mut items = Vec::new();
    let mut rest = arguments.trim();
    let mut heredocs = heredocs.iter().peekable();
    while !rest.text().is_empty() {
        while heredocs.next_if(|word| word.start < rest.offset()).is_some() {}
        let heredoc = heredocs.next_if(|word| word.start == rest.offset());
        let text = rest.text();
        // An escaped blank at the very end belongs to the heredoc's word, and was trimmed.
        let heredoc = heredoc.map(|word| (word.end - word.start).min(text.len()));
        let length = heredoc.or_else(|| text.find(is_blank)).unwrap_or(text.len());
        items.push(rest.part(0, length));
        let blanks = text[length..].find(|character| !is_blank(character)).unwrap_or(text.len() - length);
        rest = rest.from(length + blanks);
    }
    items
}

/// Splits into words as ENV, LABEL and ARG want them: white space inside quotes or after the escape character belongs
/// to the word. Quotes and escapes stay; an escape character at the very end is dropped.
pub(super) fn words(arguments: Slice<'_>, escape: char) -> Vec<Slice<'_>> {
    let text = arguments.text();
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut end = text.len();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().map(|start| arguments.part(start, at)));
            continue;
        }
        start = start.or(Some(at));
        match quote {
            _ if character == escape && quote != Some('\'') => {
                end = if characters.next().is_none() { at } else { end };
            }
            None if matches!(character, '\'' | '"') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
    }
    words.extend(start.filter(|&start| start < end).map(|start| arguments.part(start, end)));
    words
}
