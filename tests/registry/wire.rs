//! HTTP/1.1, as far as the servers of the tests need it.

use std::io::{self, BufRead, Read, Write};

/// The lines before a body.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The request or status line.
    pub first: String,
    /// Names, in small letters, and values.
    pub fields: Vec<(String, String)>,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, each with its length.
    Chunked,
    /// The end of the connection.
    Close,
}

impl Head {
    /// Reads a head; nothing if the connection ended before it.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = line(from)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut head = Self { first, fields: Vec::new() };
        loop {
            let field = line(from)?;
            let Some((name, value)) = field.split_once(':') else { return Ok(Some(head)) };
            head.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Returns a word of the first line.
    pub fn word(&self, number: usize) -> &str {
        self.first.split(' ').nth(number).unwrap_or_default()
    }

    /// Returns the value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Removes a field.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, _)| known != name);
    }

    /// Gives a field one value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.fields.push((name.to_owned(), value.into()));
    }

    /// Returns how the body's end is found: a request without any word about it has none, a response ends with the
    /// connection.
    pub fn framing(&self, otherwise: Framing) -> Framing {
        match (self.field("transfer-encoding"), self.field("content-length")) {
            (Some(_), _) => Framing::Chunked,
            (None, Some(length)) => length.parse().map_or(otherwise, Framing::Length),
            (None, None) => otherwise,
        }
    }

    /// Returns the head as it is sent.
    pub fn text(&self) -> String {
        let fields: String = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{}\r\n{fields}\r\n", self.first)
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(64 << 10).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

/// Hands a body to `sink`, piece by piece.
pub fn body(
    from: &mut impl BufRead,
    framing: Framing,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    match framing {
        Framing::Length(length) => exactly(from, length, &mut sink),
        Framing::Close => loop {
            let mut bytes = [0; 16 << 10];
            match from.read(&mut bytes)? {
                0 => return Ok(()),
                read => sink(&bytes[..read])?,
            }
        },
        Framing::Chunked => loop {
            let size = line(from)?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            exactly(from, size, &mut sink)?;
            line(from)?;
            if size == 0 {
                return Ok(());
            }
        },
    }
}

fn exactly(from: &mut impl Read, length: u64, sink: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut left = length;
    let mut bytes = [0; 16 << 10];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let read = from.read(&mut bytes[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sink(&bytes[..read])?;
        left -= read as u64;
    }
    Ok(())
}

/// Writes a piece of a body; the empty piece ends a chunked one.
pub fn piece(to: &mut impl Write, framing: Framing, bytes: &[u8]) -> io::Result<()> {
    if framing != Framing::Chunked {
        return to.write_all(bytes);
    }
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    to.write_all(&framed)
}

/// Writes a whole response.
pub fn answer(
    to: &mut impl Write,
    status: &str,
    fields: &[(&str, &str)],
    body: &[u8],
    no_body: bool,
) -> io::Result<()> {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut head = Head { first: format!("HTTP/1.1 {status}"), fields };
    head.set("content-length", body.len().to_string());
    let mut bytes = head.text().into_bytes();
    bytes.extend_from_slice(if no_body { &[] } else { body });
    to.write_all(&bytes)
}

/// Returns the pairs of a query or form.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&hex, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns bytes in base 64 (RFC 4648, section 4), padded.
pub fn base64(bytes: &[u8]) -> String {
    fn letters(group: &[u8]) -> impl Iterator<Item = char> + use<> {
        let number = group.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let length = group.len();
        (0..4).map(move |at| match at <= length {
            true => char::from(ALPHABET[(number >> (18 - 6 * at)) as usize & 63]),
            false => '=',
        })
    }
    bytes.chunks(3).flat_map(letters).collect()
}

/// Returns bytes in base 64 for URLs (RFC 4648, section 5), without padding.
pub fn base64_url(bytes: &[u8]) -> String {
    base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// Returns the bytes of a text in base 64; nothing if it is none.
pub fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut number, mut bits) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        number = number << 6 | u32::try_from(ALPHABET.iter().position(|known| *known == letter)?).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((number >> bits & 255) as u8);
        }
    }
    Some(bytes)
}
