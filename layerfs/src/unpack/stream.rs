//! [`LayerStream`]: the plain bytes of a layer on their one way from a blob.

use crate::digest::{DiffId, HashReader};
use crate::unpack::{LayerError, UnpackLimits, reading};
use std::io::{self, Read};

/// The plain bytes of a layer on their one way from a blob: hashed, and refused where they pass the limit, so that what
/// unpacks to without end is no longer read than any layer, whatever digest it claims to have.
#[derive(Debug)]
pub struct LayerStream<R> {
    plain: HashReader<R>,
    left: u64,
    limit: u64,
}

/// The tar itself is longer than any layer may be.
#[derive(Debug, thiserror::Error)]
#[error("the layer's tar has more than {limit} bytes")]
pub(super) struct TooLong {
    pub(super) limit: u64,
}

impl<R: Read> LayerStream<R> {
    /// Returns the stream of `plain`, a tar of which no more than the bytes in `limits` are read.
    pub fn new(plain: R, limits: UnpackLimits) -> Self {
        Self { plain: HashReader::new(plain), left: limits.bytes, limit: limits.bytes }
    }

    /// Reads what is left, as the digest is of everything, and returns the diff ID.
    ///
    /// # Errors
    /// [`LayerError::TooLong`]; the stream's.
    pub fn finish(mut self) -> Result<DiffId, LayerError> {
        io::copy(&mut self, &mut io::sink()).map_err(reading)?;
        Ok(DiffId(self.plain.finish().1))
    }
}

impl<R: Read> Read for LayerStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(TooLong { limit: self.limit })),
        }
        Ok(count)
    }
}
