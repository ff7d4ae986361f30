//! [`RootDir`]: the one door to a root file system; nothing opened through it lies outside.

use crate::io_error::IoError;
use crate::meta::Metadata;
use crate::path::TreePath;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A directory taken as a root: every path is resolved inside it by openat2(2) with RESOLVE_IN_ROOT.
#[derive(Debug)]
pub struct RootDir {
    descriptor: OwnedFd,
    shown: PathBuf,
}

impl RootDir {
    /// Opens `path` as a root. `path` itself is trusted.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(_path: &Path) -> Result<Self, IoError> {
        todo!()
    }

    /// Opens a regular file for reading; links in the way are followed inside the root, a link at the end is not.
    ///
    /// # Errors
    /// The operating system's; anything that is no regular file is refused.
    pub fn open_file(&self, _path: &TreePath) -> Result<File, IoError> {
        todo!()
    }

    /// Returns what stands at `path` (a link itself, not what it points to), with its xattrs, `user.overlay.*` left out.
    ///
    /// # Errors
    /// The operating system's.
    pub fn metadata(&self, _path: &TreePath) -> Result<Metadata, IoError> {
        todo!()
    }
}
