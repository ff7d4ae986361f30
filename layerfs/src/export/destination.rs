//! [`Destination`]: where an archive is written.

use crate::error::StoreError;
use crate::io_error::{IoContext, IoError};
use crate::sealed::{self, Durability};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where an archive is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To this path, by a temporary file beside it. A link is followed; a pipe or device is written to directly.
    Path(PathBuf),
    /// To standard output.
    Stdout,
}

impl Destination {
    /// Returns what messages call it.
    pub(super) fn place(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Stdout => Path::new("standard output"),
        }
    }

    /// Lets `fill` write the archive. A file appears whole, or not at all; one that takes the place of another is fsynced
    /// first, so that a power cut leaves one of the two. Nobody waits for the disk where nothing can be lost but what can
    /// be written again.
    ///
    /// # Errors
    /// Those of `fill`; [`StoreError::Io`].
    pub(super) fn write(&self, fill: impl FnOnce(&mut dyn Write) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let path = match self {
            Self::Stdout => return fill(&mut std::io::stdout().lock()),
            Self::Path(path) => path,
        };
        match fs::metadata(path) {
            // What is behind a link is replaced, not the link.
            Ok(found) if found.is_file() => {
                write_beside(&fs::canonicalize(path).at("find", path)?, Durability::Durable, fill)
            }
            Ok(found) if found.is_dir() => Err(is_a_directory(path)),
            // Pipes and devices, as `/dev/null`, which a rename would replace.
            Ok(_) => fill(&mut File::options().write(true).open(path).at("open", path)?),
            Err(_) => write_beside(path, Durability::Cache, fill),
        }
    }
}

fn is_a_directory(path: &Path) -> StoreError {
    IoError::new("write", path, &rustix::io::Errno::ISDIR.into()).into()
}

fn write_beside(
    path: &Path,
    durability: Durability,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // As any file that is created: what the umask leaves of 0666.
    let mut beside = tempfile::Builder::new();
    beside.prefix(".lbuild-").permissions(Permissions::from_mode(0o666));
    let mut written = beside.tempfile_in(directory).at("create a file in", directory)?;
    fill(written.as_file_mut())?;
    if durability == Durability::Durable {
        written.as_file().sync_all().at("fsync", path)?;
    }
    written.persist(path).map_err(|error| IoError::new("rename", path, &error.error))?;
    if durability == Durability::Durable {
        sealed::sync_directory(directory)?;
    }
    Ok(())
}
