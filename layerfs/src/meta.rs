//! [`Metadata`]: what a file is, apart from its bytes; as a value.

pub(crate) mod disk;

use crate::path::Waypoint;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A point in time, in seconds and nanoseconds since 1970-01-01T00:00:00Z; `nanoseconds` is below 10⁹ and counts up
/// from `seconds` also where these are negative, as in struct timespec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds after them.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Returns the timestamp of whole `seconds`.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// Returns the time of the system's clock; the epoch for one that is set before it.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs().cast_signed(), nanoseconds: since.subsec_nanos() }
    }
}

/// The kind of a file, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it says, any bytes.
        target: Box<[u8]>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Kind {
    /// Returns what this is to who follows links.
    pub fn waypoint(&self) -> Waypoint<'_> {
        match self {
            Self::Directory => Waypoint::Way,
            Self::Symlink { target } => Waypoint::Link(Cow::Borrowed(target)),
            _ => Waypoint::End,
        }
    }

    /// Returns [`Kind::waypoint`] with what a link says in it.
    pub fn into_waypoint(self) -> Waypoint<'static> {
        match self {
            Self::Directory => Waypoint::Way,
            Self::Symlink { target } => Waypoint::Link(Cow::Owned(target.into())),
            _ => Waypoint::End,
        }
    }
}

/// Extended attributes by full name (`user.x`, `security.capability`), with any bytes.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// What a file is, apart from its bytes. Owners are as the image has them, not as the host maps them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metadata {
    /// Its kind.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of content.
    pub mtime: Timestamp,
    /// Extended attributes. What an overlay mount keeps for itself is never among them: a `user.overlay.*` here is one
    /// that the image has of its own, and is escaped on disk.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// Returns a directory of `0:0` with mode 0755.
    pub fn directory(mtime: Timestamp) -> Self {
        Self { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() }
    }

    /// Reports whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Reports whether this is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        matches!(self.kind, Kind::Symlink { .. })
    }

    /// Returns the number of content bytes: the size of a regular file, else 0.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }
}
