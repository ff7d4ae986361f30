//! [`decompress`]: the plain bytes of a stream, whatever its form.

use crate::compress::{Compression, SNIFF_LENGTH};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// Largest window that a zstd stream may ask for, as a power of two: 128 MiB, the format's recommended limit.
const MAX_WINDOW_LOG: u32 = 27;

/// Returns the plain bytes of `compressed`, whose form is found out from its first bytes. gzip may have many members and
/// zeros after the last; zstd may have many frames and windows of up to 128 MiB.
///
/// # Errors
/// The stream's; unknown forms count as plain. Reading fails where a stream is cut off, damaged or followed by garbage.
pub fn decompress<'a>(mut compressed: Box<dyn Read + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut first = Vec::with_capacity(SNIFF_LENGTH);
    (&mut compressed).take(SNIFF_LENGTH as u64).read_to_end(&mut first)?;
    let form = Compression::sniff(&first);
    let whole = Cursor::new(first).chain(compressed);
    match form {
        Compression::Plain => Ok(Box::new(whole)),
        Compression::Gzip => Ok(Box::new(Members::new(BufReader::with_capacity(64 << 10, whole)))),
        Compression::Zstd => {
            let mut frames = zstd::Decoder::with_buffer(BufReader::with_capacity(128 << 10, whole))?;
            frames.window_log_max(MAX_WINDOW_LOG)?;
            Ok(Box::new(frames))
        }
    }
}

/// The plain bytes of gzip members, one after the other. (`MultiGzDecoder` refuses zeros after the last member, which
/// gzip and tar leave on devices of fixed blocks.)
struct Members<R> {
    state: State<R>,
}

enum State<R> {
    Between(R),
    Inside(Box<GzDecoder<R>>),
    Ended,
}

impl<R: BufRead> Members<R> {
    fn new(input: R) -> Self {
        Self { state: State::Between(input) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let State::Inside(member) = &mut self.state {
                match member.read(buffer)? {
                    0 => {}
                    count => return Ok(count),
                }
            }
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Inside(member) => State::Between(member.into_inner()),
                State::Between(mut input) => match input.fill_buf()?.first() {
                    None => State::Ended,
                    Some(0) => {
                        only_zeros(input)?;
                        State::Ended
                    }
                    Some(_) => State::Inside(Box::new(GzDecoder::new(input))),
                },
                State::Ended => return Ok(0),
            };
        }
    }
}

fn only_zeros(mut input: impl BufRead) -> io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.iter().any(|&byte| byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "garbage after the last gzip member"));
        }
        match bytes.len() {
            0 => return Ok(()),
            count => input.consume(count),
        }
    }
}
