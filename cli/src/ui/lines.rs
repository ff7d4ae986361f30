//! [`Lines`]: whole lines out of bytes that are cut anywhere.

use memchr::{memchr, memchr_iter, memrchr, memrchr_iter};

/// Longest line that is held back; a longer one is shown in parts.
const LIMIT: usize = 64 * 1024;

/// Holds back the beginning of a line until its end comes.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes `bytes` and hands each line that is whole now to `take`, without its end.
    pub fn each(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let end = memrchr(b'\n', bytes).map_or(0, |last| last + 1);
        let (mut whole, rest) = bytes.split_at(end);
        if !self.partial.is_empty()
            && let Some(first) = memchr(b'\n', whole)
        {
            self.partial.extend_from_slice(&whole[..first]);
            whole = &whole[first + 1..];
            self.flush(&mut take);
        }
        let mut start = 0;
        for end in memchr_iter(b'\n', whole) {
            take(without_return(&whole[start..end]));
            start = end + 1;
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() >= LIMIT {
            self.flush(&mut take);
        }
    }

    /// As [`Self::each`], but of many lines only the last `most` are sure to be handed over: the others are not even looked
    /// at, so that much output costs little. Reports whether all were.
    pub fn last(&mut self, bytes: &[u8], most: usize, take: impl FnMut(&[u8])) -> bool {
        let skipped = memrchr_iter(b'\n', bytes).nth(most);
        if let Some(before) = skipped {
            self.partial.clear();
            self.each(&bytes[before + 1..], take);
        } else {
            self.each(bytes, take);
        }
        skipped.is_none()
    }

    /// Returns the line that has no end yet.
    pub fn unfinished(&self) -> &[u8] {
        without_return(&self.partial)
    }

    /// Hands over the line that has no end, if there is one.
    pub fn flush(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            take(without_return(&self.partial));
            self.partial.clear();
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
