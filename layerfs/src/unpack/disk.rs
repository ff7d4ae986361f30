//! [`Disk`]: a layer's directory in overlay form, as it is being filled.
//!
//! Directories are writable by us alone until the end, when every directory gets its owner, mode, xattrs and times,
//! the deepest first: a directory that nobody may enter, or whose time counts, is full by then. Devices are never made
//! (a user namespace may not, and a node on a plain mount is live): a whiteout stands for each, so that nothing of a lower
//! layer shows in its place.

use crate::change::Node;
use crate::io_error::{IoContext, IoError};
use crate::meta::disk::{self, OPAQUE, ORIGIN, Place};
use crate::meta::{Kind, Metadata};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::tar::Segment;
use crate::unpack::layer::is_device;
use crate::unpack::sink::{Content, Sink};
use crate::unpack::{LayerError, Unpacked};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// Bytes moved at a time.
const CHUNK: usize = 128 << 10;
/// A run of zeros this long, in bytes, becomes a hole.
const BLOCK: usize = 4 << 10;
/// Bytes after which the free space is looked at again.
const LOOK_EVERY: u64 = 64 << 20;

/// A layer's directory as it is being filled.
#[derive(Debug)]
pub(super) struct Disk<'a> {
    root: &'a RootDir,
    buffer: Vec<u8>,
    since_look: u64,
}

impl<'a> Disk<'a> {
    pub(super) fn new(root: &'a RootDir) -> Self {
        Self { root, buffer: vec![0; CHUNK], since_look: 0 }
    }

    fn file(&mut self, path: &TreePath, metadata: &Metadata, content: Content<'_>) -> Result<(), LayerError> {
        let shown = self.root.show(path);
        let file = self.root.create_file(path).map_err(LayerError::written)?;
        match content.segments {
            None => self.fill(&file, content.bytes, metadata.size(), &shown)?,
            Some(segments) => self.fill_segments(&file, content.bytes, segments, metadata.size(), &shown)?,
        }
        disk::apply(Place::Open(file.as_fd()), metadata, &shown).map_err(|error| LayerError::of(error, path, metadata))
    }

    /// Writes the segments of a sparse file of `size` bytes.
    fn fill_segments(
        &mut self,
        mut file: &File,
        content: &mut dyn Read,
        segments: &[Segment],
        size: u64,
        shown: &Path,
    ) -> Result<(), LayerError> {
        let failed = |error: std::io::Error| LayerError::written(IoError::new("write", shown, &error));
        for segment in segments {
            file.seek(SeekFrom::Start(segment.offset)).map_err(failed)?;
            self.fill(file, content, segment.length, shown)?;
        }
        file.set_len(size).map_err(failed)
    }

    /// Writes `size` bytes of `content` at the file's position, where it ends; runs of zeros become holes.
    fn fill(&mut self, file: &File, content: &mut dyn Read, size: u64, shown: &Path) -> Result<(), LayerError> {
        let mut left = size;
        let mut hole_at_end = false;
        while left > 0 {
            let wanted = left.min(CHUNK as u64) as usize;
            read_exact(content, &mut self.buffer[..wanted])?;
            hole_at_end =
                write_with_holes(file, &self.buffer[..wanted]).at("write", shown).map_err(LayerError::written)?;
            left -= wanted as u64;
            self.look_at_space(wanted as u64, shown)?;
        }
        if hole_at_end {
            let end = rustix::fs::tell(file).at("write", shown)?;
            file.set_len(end).at("write", shown).map_err(LayerError::written)?;
        }
        Ok(())
    }

    /// Leaves the last hundredth of the file system to others.
    fn look_at_space(&mut self, written: u64, shown: &Path) -> Result<(), LayerError> {
        self.since_look += written;
        if self.since_look < LOOK_EVERY {
            return Ok(());
        }
        self.since_look = 0;
        let (all, free) = self.root.space()?;
        if free < all / 100 { Err(LayerError::Full { path: shown.to_owned() }) } else { Ok(()) }
    }

    fn whiteout(&self, path: &TreePath, marked: &mut BTreeSet<TreePath>) -> Result<(), IoError> {
        self.root.create_whiteout(path)?;
        let parent = path.parent().unwrap_or_default();
        if marked.insert(parent.clone()) {
            // Without it the kernel shows whiteouts in directories that are not merged.
            self.root.set_mark(&parent, ORIGIN, b"")?;
        }
        Ok(())
    }

