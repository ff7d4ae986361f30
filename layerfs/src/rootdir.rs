//! [`RootDir`]: the one door to a root file system; nothing opened through it lies outside.
//!
//! Descriptors of directories are kept for a while, so that making many files in one directory resolves its path once.

use crate::io_error::{IoContext, IoError};
use crate::meta::disk::{self, OnDisk, Place};
use crate::meta::{Metadata, Timestamp};
use crate::path::TreePath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Descriptors kept at most: several roots are open at a time, and 1024 descriptors are the usual limit.
const KEPT_DIRECTORIES: usize = 64;

/// A directory taken as a root: every path is resolved inside it by openat2(2) with RESOLVE_IN_ROOT.
#[derive(Debug)]
pub struct RootDir {
    descriptor: OwnedFd,
    shown: PathBuf,
    directories: Mutex<HashMap<TreePath, Arc<OwnedFd>>>,
}

impl RootDir {
    /// Opens `path` as a root. `path` itself is trusted.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: &Path) -> Result<Self, IoError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty()).at("open", path)?;
        Ok(Self { descriptor, shown: path.to_owned(), directories: Mutex::default() })
    }

    /// Returns the path of the root as it was opened, for messages.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Opens a regular file for reading; links in the way are followed inside the root, a link at the end is not.
    ///
    /// # Errors
    /// The operating system's; anything that is no regular file is refused.
    pub fn open_file(&self, path: &TreePath) -> Result<File, IoError> {
        // Without NONBLOCK a fifo would wait for its writer before it could be refused.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(self.openat2(path, flags)?);
        let stat = rustix::fs::fstat(&file).at("stat", self.show(path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let refused = std::io::Error::other("is no regular file");
            return Err(IoError::new("open", self.show(path), &refused));
        }
        Ok(file)
    }

    /// Returns what stands at `path` (a link itself, not what it points to), with its xattrs, marks of an overlay left out.
    ///
    /// # Errors
    /// The operating system's.
    pub fn metadata(&self, path: &TreePath) -> Result<Metadata, IoError> {
        self.inspect(path).map(|found| found.metadata)
    }

    /// Returns what stands at `path`, marks of an overlay included.
    pub(crate) fn inspect(&self, path: &TreePath) -> Result<OnDisk, IoError> {
        let (parent, name) = self.place(path)?;
        disk::read(parent.as_fd(), &name, &self.show(path))
    }

    /// Returns the names in the directory `path`, sorted; a link at the end is not followed.
    ///
    /// # Errors
    /// The operating system's.
    pub fn list(&self, path: &TreePath) -> Result<Vec<Box<[u8]>>, IoError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = self.openat2(path, flags)?;
        names(&directory).at("list", self.show(path))
    }

    /// Makes a directory with mode 0700, to be given its metadata when it is full.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create_directory(&self, path: &TreePath) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        rustix::fs::mkdirat(&*parent, &name[..], Mode::RWXU).at("create directory", self.show(path))
    }

    /// Makes a regular file with mode 0600 and opens it for writing; nothing may stand there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create_file(&self, path: &TreePath) -> Result<File, IoError> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*parent, &name[..], flags, Mode::RUSR | Mode::WUSR);
        Ok(File::from(file.at("create", self.show(path))?))
    }

    /// Makes a symbolic link that says `target`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create_symlink(&self, path: &TreePath, target: &[u8]) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        rustix::fs::symlinkat(target, &*parent, &name[..]).at("create link", self.show(path))
    }

    /// Makes a named pipe with mode 0600.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create_fifo(&self, path: &TreePath) -> Result<(), IoError> {
        self.make_node(path, FileType::Fifo)
    }

    /// Makes a whiteout in overlay form: a character device 0:0, which needs no privilege. On an overlay, as in a container
    /// without a volume, the kernel refuses that; there, it is the other form: an empty file with a mark, in a directory
    /// with a mark (ovl_is_whiteout of Linux 6.7).
    ///
    /// # Errors
    /// The operating system's.
    pub fn create_whiteout(&self, path: &TreePath) -> Result<(), IoError> {
        match self.make_node(path, FileType::CharacterDevice) {
            Err(error) if error.errno == Some(libc::EPERM) => {
                self.create_file(path)?;
                self.set_mark(path, disk::WHITEOUT, b"y")?;
                self.set_mark(&path.parent().unwrap_or_default(), disk::OPAQUE, b"x")
            }
            made => made,
        }
    }

    fn make_node(&self, path: &TreePath, kind: FileType) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        let mode = if kind == FileType::Fifo { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
        rustix::fs::mknodat(&*parent, &name[..], kind, mode, 0).at("create", self.show(path))
    }

    /// Makes one more name of the file at `target`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn hardlink(&self, path: &TreePath, target: &TreePath) -> Result<(), IoError> {
        let (old_parent, old_name) = self.place(target)?;
        let (parent, name) = self.place(path)?;
        rustix::fs::linkat(&*old_parent, &old_name[..], &*parent, &name[..], AtFlags::empty())
            .at("link", self.show(path))
    }

    /// Gives what stands at `path` everything that `metadata` says but its kind.
    ///
    /// # Errors
    /// The operating system's; EINVAL of `change owner of` if the owner has no place in the user namespace.
    pub fn apply(&self, path: &TreePath, metadata: &Metadata) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        disk::apply(Place::Name(parent.as_fd(), &name), metadata, &self.show(path))
    }

    /// Sets the time of the last change of content.
    ///
    /// # Errors
    /// The operating system's.
    pub fn set_mtime(&self, path: &TreePath, mtime: Timestamp) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        disk::set_mtime(Place::Name(parent.as_fd(), &name), mtime, &self.show(path))
    }

    /// Sets a mark of the overlay, where there can be one: on a file system without xattrs nothing looks at them.
    pub(crate) fn set_mark(&self, path: &TreePath, mark: &[u8], value: &[u8]) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        match disk::set_xattr(Place::Name(parent.as_fd(), &name), mark, value, &self.show(path)) {
            Err(error) if error.errno == Some(libc::EOPNOTSUPP) => Ok(()),
            set => set,
        }
    }

    /// Removes a mark of the overlay, if it is there.
    pub(crate) fn remove_mark(&self, path: &TreePath, mark: &[u8]) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        disk::remove_xattr(parent.as_fd(), &name, mark, &self.show(path))
    }

    /// Removes anything but a directory. (For a link that kept descriptors were reached through, [`Self::remove_tree`].)
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove_file(&self, path: &TreePath) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        rustix::fs::unlinkat(&*parent, &name[..], AtFlags::empty()).at("remove", self.show(path))
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove_directory(&self, path: &TreePath) -> Result<(), IoError> {
        let (parent, name) = self.place(path)?;
        self.kept().clear();
        rustix::fs::unlinkat(&*parent, &name[..], AtFlags::REMOVEDIR).at("remove directory", self.show(path))
    }

    /// Removes what stands at `path` with everything below it, no link followed; for the root, everything in it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove_tree(&self, path: &TreePath) -> Result<(), IoError> {
        self.kept().clear();
        let (parent, name) = self.place(path)?;
        if path.is_root() { empty(self.descriptor.as_fd()) } else { remove(parent.as_fd(), &name) }
            .at("remove", self.show(path))
    }

    /// Moves what stands at `from` to `to`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn rename(&self, from: &TreePath, to: &TreePath) -> Result<(), IoError> {
        let (old_parent, old_name) = self.place(from)?;
        let (parent, name) = self.place(to)?;
        self.kept().clear();
        rustix::fs::renameat(&*old_parent, &old_name[..], &*parent, &name[..]).at("rename", self.show(from))
    }

    /// Returns the bytes that the file system has, and those that are free for the caller.
    ///
    /// # Errors
    /// The operating system's.
    pub fn space(&self) -> Result<(u64, u64), IoError> {
        let found = rustix::fs::fstatvfs(&self.descriptor).at("stat the file system of", &self.shown)?;
        Ok((found.f_blocks.saturating_mul(found.f_frsize), found.f_bavail.saturating_mul(found.f_frsize)))
    }

    /// Returns `path` as messages show it.
    pub(crate) fn show(&self, path: &TreePath) -> PathBuf {
        self.shown.join(path.as_os_str())
    }

    /// Returns the directory that holds `path`, and its name there; the root is `.` in itself.
    fn place(&self, path: &TreePath) -> Result<(Arc<OwnedFd>, Box<[u8]>), IoError> {
        match path.parent() {
            None => Ok((self.directory(path)?, b".".as_slice().into())),
            Some(parent) => Ok((self.directory(&parent)?, path.name().into())),
        }
    }

    /// Returns a descriptor of the directory at `path`, links followed inside the root.
    fn directory(&self, path: &TreePath) -> Result<Arc<OwnedFd>, IoError> {
        let mut kept = self.kept();
        if let Some(found) = kept.get(path) {
            return Ok(Arc::clone(found));
        }
        let opened = Arc::new(self.openat2(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?);
        if kept.len() >= KEPT_DIRECTORIES {
            kept.clear();
        }
        kept.insert(path.clone(), Arc::clone(&opened));
        Ok(opened)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<TreePath, Arc<OwnedFd>>> {
        // The map is whole whatever a panicking holder did: each change to it is one insert or one clear.
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn openat2(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, IoError> {
        let name: &[u8] = if path.is_root() { b"." } else { path.as_bytes() };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.descriptor, name, flags, Mode::empty(), resolve) {
                // The kernel could not tell whether a rename beside it led out of the root: try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other.at("open", self.show(path)),
            }
        }
    }
}

/// Returns the names in an open directory, sorted.
fn names(directory: &OwnedFd) -> Result<Vec<Box<[u8]>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.into());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes `name`, and if it is a directory what it holds. A tree may be deeper than there are descriptors or stack, so
/// what is found in a directory below the first is moved up to `parent` before it is looked into.
fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    if unlink(parent, name)? {
        return Ok(());
    }
    let mut ahead: Vec<Box<[u8]>> = vec![name.into()];
    let mut moved = 0u64;
    while let Some(name) = ahead.last().cloned() {
        let directory = open_to_empty(parent, &name)?;
        let known = ahead.len();
        for inner in names(&directory)? {
            if !unlink(directory.as_fd(), &inner)? && !remove_empty(directory.as_fd(), &inner)? {
                ahead.push(move_up(directory.as_fd(), &inner, parent, &mut moved)?);
            }
        }
        drop(directory);
        if ahead.len() == known {
            rustix::fs::unlinkat(parent, &name[..], AtFlags::REMOVEDIR)?;
            ahead.pop();
        }
    }
    Ok(())
}

/// Removes anything but a directory; reports whether it was that.
fn unlink(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Removes a directory if it is empty; reports whether it was.
fn remove_empty(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Moves a directory to where it is found with one step, under a name that is free.
fn move_up(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, moved: &mut u64) -> Result<Box<[u8]>, Errno> {
    loop {
        *moved += 1;
        let free = format!(".removed{moved}").into_bytes().into_boxed_slice();
        match rustix::fs::renameat_with(from, name, to, &free[..], RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            // A directory's `..` changes, so it must be writable where its owner counts.
            Err(Errno::ACCESS) => rustix::fs::chmodat(from, name, Mode::RWXU, AtFlags::empty())?,
            other => return other.map(|()| free),
        }
    }
}

/// Opens a directory to remove what is in it, also one that its owner may not read, as overlay's work directory. One on
/// which something is mounted is refused: what is there is not ours to remove.
fn open_to_empty(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let open = || rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve);
    match open() {
        Ok(opened) if rustix::process::geteuid().is_root() => Ok(opened),
        Ok(_) | Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            open()
        }
        Err(error) => Err(error),
    }
}

/// Removes everything in a directory.
fn empty(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let again = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    for name in names(&again)? {
        remove(directory, &name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
