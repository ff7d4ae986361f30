//! [`Lines`]: the text's lines one by one, and the rules of one line: comments and continuation.

use crate::source::Span;

/// Longest line in bytes, its end not counted.
pub(super) const MAX_LINE: usize = 65_535;

/// A line without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// The text, `\n` and any `\r` before it left out.
    pub(super) text: &'a str,
    /// Byte offset of its first character.
    pub(super) start: usize,
    /// Byte offset of what follows its end.
    pub(super) next: usize,
}

impl<'a> Line<'a> {
    /// Returns the line without white space before it.
    pub(super) fn trim_start(self) -> Self {
        let text = self.text.trim_start();
        Self { text, start: self.start + (self.text.len() - text.len()), ..self }
    }

    /// Returns whether the line is a comment.
    pub(super) fn is_comment(&self) -> bool {
        self.text.trim_start().starts_with('#')
    }

    /// Returns whether the line holds nothing but white space.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim_start().is_empty()
    }

    /// Returns the text and whether the next line continues it: the escape character stands at the end, blanks after
    /// it allowed, and is not itself escaped.
    pub(super) fn continuation(&self, escape: char) -> (&'a str, bool) {
        let text = self.text.trim_end_matches([' ', '\t']);
        match text.strip_suffix(escape) {
            Some(rest) if !rest.ends_with(escape) => (rest, true),
            _ => (self.text, false),
        }
    }

    /// Returns the place of the line.
    pub(super) fn span(&self) -> Span {
        Span::new(self.start, self.start + self.text.len())
    }
}

/// Walks over the lines of a text.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    /// Returns the lines of `source`; a byte order mark at its very start is skipped.
    pub(super) fn new(source: &'a str) -> Self {
        let at = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { source, at }
    }

    /// Returns the next line without taking it.
    pub(super) fn peek(&self) -> Option<Line<'a>> {
        let rest = &self.source[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let text = rest[..length].trim_end_matches(['\r', '\n']);
        Some(Line { text, start: self.at, next: self.at + length })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let line = self.peek()?;
        self.at = line.next;
        Some(line)
    }
}
