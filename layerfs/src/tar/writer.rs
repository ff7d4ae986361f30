//! [`TarWriter`]: a deterministic PAX tar; the same changes give the same bytes.
//!
//! An entry is a ustar header, before it a PAX header (`x`) only where the ustar fields cannot hold a value:
//!
//! | value | goes into a PAX record if |
//! |---|---|
//! | path, link target | longer than 100 bytes or not ASCII (the ustar prefix is never used) |
//! | size | 8 GiB or more |
//! | owner, group | above 0o7777777 |
//! | mtime | negative, past 0o77777777777 or with a fraction |
//! | xattrs | always: `SCHILY.xattr.NAME`, in the name `%25` for `%` and `%3D` for `=`, as GNU tar and libarchive do |
//!
//! Records are sorted by key. Text that is not UTF-8 is announced by `hdrcharset=BINARY`. Names of users and groups are
//! empty. Directories end with `/`, the root is `./`, no other path begins with `./` or `/`. A whiteout is an empty
//! regular file of `0:0` with mode 0 and time 0. A hardlink repeats its inode's metadata, xattrs included: tools that
//! change the owner at a hardlink would otherwise drop the file's capabilities. The archive ends with two zero blocks.

use crate::meta::{Kind, Metadata, Timestamp};
use crate::path::TreePath;
use crate::tar::encoding::{push_decimal, push_time, to_percent};
use crate::tar::{BLOCK, MAX_EXTENSION, OPAQUE_MARKER, TarError, WHITEOUT_PREFIX};
use std::fmt;
use std::io::{self, Read, Write};
use tar::{EntryType, Header};

/// Large enough that 100,000 small files cost few writes, small enough to stay in a core's cache.
const BUFFER: usize = 256 << 10;

/// Largest value of the seven octal digits of owner, group and device numbers.
const MAX_SEVEN_DIGITS: u32 = 0o7_777_777;

/// Largest value of the eleven octal digits of size and time.
const MAX_ELEVEN_DIGITS: u64 = 0o77_777_777_777;

/// Writes changes as a PAX tar, in the order in which they come.
pub struct TarWriter<W> {
    out: W,
    buffer: Box<[u8]>,
    filled: usize,
    name: Vec<u8>,
    records: Vec<u8>,
}

impl<W> fmt::Debug for TarWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarWriter").field("filled", &self.filled).finish_non_exhaustive()
    }
}

/// What goes into one header beside the name.
struct Fields<'a> {
    kind: EntryType,
    link: &'a [u8],
    size: u64,
    device: Option<(u32, u32)>,
    metadata: &'a Metadata,
}

