//! [`compress_layer`]: a layer tar as a blob, by all cores, the same bytes by any number of them.

use crate::compress::Compression;
use crate::compress::compressor::Method;
use crate::compress::members::{MAX, Members};
use crate::digest::{DiffId, Digest, HashReader, HashWriter};
use flate2::GzBuilder;
use std::io::{self, BufReader, Read, Write};

/// Plain bytes that are compressed while the next are read: what bounds memory, whatever the number of cores.
const MAX_BATCH: u64 = 16 << 20;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressOptions {
    /// The form.
    pub form: Compression,
    /// The level: 0 to 9 for gzip (6 if not given), 1 to 22 for zstd (3 if not given); plain has none.
    pub level: Option<i32>,
    /// One gzip member or zstd frame, for readers that stop after the first; on one core.
    pub single_member: bool,
}

/// What came out of [`compress_layer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Digest of the plain tar.
    pub diff_id: DiffId,
}

/// What can go wrong with compressing a layer.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// The tar could not be read.
    #[error("read layer tar: {0}")]
    Read(#[source] io::Error),
    /// The blob could not be written.
    #[error("write compressed layer: {0}")]
    Write(#[source] io::Error),
    /// The compressor failed, for want of memory.
    #[error("compress layer: {0}")]
    Compress(#[source] io::Error),
    /// There is no such level.
    #[error("compression level {level} is not between {least} and {most}")]
    Level {
        /// As asked for.
        level: i32,
        /// The lowest.
        least: i32,
        /// The highest.
        most: i32,
    },
}

impl CompressOptions {
    /// Returns the usual options of `form`.
    pub fn new(form: Compression) -> Self {
        Self { form, level: None, single_member: false }
    }

    /// Returns how members are compressed; nothing for plain.
    fn method(&self) -> Result<Option<Method>, CompressError> {
        let level = |default: i32, least: i32, most: i32| match self.level.unwrap_or(default) {
            level if (least..=most).contains(&level) => Ok(level),
            level => Err(CompressError::Level { level, least, most }),
        };
        Ok(match self.form {
            Compression::Plain => None,
            Compression::Gzip => Some(Method::Gzip(level(6, 0, 9)?)),
            Compression::Zstd => Some(Method::Zstd(level(3, 1, 22)?)),
        })
    }
}

/// Writes the plain layer `tar` to `out` in another form. The bytes depend on the tar, the form and the level alone.
/// Members end at entries (see the rule in `members.rs`), so that what did not change keeps its members.
///
/// # Errors
/// [`CompressError`].
pub fn compress_layer(
    tar: &mut dyn Read,
    out: &mut dyn Write,
    options: &CompressOptions,
) -> Result<Compressed, CompressError> {
    let mut tar = BufReader::with_capacity(256 << 10, HashReader::new(tar));
    let mut out = HashWriter::new(out);
    match (options.method()?, options.single_member) {
        (None, _) => copy(&mut tar, &mut out)?,
        (Some(method), true) => compress_whole(&mut tar, &mut out, method)?,
        (Some(method), false) => compress_members(&mut tar, &mut out, method)?,
    }
    out.flush().map_err(CompressError::Write)?;
    let ((_, diff_id, _), (_, digest, size)) = (tar.into_inner().finish(), out.finish());
    Ok(Compressed { digest, size, diff_id: DiffId(diff_id) })
}

/// One member of the batch that is being compressed.
struct Slot {
    plain: Vec<u8>,
    member: io::Result<Vec<u8>>,
}

fn compress_members(tar: &mut dyn Read, out: &mut dyn Write, method: Method) -> Result<(), CompressError> {
    let limit = MAX_BATCH.min(MAX * rayon::current_num_threads() as u64);
    let mut members = Members::new(tar);
    let mut batch = read_batch(&mut members, limit)?;
    if batch.is_empty() {
        // An empty stream is one empty member: readers refuse a blob of no bytes.
        batch.push(Slot::new(Vec::new()));
    }
    while !batch.is_empty() {
        // This thread reads the next batch while the pool compresses this one; it blocks no thread of the pool.
        let next = rayon::in_place_scope(|scope| {
            for slot in &mut batch {
                scope.spawn(move |_| slot.compress(method));
            }
            read_batch(&mut members, limit)
        })?;
        for slot in batch {
            out.write_all(&slot.member.map_err(CompressError::Compress)?).map_err(CompressError::Write)?;
        }
        batch = next;
    }
    Ok(())
}

fn read_batch(members: &mut Members<'_>, limit: u64) -> Result<Vec<Slot>, CompressError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < limit {
        let Some(plain) = members.next().map_err(CompressError::Read)? else {
            break;
        };
        bytes += plain.len() as u64;
        batch.push(Slot::new(plain));
    }
    Ok(batch)
}

impl Slot {
    fn new(plain: Vec<u8>) -> Self {
        Self { plain, member: Ok(Vec::new()) }
    }

    fn compress(&mut self, method: Method) {
        self.member = method.compress(&std::mem::take(&mut self.plain));
    }
}

fn compress_whole(tar: &mut dyn Read, out: &mut dyn Write, method: Method) -> Result<(), CompressError> {
    match method {
        Method::Gzip(level) => {
            let level = flate2::Compression::new(level.unsigned_abs());
            let mut member = GzBuilder::new().mtime(0).operating_system(255).write(out, level);
            copy(tar, &mut member)?;
            member.finish().map_err(CompressError::Write)?;
        }
        Method::Zstd(level) => {
            let mut frame = zstd::Encoder::new(out, level).map_err(CompressError::Compress)?;
            frame.include_checksum(true).map_err(CompressError::Compress)?;
            copy(tar, &mut frame)?;
            frame.finish().map_err(CompressError::Write)?;
        }
    }
    Ok(())
}

fn copy(tar: &mut dyn Read, out: &mut dyn Write) -> Result<(), CompressError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match tar.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => out.write_all(&buffer[..count]).map_err(CompressError::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CompressError::Read(error)),
        }
    }
}
