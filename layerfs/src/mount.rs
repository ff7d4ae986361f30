//! [`Mounter`]: makes a root file system of a stack of layer directories, and a layer of what changed in it.

use crate::index::LayerIndex;
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
    /// Mounts at `target`, in the mount namespace of the caller, which must be single-threaded (it changes its
    /// working directory while it mounts).
    ///
    /// # Errors
    /// [`LayerError::Io`].
    pub fn attach(&self, _target: &Path) -> Result<(), LayerError> {
        todo!()
    }
}

/// A root file system in use.
#[derive(Debug)]
pub struct Active {
    /// How to mount it.
    pub instructions: MountInstructions,
    /// Everything of it on disk; deleted when it is thrown away.
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
    /// form, and returns its index; `active` is gone afterwards.
    ///
    /// # Errors
    /// [`LayerError`].
    fn commit(&self, active: Active, below: &Stack, destination: &Path) -> Result<LayerIndex, LayerError>;
}

/// Returns the mounter for the layers directory `layers`: overlay if whiteouts, opaque directories and renames work
/// there when tried, else copy. Run in the worker (the probe mounts in a child process of its own).
///
/// # Errors
/// [`LayerError`] if neither works.
pub fn probe(_layers: &Path) -> Result<Box<dyn Mounter>, LayerError> {
    todo!()
}
