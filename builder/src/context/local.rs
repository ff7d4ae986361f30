//! [`BuildContext`]: a directory of the user, opened once, as the build may see it.

use super::ignore::{Decision, IgnoreError, IgnoreRules, Trail};
use super::memo::Memo;
use super::names::Names;
use super::proof::{Proof, proof_of, stamp_of};
use super::tree::{Child, Content, Entry, Exclusion, LinkKey, SourceTree, Stamp, TakeShare, TreeError, allocated};
use super::xattrs;
use layerfs::holes::HoleReader;
use layerfs::io_error::{IoContext, IoError};
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// So many names of a directory are looked at by one core at a time.
const NAMES_AT_A_TIME: usize = 512;

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
    memo: Memo,
    proofs: Mutex<HashMap<u64, Proof>>,
    sockets: Mutex<BTreeSet<TreePath>>,
    /// When nothing of it had been looked at.
    began: Timestamp,
}

/// A directory that was opened to look at what it holds.
struct Opened {
    descriptor: OwnedFd,
    device: u64,
    proof: Proof,
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
            memo: Memo::default(),
            proofs: Mutex::default(),
            sockets: Mutex::default(),
            began: Timestamp::now(),
        };
        if let Some((name, bytes)) = specific.map_or_else(|| context.own_ignore_file(), |found| Ok(Some(found)))? {
            context.rules = IgnoreRules::parse(&name, &bytes)?;
        }
        Ok(context)
    }

    /// Returns this context with what is remembered of its files.
    pub fn remembering(self, memo: Memo) -> Self {
        Self { memo, ..self }
    }

    /// Returns what is remembered of its files.
    pub fn memo(&self) -> &Memo {
        &self.memo
    }

    /// Returns the sockets that were met. No layer can hold one: they are empty files to the build (1.6-10).
    pub fn sockets(&self) -> Vec<TreePath> {
        self.sockets.lock().map(|sockets| sockets.iter().cloned().collect()).unwrap_or_default()
    }

    fn met(&self, socket: TreePath) {
        if let Ok(mut sockets) = self.sockets.lock() {
            sockets.insert(socket);
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

    /// Reports whether the build sees `path`: it is not ignored, or is a directory that holds something which is not.
    fn is_visible(&self, path: &TreePath, decision: Decision, trail: &Trail, is_directory: bool) -> bool {
        !decision.ignored || (is_directory && self.rules.may_hold_exceptions(trail) && self.holds_visible(path, trail))
    }

    /// Reports whether an ignored directory holds something that the build sees. What cannot be read holds nothing.
    fn holds_visible(&self, directory: &TreePath, trail: &Trail) -> bool {
        let Ok(opened) = self.open_at(directory, OFlags::RDONLY | OFlags::DIRECTORY) else { return false };
        let Ok(names) = Names::read(&opened) else { return false };
        names.iter().any(|(name, kind)| self.sees(directory, trail, name, kind))
    }

    /// Reports whether the build sees `name`, of kind `kind`, in `directory`, whose trail is `trail`.
    fn sees(&self, directory: &TreePath, trail: &Trail, name: &CStr, kind: FileType) -> bool {
        if self.rules.is_empty() {
            return true;
        }
        let path = directory.child(name.to_bytes());
        let (decision, own) = self.rules.enter(trail, name.to_bytes());
        self.is_visible(&path, decision, &own, kind == FileType::Directory)
    }

    /// Returns the entry of a name in an opened directory, and whether it is a socket. The xattrs of a file that is
    /// remembered to have none are not asked for.
    fn entry(&self, at: &Opened, name: &CStr) -> Result<(Entry, bool), Errno> {
        let stat = rustix::fs::statat(&at.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = kind_of(&stat, || rustix::fs::readlinkat(&at.descriptor, name, Vec::new()))?;
        let socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
        let stamp = (matches!(kind, Kind::File { .. }) && !socket).then(|| at.stamp(&stat, self.began)).flatten();
        let known = stamp.as_ref().and_then(|stamp| self.memo.get(stamp));
        let metadata = Metadata {
            mode: stat.st_mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            xattrs: match known {
                Some(known) if known.bare && at.proof == Proof::BytesAndXattrs => Xattrs::new(),
                _ => xattrs::read(at.descriptor.as_fd(), name.to_bytes())?,
            },
            kind,
        };
        let several = stat.st_nlink > 1 && !metadata.is_directory();
        let link = several.then(|| LinkKey { space: stat.st_dev, inode: u128::from(stat.st_ino) });
        Ok((Entry { metadata, link, stamp, digest: known.map(|known| known.digest) }, socket))
    }

    /// Returns a directory for a look at what it holds; what its file system proves is found out once.
    fn opened(&self, descriptor: OwnedFd) -> Result<Opened, Errno> {
        let device = rustix::fs::fstat(&descriptor)?.st_dev;
        let known = self.proofs.lock().ok().and_then(|proofs| proofs.get(&device).copied());
        let proof = match known {
            Some(proof) => proof,
            // fstatfs takes O_PATH descriptors since Linux 3.12.
            None => proof_of(rustix::fs::fstatfs(&descriptor)?.f_type as i64),
        };
        if let (None, Ok(mut proofs)) = (known, self.proofs.lock()) {
            proofs.insert(device, proof);
        }
        Ok(Opened { descriptor, device, proof })
    }

    /// Returns what the build sees of some names of the directory `path`.
    fn entries(&self, path: &TreePath, at: &Opened, names: &[(&CStr, FileType)]) -> Result<Vec<Child>, TreeError> {
        let trail = self.rules.decide(path.as_bytes()).1;
        let mut children = Vec::with_capacity(names.len());
        for (name, kind) in names {
            if !self.sees(path, &trail, name, *kind) {
                continue;
            }
            // What is gone since the directory was read was never there.
            match self.entry(at, name) {
                Ok((entry, socket)) => {
                    if socket {
                        self.met(path.child(name.to_bytes()));
                    }
                    children.push((name.to_bytes().into(), entry));
                }
                Err(Errno::NOENT) => {}
                Err(error) => {
                    let shown = self.shown_path(&path.child(name.to_bytes()));
                    return Err(IoError::new("read", shown, &error.into()).into());
                }
            }
        }
        Ok(children)
    }
}

impl Opened {
    /// Returns the stamp of a file on the directory's own file system, if that is proven.
    fn stamp(&self, stat: &Stat, began: Timestamp) -> Option<Stamp> {
        (self.proof != Proof::Nothing && stat.st_dev == self.device).then(|| stamp_of(stat, began)).flatten()
    }
}

/// A file of a context that was opened to be read.
struct ContextFile {
    file: HoleReader,
    began: Timestamp,
}

impl Read for ContextFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Content for ContextFile {
    fn stamp(&self) -> Option<Stamp> {
        // Whether its file system proves anything was looked at before an entry got a stamp.
        stamp_of(&rustix::fs::fstat(self.file.file()).ok()?, self.began)
    }

    fn allocated(&self) -> Option<u64> {
        allocated(self.file.file())
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
            let at = self.opened(at)?;
            self.entry(&at, &name)
        });
        let (entry, socket) = match found {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(_) if self.rules.decide(path.as_bytes()).0.ignored => return Ok(None),
            Ok(found) => found,
            Err(error) => return Err(IoError::new("read", self.shown_path(path), &error.into()).into()),
        };
        let (decision, trail) = self.rules.decide(path.as_bytes());
        let visible = self.is_visible(path, decision, &trail, entry.metadata.is_directory());
        if visible && socket {
            self.met(path.clone());
        }
        Ok(visible.then_some(entry))
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        let shares = Mutex::new(BTreeMap::new());
        self.shares(directory, &|number, children| {
            shares.lock().unwrap_or_else(PoisonError::into_inner).insert(number, children);
            Ok(())
        })?;
        let shares = shares.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(shares.into_values().flatten().collect())
    }

    fn shares(&self, directory: &TreePath, take: &TakeShare<'_>) -> Result<(), TreeError> {
        let shown = self.shown_path(directory);
        let opened = self.open_at(directory, OFlags::RDONLY | OFlags::DIRECTORY).at("open", &shown)?;
        let opened = self.opened(opened).at("read", &shown)?;
        let names = Names::read(&opened.descriptor).at("read", &shown)?;
        let names: Vec<(&CStr, FileType)> = names.iter().collect();
        if names.len() <= NAMES_AT_A_TIME {
            return take(0, self.entries(directory, &opened, &names)?);
        }
        let shares = names.par_chunks(NAMES_AT_A_TIME).enumerate();
        shares.try_for_each(|(number, share)| take(number, self.entries(directory, &opened, share)?))
    }

    fn open(&self, path: &TreePath) -> Result<super::tree::Opened<'_>, IoError> {
        let shown = self.shown_path(path);
        // Not to wait for a writer if a named pipe took the file's place.
        let file = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            // A socket, says open(2).
            Err(Errno::NXIO) => return Ok(Box::new(&[][..])),
            opened => opened.at("open", &shown)?,
        };
        let stat = rustix::fs::fstat(&file).at("read", &shown)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                Ok(Box::new(ContextFile { file: HoleReader::new(file.into()), began: self.began }))
            }
            _ => Err(IoError::new("open", shown, &std::io::Error::other("no longer a regular file"))),
        }
    }

    fn excluded_by(&self, path: &TreePath) -> Option<Exclusion> {
        let Decision { ignored: true, by_line: Some(line) } = self.rules.decide(path.as_bytes()).0 else { return None };
        let pattern = self.rules.pattern_of(line)?.to_owned();
        Some(Exclusion { file: self.rules.name().to_owned(), line, pattern })
    }
}

