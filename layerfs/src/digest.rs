//! [`Digest`] and its kinds: names of bytes by their SHA-256.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

/// The SHA-256 digest of stored bytes (image-spec descriptor.md, "Digests").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Another algorithm than sha256.
    #[error("digest `{0}`: only sha256 is supported")]
    Algorithm(String),
    /// Not `sha256:` and 64 lower-case hexadecimal digits.
    #[error("digest `{0}` is not `sha256:` and 64 lower-case hexadecimal digits")]
    Malformed(String),
}

impl Digest {
    /// Returns the digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// Returns a digest from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 hexadecimal digits, without `sha256:`.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Returns the digest whose hexadecimal digits are `digits`.
    ///
    /// # Errors
    /// [`DigestError::Malformed`] if they are not 64 lower-case hexadecimal digits.
    pub fn from_hex(digits: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(digits.to_owned());
        if digits.len() != 64 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| malformed())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| malformed())?;
        }
        Ok(Self(bytes))
    }
}

/// Returns `bytes` as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.split_once(':') {
            Some(("sha256", digits)) => Self::from_hex(digits).map_err(|_| DigestError::Malformed(text.to_owned())),
            Some((algorithm, _)) if !algorithm.is_empty() => Err(DigestError::Algorithm(text.to_owned())),
            _ => Err(DigestError::Malformed(text.to_owned())),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

macro_rules! kind_of_digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

kind_of_digest! {
    /// The digest of a layer's uncompressed tar (image-spec config.md, "Layer DiffID").
    DiffId
}
kind_of_digest! {
    /// The digest that names a stack of layers (image-spec config.md, "Layer ChainID").
    ChainId
}

impl ChainId {
    /// Returns the chain ID of the layers `diff_ids`, the lowest first; nothing for no layers.
    pub fn of(diff_ids: &[DiffId]) -> Option<Self> {
        let (first, rest) = diff_ids.split_first()?;
        Some(rest.iter().fold(Self(first.0), |chain, diff_id| Self(Digest::of(format!("{chain} {diff_id}")))))
    }
}

/// A running SHA-256.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all bytes taken.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Hashes and counts what is written through it.
#[derive(Debug)]
pub struct HashWriter<W> {
    inner: W,
    hasher: Hasher,
    count: u64,
}

impl<W: Write> HashWriter<W> {
    /// Returns a writer that passes everything on to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::default(), count: 0 }
    }

    /// Returns the inner writer, the digest and the number of bytes written.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes and counts what is read through it.
#[derive(Debug)]
pub struct HashReader<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> HashReader<R> {
    /// Returns a reader of `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::default(), count: 0 }
    }

    /// Returns the digest and the number of the bytes read so far.
    pub fn finish(self) -> (R, Digest, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_print_and_parse() {
        let digest = Digest::of(b"lbuild");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
    }

    #[test]
    fn other_algorithms_and_forms_are_refused() {
        assert!(matches!("sha512:00".parse::<Digest>(), Err(DigestError::Algorithm(_))));
        for text in ["", "sha256", "sha256:", "sha256:ABCD", &format!("sha256:{}", "A".repeat(64)), ":"] {
            assert!(matches!(text.parse::<Digest>(), Err(DigestError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_chain_of_one_is_its_diff_id() {
        let one = DiffId(Digest::of(b"1"));
        assert_eq!(ChainId::of(&[one]), Some(ChainId(one.0)));
        assert_eq!(ChainId::of(&[]), None);
    }
}
