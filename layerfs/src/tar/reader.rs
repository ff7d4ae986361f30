//! [`TarReader`]: entries of a tar stream (v7, ustar, PAX, GNU long names and sparse files), one at a time.
//!
//! What is ambiguous is read as Go's archive/tar reads it, on which the other tools for layers stand: a GNU long name
//! wins over a PAX path, links and devices have no content. The archive ends, as for GNU tar, at a block of zeros or at
//! the end of the stream; what follows the zeros is read (so that a digest covers it) and ignored.

use crate::meta::Kind;
use crate::tar::encoding::decimal;
use crate::tar::header::{Block, Entry, EntryKind};
use crate::tar::records::{Key, Records};
use crate::tar::sparse::{Expansion, MAX_SEGMENTS, Segment, Stretch, checked, push_gnu_segments};
use crate::tar::{BLOCK, MAX_EXTENSION, TarError};
use std::io::{self, BufRead, BufReader, Read};

/// Most bytes that the extensions of one entry may take together.
const MAX_EXTENSIONS: u64 = 4 * MAX_EXTENSION;

/// Most bytes of records that all global headers may hold: every entry takes a copy.
const MAX_GLOBALS: u64 = 64 << 10;

/// Reads a tar: [`TarReader::next`] gives an entry, reading then gives its content (expanded, if it is sparse).
#[derive(Debug)]
pub struct TarReader<R> {
    input: BufReader<Counted<R>>,
    number: u64,
    globals: Records,
    global_bytes: u64,
    packed_left: u64,
    padding: u64,
    expansion: Option<Expansion>,
    ended: bool,
}

/// Counts what is read.
#[derive(Debug)]
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// What stood before an entry's header.
#[derive(Debug, Default)]
struct Extensions {
    records: Option<Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    bytes: u64,
}

