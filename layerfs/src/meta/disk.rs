//! Metadata on disk: the one place that reads and writes owners, modes, xattrs and times.
//!
//! On disk a layer is in overlay form, so a name `user.overlay.x` that an image has of its own is kept as
//! `user.overlay.overlay.x` (Documentation/filesystems/overlayfs.rst, "Nested overlayfs mounts"), and any other
//! `user.overlay.*` is a mark of the overlay. `security.capability` passes as revision 2: the kernel makes revision 3 of it
//! in a user namespace, and shows revision 2 again to who reads it there.

use crate::io_error::{IoContext, IoError};
use crate::meta::{Kind, Metadata, Timestamp, Xattrs};
use crate::sys::xattr;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

/// Prefix of the marks of an overlay mount with `userxattr`.
const OVERLAY: &[u8] = b"user.overlay.";
/// Prefix under which names of an image's own are kept that would be taken for marks.
const ESCAPED: &[u8] = b"user.overlay.overlay.";
/// Mark of a directory that hides what lies below it (`y`), or holds whiteouts made of xattrs (`x`).
pub(crate) const OPAQUE: &[u8] = b"user.overlay.opaque";
/// Mark of a directory that was copied up; an empty one makes the kernel look for whiteouts in it.
pub(crate) const ORIGIN: &[u8] = b"user.overlay.origin";
/// Mark of an empty file that is a whiteout.
pub(crate) const WHITEOUT: &[u8] = b"user.overlay.whiteout";
/// The act of giving a file away, by which an unmapped owner is told from other errors.
pub(crate) const CHANGE_OWNER: &str = "change owner of";

/// What stands on disk under a name.
#[derive(Debug, Clone)]
pub(crate) struct OnDisk {
    /// As an image would state it; a socket is shown as a fifo.
    pub(crate) metadata: Metadata,
    /// Marks of an overlay mount.
    pub(crate) marks: Marks,
    /// Whether it is a socket, which no layer holds.
    pub(crate) socket: bool,
    /// Device and inode number.
    pub(crate) inode: (u64, u64),
    /// Number of names.
    pub(crate) links: u64,
    /// Time of the last change of anything.
    pub(crate) changed: Timestamp,
}

impl OnDisk {
    /// Reports whether this is a whiteout in overlay form: a 0:0 character device, or an empty file marked as one.
    pub(crate) fn is_whiteout(&self) -> bool {
        matches!(self.metadata.kind, Kind::CharDevice { major: 0, minor: 0 })
            || (self.metadata.kind == Kind::File { size: 0 } && self.marks.has(WHITEOUT))
    }
}

/// Marks of an overlay mount on one file: their full names. Every file that was copied up has one, so that they are kept
/// short.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    /// The names, a zero byte after each.
    names: Box<[u8]>,
    /// Whether [`OPAQUE`] says `y`.
    pub(crate) opaque: bool,
}

impl Marks {
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.names().any(|known| known == name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }
}

/// A file by its descriptor, or by its name in a directory (`.` for the directory itself).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// An open regular file.
    Open(BorrowedFd<'a>),
    /// A name, not followed if it is a link.
    Name(BorrowedFd<'a>, &'a [u8]),
}

/// Returns what stands under `name` in `directory`; `shown` is its path for messages.
pub(crate) fn read(directory: BorrowedFd<'_>, name: &[u8], shown: &Path) -> Result<OnDisk, IoError> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).at("stat", shown)?;
    let (xattrs, marks) = read_xattrs(directory, name, &stat, shown)?;
    let (kind, socket) = kind(&stat, directory, name).at("read", shown)?;
    let metadata = Metadata {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: timestamp(stat.st_mtime, stat.st_mtime_nsec),
        xattrs,
    };
    let changed = timestamp(stat.st_ctime, stat.st_ctime_nsec);
    Ok(OnDisk { metadata, marks, socket, inode: (stat.st_dev, stat.st_ino), links: links(&stat), changed })
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the type differs between architectures")]
fn links(stat: &Stat) -> u64 {
    stat.st_nlink as u64
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ between architectures")]
fn timestamp(seconds: impl TryInto<i64>, nanoseconds: impl TryInto<u32>) -> Timestamp {
    Timestamp { seconds: seconds.try_into().unwrap_or(0), nanoseconds: nanoseconds.try_into().unwrap_or(0) }
}

fn kind(stat: &Stat, directory: BorrowedFd<'_>, name: &[u8]) -> Result<(Kind, bool), Errno> {
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
            Kind::Symlink { target: target.into_bytes().into_boxed_slice() }
        }
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        FileType::Socket => return Ok((Kind::Fifo, true)),
        _ => Kind::Fifo,
    };
    Ok((kind, false))
}

fn read_xattrs(at: BorrowedFd<'_>, file: &[u8], stat: &Stat, shown: &Path) -> Result<(Xattrs, Marks), IoError> {
    let (mut own, mut marks, mut opaque) = (Xattrs::new(), Vec::new(), false);
    let names = match grow(|buffer| xattr::list(at, file, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok((own, Marks::default())),
        names => names.at("list xattrs of", shown)?,
    };
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let value = |name: &[u8]| match grow(|buffer| xattr::get(at, file, name, buffer)) {
        Err(Errno::NODATA) => Ok(None),
        value => value.at("read xattr of", shown).map(Some),
    };
    for name in names.split(|&b| b == 0).filter(|name| is_kept(name, directory)) {
        match own_name(name) {
            Some(own_name) => own.extend(value(name)?.map(|value| (own_name, value.into_boxed_slice()))),
            None => {
                opaque |= name == OPAQUE && value(name)?.as_deref() == Some(b"y");
                marks.extend_from_slice(name);
                marks.push(0);
            }
        }
    }
    Ok((own, Marks { names: marks.into(), opaque }))
}

/// Calls `call` with a buffer that is made larger until it holds the answer.
fn grow(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 8, 0),
            Err(error) => return Err(error),
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    }
}

