//! Opens files of the layers below, for comparing.

use crate::io_error::IoError;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use std::fs::File;
use std::path::PathBuf;

/// Returns a function that opens regular files of the layers `lower` (names in `layers`, the lowest first), for
/// [`crate::diff::normalize`]. A layer is opened when a file of it is asked for.
pub fn opener(layers: PathBuf, lower: Vec<String>) -> impl Fn(usize, &TreePath) -> Result<File, IoError> {
    move |layer, path| match lower.get(layer) {
        Some(name) => RootDir::open(&layers.join(name))?.open_file(path),
        None => Err(IoError::new("open", path.as_os_str(), &std::io::Error::other("there is no such layer"))),
    }
}