impl<R: Read> TarReader<R> {
    /// Returns a reader of the plain tar `input`. It reads ahead: `input` needs no buffer of its own.
    pub fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(64 << 10, Counted { inner: input, count: 0 }),
            number: 0,
            globals: Records::default(),
            global_bytes: 0,
            packed_left: 0,
            padding: 0,
            expansion: None,
            ended: false,
        }
    }

    /// Returns the next entry, skipping what is left of the one before; nothing at the end of the archive, which may be
    /// before the end of the stream.
    ///
    /// # Errors
    /// [`TarError::Malformed`], [`TarError::Truncated`], [`TarError::Stream`]; reading cannot go on after one.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend the content between two entries")]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_content()?;
        self.number += 1;
        let mut extensions = Extensions::default();
        loop {
            let Some(block) = self.block()?.filter(|block| !block.is_zero()) else {
                return self.end(&extensions);
            };
            if !block.has_right_checksum() {
                return Err(self.malformed("the checksum of the header is wrong"));
            }
            match block.type_flag() {
                b'x' | b'X' | b'g' | b'L' | b'K' | b'V' => self.extension(&block, &mut extensions)?,
                _ => return self.entry(&block, extensions).map(Some),
            }
        }
    }

    /// Returns where in the input the next byte of the current entry's content is, as the tar holds it.
    pub fn position(&self) -> u64 {
        self.input.get_ref().count - self.input.buffer().len() as u64
    }

    /// Returns the number of the entry that `next` gave last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns a reader of the bytes that the tar holds for the current entry: for a sparse file those of its segments,
    /// one after the other; for any other the content. Either this or the expanded content is to be read, not both.
    pub fn packed(&mut self) -> impl Read + '_ {
        self.expansion = None;
        self
    }

    fn end(&mut self, extensions: &Extensions) -> Result<Option<Entry>, TarError> {
        if extensions.bytes > 0 {
            return Err(TarError::Truncated { entry: self.number });
        }
        self.ended = true;
        Ok(None)
    }

    /// Reads the stream to its end, whatever comes after the archive's.
    ///
    /// # Errors
    /// [`TarError::Stream`].
    pub fn finish(mut self) -> Result<(), TarError> {
        io::copy(&mut self.input, &mut io::sink()).map_err(read_failed)?;
        Ok(())
    }

    fn extension(&mut self, block: &Block, extensions: &mut Extensions) -> Result<(), TarError> {
        let size = block.size().ok_or_else(|| self.malformed("the size is no number"))?;
        self.count_extension(block.type_flag(), size, extensions)?;
        let mut bytes = Vec::new();
        (&mut self.input).take(size).read_to_end(&mut bytes).map_err(read_failed)?;
        if bytes.len() as u64 != size {
            return Err(TarError::Truncated { entry: self.number });
        }
        self.skip(padding(size))?;
        self.take_extension(block.type_flag(), bytes, extensions)
    }

    fn count_extension(&mut self, flag: u8, size: u64, extensions: &mut Extensions) -> Result<(), TarError> {
        if flag == b'g' {
            self.global_bytes = self.global_bytes.saturating_add(size);
            if self.global_bytes > MAX_GLOBALS {
                return Err(self.malformed("global headers take more than 64 KiB"));
            }
            return Ok(());
        }
        extensions.bytes = extensions.bytes.saturating_add(size).saturating_add(BLOCK as u64);
        if size > MAX_EXTENSION || extensions.bytes > MAX_EXTENSIONS {
            return Err(self.malformed("its extended headers are too long"));
        }
        Ok(())
    }

    fn take_extension(&mut self, flag: u8, bytes: Vec<u8>, extensions: &mut Extensions) -> Result<(), TarError> {
        let merged = match flag {
            b'g' => self.globals.merge(&bytes),
            b'x' | b'X' => extensions.records.get_or_insert_with(|| self.globals.clone()).merge(&bytes),
            b'L' => {
                extensions.long_name = Some(until_nul(bytes));
                Ok(())
            }
            b'K' => {
                extensions.long_link = Some(until_nul(bytes));
                Ok(())
            }
            _ => Ok(()), // a volume's label
        };
        merged.map_err(|why| self.malformed(&why))
    }

    fn entry(&mut self, block: &Block, extensions: Extensions) -> Result<Entry, TarError> {
        let mut records = extensions.records.unwrap_or_else(|| self.globals.clone());
        let packed = block.content_size(&records).map_err(|why| self.malformed(&why))?;
        self.packed_left = packed;
        self.padding = padding(packed);
        let sparse = self.sparse(block, &mut records)?;
        let size = sparse.as_ref().map_or(packed, |(_, size)| *size);
        let entry = block.entry(records, extensions.long_name, extensions.long_link, size);
        let mut entry = entry.map_err(|why| self.malformed(&why))?;
        let is_file = matches!(entry.kind, EntryKind::Inode(Kind::File { .. }));
        if let Some((segments, size)) = sparse.filter(|_| is_file) {
            let segments = checked(segments, size, self.packed_left).map_err(|why| self.malformed(why))?;
            self.expansion = Some(Expansion::new(segments.clone(), size));
            entry.segments = Some(segments);
        }
        if !is_file {
            self.skip_content()?;
        }
        Ok(entry)
    }

    /// Returns map and size of a sparse file, its map read from wherever its format keeps it.
    fn sparse(&mut self, block: &Block, records: &mut Records) -> Result<Option<(Vec<Segment>, u64)>, TarError> {
        let flag = block.type_flag();
        if flag == b'S' {
            return self.gnu_map(block).map(Some);
        }
        let Some(size) = records.number(Key::SparseSize).map_err(|why| self.malformed(&why))? else {
            return Ok(None);
        };
        if !matches!(flag, 0 | b'0' | b'7') {
            return Ok(None);
        }
        match (records.get(Key::SparseMajor), records.get(Key::SparseMinor)) {
            (Some(b"1"), Some(b"0")) => Ok(Some((self.content_map()?, size))),
            (None | Some(b"0"), _) => Ok(Some((records.take_segments(), size))),
            _ => Err(self.malformed("its sparse format is not supported")),
        }
    }

    /// Reads the map of the old GNU format, which goes on in blocks after the header.
    fn gnu_map(&mut self, block: &Block) -> Result<(Vec<Segment>, u64), TarError> {
        let malformed = |reader: &Self| reader.malformed("its sparse map is malformed");
        let (pairs, mut more, size) = block.gnu_sparse().ok_or_else(|| malformed(self))?;
        let mut segments = Vec::new();
        push_gnu_segments(pairs, &mut segments).ok_or_else(|| malformed(self))?;
        while more {
            let next = self.block()?.ok_or(TarError::Truncated { entry: self.number })?;
            if next.0[0] == 0 {
                return Err(malformed(self));
            }
            push_gnu_segments(&next.0[..504], &mut segments).ok_or_else(|| malformed(self))?;
            more = next.0[504] != 0;
        }
        Ok((segments, size))
    }

    /// Reads the map of sparse format 1.0: decimal lines at the start of the content, padded to a block.
    fn content_map(&mut self) -> Result<Vec<Segment>, TarError> {
        let mut used = 0;
        let count = self.map_number(&mut used)?;
        if count > MAX_SEGMENTS as u64 {
            return Err(self.malformed("its sparse map is too long"));
        }
        let mut segments = Vec::new();
        for _ in 0..count {
            segments.push(Segment { offset: self.map_number(&mut used)?, length: self.map_number(&mut used)? });
        }
        let rest = padding(used).min(self.packed_left);
        self.skip(rest)?;
        self.packed_left -= rest;
        Ok(segments)
    }

    fn map_number(&mut self, used: &mut u64) -> Result<u64, TarError> {
        let mut line = Vec::new();
        let limit = self.packed_left.min(21);
        let count = (&mut self.input).take(limit).read_until(b'\n', &mut line).map_err(read_failed)? as u64;
        *used += count;
        self.packed_left -= count;
        let number = line.strip_suffix(b"\n").and_then(decimal);
        number.ok_or_else(|| self.malformed("its sparse map is malformed"))
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        self.expansion = None;
        let left = std::mem::take(&mut self.packed_left);
        self.skip(left)?;
        // Go's reader takes an archive whose last padding is missing, and layers without it exist.
        let padding = std::mem::take(&mut self.padding);
        io::copy(&mut (&mut self.input).take(padding), &mut io::sink()).map(drop).map_err(read_failed)
    }

    fn skip(&mut self, count: u64) -> Result<(), TarError> {
        let skipped = io::copy(&mut (&mut self.input).take(count), &mut io::sink()).map_err(read_failed)?;
        if skipped == count { Ok(()) } else { Err(TarError::Truncated { entry: self.number }) }
    }

    /// Reads one block; nothing at the end of the stream.
    fn block(&mut self) -> Result<Option<Block>, TarError> {
        let mut block = Block([0; BLOCK]);
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block.0[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Truncated { entry: self.number }),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_failed(error)),
            }
        }
        Ok(Some(block))
    }

    fn read_packed(&mut self, buffer: &mut [u8], limit: u64) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let count = self.input.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            let truncated = TarError::Truncated { entry: self.number };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, truncated));
        }
        self.packed_left -= count as u64;
        Ok(count)
    }

    fn malformed(&self, why: &str) -> TarError {
        TarError::Malformed { entry: self.number, why: why.to_owned() }
    }
}

impl<R: Read> Read for TarReader<R> {
    /// Reads the current entry's content, holes as zeros; an end of the stream inside it is an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(expansion) = &self.expansion else {
            return self.read_packed(buffer, self.packed_left);
        };
        let count = match expansion.next() {
            Stretch::End => 0,
            Stretch::Data(length) => self.read_packed(buffer, length)?,
            Stretch::Hole(length) => {
                let count = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
                buffer[..count].fill(0);
                count
            }
        };
        if let Some(expansion) = &mut self.expansion {
            expansion.advance(count as u64);
        }
        Ok(count)
    }
}

/// Returns how many bytes pad `size` bytes to whole blocks.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    bytes
}

fn read_failed(source: io::Error) -> TarError {
    TarError::Stream { act: "read", source }
}
