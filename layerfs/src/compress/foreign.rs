//! [`decompress_any`]: the plain bytes of what other tools compressed.

use super::decompress;
use std::io::{self, Cursor, Read};

/// How many first bytes tell the form.
const SNIFF: usize = 6;

/// Reports whether a stream that begins with `first` is compressed with gzip, zstd, bzip2 or xz.
pub fn is_compressed(first: &[u8]) -> bool {
    crate::compress::Compression::sniff(first) != super::Compression::Plain || is_bzip2(first) || is_xz(first)
}

/// Returns the plain bytes of a stream as [`decompress`] does, which may be bzip2 or xz, too.
///
/// # Errors
/// The stream's.
pub fn decompress_any<'a>(mut compressed: Box<dyn Read + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut first = Vec::with_capacity(SNIFF);
    (&mut compressed).take(SNIFF as u64).read_to_end(&mut first)?;
    let (is_bzip2, is_xz) = (is_bzip2(&first), is_xz(&first));
    let whole = Cursor::new(first).chain(compressed);
    match (is_bzip2, is_xz) {
        (true, _) => Ok(Box::new(bzip2::read::MultiBzDecoder::new(whole))),
        (_, true) => Ok(Box::new(liblzma::read::XzDecoder::new_multi_decoder(whole))),
        _ => decompress(Box::new(whole)),
    }
}

fn is_bzip2(first: &[u8]) -> bool {
    first.starts_with(b"BZh")
}

fn is_xz(first: &[u8]) -> bool {
    first.starts_with(b"\xfd7zXZ\0")
}