impl<W: Write> TarWriter<W> {
    /// Returns a writer to `out`. It gathers what it writes: `out` needs no buffer of its own.
    pub fn new(out: W) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { out, buffer, filled: 0, name: Vec::new(), records: Vec::new() }
    }

    /// Writes an inode; `content` is read for regular files only, exactly to the size in `metadata`.
    ///
    /// # Errors
    /// [`TarError::SizeChanged`] if `content` is shorter or longer; [`TarError::Content`]; [`TarError::Stream`];
    /// [`TarError::Unwritable`] if the name would read as a whiteout or the xattrs take more than 1 MiB.
    pub fn inode(&mut self, path: &TreePath, metadata: &Metadata, content: &mut dyn Read) -> Result<(), TarError> {
        self.set_name(path, metadata.is_directory())?;
        self.entry(path, &Fields::of(metadata))?;
        if let Kind::File { size } = metadata.kind {
            self.content(path, size, content)?;
        }
        Ok(())
    }

    /// Writes one more name of the inode at `target`; `metadata` is that inode's.
    ///
    /// # Errors
    /// [`TarError::Stream`]; [`TarError::Unwritable`] as for [`TarWriter::inode`].
    pub fn hardlink(&mut self, path: &TreePath, target: &TreePath, metadata: &Metadata) -> Result<(), TarError> {
        self.set_name(path, false)?;
        let link = target.as_bytes();
        self.entry(path, &Fields { kind: EntryType::Link, link, size: 0, device: None, metadata })
    }

    /// Writes a whiteout of `path`.
    ///
    /// # Errors
    /// [`TarError::Stream`]; [`TarError::Unwritable`] for the root, or a name that begins with `.wh.`.
    pub fn whiteout(&mut self, path: &TreePath) -> Result<(), TarError> {
        self.set_name(path, false)?;
        if path.is_root() {
            return Err(TarError::Unwritable { path: path.clone(), why: "the root cannot be whited out" });
        }
        let at = self.name.len() - path.name().len();
        self.name.splice(at..at, WHITEOUT_PREFIX.iter().copied());
        self.marker(path)
    }

    /// Writes the marker that makes the directory `path` hide everything below it in lower layers.
    ///
    /// # Errors
    /// [`TarError::Stream`].
    pub fn opaque(&mut self, path: &TreePath) -> Result<(), TarError> {
        self.set_name(path, !path.is_root())?;
        if path.is_root() {
            self.name.clear();
        }
        self.name.extend_from_slice(OPAQUE_MARKER);
        self.marker(path)
    }

    /// Writes the end and returns what was written to.
    ///
    /// # Errors
    /// [`TarError::Stream`].
    pub fn finish(mut self) -> Result<W, TarError> {
        self.put(&[0; 2 * BLOCK])?;
        self.flush()?;
        self.out.flush().map_err(write_failed)?;
        Ok(self.out)
    }

    fn marker(&mut self, path: &TreePath) -> Result<(), TarError> {
        let metadata = Metadata { mode: 0, kind: Kind::File { size: 0 }, ..Metadata::directory(Timestamp::default()) };
        self.entry(path, &Fields::of(&metadata))
    }

    fn set_name(&mut self, path: &TreePath, directory: bool) -> Result<(), TarError> {
        if path.name().starts_with(WHITEOUT_PREFIX) {
            return Err(TarError::Unwritable {
                path: path.clone(),
                why: "a name that begins with `.wh.` is a whiteout",
            });
        }
        self.name.clear();
        self.name.extend_from_slice(if path.is_root() { b"." } else { path.as_bytes() });
        if directory {
            self.name.push(b'/');
        }
        Ok(())
    }

    fn entry(&mut self, path: &TreePath, fields: &Fields<'_>) -> Result<(), TarError> {
        self.records.clear();
        push_records(&mut self.records, &self.name, fields);
        if !self.records.is_empty() {
            self.extension(path)?;
        }
        let header = fields.header(&self.name);
        self.put(header.as_bytes())
    }

    /// Writes the PAX header and the records gathered.
    fn extension(&mut self, path: &TreePath) -> Result<(), TarError> {
        if self.records.len() as u64 > MAX_EXTENSION {
            return Err(TarError::Unwritable {
                path: path.clone(),
                why: "its extended attributes take more than 1 MiB",
            });
        }
        let mut header = Header::new_ustar();
        put_bytes(&mut header, 0..100, b"PaxHeaders.0");
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.records.len() as u64);
        header.set_cksum();
        self.put(header.as_bytes())?;
        let records = std::mem::take(&mut self.records);
        let written = self.put(&records).and_then(|()| self.pad(records.len() as u64));
        self.records = records;
        written
    }

    fn content(&mut self, path: &TreePath, size: u64, content: &mut dyn Read) -> Result<(), TarError> {
        let mut left = size;
        while left > 0 {
            if self.filled == self.buffer.len() {
                self.flush()?;
            }
            let end = self.buffer.len().min(self.filled.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
            match read_some(content, &mut self.buffer[self.filled..end], path)? {
                0 => return Err(TarError::SizeChanged { path: path.clone(), wanted: size, got: size - left }),
                count => {
                    self.filled += count;
                    left -= count as u64;
                }
            }
        }
        if read_some(content, &mut [0], path)? > 0 {
            return Err(TarError::SizeChanged { path: path.clone(), wanted: size, got: size.saturating_add(1) });
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), TarError> {
        let over = (size % BLOCK as u64) as usize;
        self.put(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TarError> {
        if bytes.len() > self.buffer.len() - self.filled {
            self.flush()?;
        }
        if bytes.len() > self.buffer.len() {
            return self.out.write_all(bytes).map_err(write_failed);
        }
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), TarError> {
        let filled = std::mem::take(&mut self.filled);
        self.out.write_all(&self.buffer[..filled]).map_err(write_failed)
    }
}

impl<'a> Fields<'a> {
    fn of(metadata: &'a Metadata) -> Self {
        let plain = |kind| Self { kind, link: b"", size: metadata.size(), device: None, metadata };
        match &metadata.kind {
            Kind::File { .. } => plain(EntryType::Regular),
            Kind::Directory => plain(EntryType::Directory),
            Kind::Symlink { target } => Self { link: target, ..plain(EntryType::Symlink) },
            Kind::Fifo => plain(EntryType::Fifo),
            Kind::CharDevice { major, minor } => Self { device: Some((*major, *minor)), ..plain(EntryType::Char) },
            Kind::BlockDevice { major, minor } => Self { device: Some((*major, *minor)), ..plain(EntryType::Block) },
        }
    }

    fn header(&self, name: &[u8]) -> Header {
        let mut header = Header::new_ustar();
        put_bytes(&mut header, 0..100, name);
        put_bytes(&mut header, 157..257, self.link);
        header.set_entry_type(self.kind);
        header.set_mode(self.metadata.mode & 0o7777);
        header.set_uid(if self.metadata.uid > MAX_SEVEN_DIGITS { 0 } else { self.metadata.uid.into() });
        header.set_gid(if self.metadata.gid > MAX_SEVEN_DIGITS { 0 } else { self.metadata.gid.into() });
        header.set_size(if self.size > MAX_ELEVEN_DIGITS { 0 } else { self.size });
        header.set_mtime(u64::try_from(self.metadata.mtime.seconds).unwrap_or(0).min(MAX_ELEVEN_DIGITS));
        if let Some((major, minor)) = self.device {
            put_bytes(&mut header, 329..337, &device_number(major));
            put_bytes(&mut header, 337..345, &device_number(minor));
        }
        header.set_cksum();
        header
    }
}

/// Copies as much of `bytes` as the field has room for.
fn put_bytes(header: &mut Header, field: std::ops::Range<usize>, bytes: &[u8]) {
    let field = &mut header.as_mut_bytes()[field];
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// Returns seven octal digits, or base 256 for what they cannot hold.
fn device_number(number: u32) -> [u8; 8] {
    let mut field = [0; 8];
    if number > MAX_SEVEN_DIGITS {
        field[0] = 0x80;
        field[4..].copy_from_slice(&number.to_be_bytes());
        return field;
    }
    for (digit, shift) in field[..7].iter_mut().zip((0..7).rev()) {
        *digit = b'0' + (number >> (3 * shift) & 7) as u8;
    }
    field
}

/// Appends the records that the entry needs. Keys come out sorted: upper case stands before lower case, the xattrs are
/// sorted by name.
fn push_records(out: &mut Vec<u8>, name: &[u8], fields: &Fields<'_>) {
    let Metadata { uid, gid, mtime, xattrs, .. } = fields.metadata;
    for (xattr, value) in xattrs {
        push_record(out, &[b"SCHILY.xattr.", &to_percent(xattr)], value);
    }
    push_number(out, b"gid", u64::from(*gid), u64::from(MAX_SEVEN_DIGITS));
    let (long_link, long_name) = (needs_record(fields.link), needs_record(name));
    if (long_link && str::from_utf8(fields.link).is_err()) || (long_name && str::from_utf8(name).is_err()) {
        push_record(out, &[b"hdrcharset"], b"BINARY");
    }
    if long_link {
        push_record(out, &[b"linkpath"], fields.link);
    }
    if mtime.nanoseconds > 0 || u64::try_from(mtime.seconds).map_or(true, |seconds| seconds > MAX_ELEVEN_DIGITS) {
        let mut text = Vec::with_capacity(32);
        push_time(&mut text, *mtime);
        push_record(out, &[b"mtime"], &text);
    }
    if long_name {
        push_record(out, &[b"path"], name);
    }
    push_number(out, b"size", fields.size, MAX_ELEVEN_DIGITS);
    push_number(out, b"uid", u64::from(*uid), u64::from(MAX_SEVEN_DIGITS));
}

fn needs_record(text: &[u8]) -> bool {
    text.len() > 100 || !text.is_ascii()
}

fn push_number(out: &mut Vec<u8>, key: &[u8], value: u64, limit: u64) {
    if value > limit {
        let mut text = Vec::with_capacity(20);
        push_decimal(&mut text, value);
        push_record(out, &[key], &text);
    }
}

/// Appends `LENGTH KEY=VALUE\n`, where LENGTH counts itself (POSIX pax, "pax Extended Header").
fn push_record(out: &mut Vec<u8>, key: &[&[u8]], value: &[u8]) {
    let rest = 3 + key.iter().map(|part| part.len()).sum::<usize>() + value.len();
    let mut length = rest + 1;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    push_decimal(out, length as u64);
    out.push(b' ');
    for part in key {
        out.extend_from_slice(part);
    }
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |power| power as usize + 1)
}

fn read_some(content: &mut dyn Read, buffer: &mut [u8], path: &TreePath) -> Result<usize, TarError> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|source| TarError::Content { path: path.clone(), source }),
        }
    }
}

fn write_failed(source: io::Error) -> TarError {
    TarError::Stream { act: "write", source }
}
