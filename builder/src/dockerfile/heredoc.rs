//! Heredocs: the words that announce them and the bodies that follow (FEATURES 1.1-14).

use super::instruction::Heredoc;
use super::joined::Slice;
use super::lines::Lines;
use super::words::heredoc_name;
use crate::source::{Span, Spanned};

/// A word such as `<<-EOF`, and where it stands in the joined text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeredocWord {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) span: Span,
    name: String,
    expand: bool,
    chomp: bool,
    descriptor: u32,
}

/// A heredoc whose end was not found.
#[derive(Debug)]
pub(super) struct Unterminated {
    pub(super) name: String,
    pub(super) chomp: bool,
    pub(super) span: Span,
}

/// Returns the words of an instruction that announce heredocs, in order. A line that is not well formed for a shell
/// (an open quote) announces none.
pub(super) fn announced(line: Slice<'_>) -> Vec<HeredocWord> {
    if !line.text().contains("<<") {
        return Vec::new();
    }
    let words = shell_words(line.text()).unwrap_or_default();
    words.into_iter().filter_map(|(start, end)| parse_word(line.part(start, end))).collect()
}

/// Reads the body of `word` off `lines`.
///
/// # Errors
/// [`Unterminated`] if the text ends first; all lines are taken then.
pub(super) fn read_body(word: &HeredocWord, lines: &mut Lines<'_>, source: &str) -> Result<Heredoc, Unterminated> {
    let start = lines.peek().map_or(source.len(), |line| line.start);
    for line in lines.by_ref() {
        let text = if word.chomp { line.text.trim_start_matches('\t') } else { line.text };
        if text == word.name {
            return Ok(word.with_body(source, Span::new(start, line.start)));
        }
    }
    Err(Unterminated { name: word.name.clone(), chomp: word.chomp, span: word.span })
}

impl HeredocWord {
    fn with_body(&self, source: &str, span: Span) -> Heredoc {
        let raw = &source[span.range()];
        let body = if self.chomp { chomp(raw) } else { raw.to_owned() };
        Heredoc {
            name: self.name.clone(),
            body: Spanned::new(body, span),
            with_tabs: self.chomp.then(|| raw.to_owned()),
            expand: self.expand,
            chomp: self.chomp,
            descriptor: self.descriptor,
        }
    }
}

/// Returns the text without the tabs at the start of each line.
fn chomp(raw: &str) -> String {
    raw.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

/// Parses `[descriptor]<<[-]name`.
fn parse_word(word: Slice<'_>) -> Option<HeredocWord> {
    let text = word.text();
    let (descriptor, rest) = text.split_once("<<")?;
    if !descriptor.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let (name, quoted) = heredoc_name(rest)?;
    let descriptor = if descriptor.is_empty() { 0 } else { descriptor.parse().unwrap_or(u32::MAX) };
    let start = word.offset();
    let end = start + text.len();
    Some(HeredocWord { start, end, span: word.span(), name, expand: !quoted, chomp, descriptor })
}

/// Returns the byte ranges of a line's words: split at white space that is neither quoted nor escaped. An open quote
/// gives none.
fn shell_words(line: &str) -> Option<Vec<(usize, usize)>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().map(|start| (start, at)));
            continue;
        }
        start = start.or(Some(at));
        match (quote, character) {
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    words.extend(start.map(|start| (start, line.len())));
    quote.is_none().then_some(words)
}
