//! [`FileContent`]: reads a file where it lies in a tar, holes as zeros.

use crate::tar::Segment;
use crate::unpack::FilePlace;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Reads a file where it lies in a tar, holes as zeros. Readers of one file do not disturb each other.
#[derive(Debug)]
pub struct FileContent {
    tar: Arc<File>,
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
enum Piece {
    Zeros(u64),
    Tar { at: u64, left: u64 },
    Bytes(io::Cursor<Vec<u8>>),
}

impl FileContent {
    /// Returns a reader of the file at `place` in `tar`.
    pub(super) fn new(tar: Arc<File>, place: &FilePlace) -> Self {
        let pieces = match place {
            FilePlace::Bytes(bytes) => [Piece::Bytes(io::Cursor::new(bytes.clone()))].into(),
            FilePlace::Tar { at, size, segments: None } => [Piece::Tar { at: *at, left: *size }].into(),
            FilePlace::Tar { at, size, segments: Some(segments) } => expanded(*at, *size, segments),
        };
        Self { tar, pieces }
    }
}

fn expanded(mut at: u64, size: u64, segments: &[Segment]) -> VecDeque<Piece> {
    let mut pieces = VecDeque::new();
    let mut end = 0u64;
    for segment in segments {
        pieces.push_back(Piece::Zeros(segment.offset.saturating_sub(end)));
        pieces.push_back(Piece::Tar { at, left: segment.length });
        at = at.saturating_add(segment.length);
        end = segment.offset.saturating_add(segment.length);
    }
    pieces.push_back(Piece::Zeros(size.saturating_sub(end)));
    pieces
}

impl Piece {
    fn read(&mut self, tar: &File, buffer: &mut [u8]) -> io::Result<usize> {
        let most = |left: u64| buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match self {
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::Zeros(left) => {
                let count = most(*left);
                buffer[..count].fill(0);
                *left -= count as u64;
                Ok(count)
            }
            Self::Tar { at, left } => {
                let most = most(*left);
                let count = tar.read_at(&mut buffer[..most], *at)?;
                *at += count as u64;
                *left -= count as u64;
                Ok(count)
            }
        }
    }
}

impl Read for FileContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(piece) = self.pieces.front_mut() {
            match piece.read(&self.tar, buffer)? {
                0 => drop(self.pieces.pop_front()),
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn holes_read_as_zeros() {
        let mut tar = tempfile::tempfile().expect("a file");
        tar.write_all(b"..abcde..").expect("written");
        let tar = Arc::new(tar);
        let segments = vec![Segment { offset: 1, length: 2 }, Segment { offset: 4, length: 3 }];
        for (place, wanted) in [
            (FilePlace::Tar { at: 2, size: 5, segments: None }, &b"abcde"[..]),
            (FilePlace::Tar { at: 2, size: 9, segments: Some(segments) }, b"\0ab\0cde\0\0"),
            (FilePlace::Tar { at: 2, size: 2, segments: Some(Vec::new()) }, b"\0\0"),
            (FilePlace::Bytes(b"x".to_vec()), b"x"),
            (FilePlace::Tar { at: 2, size: 0, segments: None }, b""),
        ] {
            let mut got = Vec::new();
            FileContent::new(Arc::clone(&tar), &place).read_to_end(&mut got).expect("read");
            assert_eq!(got, wanted, "{place:?}");
        }
    }
}
