//! [`Archive`]: a local tar that ADD unpacks: its members, and their bytes in a file without a name.

use super::error::CopyError;
use crate::context::tree::{SourceTree, TreeError};
use crate::fetch_limits::{Excess, FetchLimits, Meter};
use layerfs::digest::{Digest, HashReader};
use layerfs::io_error::{IoContext, IoError};
use layerfs::meta::{Kind, Metadata};
use layerfs::path::TreePath;
use layerfs::tar::{Entry, EntryKind, TarReader};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// How many first bytes tell a compression.
const SNIFF: usize = 6;

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A file, directory, link or device.
    Inode {
        /// Where, below the destination.
        path: TreePath,
        /// What.
        metadata: Metadata,
        /// First byte of its content in the spool.
        offset: u64,
    },
    /// One more name of an earlier member.
    Hardlink {
        /// Where.
        path: TreePath,
        /// The earlier name.
        target: TreePath,
    },
}

impl Member {
    /// Returns where it goes, below the destination.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Inode { path, .. } | Self::Hardlink { path, .. } => path,
        }
    }
}

/// An archive that was read.
#[derive(Debug)]
pub struct Archive {
    /// Its members in order.
    pub members: Vec<Member>,
    /// The contents of its files, one after another.
    pub spool: File,
    /// The digest of the archive as it lies in the source.
    pub digest: Digest,
}

/// Reads the regular file at `path` as an archive, whatever its name, and spools what its files hold to a file without
/// a name in `temporary`. Nothing comes back for what is no tar, plain or compressed: that is copied as it is.
///
/// # Errors
/// [`CopyError::Archive`] if it breaks off or is malformed after its first entry; [`CopyError::TooBig`] as soon as it
/// goes beyond `limits`; [`CopyError::Changed`] if its bytes do not have the `expected` digest; the operating system's.
pub fn read_archive(
    tree: &dyn SourceTree,
    path: &TreePath,
    expected: Option<Digest>,
    temporary: &Path,
    limits: &FetchLimits,
) -> Result<Option<Archive>, CopyError> {
    let meter = Meter::new(limits);
    let mut raw = HashReader::new(meter.packed(tree.open(path).map_err(TreeError::from)?));
    let mut first = Vec::new();
    (&mut raw).take(SNIFF as u64).read_to_end(&mut first).map_err(|error| read_failed(path, &error))?;
    let spool = tempfile::tempfile_in(temporary).at("create a file in", temporary)?;
    let read = read_members(&first, &mut raw, spool, (path, &meter));
    // Whatever the readers between made of it.
    let Some((spool, members)) =
        meter.excess().map_or(read, |excess| Err(CopyError::TooBig { path: path.clone(), excess }))?
    else {
        return Ok(None);
    };
    io::copy(&mut raw, &mut io::sink()).map_err(|error| read_failed(path, &error))?;
    let digest = raw.finish().1;
    match expected.is_none_or(|expected| expected == digest) {
        true => Ok(Some(Archive { members, spool, digest })),
        false => Err(CopyError::Changed { path: path.clone() }),
    }
}

/// Spools the members of the stream that begins with `first` and goes on with `rest`; nothing if it is no tar.
fn read_members(
    first: &[u8],
    rest: impl Read,
    spool: File,
    (path, meter): (&TreePath, &Meter),
) -> Result<Option<(File, Vec<Member>)>, CopyError> {
    let plain = decoder(first, first.chain(rest)).map_err(|error| read_failed(path, &error))?;
    let plain = TarReader::new(meter.unpacked(plain));
    let mut reader = Reader { tar: plain, spool, offset: 0, members: Vec::new(), path, meter };
    let Ok(Some(entry)) = reader.tar.next() else { return Ok(None) };
    reader.read_all(entry)?;
    Ok(Some((reader.spool, reader.members)))
}

fn read_failed(path: &TreePath, error: &io::Error) -> CopyError {
    IoError::new("read", path.to_string(), error).into()
}

/// Returns the plain bytes of a stream that begins with `first`.
fn decoder<'a>(first: &[u8], raw: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match first {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::read::MultiBzDecoder::new(raw)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(liblzma::read::XzDecoder::new_multi_decoder(raw)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(zstd::stream::read::Decoder::new(raw)?)
        }
        _ => Box::new(raw),
    })
}

/// Returns how many bytes the texts of an entry have: name, link target, attributes.
fn text_of(entry: &Entry) -> u64 {
    let link = match &entry.kind {
        EntryKind::Hardlink { target } => target.len(),
        _ => 0,
    };
    let metadata = entry.metadata();
    let target = metadata.as_ref().map_or(0, |metadata| match &metadata.kind {
        Kind::Symlink { target } => target.len(),
        _ => 0,
    });
    let xattrs = metadata.as_ref().into_iter().flat_map(|metadata| &metadata.xattrs);
    let xattrs: usize = xattrs.map(|(name, value)| name.len() + value.len()).sum();
    (entry.path.len() + link + target + xattrs) as u64
}

/// An archive that is being read.
struct Reader<'a, R> {
    tar: TarReader<R>,
    spool: File,
    offset: u64,
    members: Vec<Member>,
    path: &'a TreePath,
    meter: &'a Meter,
}

impl<R: Read> Reader<'_, R> {
    fn read_all(&mut self, first: Entry) -> Result<(), CopyError> {
        let mut next = Some(first);
        while let Some(entry) = next {
            self.member(entry)?;
            next = self.tar.next().map_err(|error| self.broken(&error))?;
        }
        self.spool.rewind().at("read", "spool of an archive")?;
        Ok(())
    }

    fn broken(&self, error: &dyn std::error::Error) -> CopyError {
        CopyError::Archive { path: self.path.clone(), why: error.to_string() }
    }

    fn within(&self, measured: Result<(), Excess>) -> Result<(), CopyError> {
        measured.map_err(|excess| CopyError::TooBig { path: self.path.clone(), excess })
    }

    fn member(&mut self, entry: Entry) -> Result<(), CopyError> {
        self.within(self.meter.entry(text_of(&entry)))?;
        let path = TreePath::normalize(&entry.path);
        if let EntryKind::Hardlink { target } = &entry.kind {
            self.members.push(Member::Hardlink { path, target: TreePath::normalize(target) });
            return Ok(());
        }
        let Some(mut metadata) = entry.metadata() else { return Ok(()) };
        metadata.xattrs.retain(|name, _| !name.starts_with(b"user.overlay."));
        let offset = self.offset;
        if let Kind::File { size } = metadata.kind {
            // A sparse file says so much with so little.
            self.within(self.meter.content(size))?;
            self.spool_content(size)?;
        }
        self.members.push(Member::Inode { path, metadata, offset });
        Ok(())
    }

    fn spool_content(&mut self, size: u64) -> Result<(), CopyError> {
        let mut buffer = vec![0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = self.tar.read(&mut buffer[..wanted]).map_err(|error| self.broken(&error))?;
            if count == 0 {
                return Err(self.broken(&io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            self.spool.write_all(&buffer[..count]).at("write", "spool of an archive")?;
            left -= count as u64;
        }
        self.offset += size;
        Ok(())
    }
}
