//! [`tokens`]: a template cut into texts and the words of its actions.

use super::TemplateError;
use serde_json::Value;
use std::iter::Peekable;
use std::str::CharIndices;

/// A word of a template, and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub at: usize,
    /// Whether it follows the word before without a space.
    pub glued: bool,
}

/// What a [`Token`] is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Text(String),
    /// `{{`.
    Open,
    /// `}}`.
    Close,
    Dot,
    /// A field, without its dot.
    Field(String),
    /// A variable, with its `$`.
    Variable(String),
    Word(String),
    Literal(Value),
    Pipe,
    Comma,
    LeftParenthesis,
    RightParenthesis,
    /// `:=`.
    Declare,
    /// `=`.
    Assign,
}

/// Cuts a template into its words.
///
/// # Errors
/// [`TemplateError::Syntax`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let (mut at, mut trim) = (0, false);
    while let Some(open) = text[at..].find("{{").map(|offset| at + offset) {
        let dashed = text[open + 2..].strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space));
        push_text(&mut tokens, &text[at..open], (trim, dashed), at);
        let begin = open + 2 + usize::from(dashed);
        let (close, comment) = end_of_action(text, begin)?;
        let inside = &text[begin..close];
        trim = inside.ends_with('-') && inside[..inside.len() - 1].ends_with(is_space);
        if !comment {
            let inside = if trim { &inside[..inside.len() - 1] } else { inside };
            tokens.push(Token { kind: TokenKind::Open, at: open, glued: false });
            words(inside, begin, &mut tokens)?;
            tokens.push(Token { kind: TokenKind::Close, at: close, glued: false });
        }
        at = close + 2;
    }
    push_text(&mut tokens, &text[at..], (trim, false), at);
    Ok(tokens)
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn push_text(tokens: &mut Vec<Token>, text: &str, (start, end): (bool, bool), at: usize) {
    let text = if start { text.trim_start_matches(is_space) } else { text };
    let text = if end { text.trim_end_matches(is_space) } else { text };
    if !text.is_empty() {
        tokens.push(Token { kind: TokenKind::Text(text.to_owned()), at, glued: false });
    }
}

/// Returns where the action that begins at `begin` ends, and whether it is a comment.
fn end_of_action(text: &str, begin: usize) -> Result<(usize, bool), TemplateError> {
    let unclosed = || TemplateError::syntax("`{{` is not closed by `}}`", begin - 2);
    let trimmed = text[begin..].trim_start_matches(is_space);
    if let Some(comment) = trimmed.strip_prefix("/*") {
        let start = text.len() - comment.len();
        let end = start + comment.find("*/").ok_or_else(unclosed)? + 2;
        let close = end + text[end..].find("}}").ok_or_else(unclosed)?;
        return Ok((close, true));
    }
    let mut quote = None;
    let mut characters = text[begin..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match (quote, character) {
            (None, '"' | '`') => quote = Some(character),
            (None, '}') if text[begin + offset..].starts_with("}}") => return Ok((begin + offset, false)),
            (Some('"'), '\\') => drop(characters.next()),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    Err(unclosed())
}

/// Cuts the inside of an action into its words.
fn words(text: &str, begin: usize, tokens: &mut Vec<Token>) -> Result<(), TemplateError> {
    let mut characters = text.char_indices().peekable();
    let mut glued = false;
    while let Some(&(offset, character)) = characters.peek() {
        if is_space(character) {
            characters.next();
            glued = false;
            continue;
        }
        let at = begin + offset;
        let kind = word(text, &mut characters, at)?;
        tokens.push(Token { kind, at, glued });
        glued = true;
    }
    Ok(())
}

type Characters<'a> = Peekable<CharIndices<'a>>;

fn word(text: &str, characters: &mut Characters<'_>, at: usize) -> Result<TokenKind, TemplateError> {
    let (offset, character) = characters.next().expect("the caller saw one");
    Ok(match character {
        '|' => TokenKind::Pipe,
        ',' => TokenKind::Comma,
        '(' => TokenKind::LeftParenthesis,
        ')' => TokenKind::RightParenthesis,
        '=' => TokenKind::Assign,
        ':' if characters.next_if(|(_, next)| *next == '=').is_some() => TokenKind::Declare,
        '.' => match name(characters) {
            name if name.is_empty() => TokenKind::Dot,
            name => TokenKind::Field(name),
        },
        '$' => TokenKind::Variable(format!("${}", name(characters))),
        '"' => TokenKind::Literal(quoted(text, offset, characters, at)?),
        '`' => TokenKind::Literal(raw(characters, at)?),
        '-' | '+' | '0'..='9' => TokenKind::Literal(number(character, characters, at)?),
        letter if letter.is_alphabetic() || letter == '_' => {
            let word = format!("{letter}{}", name(characters));
            literal_word(&word).map_or(TokenKind::Word(word), TokenKind::Literal)
        }
        other => return Err(TemplateError::syntax(format!("`{other}` means nothing here"), at)),
    })
}

fn literal_word(word: &str) -> Option<Value> {
    match word {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "nil" => Some(Value::Null),
        _ => None,
    }
}

fn name(characters: &mut Characters<'_>) -> String {
    let mut name = String::new();
    while let Some((_, character)) = characters.next_if(|(_, next)| next.is_alphanumeric() || *next == '_') {
        name.push(character);
    }
    name
}

/// Reads a text in double quotes; its escapes are JSON's, of which Go's are few more.
fn quoted(text: &str, start: usize, characters: &mut Characters<'_>, at: usize) -> Result<Value, TemplateError> {
    while let Some((offset, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '"' => {
                let wrong = |_| TemplateError::syntax("the text has an escape that is not known", at);
                return serde_json::from_str(&text[start..=offset]).map_err(wrong);
            }
            _ => {}
        }
    }
    Err(TemplateError::syntax("a text is not closed", at))
}

fn raw(characters: &mut Characters<'_>, at: usize) -> Result<Value, TemplateError> {
    let mut text = String::new();
    for (_, character) in characters.by_ref() {
        match character {
            '`' => return Ok(Value::String(text)),
            other => text.push(other),
        }
    }
    Err(TemplateError::syntax("a text is not closed", at))
}

fn number(first: char, characters: &mut Characters<'_>, at: usize) -> Result<Value, TemplateError> {
    // JSON knows no plus.
    let mut digits = if first == '+' { String::new() } else { first.to_string() };
    while let Some((_, digit)) = characters.next_if(|(_, next)| next.is_ascii_digit() || *next == '.') {
        digits.push(digit);
    }
    serde_json::from_str(&digits).map_err(|_| TemplateError::syntax(format!("`{digits}` is no number"), at))
}
