//! Places in the root file system of a sandbox: resolved inside it, made where they are missing, taken away afterwards.

use crate::sandbox::mounts::Stub;
use layerfs::io_error::{IoContext, IoError};
use layerfs::path::TreePath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As many links are followed as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A root file system as a descriptor; every path is resolved inside it.
#[derive(Debug)]
pub(super) struct Root {
    descriptor: OwnedFd,
}

/// Where a path leads: every link followed.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The deepest directory (or the file itself) that is there.
    existing: TreePath,
    /// Names below it that are not.
    missing: Vec<Box<[u8]>>,
}

fn shown(path: &TreePath) -> &OsStr {
    if path.is_root() { OsStr::new(".") } else { path.as_os_str() }
}

impl Root {
    /// Returns the root at `path`, which is trusted.
    pub(super) fn open(path: &std::path::Path) -> Result<Self, IoError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty()).at("open", path)?;
        Ok(Self { descriptor })
    }

    /// Opens what stands at `path`, the last link followed too, as a place (O_PATH).
    pub(super) fn place(&self, path: &TreePath) -> rustix::io::Result<OwnedFd> {
        self.open_with(path, OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::empty())
    }

    fn open_with(&self, path: &TreePath, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.descriptor, shown(path), flags, Mode::empty(), resolve) {
                // Something was renamed while `..` was resolved (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Opens a regular file for reading, links followed inside the root; nothing if there is none.
    pub(super) fn read_file(&self, path: &TreePath) -> Result<Option<std::fs::File>, IoError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match self.open_with(path, flags, ResolveFlags::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(IoError::new("open", path.to_string(), &errno.into())),
            Ok(file) => {
                let regular = FileType::from_raw_mode(rustix::fs::fstat(&file).at("stat", path.to_string())?.st_mode);
                Ok((regular == FileType::RegularFile).then(|| file.into()))
            }
        }
    }

    /// Follows every link of `path`, also where the end is not there.
    fn resolve(&self, path: &TreePath) -> Result<Place, IoError> {
        let mut pending: Vec<Box<[u8]>> = path.components().map(Into::into).collect();
        pending.reverse();
        let mut at = TreePath::root();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if &*name == b".." {
                at = at.parent().unwrap_or_default();
                continue;
            }
            let next = at.child(&name);
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match self.open_with(&next, flags, ResolveFlags::NO_SYMLINKS) {
                Err(Errno::NOENT) => {
                    pending.push(name);
                    pending.reverse();
                    return Ok(Place { existing: at, missing: pending });
                }
                Err(errno) => return Err(IoError::new("open", next.to_string(), &errno.into())),
                Ok(found) => match link_target(&found).at("read link", next.to_string())? {
                    None => at = next,
                    Some(target) => {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(IoError::new("open", path.to_string(), &Errno::LOOP.into()));
                        }
                        if target.starts_with(b"/") {
                            at = TreePath::root();
                        }
                        let parts = target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
                        let parts: Vec<Box<[u8]>> = parts.map(Into::into).collect();
                        pending.extend(parts.into_iter().rev());
                    }
                },
            }
        }
        Ok(Place { existing: at, missing: Vec::new() })
    }

    /// Makes the directories of `path` that are missing, 0755 and owned as stated.
    pub(super) fn make_directories(&self, path: &TreePath, owner: (u32, u32)) -> Result<(), IoError> {
        let place = self.resolve(path)?;
        let mut at = place.existing;
        for name in &place.missing {
            at = at.child(name);
            self.make_directory(&at)?;
            let (uid, gid) = (rustix::fs::Uid::from_raw(owner.0), rustix::fs::Gid::from_raw(owner.1));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&self.descriptor, shown(&at), Some(uid), Some(gid), flags)
                .at("change owner of", at.to_string())?;
        }
        Ok(())
    }

    // `path` was resolved: none of its components is a link, and nobody else is at work here.
    fn make_directory(&self, path: &TreePath) -> Result<(), IoError> {
        rustix::fs::mkdirat(&self.descriptor, shown(path), Mode::empty()).at("make", path.to_string())?;
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::chmodat(&self.descriptor, shown(path), mode, AtFlags::empty())
            .at("change mode of", path.to_string())
    }

    fn make_file(&self, path: &TreePath) -> Result<(), IoError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.descriptor, shown(path), flags, Mode::from_raw_mode(0o644))
            .at("make", path.to_string())?;
        Ok(())
    }

    fn stat(&self, path: &TreePath) -> rustix::io::Result<Stat> {
        rustix::fs::statat(&self.descriptor, shown(path), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Makes a mount point at `target` if it is missing; returns what was made, the outermost first.
    fn make_stub(&self, target: &TreePath, directory: bool) -> Result<Vec<TreePath>, IoError> {
        let place = self.resolve(target)?;
        let mut at = place.existing;
        let mut made = Vec::new();
        for (number, name) in place.missing.iter().enumerate() {
            at = at.child(name);
            if directory || number + 1 < place.missing.len() {
                self.make_directory(&at)?;
            } else {
                self.make_file(&at)?;
            }
            made.push(at.clone());
        }
        Ok(made)
    }

    /// Makes a mount point that is below another mount: nothing of it stays.
    pub(super) fn make_mount_point(&self, target: &TreePath, directory: bool) -> Result<(), IoError> {
        self.make_stub(target, directory).map(drop)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Returns what a link says; nothing if the descriptor is of something else.
fn link_target(found: &OwnedFd) -> rustix::io::Result<Option<Vec<u8>>> {
    if FileType::from_raw_mode(rustix::fs::fstat(found)?.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    Ok(Some(rustix::fs::readlinkat(found, "", Vec::new())?.into_bytes()))
}

/// Mount points that were made in the root file system itself, and what is needed to leave no trace of them (rows
/// 1.7-4, 7-20).
#[derive(Debug, Default)]
pub(super) struct Stubs {
    made: Vec<TreePath>,
    /// Directories in which something was made.
    parents: BTreeSet<TreePath>,
}

impl Stubs {
    /// Makes a mount point at `target` if it is missing. The directory that it is made in gets its time back at once, so
    /// that the command sees the image's, and a later one is the command's own.
    pub(super) fn make(&mut self, root: &Root, target: &TreePath, stub: Stub) -> Result<(), IoError> {
        let place = root.resolve(target)?;
        if place.missing.is_empty() {
            return Ok(());
        }
        let parent = place.existing;
        let before = modified(&root.stat(&parent).at("stat", parent.to_string())?);
        self.made.extend(root.make_stub(target, stub == Stub::Directory)?);
        set_modified(root, &parent, before).at("set time of", parent.to_string())?;
        self.parents.insert(parent);
        Ok(())
    }

    /// Takes away what is still empty; directories keep the times that they have.
    pub(super) fn remove(self, root: &Root) -> Result<(), IoError> {
        let times: Vec<_> = self
            .parents
            .iter()
            .filter_map(|parent| root.stat(parent).ok().map(|stat| (parent, modified(&stat))))
            .collect();
        for path in self.made.iter().rev() {
            remove_if_empty(root, path)?;
        }
        for (parent, time) in times {
            match set_modified(root, parent, time) {
                // The directory was a stub itself.
                Err(Errno::NOENT) => {}
                other => other.at("set time of", parent.to_string())?,
            }
        }
        Ok(())
    }
}

fn modified(stat: &Stat) -> Timespec {
    Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ }
}

fn set_modified(root: &Root, path: &TreePath, time: Timespec) -> rustix::io::Result<()> {
    let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT as _ };
    let times = Timestamps { last_access: omit, last_modification: time };
    rustix::fs::utimensat(root, shown(path), &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn remove_if_empty(root: &Root, path: &TreePath) -> Result<(), IoError> {
    let Ok(stat) = root.stat(path) else { return Ok(()) };
    let flags = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
        // The command put something else there.
        _ => return Ok(()),
    };
    match rustix::fs::unlinkat(root, shown(path), flags) {
        Err(Errno::NOTEMPTY | Errno::NOENT) => Ok(()),
        other => other.at("remove mount point", path.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn root() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::open(directory.path()).expect("a root");
        (directory, root)
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let (directory, root) = root();
        std::fs::create_dir_all(directory.path().join("a/b")).expect("made");
        symlink("/a/b", directory.path().join("absolute")).expect("made");
        symlink("../../../run/x/y", directory.path().join("a/b/dangling")).expect("made");
        symlink("loop", directory.path().join("loop")).expect("made");
        let place = |path: &str| root.resolve(&TreePath::from(path)).map(|place| (place.existing, place.missing));
        let path = |text: &str| TreePath::from(text);
        assert_eq!(place("absolute/c"), Ok((path("a/b"), vec![b"c"[..].into()])));
        let missing: Vec<Box<[u8]>> = vec![b"run"[..].into(), b"x"[..].into(), b"y"[..].into()];
        assert_eq!(place("absolute/dangling"), Ok((path(""), missing)));
        assert_eq!(place("loop").map_err(|error| error.errno), Err(Some(libc::ELOOP)));
    }

    /// Rows 1.7-4, 7-20.
    #[test]
    fn stubs_leave_no_trace() {
        let (directory, root) = root();
        std::fs::create_dir(directory.path().join("etc")).expect("made");
        let long_ago = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        let etc = std::fs::File::open(directory.path().join("etc")).expect("open");
        etc.set_times(long_ago).expect("set");
        let mut stubs = Stubs::default();
        stubs.make(&root, &TreePath::from("etc/hosts"), Stub::File).expect("made");
        stubs.make(&root, &TreePath::from("etc/resolv.conf"), Stub::File).expect("made");
        stubs.make(&root, &TreePath::from("run/secrets/x"), Stub::File).expect("made");
        assert!(directory.path().join("run/secrets/x").is_file());
        assert_eq!(etc.metadata().expect("stat").mtime(), 0, "the command sees the image's time");
        stubs.remove(&root).expect("removed");
        let left: Vec<_> = walk(directory.path());
        assert_eq!(left, ["etc"]);
        assert_eq!(etc.metadata().expect("stat").mtime(), 0);
    }

    #[test]
    fn what_a_command_put_there_stays() {
        let (directory, root) = root();
        let mut stubs = Stubs::default();
        stubs.make(&root, &TreePath::from("a/b"), Stub::Directory).expect("made");
        std::fs::write(directory.path().join("a/file"), "x").expect("written");
        stubs.remove(&root).expect("removed");
        assert_eq!(walk(directory.path()), ["a", "a/file"]);
    }

    fn walk(top: &std::path::Path) -> Vec<String> {
        let entries = walkdir::WalkDir::new(top).min_depth(1).sort_by_file_name();
        let entries = entries.into_iter().map(|entry| entry.expect("an entry"));
        entries.map(|entry| entry.path().strip_prefix(top).expect("below").display().to_string()).collect()
    }
}
