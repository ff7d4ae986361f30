//! Times what no builder can do without: the floors that `tests/bench` holds lbuild's times against.
//!
//! ```text
//! floors stat DIR             the metadata of every file of a tree, one thread
//! floors read DIR             the bytes of every file of a tree, one thread
//! floors write FILE BYTES     a new file, one thread, not synced
//! floors sha256 RANGE...      the digest of each range: one stream has one digest, so one thread
//! floors gzip RANGE...        libdeflate, level 6, on all cores
//! floors zstd RANGE...        zstd, level 3, on all cores
//! floors inflate FILE         the gzip file's content, one thread
//! ```
//! A RANGE is `FILE:OFFSET:LENGTH`. Prints seconds and bytes (those that came out). Reading what is hashed, compressed
//! or inflated is not timed.

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes that are compressed at once by one core.
const BLOCK: usize = 1 << 20;
/// Bytes that are read before the clock runs.
const BATCH: usize = 128 * BLOCK;
const GZIP_LEVEL: i32 = 6;
const ZSTD_LEVEL: i32 = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (took, bytes) = match words.as_slice() {
        ["stat", tree] => timed(|| stat(Path::new(tree)))?,
        ["read", tree] => timed(|| read(Path::new(tree), &mut vec![0; BLOCK]))?,
        ["write", file, bytes] => write(Path::new(file), bytes.parse()?)?,
        ["sha256", ranges @ ..] => of_ranges(ranges, hash)?,
        ["gzip", ranges @ ..] => of_ranges(ranges, |bytes| compress(bytes, gzip))?,
        ["zstd", ranges @ ..] => of_ranges(ranges, |bytes| compress(bytes, zstd))?,
        ["inflate", file] => inflate(Path::new(file))?,
        _ => return Err("usage: floors stat|read|write|sha256|gzip|zstd|inflate ...".into()),
    };
    println!("{} {bytes}", took.as_secs_f64());
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<u64>) -> Result<(Duration, u64)> {
    let start = Instant::now();
    let bytes = work()?;
    Ok((start.elapsed(), bytes))
}

fn stat(tree: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { stat(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn read(tree: &Path, buffer: &mut [u8]) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        bytes += match entry.file_type()? {
            kind if kind.is_dir() => read(&entry.path(), buffer)?,
            kind if kind.is_file() => read_file(&entry.path(), buffer)?,
            _ => 0,
        };
    }
    Ok(bytes)
}

fn read_file(path: &Path, buffer: &mut [u8]) -> Result<u64> {
    let mut file = File::open(path)?;
    let mut bytes = 0;
    loop {
        match file.read(buffer)? {
            0 => return Ok(bytes),
            count => bytes += count as u64,
        }
    }
}

fn write(path: &Path, bytes: u64) -> Result<(Duration, u64)> {
    let block: Vec<u8> = (0..BLOCK).map(|at| (at % 251) as u8).collect();
    let written = timed(|| {
        let mut file = File::create(path)?;
        let mut left = bytes;
        while left > 0 {
            let part = left.min(BLOCK as u64) as usize;
            file.write_all(&block[..part])?;
            left -= part as u64;
        }
        Ok(bytes)
    })?;
    fs::remove_file(path)?;
    Ok(written)
}

/// Times `work` on the bytes of each range, in batches.
fn of_ranges(ranges: &[&str], mut work: impl FnMut(&[u8]) -> Result<u64>) -> Result<(Duration, u64)> {
    let (mut took, mut bytes) = (Duration::ZERO, 0);
    let mut batch = vec![0; BATCH];
    for range in ranges {
        let (mut file, mut left) = open(range)?;
        while left > 0 {
            let part = left.min(BATCH as u64) as usize;
            file.read_exact(&mut batch[..part])?;
            let (time, out) = timed(|| work(&batch[..part]))?;
            (took, bytes, left) = (took + time, bytes + out, left - part as u64);
        }
    }
    Ok((took, bytes))
}

fn open(range: &str) -> Result<(File, u64)> {
    let mut parts = range.rsplitn(3, ':');
    let length = parts.next().ok_or("a range has a length")?.parse()?;
    let offset = parts.next().ok_or("a range has an offset")?.parse()?;
    let mut file = File::open(parts.next().ok_or("a range has a file")?)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok((file, length))
}

fn hash(bytes: &[u8]) -> Result<u64> {
    let digest = Sha256::digest(bytes);
    std::hint::black_box(&digest);
    Ok(digest.len() as u64)
}

fn compress(bytes: &[u8], one: fn(&[u8]) -> std::result::Result<u64, String>) -> Result<u64> {
    Ok(bytes.par_chunks(BLOCK).map(one).try_reduce(|| 0, |left, right| Ok(left + right))?)
}

fn gzip(block: &[u8]) -> std::result::Result<u64, String> {
    let level = libdeflater::CompressionLvl::new(GZIP_LEVEL).map_err(|_| "no such level")?;
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(block.len())];
    compressor.gzip_compress(block, &mut out).map(|length| length as u64).map_err(|error| error.to_string())
}

fn zstd(block: &[u8]) -> std::result::Result<u64, String> {
    zstd::bulk::compress(block, ZSTD_LEVEL).map(|out| out.len() as u64).map_err(|error| error.to_string())
}

fn inflate(path: &Path) -> Result<(Duration, u64)> {
    let bytes = fs::read(path)?;
    let mut buffer = vec![0; BLOCK];
    timed(|| {
        let mut content = flate2::bufread::MultiGzDecoder::new(bytes.as_slice());
        let mut count = 0;
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(count),
                part => count += part as u64,
            }
        }
    })
}
