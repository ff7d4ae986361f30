//! [`Mounter`]: makes a root file system of a stack of layer directories, and a layer of what changed in it.

mod copy;
mod overlay;
mod probe;

pub use copy::CopyMounter;
pub use overlay::OverlayMounter;
pub use probe::probe;

use crate::index::LayerIndex;
use crate::io_error::{IoContext, IoError};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::Stack;
use crate::unpack::LayerError;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// What the sandbox's helper must do to have the root file system: a value that crosses a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountInstructions {
    /// Mounts an overlay.
    Overlay {
        /// The directory in which the layers' names are looked up.
        layers: PathBuf,
        /// Names of the lower layers, the lowest first, each at most 6 characters; may be empty.
        lower: Vec<String>,
        /// Upper directory, absolute.
        upper: PathBuf,
        /// Work directory, absolute, on the same file system.
        work: PathBuf,
    },
    /// Binds a directory that holds the whole tree.
    Directory {
        /// Which.
        path: PathBuf,
    },
}

impl MountInstructions {
    /// Mounts at `target`, in the mount namespace of the caller, which must be single-threaded or have unshared its
    /// working directory (it changes it while it mounts). An overlay of more than 500 layers merges the lowest ones
    /// first, beside its upper directory; where there is no lower layer an empty directory there is the lowest.
    ///
    /// # Errors
    /// [`LayerError::TooManyLayers`], [`LayerError::LongOptions`], [`LayerError::Io`].
    pub fn attach(&self, target: &Path) -> Result<(), LayerError> {
        match self {
            Self::Overlay { layers, lower, upper, work } => overlay::attach(layers, lower, upper, work, target),
            Self::Directory { path } => Ok(rustix::mount::mount_bind(path, target).at("bind", path)?),
        }
    }

    /// Makes ready to be mounted once more, after an earlier mount has ended: a volatile overlay is marked, since a power
    /// cut may have torn it (Documentation/filesystems/overlayfs.rst).
    ///
    /// # Errors
    /// [`LayerError::Io`].
    pub fn renew(&self) -> Result<(), LayerError> {
        let Self::Overlay { work, .. } = self else { return Ok(()) };
        let own = work.join("work");
        match std::fs::remove_dir_all(&own) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(IoError::new("remove", own, &error).into())
            }
            _ => Ok(()),
        }
    }
}

/// A root file system in use.
#[derive(Debug)]
pub struct Active {
    /// How to mount it.
    pub instructions: MountInstructions,
    /// Everything of it on disk: whoever had it made deletes it.
    pub scratch: PathBuf,
}

/// Makes root file systems and takes their changes. Contract: whatever the mounter, the same command on the same stack
/// gives the same layer, but for a lower hardlink written through one name and rename(2) of a lower directory.
pub trait Mounter: Debug + Send + Sync {
    /// Returns the name for messages: `overlay`, `copy`.
    fn name(&self) -> &'static str;

    /// Prepares a root file system of the layer directories `lower` (names in the layers directory, the lowest first), whose
    /// indexes are `below`, with everything of its own in the new directory `scratch`.
    ///
    /// # Errors
    /// [`LayerError`].
    fn prepare(&self, lower: &[String], below: &Stack, scratch: &Path) -> Result<Active, LayerError>;

    /// Turns what changed into a layer directory at `destination` (on the same file system, not there yet), in normal
    /// form, and returns its index. What is left of the scratch directory is of no use then.
    ///
    /// # Errors
    /// [`LayerError`].
    fn commit(&self, active: Active, below: &Stack, destination: &Path) -> Result<LayerIndex, LayerError>;
}

/// Checks that there is an index for each layer directory.
fn check_layers(lower: &[String], below: &Stack) -> Result<(), LayerError> {
    let (directories, indexes) = (lower.len(), below.layers().len());
    if directories == indexes { Ok(()) } else { Err(LayerError::Mismatch { directories, indexes }) }
}

/// Gives the directory that becomes `/` what the stack says of its root.
fn dress_root(path: &Path, below: &Stack) -> Result<(), LayerError> {
    let metadata = overlay::root_metadata(below);
    let root = TreePath::root();
    RootDir::open(path)?.apply(&root, &metadata).map_err(|error| LayerError::of(error, &root, &metadata))
}

fn not_mine(active: &Active) -> LayerError {
    IoError::new("commit", &active.scratch, &std::io::Error::other("it was prepared by another mounter")).into()
}

#[cfg(test)]
mod tests;
