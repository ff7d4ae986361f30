//! Sparse files: [`Segment`], the GNU maps in headers and in content, and [`Expansion`] to the file's own bytes.

use crate::tar::encoding::number;

/// Largest map that is read: 16 MiB of memory.
pub(super) const MAX_SEGMENTS: usize = 1 << 20;

/// A range of a sparse file that has bytes of its own; what lies between segments reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl Segment {
    fn end(self) -> Option<u64> {
        self.offset.checked_add(self.length)
    }
}

/// Adds the 24-byte pairs in `fields` to `segments`, up to the first empty one; nothing if one is malformed.
pub(super) fn push_gnu_segments(fields: &[u8], segments: &mut Vec<Segment>) -> Option<()> {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let [offset, length] = [&pair[..12], &pair[12..]].map(|field| u64::try_from(number(field)?).ok());
        if segments.len() == MAX_SEGMENTS {
            return None;
        }
        segments.push(Segment { offset: offset?, length: length? });
    }
    Some(())
}

/// Returns `segments` without the empty ones, or why they are no map of a file of `size` bytes with `packed` of its own.
pub(super) fn checked(mut segments: Vec<Segment>, size: u64, packed: u64) -> Result<Vec<Segment>, &'static str> {
    let (mut end, mut total) = (0u64, 0u64);
    for segment in &segments {
        let next =
            segment.end().filter(|&next| next <= size).ok_or("a sparse segment lies past the end of its file")?;
        if segment.offset < end {
            return Err("sparse segments overlap or are out of order");
        }
        end = next;
        total += segment.length;
    }
    if total != packed {
        return Err("a sparse map does not fit the size of its entry");
    }
    segments.retain(|segment| segment.length > 0);
    Ok(segments)
}

/// Where reading a sparse file's expanded bytes stands.
#[derive(Debug)]
pub(super) struct Expansion {
    segments: std::vec::IntoIter<Segment>,
    current: Option<Segment>,
    position: u64,
    size: u64,
}

/// What comes next in an expanded file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// So many zeros.
    Hole(u64),
    /// So many bytes of the stream.
    Data(u64),
    /// Nothing.
    End,
}

impl Expansion {
    pub(super) fn new(segments: Vec<Segment>, size: u64) -> Self {
        let mut segments = segments.into_iter();
        let current = segments.next();
        Self { segments, current, position: 0, size }
    }

    pub(super) fn next(&self) -> Stretch {
        match self.current {
            Some(segment) if self.position < segment.offset => Stretch::Hole(segment.offset - self.position),
            Some(segment) => Stretch::Data(segment.offset + segment.length - self.position),
            None if self.position < self.size => Stretch::Hole(self.size - self.position),
            None => Stretch::End,
        }
    }

    /// Goes on by `count` bytes, at most the stretch's.
    pub(super) fn advance(&mut self, count: u64) {
        self.position += count;
        if self.current.is_some_and(|segment| self.position == segment.offset + segment.length) {
            self.current = self.segments.next();
        }
    }
}