    /// Makes a whiteout at `path`, for a device that was found only after the layer's end.
    pub(super) fn hide(&self, path: &TreePath) -> Result<(), LayerError> {
        self.whiteout(path, &mut BTreeSet::new()).map_err(LayerError::written)
    }

    /// Makes a whiteout for each of the layer's, and for each device and further name of one.
    fn whiteouts(&self, unpacked: &Unpacked) -> Result<(), IoError> {
        let changes = &unpacked.index.changes;
        let devices: HashMap<&TreePath, &Kind> = changes
            .iter()
            .filter_map(|change| Some((&change.path, &change.node.metadata()?.kind)))
            .filter(|(_, kind)| is_device(kind))
            .collect();
        let mut marked = BTreeSet::new();
        for change in changes.iter() {
            let hidden = match &change.node {
                Node::Whiteout => true,
                Node::Inode(_) => devices.contains_key(&change.path),
                Node::Hardlink { target } => devices.contains_key(target),
            };
            if hidden {
                self.whiteout(&change.path, &mut marked)?;
            }
        }
        Ok(())
    }
}

impl Sink for Disk<'_> {
    fn directory(&mut self, path: &TreePath) -> Result<(), LayerError> {
        self.root.create_directory(path).map_err(LayerError::written)
    }

    fn inode(&mut self, path: &TreePath, metadata: &Metadata, content: Content<'_>) -> Result<(), LayerError> {
        match &metadata.kind {
            Kind::File { .. } => return self.file(path, metadata, content),
            Kind::Symlink { target } => self.root.create_symlink(path, target).map_err(LayerError::written)?,
            Kind::Fifo => self.root.create_fifo(path).map_err(LayerError::written)?,
            Kind::Directory => return self.directory(path),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => return Ok(()),
        }
        self.root.apply(path, metadata).map_err(|error| LayerError::of(error, path, metadata))
    }

    fn hardlink(&mut self, path: &TreePath, target: &TreePath) -> Result<(), LayerError> {
        self.root.hardlink(path, target).map_err(LayerError::written)
    }

    fn remove(&mut self, path: &TreePath) -> Result<(), LayerError> {
        Ok(self.root.remove_tree(path)?)
    }

    fn finish(&mut self, unpacked: &Unpacked) -> Result<(), LayerError> {
        self.whiteouts(unpacked).map_err(LayerError::written)?;
        for directory in &unpacked.index.opaque {
            self.root.set_mark(directory, OPAQUE, b"y").map_err(LayerError::written)?;
        }
        for change in unpacked.index.changes.iter().rev() {
            if let Node::Inode(metadata) = &change.node
                && metadata.is_directory()
            {
                self.root
                    .apply(&change.path, metadata)
                    .map_err(|error| LayerError::of(error, &change.path, metadata))?;
            }
        }
        Ok(())
    }
}

/// Fills `buffer`; the reader of the tar says what is wrong when it ends early.
fn read_exact(content: &mut dyn Read, buffer: &mut [u8]) -> Result<(), LayerError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => return Err(super::reading(ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(super::reading(error)),
        }
    }
    Ok(())
}

/// Writes `bytes` at the file's position, seeking over runs of zeros; reports whether the last was seeked over.
fn write_with_holes(mut file: &File, bytes: &[u8]) -> std::io::Result<bool> {
    let mut blocks = bytes.chunks(BLOCK).map(|block| (is_hole(block), block.len())).peekable();
    let (mut start, mut hole) = (0, false);
    while let Some((kind, mut length)) = blocks.next() {
        while let Some((_, more)) = blocks.next_if(|(next, _)| *next == kind) {
            length += more;
        }
        hole = kind;
        if hole {
            file.seek(SeekFrom::Current(length as i64))?;
        } else {
            file.write_all(&bytes[start..start + length])?;
        }
        start += length;
    }
    Ok(hole)
}

fn is_hole(block: &[u8]) -> bool {
    // Most blocks that are no hole show it in their first bytes.
    block.len() == BLOCK && block[0] == 0 && block.iter().all(|&byte| byte == 0)
}
