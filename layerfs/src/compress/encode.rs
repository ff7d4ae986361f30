//! [`compress_layer`]: a layer tar as a blob, by all cores, the same bytes by any number of them.

use crate::compress::Compression;
use crate::compress::compressor::Method;
use crate::compress::cuts::Cuts;
use crate::compress::earlier::{Earlier, Member, Members};
use crate::compress::line::{Line, member};
use crate::digest::{DiffId, Digest, HashReader, HashWriter};
use flate2::GzBuilder;
use std::io::{self, BufReader, Read, Write};

const BUFFER: usize = 256 << 10;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compressed {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Digest of the plain tar, if it was not known.
    pub diff_id: Option<DiffId>,
    /// What the blob consists of, if it is several members.
    pub members: Members,
}

/// What is known beforehand, and spares work. The result is the same without it.
#[derive(Debug, Default)]
pub struct Known {
    /// Whether the diff ID of the tar is: it is not hashed then.
    pub diff_id: bool,
    /// Layers whose members may come again.
    pub earlier: Earlier,
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
/// Members end at entries (see the rule in `cuts.rs`), so that what did not change keeps its members.
///
/// # Errors
/// [`CompressError`].
pub fn compress_layer(
    tar: &mut dyn Read,
    out: &mut dyn Write,
    options: &CompressOptions,
    known: &Known,
) -> Result<Compressed, CompressError> {
    let mut out = HashWriter::new(out);
    let (members, diff_id) = match known.diff_id {
        true => (compress(&mut BufReader::with_capacity(BUFFER, tar), &mut out, options, &known.earlier)?, None),
        false => {
            let mut tar = BufReader::with_capacity(BUFFER, HashReader::new(tar));
            let members = compress(&mut tar, &mut out, options, &known.earlier)?;
            (members, Some(DiffId(tar.into_inner().finish().1)))
        }
    };
    out.flush().map_err(CompressError::Write)?;
    let (_, digest, size) = out.finish();
    Ok(Compressed { digest, size, diff_id, members })
}

fn compress(
    tar: &mut dyn Read,
    out: &mut dyn Write,
    options: &CompressOptions,
    earlier: &Earlier,
) -> Result<Members, CompressError> {
    match (options.method()?, options.single_member) {
        (None, _) => copy(tar, out).map(|()| Members::default()),
        (Some(method), true) => compress_whole(tar, out, method).map(|()| Members::default()),
        (Some(method), false) => compress_members(tar, out, method, earlier),
    }
}

fn compress_members(
    tar: &mut dyn Read,
    out: &mut dyn Write,
    method: Method,
    earlier: &Earlier,
) -> Result<Members, CompressError> {
    let (mut cuts, mut members) = (Cuts::new(tar), Members::default());
    let (mut first, mut plain) = (Vec::new(), Vec::new());
    // An empty stream is one empty member: readers refuse a blob of no bytes.
    cuts.next(&mut first).map_err(CompressError::Read)?;
    if !cuts.next(&mut plain).map_err(CompressError::Read)? {
        write_member(member(&first, method, earlier), out, &mut members)?;
        return Ok(members);
    }
    let mut line = Line::new(method, earlier);
    // This thread cuts, hashes and writes while the pool compresses; it blocks no thread of the pool.
    rayon::in_place_scope(|scope| {
        line.push(scope, first);
        let mut more = true;
        while more {
            line.push(scope, plain);
            if line.is_full() {
                write_first(&mut line, out, &mut members)?;
            }
            plain = line.room();
            more = cuts.next(&mut plain).map_err(CompressError::Read)?;
        }
        while write_first(&mut line, out, &mut members)? {}
        Ok(members)
    })
}

/// Writes the member in front; reports whether there was one.
fn write_first(line: &mut Line<'_>, out: &mut dyn Write, members: &mut Members) -> Result<bool, CompressError> {
    let Some(done) = line.pop() else { return Ok(false) };
    write_member(done, out, members).map(|()| true)
}

fn write_member(
    made: io::Result<(Member, Vec<u8>)>,
    out: &mut dyn Write,
    members: &mut Members,
) -> Result<(), CompressError> {
    let (member, bytes) = made.map_err(CompressError::Compress)?;
    out.write_all(&bytes).map_err(CompressError::Write)?;
    members.push(member);
    Ok(())
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
