//! [`OverlayMounter`]: a stack of layer directories as the kernel's overlay.
//!
//! ```text
//! scratch/upper   the upper directory, which becomes the layer
//! scratch/work    the kernel's
//! scratch/empty   the lower layer where there is no other
//! scratch/merged  where the lowest layers are mounted when there are too many for one overlay
//! ```

use crate::diff::{self, opener};
use crate::index::LayerIndex;
use crate::io_error::{IoContext, IoError};
use crate::meta::{Metadata, Timestamp};
use crate::mount::{Active, MountInstructions, Mounter};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::Stack;
use crate::unpack::LayerError;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use std::collections::HashSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Lower layers that the kernel takes (OVL_MAX_STACK).
const MOST_LOWER: usize = 500;
/// Bytes of options that mount(2) takes: a page, its last byte being NUL.
const MOST_BYTES: usize = 4095;

/// Mounts stacks as overlays.
#[derive(Debug, Clone)]
pub struct OverlayMounter {
    layers: PathBuf,
}

impl OverlayMounter {
    /// Returns the mounter of the layer directories in `layers`.
    pub fn new(layers: &Path) -> Self {
        Self { layers: layers.to_owned() }
    }
}

impl Mounter for OverlayMounter {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn prepare(&self, lower: &[String], below: &Stack, scratch: &Path) -> Result<Active, LayerError> {
        super::check_layers(lower, below)?;
        let (upper, work) = (scratch.join("upper"), scratch.join("work"));
        for directory in [scratch, &upper, &work] {
            fs::create_dir(directory).at("create directory", directory).map_err(LayerError::written)?;
        }
        super::dress_root(&upper, below)?;
        let instructions =
            MountInstructions::Overlay { layers: self.layers.clone(), lower: lower.to_vec(), upper, work };
        Ok(Active { instructions, scratch: scratch.to_owned() })
    }

    fn commit(&self, active: Active, below: &Stack, destination: &Path) -> Result<LayerIndex, LayerError> {
        let MountInstructions::Overlay { layers, lower, upper, .. } = &active.instructions else {
            return Err(super::not_mine(&active));
        };
        super::check_layers(lower, below)?;
        let root = RootDir::open(upper)?;
        let index = diff::normalize(&root, below, &opener(layers.clone(), lower.clone()))?;
        drop(root);
        fs::rename(upper, destination).at("rename", upper).map_err(LayerError::written)?;
        Ok(index)
    }
}

/// Mounts an overlay at `target`.
pub(super) fn attach(
    layers: &Path,
    lower: &[String],
    upper: &Path,
    work: &Path,
    target: &Path,
) -> Result<(), LayerError> {
    let lower = without_repeats(lower);
    // One of the 500 is needed for the merged ones; a second merge would hide the whiteouts between the two.
    let limit = 2 * MOST_LOWER - 1;
    if lower.len() > limit {
        return Err(LayerError::TooManyLayers { count: lower.len(), limit });
    }
    let here =
        rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).at("open", ".")?;
    rustix::process::chdir(layers).at("enter", layers)?;
    let mounted = attach_here(layers, &lower, upper, work, target);
    rustix::process::fchdir(here).at("return to", ".")?;
    mounted
}

fn attach_here(layers: &Path, lower: &[String], upper: &Path, work: &Path, target: &Path) -> Result<(), LayerError> {
    let mut options = b"userxattr,volatile,upperdir=".to_vec();
    options.extend(escaped(upper));
    options.extend_from_slice(b",workdir=");
    options.extend(escaped(work));
    if lower.len() <= MOST_LOWER {
        let mut top_down: Vec<Vec<u8>> = lower.iter().rev().map(|name| name.clone().into_bytes()).collect();
        if top_down.is_empty() {
            top_down.push(escaped_lower(&made(upper.with_file_name("empty"))?));
        }
        return mount(&options, &top_down, layers, target, MountFlags::empty());
    }
    let (merged, rest) = lower.split_at(MOST_LOWER);
    let at = made(upper.with_file_name("merged"))?;
    let top_down: Vec<Vec<u8>> = merged.iter().rev().map(|name| name.clone().into_bytes()).collect();
    mount(b"userxattr", &top_down, layers, &at, MountFlags::RDONLY)?;
    let mut top_down: Vec<Vec<u8>> = rest.iter().rev().map(|name| name.clone().into_bytes()).collect();
    top_down.push(escaped_lower(&at));
    let mounted = mount(&options, &top_down, layers, target, MountFlags::empty());
    // The overlay holds on to what it is made of.
    rustix::mount::unmount(&at, UnmountFlags::DETACH).at("unmount", &at)?;
    mounted
}

/// Returns the layers without those that stand again further up: the kernel refuses one directory twice (ELOOP), and the
/// upper one hides all that the lower one could show.
fn without_repeats(lower: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut kept: Vec<String> = lower.iter().rev().filter(|name| seen.insert(*name)).cloned().collect();
    kept.reverse();
    kept
}

/// Makes a directory beside the upper one, if an earlier mount has not.
fn made(path: PathBuf) -> Result<PathBuf, LayerError> {
    match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(path),
        Err(error) => Err(LayerError::written(IoError::new("create directory", &path, &error.into()))),
    }
}

fn mount(
    options: &[u8],
    top_down: &[Vec<u8>],
    layers: &Path,
    target: &Path,
    flags: MountFlags,
) -> Result<(), LayerError> {
    let mut all = options.to_vec();
    all.extend_from_slice(b",lowerdir=");
    all.extend(top_down.join(&b':'));
    if all.len() > MOST_BYTES {
        return Err(LayerError::LongOptions { layers: layers.to_owned(), bytes: all.len(), limit: MOST_BYTES });
    }
    let data = CString::new(all).at("mount an overlay at", target)?;
    Ok(rustix::mount::mount("overlay", target, "overlay", flags, Some(&*data)).at("mount an overlay at", target)?)
}

/// Returns a path as a value of an option: `,` would end it (Documentation/filesystems/overlayfs.rst).
fn escaped(path: &Path) -> Vec<u8> {
    escape(path, b"\\,")
}

/// Returns a path as one of several in `lowerdir`: `:` would end it.
fn escaped_lower(path: &Path) -> Vec<u8> {
    escape(path, b"\\,:")
}

fn escape(path: &Path, special: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if special.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

/// Returns what the stack says of its root, or what one has of which no layer says anything.
pub(super) fn root_metadata(below: &Stack) -> Metadata {
    below
        .lookup(&TreePath::root())
        .map_or_else(|| Metadata::directory(Timestamp::default()), |found| found.metadata.clone())
}
