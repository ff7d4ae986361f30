//! [`CopyMounter`]: a stack of layer directories as one copied tree, where overlay does not work.
//!
//! ```text
//! scratch/root      the tree; what changed in it becomes the layer
//! scratch/baseline  what it was like before
//! ```

use crate::diff::{self, Baseline, opener};
use crate::index::LayerIndex;
use crate::io_error::IoContext;
use crate::meta::disk::{self, Place};
use crate::meta::{Kind, Metadata};
use crate::mount::{Active, MountInstructions, Mounter};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::{Found, Stack};
use crate::unpack::LayerError;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Copies stacks.
#[derive(Debug, Clone)]
pub struct CopyMounter {
    layers: PathBuf,
}

impl CopyMounter {
    /// Returns the mounter of the layer directories in `layers`.
    pub fn new(layers: &Path) -> Self {
        Self { layers: layers.to_owned() }
    }
}

impl Mounter for CopyMounter {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn prepare(&self, lower: &[String], below: &Stack, scratch: &Path) -> Result<Active, LayerError> {
        super::check_layers(lower, below)?;
        let path = scratch.join("root");
        for directory in [scratch, &path] {
            fs::create_dir(directory).at("create directory", directory).map_err(LayerError::written)?;
        }
        let tree = RootDir::open(&path)?;
        let copy = Copy { tree: &tree, open: &opener(self.layers.clone(), lower.to_vec()) };
        let directories = copy.everything(below)?;
        // The layers' names are kept with it, for `commit` to open them by.
        let baseline = take_baseline(&tree, &directories, scratch)?;
        save(&(lower, baseline), &scratch.join("baseline"))?;
        Ok(Active { instructions: MountInstructions::Directory { path }, scratch: scratch.to_owned() })
    }

    fn commit(&self, active: Active, below: &Stack, destination: &Path) -> Result<LayerIndex, LayerError> {
        let MountInstructions::Directory { path } = &active.instructions else {
            return Err(super::not_mine(&active));
        };
        let (lower, baseline): (Vec<String>, Baseline) = load(&active.scratch.join("baseline"))?;
        super::check_layers(&lower, below)?;
        let tree = RootDir::open(path)?;
        let index = diff::normalize_whole(&tree, below, &opener(self.layers.clone(), lower), &baseline)?;
        drop(tree);
        fs::rename(path, destination).at("rename", path).map_err(LayerError::written)?;
        Ok(index)
    }
}

struct Copy<'a> {
    tree: &'a RootDir,
    open: &'a diff::OpenBelow<'a>,
}

impl Copy<'_> {
    /// Copies everything that `below` shows, and returns the directories.
    fn everything(&self, below: &Stack) -> Result<Vec<TreePath>, LayerError> {
        let mut first_names: HashMap<(usize, TreePath), TreePath> = HashMap::new();
        let mut directories = vec![(TreePath::root(), super::overlay::root_metadata(below))];
        for (path, found) in below.walk(&TreePath::root()) {
            if path.is_root() {
                continue;
            }
            if found.metadata.is_directory() {
                self.tree.create_directory(&path).map_err(LayerError::written)?;
                directories.push((path, found.metadata.clone()));
                continue;
            }
            let inode = (found.layer, found.inode.clone());
            match first_names.get(&inode) {
                Some(first) if !is_device(&found.metadata.kind) => {
                    self.tree.hardlink(&path, first).map_err(LayerError::written)?;
                }
                _ => {
                    self.one(&path, &found)?;
                    first_names.insert(inode, path);
                }
            }
        }
        for (path, metadata) in directories.iter().rev() {
            self.tree.apply(path, metadata).map_err(|error| LayerError::of(error, path, metadata))?;
        }
        Ok(directories.into_iter().map(|(path, _)| path).collect())
    }

    fn one(&self, path: &TreePath, found: &Found<'_>) -> Result<(), LayerError> {
        match &found.metadata.kind {
            Kind::File { size } => return self.file(path, found, *size),
            Kind::Symlink { target } => self.tree.create_symlink(path, target).map_err(LayerError::written)?,
            Kind::Fifo => self.tree.create_fifo(path).map_err(LayerError::written)?,
            Kind::Directory | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => return Ok(()),
        }
        self.tree.apply(path, found.metadata).map_err(|error| LayerError::of(error, path, found.metadata))
    }

    fn file(&self, path: &TreePath, found: &Found<'_>, size: u64) -> Result<(), LayerError> {
        let metadata: &Metadata = found.metadata;
        let shown = self.tree.show(path);
        let source = (self.open)(found.layer, &found.inode)?;
        let file = self.tree.create_file(path).map_err(LayerError::written)?;
        copy_content(&source, &file, size).at("copy to", &shown).map_err(LayerError::written)?;
        disk::apply(Place::Open(file.as_fd()), metadata, &shown).map_err(|error| LayerError::of(error, path, metadata))
    }
}

fn is_device(kind: &Kind) -> bool {
    matches!(kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. })
}

/// Copies `size` bytes: shared where the file system can, holes left where they are.
fn copy_content(source: &File, target: &File, size: u64) -> Result<(), std::io::Error> {
    if size == 0 || rustix::fs::ioctl_ficlone(target, source).is_ok() {
        return Ok(());
    }
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            start => start?,
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(start))?.min(size);
        copy_range(source, target, start, end)?;
        at = end.max(start + 1);
    }
    target.set_len(size)
}

fn copy_range(source: &File, target: &File, start: u64, end: u64) -> Result<(), std::io::Error> {
    let (mut from, mut to) = (start, start);
    while from < end {
        let wanted = usize::try_from(end - from).unwrap_or(usize::MAX);
        if rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), wanted)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn take_baseline(tree: &RootDir, directories: &[TreePath], scratch: &Path) -> Result<Baseline, LayerError> {
    File::create(scratch.join("stamp")).at("create", scratch.join("stamp")).map_err(LayerError::written)?;
    let stamp = RootDir::open(scratch)?.inspect(&TreePath::from("stamp"))?.changed;
    Baseline::take(tree, directories.iter(), stamp)
}

fn save(what: &(&[String], Baseline), path: &Path) -> Result<(), LayerError> {
    let bytes = postcard::to_stdvec(what).map_err(std::io::Error::other).at("write", path)?;
    fs::write(path, bytes).at("write", path).map_err(LayerError::written)
}

fn load(path: &Path) -> Result<(Vec<String>, Baseline), LayerError> {
    let bytes = fs::read(path).at("read", path)?;
    Ok(postcard::from_bytes(&bytes).map_err(std::io::Error::other).at("read", path)?)
}
