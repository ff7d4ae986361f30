//! [`VerifiedReader`]: reads bytes and checks digest and size on the way.

use crate::descriptor::Descriptor;
use crate::digest::{Digest, Hasher};
use crate::error::StoreError;
use crate::io_error::IoError;
use std::io::{self, Read};

/// Reads `inner` to its end; the read that meets the end, or a byte too many, fails unless digest and size are as stated.
#[derive(Debug)]
pub struct VerifiedReader<R> {
    inner: R,
    what: String,
    wanted: Digest,
    size: u64,
    count: u64,
    hasher: Option<Hasher>,
}

impl<R: Read> VerifiedReader<R> {
    /// Returns a reader of `inner`, which `blob` describes.
    pub fn new(inner: R, blob: &Descriptor) -> Self {
        Self {
            inner,
            what: format!("blob {}", blob.digest),
            wanted: blob.digest,
            size: blob.size,
            count: 0,
            hasher: Some(Hasher::default()),
        }
    }

    fn check_end(&mut self) -> Result<(), StoreError> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let what = self.what.clone();
        if self.count != self.size {
            return Err(StoreError::SizeMismatch { what, wanted: self.size, got: self.count });
        }
        let got = hasher.finish();
        if got != self.wanted {
            return Err(StoreError::DigestMismatch { what, wanted: self.wanted, got });
        }
        Ok(())
    }
}

impl<R: Read> Read for VerifiedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            return self.check_end().map(|()| 0).map_err(io::Error::other);
        }
        self.count = self.count.saturating_add(count as u64);
        if self.count > self.size {
            let (what, wanted) = (self.what.clone(), self.size);
            return Err(io::Error::other(StoreError::SizeMismatch { what, wanted, got: wanted.saturating_add(1) }));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Returns the error that a read through a [`VerifiedReader`] ended with: the mismatch it found, or that of `act` on
/// `path`.
pub fn unwrap_error(error: io::Error, act: &str, path: &std::path::Path) -> StoreError {
    match error.downcast::<StoreError>() {
        Ok(mismatch) => mismatch,
        Err(error) => IoError::new(act, path, &error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_bytes_fail_before_the_end() {
        let blob = Descriptor::of("x", b"hello");
        let read = |bytes: &[u8]| {
            let mut out = Vec::new();
            VerifiedReader::new(bytes, &blob).read_to_end(&mut out).map(|_| out)
        };
        assert_eq!(read(b"hello").expect("read"), b"hello");
        for (bytes, why) in [(&b"hell"[..], "has 4 bytes"), (b"hello!", "has 6 bytes"), (b"jello", "has digest")] {
            let error = unwrap_error(read(bytes).expect_err(why), "read", std::path::Path::new("x"));
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
