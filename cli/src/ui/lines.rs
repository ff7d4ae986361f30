//! [`Lines`]: whole lines out of bytes that are cut anywhere.

/// Longest line that is held back; a longer one is shown in parts.
const LIMIT: usize = 64 * 1024;

/// Holds back the beginning of a line until its end comes.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes `bytes` and returns the lines that are whole now, without their ends.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        self.each(bytes, |line| whole.push(line.to_owned()));
        whole
    }

    /// Takes `bytes` and hands each line that is whole now to `take`, without its end.
    pub fn each(&mut self, bytes: &[u8], mut take: impl FnMut(&str)) {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let (mut whole, rest) = bytes.split_at(end);
        if !self.partial.is_empty() && !whole.is_empty() {
            let first = whole.iter().position(|byte| *byte == b'\n').map_or(0, |first| first + 1);
            self.partial.extend_from_slice(&whole[..first]);
            whole = &whole[first..];
            self.flush().iter().for_each(|line| take(line));
        }
        let text = String::from_utf8_lossy(whole);
        text.split_terminator('\n').for_each(|line| take(line.strip_suffix('\r').unwrap_or(line)));
        self.partial.extend_from_slice(rest);
        if self.partial.len() >= LIMIT {
            self.flush().iter().for_each(|line| take(line));
        }
    }

    /// Takes `bytes` and returns the last `most` of the lines that are whole now: the others are not even looked at, so
    /// that much output costs little.
    pub fn push_last(&mut self, bytes: &[u8], most: usize) -> Vec<String> {
        let ends = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        let mut lines = match ends.map(|(at, _)| at).nth(most) {
            Some(before) => {
                self.partial.clear();
                self.push(&bytes[before + 1..])
            }
            None => self.push(bytes),
        };
        lines.split_off(lines.len().saturating_sub(most))
    }

    /// Returns the line that has no end, if there is one.
    pub fn flush(&mut self) -> Option<String> {
        if self.partial.is_empty() {
            return None;
        }
        let line = std::mem::take(&mut self.partial);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(String::from_utf8_lossy(line).into_owned())
    }
}
