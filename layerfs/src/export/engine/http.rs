//! As much of HTTP/1.1 as Docker's API takes: one request, whose body comes in chunks, and one answer (RFC 9112).

use serde_json::Value;
use std::io::{self, Read, Write};

/// Longest answer that is read, in bytes.
const LONGEST: u64 = 32 << 20;
/// Bytes of a chunk.
const CHUNK: usize = 64 << 10;

/// Writes the head of a request that has no body.
///
/// # Errors
/// The stream's.
pub(super) fn ask(out: &mut impl Write, method: &str, path: &str) -> io::Result<()> {
    head(out, method, path, "Content-Length: 0")
}

/// Writes the head of a request whose body is a tar in [`Chunks`].
///
/// # Errors
/// The stream's.
pub(super) fn begin(out: &mut impl Write, path: &str) -> io::Result<()> {
    head(out, "POST", path, "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked")
}

fn head(out: &mut impl Write, method: &str, path: &str, body: &str) -> io::Result<()> {
    let usual = "Host: docker\r\nUser-Agent: lbuild\r\nConnection: close";
    out.write_all(format!("{method} {path} HTTP/1.1\r\n{usual}\r\n{body}\r\n\r\n").as_bytes())
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
    /// The status of its first line.
    pub status: u16,
    body: Vec<u8>,
}

/// Reads the answer.
///
/// # Errors
/// The stream's; one that is no HTTP.
pub(super) fn answer(from: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    from.take(LONGEST).read_to_end(&mut bytes)?;
    let no_http = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP");
    let (head, body) = divided(&bytes, b"\r\n\r\n").ok_or_else(no_http)?;
    let head = String::from_utf8_lossy(head);
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok()).ok_or_else(no_http)?;
    let chunked =
        head.to_lowercase().lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    Ok(Answer { status, body: if chunked { unchunked(body) } else { body.to_vec() } })
}

/// Returns what is before and after the first `mark`.
fn divided<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some((size, after)) = divided(rest, b"\r\n") {
        let size = String::from_utf8_lossy(size);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        body.extend_from_slice(chunk);
        rest = after[size..].strip_prefix(b"\r\n").unwrap_or_default();
    }
    body
}

impl Answer {
    /// Returns the body as JSON; `null` if it is none, or if the request was refused.
    pub fn json(&self) -> Value {
        let taken = (200..300).contains(&self.status);
        serde_json::from_slice(if taken { &self.body } else { b"" }).unwrap_or(Value::Null)
    }

    /// Returns why the request was refused, if it was: by its status, or in the course of it.
    pub fn refusal(&self) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body);
        let said: Vec<Value> = body.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let text = |key: &str| said.iter().find_map(|line| Some(line.get(key)?.as_str()?.to_owned()));
        match self.status {
            200..=299 => text("error"),
            status => Some(text("message").unwrap_or_else(|| format!("it answered {status}: {}", body.trim()))),
        }
    }
}