/// Reports whether an xattr of a file belongs to a layer: not labels of the host (`security.selinux`), and nothing that
/// only real root can write (`trusted.*`).
fn is_kept(name: &[u8], directory: bool) -> bool {
    name.starts_with(b"user.")
        || name == b"security.capability"
        || name == b"system.posix_acl_access"
        || (directory && name == b"system.posix_acl_default")
}

/// Returns the name in the image of the xattr `name` on disk, or nothing for a mark of the overlay.
fn own_name(name: &[u8]) -> Option<Box<[u8]>> {
    match (name.strip_prefix(ESCAPED), name.strip_prefix(OVERLAY)) {
        (Some(rest), _) => Some([OVERLAY, rest].concat().into_boxed_slice()),
        (None, Some(_)) => None,
        (None, None) => Some(name.into()),
    }
}

/// Returns the name on disk of the image's xattr `name`.
fn disk_name(name: &[u8]) -> Vec<u8> {
    name.strip_prefix(OVERLAY).map_or_else(|| name.to_vec(), |rest| [ESCAPED, rest].concat())
}

/// Returns the xattrs among `metadata`'s that can stand on disk; others live in the index alone.
pub(crate) fn storable(metadata: &Metadata) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (directory, file) = (metadata.is_directory(), matches!(metadata.kind, Kind::File { .. }));
    let fits = move |name: &[u8]| {
        is_kept(name, directory) && (directory || file || !name.starts_with(b"user.")) && !metadata.is_symlink()
    };
    metadata.xattrs.iter().map(|(name, value)| (&**name, &**value)).filter(move |(name, _)| fits(name))
}

/// Gives the file at `place` everything that `metadata` says but its kind: owner first (it clears setuid and file
/// capabilities), then mode, xattrs, times.
pub(crate) fn apply(place: Place<'_>, metadata: &Metadata, shown: &Path) -> Result<(), IoError> {
    change_owner(place, metadata.uid, metadata.gid, shown)?;
    if !metadata.is_symlink() {
        change_mode(place, metadata.mode, shown)?;
    }
    for (name, value) in storable(metadata) {
        set_xattr(place, &disk_name(name), value, shown)?;
    }
    set_mtime(place, metadata.mtime, shown)
}

fn change_owner(place: Place<'_>, uid: u32, gid: u32, shown: &Path) -> Result<(), IoError> {
    // -1 means "leave as it is" to chown(2); no file can belong to it.
    if uid == u32::MAX || gid == u32::MAX {
        return Err(IoError::new(CHANGE_OWNER, shown, &Errno::INVAL.into()));
    }
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    match place {
        Place::Open(file) => rustix::fs::fchown(file, uid, gid),
        Place::Name(directory, name) => rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
    }
    .at(CHANGE_OWNER, shown)
}

fn change_mode(place: Place<'_>, mode: u32, shown: &Path) -> Result<(), IoError> {
    let mode = Mode::from_raw_mode(mode & 0o7777);
    match place {
        Place::Open(file) => rustix::fs::fchmod(file, mode),
        Place::Name(directory, name) => rustix::fs::chmodat(directory, name, mode, AtFlags::empty()),
    }
    .at("change mode of", shown)
}

/// Sets one xattr by its name on disk.
pub(crate) fn set_xattr(place: Place<'_>, name: &[u8], value: &[u8], shown: &Path) -> Result<(), IoError> {
    let act = || format!("set xattr `{}` of", String::from_utf8_lossy(name));
    match place {
        Place::Open(file) => rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()),
        Place::Name(directory, file) => {
            // lsetxattr(2) takes no directory to start from.
            let path = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), file].concat();
            rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        }
    }
    .map_err(|error| IoError::new(act(), shown, &error.into()))
}

/// Removes one xattr of what stands under `file` in `directory` by its name on disk.
pub(crate) fn remove_xattr(directory: BorrowedFd<'_>, file: &[u8], name: &[u8], shown: &Path) -> Result<(), IoError> {
    match xattr::remove(directory, file, name) {
        Err(Errno::NODATA) => Ok(()),
        other => other.at("remove xattr of", shown),
    }
}

/// Sets the time of the last change of content; that of the last access stays.
pub(crate) fn set_mtime(place: Place<'_>, mtime: Timestamp, shown: &Path) -> Result<(), IoError> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
    };
    match place {
        Place::Open(file) => rustix::fs::futimens(file, &times),
        Place::Name(directory, name) => rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW),
    }
    .at("set times of", shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_image_are_escaped_and_come_back() {
        for (image, disk) in [
            (&b"user.overlay.opaque"[..], &b"user.overlay.overlay.opaque"[..]),
            (b"user.overlay.overlay.x", b"user.overlay.overlay.overlay.x"),
            (b"user.x", b"user.x"),
            (b"security.capability", b"security.capability"),
        ] {
            assert_eq!(disk_name(image), disk);
            assert_eq!(own_name(disk).as_deref(), Some(image));
        }
        assert_eq!(own_name(b"user.overlay.opaque"), None, "a mark of the mount");
    }
}