/// Returns the kind that what was looked at has in the build.
fn kind_of(stat: &Stat, target: impl FnOnce() -> Result<CString, Errno>) -> Result<Kind, Errno> {
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink { target: target()?.into_bytes().into() },
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        _ => Kind::File { size: 0 },
    })
}

pub(super) fn time(seconds: i64, nanoseconds: u64) -> Timestamp {
    Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::super::memo::Known;
    use super::super::memo::testing::Kept;
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

    /// As if the context were opened long after its files were written.
    fn later(context: BuildContext) -> BuildContext {
        BuildContext { began: Timestamp::from_seconds(i64::MAX), ..context }
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

    #[test]
    fn row_5_9_xattrs_are_asked_for_unless_the_file_is_remembered_without_any() {
        let (kept, context) = context(&["a"], "");
        let context = later(context);
        let (file, path) = (kept.path().join("a"), TreePath::from("a"));
        let set = |name: &str| rustix::fs::setxattr(&file, name, b"v", rustix::fs::XattrFlags::empty());
        let Some(stamp) = context.lookup(&path).unwrap().unwrap().stamp else { return };
        if proof_of(rustix::fs::statfs(&file).unwrap().f_type as i64) != Proof::BytesAndXattrs || set("user.a").is_err()
        {
            return;
        }
        // A file whose ctime changed is another one.
        let changed = context.lookup(&path).unwrap().unwrap();
        assert!(changed.stamp.unwrap() != stamp && changed.metadata.xattrs.len() == 1);
        let digest = layerfs::digest::Digest::of("a");
        for (bare, wanted) in [(false, 1), (true, 0)] {
            let memo = Memo::default();
            memo.put(&changed.stamp.unwrap(), Known { digest, bare });
            let store = Kept::default();
            memo.save(&store, "m").unwrap();
            let context = later(BuildContext::open(kept.path(), None).unwrap().remembering(Memo::load(&store, "m")));
            let children = context.children(&TreePath::root()).unwrap();
            let found = &children.iter().find(|child| &*child.0 == b"a").unwrap().1;
            assert_eq!((found.digest, found.metadata.xattrs.len()), (Some(digest), wanted), "bare: {bare}");
        }
    }

    #[test]
    fn a_directory_of_many_shares_is_told_in_order() {
        let files: Vec<String> = (0..2 * NAMES_AT_A_TIME + 7).map(|number| format!("d/f{number}")).collect();
        let (_kept, context) = context(&files.iter().map(String::as_str).collect::<Vec<_>>(), "d/f1\n");
        let mut wanted: Vec<String> =
            files.iter().map(|file| file[2..].to_owned()).filter(|name| name != "f1").collect();
        wanted.sort();
        assert_eq!(names(&context, "d"), wanted);
    }
}
