//! [`Entry`] and the 512-byte header it is read from.

use crate::meta::{Kind, Metadata, Timestamp, Xattrs};
use crate::tar::BLOCK;
use crate::tar::encoding::number;
use crate::tar::records::{Key, Records};
use crate::tar::sparse::Segment;

/// One entry of a tar, as the tar states it: nothing is resolved or made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, any bytes but NUL: it may be absolute, hold `..`, begin with `./`, end with `/` or be empty.
    pub path: Vec<u8>,
    /// What stands there.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of content.
    pub mtime: Timestamp,
    /// Extended attributes, those of the mount (`user.overlay.*`) included.
    pub xattrs: Xattrs,
    /// The segments of a sparse file that have bytes, in order, none empty; nothing for any other entry.
    pub segments: Option<Vec<Segment>>,
}

/// What an entry puts at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// An inode of its own.
    Inode(Kind),
    /// One more name of what stands at `target`, a path as the tar states it.
    Hardlink {
        /// The path, any bytes but NUL.
        target: Vec<u8>,
    },
}

impl Entry {
    /// Returns the metadata of the inode; nothing for a hardlink.
    pub fn metadata(&self) -> Option<Metadata> {
        match &self.kind {
            EntryKind::Hardlink { .. } => None,
            EntryKind::Inode(kind) => Some(Metadata {
                kind: kind.clone(),
                mode: self.mode,
                uid: self.uid,
                gid: self.gid,
                mtime: self.mtime,
                xattrs: self.xattrs.clone(),
            }),
        }
    }
}

/// A header block.
#[derive(Clone)]
pub(crate) struct Block(pub(crate) [u8; BLOCK]);

impl Block {
    /// Reports whether this is no header but (part of) the end of the archive.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Reports whether the checksum is right, the bytes taken as unsigned or, as old programs did, signed.
    pub(crate) fn has_right_checksum(&self) -> bool {
        let summed = self.0[..148].iter().chain(&[b' '; 8]).chain(&self.0[156..]);
        let (unsigned, signed) = summed.fold((0i64, 0i64), |(unsigned, signed), &byte| {
            (unsigned + i64::from(byte), signed + i64::from(byte.cast_signed()))
        });
        number(&self.0[148..156]).is_some_and(|stated| stated == unsigned || stated == signed)
    }

    pub(crate) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    pub(crate) fn size(&self) -> Option<u64> {
        u64::try_from(number(&self.0[124..136])?).ok()
    }

    /// Returns the name, a ustar prefix before it.
    pub(crate) fn name(&self) -> Vec<u8> {
        let (name, prefix) = (text(&self.0[..100]), self.prefix());
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    fn prefix(&self) -> &[u8] {
        match (&self.0[257..263], &self.0[508..]) {
            (b"ustar\0", b"tar\0") => text(&self.0[345..476]),
            (b"ustar\0", _) => text(&self.0[345..500]),
            _ => b"",
        }
    }

    pub(crate) fn link(&self) -> &[u8] {
        text(&self.0[157..257])
    }

    /// Returns the four first pairs of an old GNU sparse map, whether more blocks of it follow, and the file's size.
    pub(super) fn gnu_sparse(&self) -> Option<(&[u8], bool, u64)> {
        Some((&self.0[386..482], self.0[482] != 0, u64::try_from(number(&self.0[483..495])?).ok()?))
    }

    /// Returns the bytes of the content that follow the header, where records do not state them. Links, directories and
    /// devices have none whatever the field says, as in every reader of layers; a directory in disguise
    /// (a regular file whose name ends with `/`) keeps its own.
    pub(crate) fn content_size(&self, records: &Records) -> Result<u64, String> {
        if matches!(self.type_flag(), b'1'..=b'6') {
            return Ok(0);
        }
        match records.number(Key::Size)? {
            Some(size) => Ok(size),
            None => self.size().ok_or_else(|| "the size is no number".to_owned()),
        }
    }

    /// Returns the entry that this header and `records` state, a regular file with `size` bytes; a long name and link
    /// of GNU tar win over both.
    pub(super) fn entry(
        &self,
        mut records: Records,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        size: u64,
    ) -> Result<Entry, String> {
        let stated = |key| records.get(key).map(<[u8]>::to_vec);
        let path = long_name.or_else(|| stated(Key::SparseName)).or_else(|| stated(Key::Path));
        let path = without_nul(path.unwrap_or_else(|| self.name()))?;
        let link = without_nul(long_link.or_else(|| stated(Key::LinkPath)).unwrap_or_else(|| self.link().to_vec()))?;
        let mtime = match records.mtime()? {
            Some(mtime) => mtime,
            None => Timestamp::from_seconds(number(&self.0[136..148]).ok_or("mtime is no number")?),
        };
        let mode = number(&self.0[100..108]).ok_or("the mode is no number")?;
        Ok(Entry {
            kind: self.kind(&path, link, size)?,
            mode: u32::try_from(mode & 0o7777).map_err(|_| "the mode is no number")?,
            uid: owner(records.number(Key::Uid)?, &self.0[108..116]).ok_or("the owner is no number of 32 bits")?,
            gid: owner(records.number(Key::Gid)?, &self.0[116..124]).ok_or("the group is no number of 32 bits")?,
            mtime,
            xattrs: records.take_xattrs(),
            segments: None,
            path,
        })
    }

    fn kind(&self, path: &[u8], link: Vec<u8>, size: u64) -> Result<EntryKind, String> {
        Ok(EntryKind::Inode(match self.type_flag() {
            b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File { size },
            b'1' => return Ok(EntryKind::Hardlink { target: link }),
            b'2' => Kind::Symlink { target: link.into() },
            b'3' => Kind::CharDevice { major: self.device(329)?, minor: self.device(337)? },
            b'4' => Kind::BlockDevice { major: self.device(329)?, minor: self.device(337)? },
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(format!("entries of type `{}` are not supported", other.escape_ascii())),
        }))
    }

    fn device(&self, at: usize) -> Result<u32, String> {
        let number = number(&self.0[at..at + 8]).and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| "a device number is no number of 32 bits".to_owned())
    }
}

fn owner(record: Option<u64>, field: &[u8]) -> Option<u32> {
    match record {
        Some(id) => u32::try_from(id).ok(),
        None => u32::try_from(number(field)?).ok(),
    }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn without_nul(text: Vec<u8>) -> Result<Vec<u8>, String> {
    if text.contains(&0) { Err("a path holds a NUL".to_owned()) } else { Ok(text) }
}
