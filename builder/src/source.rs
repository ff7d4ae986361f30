//! [`Source`]: a text with a name, and [`Span`]: a place in it.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A place in a [`Source`]: a range of byte offsets, `start <= end <=` the length of the text, both at character
/// boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the span from `start` to before `end`.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end, "a span runs forward");
        Self { start, end }
    }

    /// Returns the span that covers both.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the span as a range of bytes.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A value with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Returns `value` as written at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A text that the user wrote, with the name to show for it (a path as typed, or `<stdin>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name to show.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// Returns the source of `text`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Returns the line of a byte offset, from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|&&b| b == b'\n').count() + 1
    }

    /// Returns the column of a byte offset in characters, from 1.
    pub fn column_of(&self, offset: usize) -> usize {
        let before = &self.text[..offset.min(self.text.len())];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        before[start..].chars().count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let source = Source::new("Dockerfile", "FROM a\nRUN é x\n");
        assert_eq!((source.line_of(0), source.column_of(0)), (1, 1));
        assert_eq!((source.line_of(14), source.column_of(14)), (2, 7));
    }
}
