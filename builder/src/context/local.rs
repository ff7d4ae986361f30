//! [`BuildContext`]: a directory of the user, opened once, as the build may see it.

use super::ignore::{Decision, IgnoreError, IgnoreRules, Trail};
use super::tree::{Child, Entry, Exclusion, LinkKey, SourceTree, Stamp, TreeError};
use layerfs::digest::Hasher;
use layerfs::io_error::{IoContext, IoError};
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// File systems whose mtime and ctime are proven to change with content: ext2 to ext4, xfs, btrfs, tmpfs. Overlay is
/// not among them (copying up changes identities), nor is anything reached over a network or through FUSE. Writes
/// through a shared mapping may show late on all of them; make, git and rsync trust times as far.
const PROVEN: [i64; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994];

/// Why a context could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The `.dockerignore` has a line that is no pattern.
    #[error(transparent)]
    Ignore(#[from] IgnoreError),
}

/// A directory of the user, opened once: filtered by `.dockerignore`, all owned by `0:0`.
#[derive(Debug)]
pub struct BuildContext {
    root: OwnedFd,
    shown: PathBuf,
    rules: IgnoreRules,
    proven: Mutex<HashMap<u64, bool>>,
    skipped: Mutex<BTreeSet<TreePath>>,
}

/// Returns the ignore file of `dockerfile` alone, if it exists: its name with `.dockerignore` after it, and its bytes.
/// One that exists wins over the context's, even if it is empty.
///
/// # Errors
/// The operating system's, but for the file not being there.
pub fn ignore_file_of(dockerfile: &Path) -> Result<Option<(String, Vec<u8>)>, IoError> {
    let mut path = dockerfile.as_os_str().to_owned();
    path.push(".dockerignore");
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some((path.to_string_lossy().into_owned(), bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IoError::new("read", path, &error)),
    }
}

