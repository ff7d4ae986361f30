//! As much of HTTP/1.1 as loading an image takes: one request whose body comes in chunks, one answer (RFC 9112).

use serde_json::Value;
use std::io::{self, Read, Write};

/// Longest answer that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Bytes of a chunk.
const CHUNK: usize = 64 << 10;

/// Writes the head of the request.
///
/// # Errors
/// The stream's.
pub(super) fn begin(out: &mut impl Write) -> io::Result<()> {
    out.write_all(
        b"POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nUser-Agent: lbuild\r\nConnection: close\r\n\
          Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
}

/// Writes a body in chunks.
pub(super) struct Chunks<'a, W> {
    out: &'a mut W,
    kept: Vec<u8>,
}

impl<'a, W: Write> Chunks<'a, W> {
    /// Returns a body that goes to `out`.
    pub fn new(out: &'a mut W) -> Self {
        Self { out, kept: Vec::with_capacity(CHUNK) }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        write!(self.out, "{:x}\r\n", self.kept.len())?;
        self.out.write_all(&self.kept)?;
        self.kept.clear();
        self.out.write_all(b"\r\n")
    }

    /// Writes the end.
    ///
    /// # Errors
    /// The stream's.
    pub fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.out.write_all(b"0\r\n\r\n")?;
        self.out.flush()
    }
}

impl<W: Write> Write for Chunks<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = buffer.len().min(CHUNK - self.kept.len());
        self.kept.extend_from_slice(&buffer[..count]);
        if self.kept.len() == CHUNK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.flush()
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    body: String,
}

/// Reads the answer.
///
/// # Errors
/// The stream's; one that is no HTTP.
pub(super) fn answer(from: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    from.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let no_http = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(no_http)?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok()).ok_or_else(no_http)?;
    let chunked =
        head.to_lowercase().lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Ok(Answer { status, body })
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        body.push_str(chunk);
        rest = after[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    body
}

impl Answer {
    /// Returns why the request was refused, if it was: by its status, or in the course of it.
    pub fn refusal(&self) -> Option<String> {
        let said: Vec<Value> = self.body.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let text = |key: &str| said.iter().find_map(|line| Some(line.get(key)?.as_str()?.to_owned()));
        match self.status {
            200..=299 => text("error"),
            status => Some(text("message").unwrap_or_else(|| format!("it answered {status}: {}", self.body.trim()))),
        }
    }
}
