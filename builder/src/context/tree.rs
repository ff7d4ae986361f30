//! [`SourceTree`]: what a COPY reads from; a context, a stage or an image, or nothing.

use layerfs::digest::Digest;
use layerfs::holes::HoleReader;
use layerfs::io_error::IoError;
use layerfs::meta::{Kind, Metadata, Timestamp};
use layerfs::path::{FollowError, TreePath, Waypoint, follow};
use layerfs::stack::{Found, Stack, StackError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// Which inode a path is a name of, where an inode may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkKey {
    /// The device or layer.
    pub space: u64,
    /// The inode in it.
    pub inode: u128,
}

/// What says that a file is as it was: the digest, cut to 16 bytes, of (device, inode, size, mtime, ctime, mode, owner).
/// Only a file has one whose times say so: see `proof`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(pub [u8; 16]);

/// What stands at a path of a [`SourceTree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub metadata: Metadata,
    /// Set if it may be one of several names of an inode.
    pub link: Option<LinkKey>,
    /// Set if it can be told later whether it changed since.
    pub stamp: Option<Stamp>,
    /// The digest of its bytes, if it is remembered.
    pub digest: Option<Digest>,
}

impl Entry {
    /// Returns the entry of `metadata` alone.
    pub fn plain(metadata: Metadata) -> Self {
        Self { metadata, link: None, stamp: None, digest: None }
    }
}

/// A name in a directory, and what it names.
pub type Child = (Box<[u8]>, Entry);

/// Which line of which file hides a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// The file, as shown.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The pattern as written.
    pub pattern: String,
}

/// Why a path of a source could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Links lead in a circle, or a file stands in the way.
    #[error(transparent)]
    Path(#[from] StackError),
}

/// The bytes of a file, to be read once.
pub trait Content: Read + Send {
    /// Returns the stamp that the file has now. While it is the one of the file's [`Entry`], its bytes and metadata are
    /// those of that time.
    fn stamp(&self) -> Option<Stamp> {
        None
    }

    /// Returns how many of its bytes have a place on disk, if that is known: fewer than its size where it has holes.
    fn allocated(&self) -> Option<u64> {
        None
    }
}

impl Content for HoleReader {
    fn allocated(&self) -> Option<u64> {
        allocated(self.file())
    }
}
impl Content for &[u8] {}

/// Returns how many bytes of a file have a place on disk; nothing if it cannot be asked.
pub(super) fn allocated(file: &File) -> Option<u64> {
    // st_blocks counts 512 bytes on every file system (stat(2)).
    rustix::fs::fstat(file).ok().and_then(|stat| u64::try_from(stat.st_blocks).ok()).map(|blocks| blocks * 512)
}

/// A file that was opened to be read.
pub type Opened<'a> = Box<dyn Content + 'a>;

/// Takes a share of what a directory holds, with its number.
pub type TakeShare<'a> = dyn Fn(usize, Vec<Child>) -> Result<(), TreeError> + Sync + 'a;

/// What a COPY reads from.
pub trait SourceTree: Sync {
    /// Returns what stands at `path`, no link followed; nothing if there is nothing, or nothing the build may see.
    ///
    /// # Errors
    /// The operating system's.
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError>;

    /// Returns what the directory `directory` holds, sorted by name.
    ///
    /// # Errors
    /// The operating system's.
    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError>;

    /// Hands what the directory `directory` holds to `take`, in shares that are counted from 0 and follow each other by
    /// name; each is sorted. They may come in any order and side by side: a directory may hold more than should be in
    /// memory at once.
    ///
    /// # Errors
    /// The operating system's; what `take` failed with.
    fn shares(&self, directory: &TreePath, take: &TakeShare<'_>) -> Result<(), TreeError> {
        take(0, self.children(directory)?)
    }

    /// Opens the regular file at `path`, no link followed.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError>;

    /// Returns how many files [`SourceTree::open_all`] opens better than one after the other.
    fn at_once(&self) -> usize {
        1
    }

    /// Opens regular files, no link followed, at most [`SourceTree::at_once`] of them; returns them in the same order.
    ///
    /// # Errors
    /// The operating system's.
    fn open_all(&self, paths: &[&TreePath]) -> Result<Vec<Opened<'_>>, IoError> {
        paths.iter().map(|path| self.open(path)).collect()
    }

    /// Returns what hides `path` from the build, if something does.
    fn excluded_by(&self, _path: &TreePath) -> Option<Exclusion> {
        None
    }

    /// Returns `path` with every link in it followed inside the root; components that do not exist stay.
    ///
    /// # Errors
    /// [`StackError::Loop`] after 40 links; the operating system's.
    fn resolve(&self, path: &TreePath) -> Result<TreePath, TreeError> {
        let look = |path: &TreePath| {
            Ok(match self.lookup(path)?.map(|entry| entry.metadata.kind) {
                Some(Kind::Symlink { target }) => Waypoint::Link(Cow::Owned(target.into())),
                // What is below a file is missing, to whoever looks there.
                _ => Waypoint::Way,
            })
        };
        follow(path, true, look).map_err(|error| match error {
            FollowError::Loop(path) => StackError::Loop(path).into(),
            FollowError::NotADirectory(path) => StackError::NotADirectory(path).into(),
            FollowError::Look(error) => error,
        })
    }
}