impl BuildContext {
    /// Opens `directory`. `specific` is what [`ignore_file_of`] gave; without it the context's own `.dockerignore`
    /// counts.
    ///
    /// # Errors
    /// [`ContextError`].
    pub fn open(directory: &Path, specific: Option<(String, Vec<u8>)>) -> Result<Self, ContextError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory, flags, Mode::empty()).at("open build context", directory)?;
        let mut context = Self {
            root,
            shown: directory.to_owned(),
            rules: IgnoreRules::default(),
            proven: Mutex::default(),
            skipped: Mutex::default(),
        };
        if let Some((name, bytes)) = specific.map_or_else(|| context.own_ignore_file(), |found| Ok(Some(found)))? {
            context.rules = IgnoreRules::parse(&name, &bytes)?;
        }
        Ok(context)
    }

    /// Returns the sockets that were met and left out, since no layer can hold them.
    pub fn skipped_sockets(&self) -> Vec<TreePath> {
        self.skipped.lock().map(|skipped| skipped.iter().cloned().collect()).unwrap_or_default()
    }

    fn skip(&self, socket: TreePath) {
        if let Ok(mut skipped) = self.skipped.lock() {
            skipped.insert(socket);
        }
    }

    /// Returns the rules in force.
    pub fn rules(&self) -> &IgnoreRules {
        &self.rules
    }

    /// Reads the context's `.dockerignore`; a link is followed inside the context, to what the rules do not hide yet.
    fn own_ignore_file(&self) -> Result<Option<(String, Vec<u8>)>, ContextError> {
        let name = ".dockerignore";
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = rustix::fs::openat2(&self.root, name, flags, Mode::empty(), ResolveFlags::IN_ROOT);
        let descriptor = match opened {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.at("open", self.shown.join(name))?,
        };
        let mut bytes = Vec::new();
        File::from(descriptor).read_to_end(&mut bytes).at("read", self.shown.join(name))?;
        Ok(Some((name.to_owned(), bytes)))
    }

    fn shown_path(&self, path: &TreePath) -> PathBuf {
        self.shown.join(path.as_os_str())
    }

    /// Opens `path`, following no link at all: callers resolved it.
    fn open_at(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() { ".".as_ref() } else { path.as_os_str() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Returns what decides about `directory`, and the trail for its children.
    fn trail_of(&self, directory: &TreePath) -> (Decision, Trail) {
        let start = (Decision { ignored: false, by_line: None }, self.rules.trail());
        let mut above = directory.ancestors();
        above.push(directory.clone());
        above.iter().fold(start, |(_, trail), path| self.rules.enter(&trail, path.as_bytes()))
    }

    /// Reports whether the build sees `path`: it is not ignored, or is a directory that holds something which is not.
    fn is_visible(&self, path: &TreePath, decision: Decision, trail: &Trail, is_directory: bool) -> bool {
        !decision.ignored
            || (is_directory && self.rules.may_hold_exceptions(path.as_bytes()) && self.holds_visible(path, trail))
    }

    /// Reports whether an ignored directory holds something that the build sees. What cannot be read holds nothing.
    fn holds_visible(&self, directory: &TreePath, trail: &Trail) -> bool {
        let Ok(opened) = self.open_at(directory, OFlags::RDONLY | OFlags::DIRECTORY) else { return false };
        let Ok(names) = names_in(&opened) else { return false };
        names.into_iter().any(|(name, kind)| {
            let path = directory.child(name.as_bytes());
            let (decision, trail) = self.rules.enter(trail, path.as_bytes());
            self.is_visible(&path, decision, &trail, kind == FileType::Directory)
        })
    }

    /// Returns the entry of a name in an opened directory; nothing for a socket.
    fn entry(&self, at: &OwnedFd, name: &CString) -> Result<Option<Entry>, Errno> {
        let stat = rustix::fs::statat(at, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        let Some(kind) = kind_of(&stat, || rustix::fs::readlinkat(at, name.as_c_str(), Vec::new()))? else {
            return Ok(None);
        };
        let metadata = Metadata {
            mode: stat.st_mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            xattrs: xattrs_of(at, name)?,
            kind,
        };
        let several = stat.st_nlink > 1 && !metadata.is_directory();
        let link = several.then(|| LinkKey { space: stat.st_dev, inode: u128::from(stat.st_ino) });
        let stamp = matches!(metadata.kind, Kind::File { .. }).then(|| self.stamp(&stat)).flatten();
        Ok(Some(Entry { metadata, link, stamp }))
    }

    /// Returns the stamp of a file on a file system that is proven.
    fn stamp(&self, stat: &Stat) -> Option<Stamp> {
        (*self.proven.lock().ok()?.get(&stat.st_dev)?).then(|| stamp_of(stat))
    }

    /// Finds out once whether the file system of an opened directory is proven.
    fn learn_file_system(&self, directory: &OwnedFd) -> Result<(), Errno> {
        let device = rustix::fs::fstat(directory)?.st_dev;
        if let Ok(mut proven) = self.proven.lock()
            && let std::collections::hash_map::Entry::Vacant(place) = proven.entry(device)
        {
            place.insert(PROVEN.contains(&(rustix::fs::fstatfs(directory)?.f_type as i64)));
        }
        Ok(())
    }
}

impl SourceTree for BuildContext {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        let (holder, name) = match path.parent() {
            Some(parent) => (parent, path.name().to_vec()),
            None => (TreePath::root(), b".".to_vec()),
        };
        let Ok(name) = CString::new(name) else { return Ok(None) };
        let found = self.open_at(&holder, OFlags::PATH | OFlags::DIRECTORY).and_then(|at| {
            // fstatfs takes O_PATH descriptors since Linux 3.12.
            self.learn_file_system(&at)?;
            self.entry(&at, &name)
        });
        let entry = match found {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Ok(None) | Err(_) if self.trail_of(path).0.ignored => return Ok(None),
            Ok(None) => {
                self.skip(path.clone());
                return Ok(None);
            }
            Ok(Some(entry)) => entry,
            Err(error) => return Err(IoError::new("read", self.shown_path(path), &error.into()).into()),
        };
        let (decision, trail) = self.trail_of(path);
        Ok(self.is_visible(path, decision, &trail, entry.metadata.is_directory()).then_some(entry))
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        let shown = self.shown_path(directory);
        let opened = self.open_at(directory, OFlags::RDONLY | OFlags::DIRECTORY).at("open", &shown)?;
        self.learn_file_system(&opened).at("read", &shown)?;
        let (_, trail) = self.trail_of(directory);
        let mut children = Vec::new();
        for (name, kind) in names_in(&opened).at("read", &shown)? {
            let path = directory.child(name.as_bytes());
            let (decision, own) = self.rules.enter(&trail, path.as_bytes());
            if !self.is_visible(&path, decision, &own, kind == FileType::Directory) {
                continue;
            }
            // What is gone since the directory was read was never there.
            match self.entry(&opened, &name) {
                Ok(Some(entry)) => children.push((name.as_bytes().into(), entry)),
                Ok(None) => self.skip(path),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(IoError::new("read", self.shown_path(&path), &error.into()).into()),
            }
        }
        children.sort_by(|a: &Child, b| a.0.cmp(&b.0));
        Ok(children)
    }

    fn open(&self, path: &TreePath) -> Result<Box<dyn Read + Send + '_>, IoError> {
        let shown = self.shown_path(path);
        // Not to wait for a writer if a named pipe took the file's place.
        let file = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).at("open", &shown)?;
        let stat = rustix::fs::fstat(&file).at("read", &shown)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Box::new(File::from(file))),
            _ => Err(IoError::new("open", shown, &std::io::Error::other("no longer a regular file"))),
        }
    }

    fn excluded_by(&self, path: &TreePath) -> Option<Exclusion> {
        let Decision { ignored: true, by_line: Some(line) } = self.trail_of(path).0 else { return None };
        let pattern = self.rules.pattern_of(line)?.to_owned();
        Some(Exclusion { file: self.rules.name().to_owned(), line, pattern })
    }
}

