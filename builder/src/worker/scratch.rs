//! [`Scratch`]: a directory for what one run needs on disk.

use layerfs::io_error::{IoContext, IoError};
use layerfs::path::TreePath;
use layerfs::rootdir::RootDir;
use std::path::{Path, PathBuf};

/// A directory for what one run needs on disk; deleted when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    parent: PathBuf,
    name: String,
}

impl Scratch {
    /// Makes one in `parent`.
    pub(super) fn new(parent: &Path) -> Result<Self, IoError> {
        let made = tempfile::Builder::new().prefix("run-").tempdir_in(parent).at("make directory in", parent)?;
        let path = made.keep();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { parent: parent.to_owned(), name })
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let name = TreePath::from(self.name.as_str());
        if RootDir::open(&self.parent).and_then(|parent| parent.remove_tree(&name)).is_err() {
            // What is left lies below `tmp/`, where the next gc looks for it.
        }
    }
}