/// A tree without anything: `--from=scratch`.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyTree;

impl SourceTree for EmptyTree {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        Ok(path.is_root().then(|| Entry::plain(Metadata::directory(Timestamp::default()))))
    }

    fn children(&self, _directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        Ok(Vec::new())
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        Err(missing(path))
    }
}

/// Opens regular files of a stack.
pub trait LayerFiles: Sync {
    /// Returns how many files are opened at once at the most.
    fn at_once(&self) -> usize;

    /// Opens files: each the number of the layer, 0 the lowest, and the inode's path in it. Returns as many, in the same
    /// order.
    ///
    /// # Errors
    /// What opening one of them failed with.
    fn open(&self, files: &[(usize, &TreePath)]) -> io::Result<Vec<File>>;
}

/// The tree of a stage or an image: owners are kept.
pub struct StackTree<'a> {
    stack: &'a Stack,
    files: &'a dyn LayerFiles,
}

impl<'a> StackTree<'a> {
    /// Returns the tree of `stack`, whose `files` are opened from its layers.
    pub fn new(stack: &'a Stack, files: &'a dyn LayerFiles) -> Self {
        Self { stack, files }
    }
}

impl fmt::Debug for StackTree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackTree").field("stack", self.stack).finish_non_exhaustive()
    }
}

/// Returns the entry of what `stack` has.
fn entry_of(stack: &Stack, found: &Found<'_>) -> Entry {
    let several = stack.layers()[found.layer].changes.is_linked(&found.inode);
    let link = several.then(|| LinkKey { space: found.layer as u64, inode: name_of(&found.inode) });
    Entry { metadata: found.metadata.clone(), link, stamp: None, digest: None }
}

/// Returns a number that stands for a path: its digest, cut to 16 bytes.
fn name_of(path: &TreePath) -> u128 {
    let digest = Digest::of(path.as_bytes());
    digest.as_bytes()[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

impl SourceTree for StackTree<'_> {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        match self.stack.lookup(path) {
            None if path.is_root() => EmptyTree.lookup(path),
            found => Ok(found.as_ref().map(|found| entry_of(self.stack, found))),
        }
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        let children = self.stack.children(directory).into_iter();
        Ok(children.map(|(name, found)| (name, entry_of(self.stack, &found))).collect())
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        Ok(self.open_all(&[path])?.pop().expect("as many files as were asked for"))
    }

    fn at_once(&self) -> usize {
        self.files.at_once()
    }

    fn open_all(&self, paths: &[&TreePath]) -> Result<Vec<Opened<'_>>, IoError> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        let found = |path: &&TreePath| self.stack.lookup(path).ok_or_else(|| missing(path));
        let found: Vec<Found<'_>> = paths.iter().map(found).collect::<Result<_, _>>()?;
        let files: Vec<(usize, &TreePath)> = found.iter().map(|found| (found.layer, &found.inode)).collect();
        let opened = self.files.open(&files).map_err(|error| IoError::new("open", first.to_string(), &error))?;
        Ok(opened.into_iter().map(|file| -> Opened<'_> { Box::new(HoleReader::new(file)) }).collect())
    }
}

/// A tree in memory, for tests and for files that lbuild itself makes up.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    /// Each path with what stands there and, for a regular file, its bytes.
    pub nodes: BTreeMap<TreePath, (Entry, Vec<u8>)>,
}

impl SourceTree for MemoryTree {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        match self.nodes.get(path) {
            None if path.is_root() => EmptyTree.lookup(path),
            found => Ok(found.map(|(entry, _)| entry.clone())),
        }
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        let mut children: Vec<Child> = (self.nodes.iter())
            .filter(|(path, _)| path.parent().as_ref() == Some(directory))
            .map(|(path, (entry, _))| (path.name().into(), entry.clone()))
            .collect();
        children.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(children)
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        match self.nodes.get(path) {
            Some((_, bytes)) => Ok(Box::new(bytes.as_slice())),
            None => Err(missing(path)),
        }
    }
}

fn missing(path: &TreePath) -> IoError {
    IoError::new("open", path.to_string(), &io::Error::from_raw_os_error(libc::ENOENT))
}
