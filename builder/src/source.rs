//! [`Source`]: a text with a name, and [`Span`]: a place in it.

use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::string::FromUtf8Error;

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

    /// Returns the source of a file's bytes. They must be UTF-8, but for comments of old files: in them each byte that is
    /// none becomes a `?`. After the first `<<` a line is none for certain, since it may stand in a heredoc.
    ///
    /// # Errors
    /// The bytes, with the first fault outside comments.
    pub fn of_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, FromUtf8Error> {
        String::from_utf8(bytes)
            .or_else(|error| String::from_utf8(plain_comments(error.into_bytes())))
            .map(|text| Self::new(name, text))
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

/// Puts a `?` for each byte of a comment that is no part of a character; lengths stay.
fn plain_comments(mut bytes: Vec<u8>) -> Vec<u8> {
    for line in bytes.split_inclusive_mut(|&byte| byte == b'\n') {
        if line.windows(2).any(|pair| pair == b"<<") {
            break;
        }
        if line.trim_ascii_start().starts_with(b"#") {
            let mut at = 0;
            while let Err(error) = std::str::from_utf8(&line[at..]) {
                at += error.valid_up_to();
                line[at] = b'?';
                at += 1;
            }
        }
    }
    bytes
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

    #[test]
    fn row_1_1_2_comments_may_be_of_another_time() {
        let bytes = |text: &[u8]| Source::of_bytes("f", text.to_vec()).map(|source| source.text);
        assert_eq!(bytes(b"# \xa9 me\nFROM a\n\t# \xfc\xe9\n").as_deref(), Ok("# ? me\nFROM a\n\t# ??\n"));
        assert_eq!(bytes("# é\n".as_bytes()).as_deref(), Ok("# é\n"));
        for (text, at) in [(&b"# \xa9\nRUN \xff"[..], 8), (b"COPY <<A /\n# \xa9\nA\n", 13)] {
            assert_eq!(bytes(text).map_err(|error| error.utf8_error().valid_up_to()), Err(at));
        }
    }
}
