//! [`Joined`]: an instruction's lines joined to one text that still knows where each byte was typed.

use super::instruction::Word;
use crate::source::{Span, Spanned};

/// A text made of pieces of the source.
#[derive(Debug, Default)]
pub(super) struct Joined {
    text: String,
    pieces: Vec<Piece>,
}

/// Text from `at` on stands in the source from `source` on.
#[derive(Debug, Clone, Copy)]
struct Piece {
    at: usize,
    source: usize,
}

impl Joined {
    /// Adds `piece`, which stands at the byte `source` of the source.
    pub(super) fn push(&mut self, piece: &str, source: usize) {
        self.pieces.push(Piece { at: self.text.len(), source });
        self.text.push_str(piece);
    }

    /// Returns all of it.
    pub(super) fn all(&self) -> Slice<'_> {
        Slice { joined: self, start: 0, end: self.text.len() }
    }

    /// Returns where the byte `at` of the text stands in the source.
    fn source_of(&self, at: usize) -> usize {
        let index = self.pieces.partition_point(|piece| piece.at <= at);
        let piece = index.checked_sub(1).and_then(|index| self.pieces.get(index));
        piece.map_or(0, |piece| piece.source + (at - piece.at))
    }
}

/// A part of a [`Joined`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice<'a> {
    joined: &'a Joined,
    start: usize,
    end: usize,
}

impl<'a> Slice<'a> {
    /// Returns the text.
    pub(super) fn text(&self) -> &'a str {
        &self.joined.text[self.start..self.end]
    }

    /// Returns the part between two byte offsets of this slice's text.
    pub(super) fn part(&self, start: usize, end: usize) -> Self {
        Self { joined: self.joined, start: self.start + start, end: self.start + end }
    }

    /// Returns the part from a byte offset of this slice's text to the end.
    pub(super) fn from(&self, start: usize) -> Self {
        self.part(start, self.end - self.start)
    }

    /// Returns the slice without white space at both ends.
    pub(super) fn trim(&self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.part(start, start + text.trim().len())
    }

    /// Returns where this slice begins in the joined text.
    pub(super) fn offset(&self) -> usize {
        self.start
    }

    /// Returns where this slice was typed, from its first character to its last.
    pub(super) fn span(&self) -> Span {
        let start = self.joined.source_of(self.start);
        if self.start == self.end {
            return Span::new(start, start);
        }
        // The end is sought from the last byte: the byte after it may stand in the next line's piece.
        Span::new(start, self.joined.source_of(self.end - 1) + 1)
    }

    /// Returns the text with its place.
    pub(super) fn word(&self) -> Word {
        self.with(self.text().to_owned())
    }

    /// Returns `value` with this slice's place.
    pub(super) fn with<T>(&self, value: T) -> Spanned<T> {
        Spanned::new(value, self.span())
    }

    /// Splits at the first run of blanks; the second part is empty if there is none.
    pub(super) fn split_blank(&self) -> (Self, Self) {
        let text = self.text();
        let Some(first) = text.find(is_blank) else { return (*self, self.from(text.len())) };
        let rest = text[first..].find(|character| !is_blank(character)).map_or(text.len(), |length| first + length);
        (self.part(0, first), self.from(rest))
    }
}

/// Returns whether a character separates words of lists and an instruction's name from its arguments. No-break
/// spaces and the like do not.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}