/// Returns the names in an opened directory with their kinds, as far as the directory tells.
fn names_in(directory: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut names = Vec::new();
    for found in rustix::fs::Dir::read_from(directory)? {
        let found = found?;
        let name = found.file_name();
        if name.to_bytes() == b"." || name.to_bytes() == b".." {
            continue;
        }
        let kind = match found.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        names.push((name.to_owned(), kind));
    }
    Ok(names)
}

/// Returns the kind of what was looked at; nothing for a socket.
fn kind_of(stat: &Stat, target: impl FnOnce() -> Result<CString, Errno>) -> Result<Option<Kind>, Errno> {
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Some(Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) }),
        FileType::Directory => Some(Kind::Directory),
        FileType::Symlink => Some(Kind::Symlink { target: target()?.into_bytes().into() }),
        FileType::Fifo => Some(Kind::Fifo),
        FileType::CharacterDevice => Some(Kind::CharDevice { major, minor }),
        FileType::BlockDevice => Some(Kind::BlockDevice { major, minor }),
        _ => None,
    })
}

fn time(seconds: i64, nanoseconds: u64) -> Timestamp {
    Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

/// Returns the identity and newest time of a file.
fn stamp_of(stat: &Stat) -> Stamp {
    let mut hasher = Hasher::default();
    for number in [stat.st_dev, stat.st_ino, stat.st_size.cast_unsigned(), u64::from(stat.st_mode)] {
        hasher.update(&number.to_le_bytes());
    }
    let (mtime, ctime) = (time(stat.st_mtime, stat.st_mtime_nsec), time(stat.st_ctime, stat.st_ctime_nsec));
    for at in [mtime, ctime] {
        hasher.update(&at.seconds.to_le_bytes());
        hasher.update(&at.nanoseconds.to_le_bytes());
    }
    hasher.update(&stat.st_uid.to_le_bytes());
    hasher.update(&stat.st_gid.to_le_bytes());
    let mut identity = [0; 16];
    identity.copy_from_slice(&hasher.finish().as_bytes()[..16]);
    Stamp { identity, newest: mtime.max(ctime) }
}

/// Reads the xattrs that an image keeps: all but `system.*`, and of `security.*` the capabilities alone, as BuildKit
/// (cache/contenthash/tarsum.go); `user.overlay.*` would be taken for an overlay's own.
fn xattrs_of(directory: &OwnedFd, name: &CString) -> Result<Xattrs, Errno> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_fd().as_raw_fd()).into_bytes();
    if path.write_all(name.as_bytes()).is_err() {
        return Ok(Xattrs::new());
    }
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    let mut names = vec![0; 1024];
    let length = loop {
        match rustix::fs::llistxattr(path.as_c_str(), names.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < 1 << 16 => names.resize(1 << 16, 0),
            // A file system without xattrs has none; one that hides them is read as far as it lets.
            Err(Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => return Ok(Xattrs::new()),
            Err(error) => return Err(error),
        }
    };
    let mut xattrs = Xattrs::new();
    for name in names[..length].split(|&b| b == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; 1 << 16];
        if let Ok(length) = rustix::fs::lgetxattr(path.as_c_str(), name, value.as_mut_slice()) {
            value.truncate(length);
            xattrs.insert(name.into(), value.into());
        }
    }
    Ok(xattrs)
}

