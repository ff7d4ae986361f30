//! [`Compression`]: plain, gzip and zstd, in and out.

use std::io::Read;

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, one or more members.
    Gzip,
    /// zstd, one or more frames.
    Zstd,
}

/// Returns the plain bytes of `compressed`, whose form is found out from its first bytes.
///
/// # Errors
/// The stream's; unknown forms count as plain.
pub fn decompress<'a>(_compressed: Box<dyn Read + Send + 'a>) -> std::io::Result<Box<dyn Read + Send + 'a>> {
    todo!()
}
