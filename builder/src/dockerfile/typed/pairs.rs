//! ENV, LABEL and ARG: names with values (FEATURES 1.5-1, 1.5-2, 1.5-14).

use super::Request;
use crate::dockerfile::arguments::words;
use crate::dockerfile::error::ParseError;
use crate::dockerfile::instruction::{Arg, KeyValue};
use crate::dockerfile::joined::Slice;

/// Returns the pairs of ENV or LABEL.
pub(super) fn pairs(request: &Request<'_>) -> Result<Vec<KeyValue>, ParseError> {
    let words = request.at_least_one(words(request.arguments, request.escape))?;
    if !words[0].text().contains('=') {
        return legacy(request).map(|pair| vec![pair]);
    }
    words.into_iter().map(|word| pair(request, word)).collect()
}

/// Reads `key rest of the line`.
fn legacy(request: &Request<'_>) -> Result<KeyValue, ParseError> {
    let (key, value) = request.arguments.split_blank();
    if value.text().is_empty() {
        return Err(ParseError::NoValue { keyword: request.keyword, span: request.span });
    }
    Ok(KeyValue { key: key.word(), value: value.word(), legacy: true })
}

fn pair(request: &Request<'_>, word: Slice<'_>) -> Result<KeyValue, ParseError> {
    let Some((key, value)) = split(word) else {
        return Err(ParseError::NoEquals { word: word.text().to_owned(), span: word.span() });
    };
    named(request, key)?;
    Ok(KeyValue { key: key.word(), value: value.word(), legacy: false })
}

/// Returns the definitions of ARG, each with the place of all of it.
pub(super) fn arguments(request: &Request<'_>) -> Result<Vec<Arg>, ParseError> {
    let words = request.at_least_one(words(request.arguments, request.escape))?;
    words.into_iter().map(|word| argument(request, word)).collect()
}

fn argument(request: &Request<'_>, word: Slice<'_>) -> Result<Arg, ParseError> {
    let Some((name, default)) = split(word) else { return Ok(Arg { name: word.word(), default: None }) };
    named(request, name)?;
    Ok(Arg { name: name.word(), default: Some(default.word()) })
}

/// Splits at the first `=`.
fn split(word: Slice<'_>) -> Option<(Slice<'_>, Slice<'_>)> {
    let at = word.text().find('=')?;
    Some((word.part(0, at), word.from(at + 1)))
}

fn named(request: &Request<'_>, name: Slice<'_>) -> Result<(), ParseError> {
    if name.text().is_empty() {
        return Err(ParseError::BlankName { keyword: request.keyword, span: name.span() });
    }
    Ok(())
}