/// Reports whether an image keeps the xattr called `name`.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || !(name.is_empty()
            || name.starts_with(b"security.")
            || name.starts_with(b"system.")
            || name.starts_with(b"user.overlay.")
            || name.starts_with(b"trusted.overlay."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn context(files: &[&str], rules: &str) -> (tempfile::TempDir, BuildContext) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        symlink("../../../etc", directory.path().join("out")).unwrap();
        std::fs::write(directory.path().join(".dockerignore"), rules).unwrap();
        let context = BuildContext::open(directory.path(), None).unwrap();
        (directory, context)
    }

    fn names(context: &BuildContext, directory: &str) -> Vec<String> {
        let children = context.children(&TreePath::from(directory)).unwrap();
        children.into_iter().map(|(name, _)| String::from_utf8(name.into()).unwrap()).collect()
    }

    #[test]
    fn rows_2_6_and_2_9_only_what_is_not_ignored_is_seen() {
        let (_kept, context) = context(&["a/b/c", "a/b/d", "x/y", "etc/f"], "*\n!a/b/c\n");
        assert_eq!(names(&context, ""), ["a"]);
        assert_eq!(names(&context, "a/b"), ["c"]);
        assert!(context.lookup(&TreePath::from("a")).unwrap().is_some());
        assert!(context.lookup(&TreePath::from("x")).unwrap().is_none());
        let wanted = Exclusion { file: ".dockerignore".to_owned(), line: 1, pattern: "*".to_owned() };
        assert_eq!(context.excluded_by(&TreePath::from("x/y")), Some(wanted));
    }

    #[test]
    fn row_1_6_8_links_stay_inside_and_owners_are_root() {
        let (_kept, context) = context(&["etc/f"], "");
        assert_eq!(context.resolve(&TreePath::from("out/f")).unwrap(), TreePath::from("etc/f"));
        assert!(context.open(&TreePath::from("out/f")).is_err());
        let entry = context.lookup(&TreePath::from("etc/f")).unwrap().unwrap();
        assert_eq!((entry.metadata.uid, entry.metadata.gid, entry.metadata.size()), (0, 0, 5));
    }

    #[test]
    fn row_2_1_a_file_beside_the_dockerfile_wins_even_if_empty() {
        let (kept, _) = context(&["a"], "*\n");
        let specific = Some(("D.dockerignore".to_owned(), Vec::new()));
        let context = BuildContext::open(kept.path(), specific).unwrap();
        assert_eq!(names(&context, ""), [".dockerignore", "a", "out"]);
        assert_eq!(ignore_file_of(&kept.path().join("D")), Ok(None));
    }
}
