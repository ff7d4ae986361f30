//! One member at a time, on whichever thread: plain bytes in, a whole gzip member or zstd frame out.

use libdeflater::{CompressionLvl, Compressor};
use std::cell::RefCell;
use std::io;

thread_local! {
    /// A compressor takes several hundred KiB; each thread keeps the last one.
    static GZIP: RefCell<Option<Gzip>> = const { RefCell::new(None) };
    static ZSTD: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

/// A compressor of one level, and room for a member.
struct Gzip {
    level: i32,
    compressor: Compressor,
    room: Vec<u8>,
}

/// How the bytes of a member are compressed, with the level.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Gzip(i32),
    Zstd(i32),
}

impl Method {
    /// Returns the member that holds `plain`: no name, time 0, and a checksum.
    pub(super) fn compress(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(level) => GZIP.with_borrow_mut(|kept| gzip(kept, level, plain)),
            Self::Zstd(level) => ZSTD.with_borrow_mut(|kept| zstd(kept, level, plain)),
        }
    }
}

fn gzip(kept: &mut Option<Gzip>, level: i32, plain: &[u8]) -> io::Result<Vec<u8>> {
    if kept.as_ref().is_none_or(|kept| kept.level != level) {
        let level_of_library = CompressionLvl::new(level).map_err(|_| io::ErrorKind::InvalidInput)?;
        *kept = Some(Gzip { level, compressor: Compressor::new(level_of_library), room: Vec::new() });
    }
    let Gzip { compressor, room, .. } = kept.as_mut().expect("it was just made");
    let bound = compressor.gzip_compress_bound(plain.len());
    if room.len() < bound {
        room.resize(bound, 0);
    }
    let length = compressor.gzip_compress(plain, room).map_err(|_| io::ErrorKind::WriteZero)?;
    Ok(room[..length].to_vec())
}

fn zstd(kept: &mut Option<(i32, zstd::bulk::Compressor<'static>)>, level: i32, plain: &[u8]) -> io::Result<Vec<u8>> {
    if kept.as_ref().is_none_or(|(of, _)| *of != level) {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.include_checksum(true)?;
        *kept = Some((level, compressor));
    }
    let (_, compressor) = kept.as_mut().expect("it was just made");
    compressor.compress(plain)
}
