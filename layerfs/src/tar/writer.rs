//! [`TarWriter`]: a deterministic PAX tar; the same changes give the same bytes.

use crate::meta::Metadata;
use crate::path::TreePath;
use crate::tar::TarError;
use std::io::{Read, Write};

/// Writes changes as a PAX tar, in the order in which they come.
#[derive(Debug)]
pub struct TarWriter<W> {
    out: W,
}

impl<W: Write> TarWriter<W> {
    /// Returns a writer to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes an inode; `content` is read for regular files only, exactly to the size in `metadata`.
    ///
    /// # Errors
    /// [`TarError::SizeChanged`] if `content` is shorter or longer; [`TarError::Stream`].
    pub fn inode(&mut self, _path: &TreePath, _metadata: &Metadata, _content: &mut dyn Read) -> Result<(), TarError> {
        todo!()
    }

    /// Writes one more name of the inode at `target`; `metadata` is that inode's.
    ///
    /// # Errors
    /// [`TarError::Stream`].
    pub fn hardlink(&mut self, _path: &TreePath, _target: &TreePath, _metadata: &Metadata) -> Result<(), TarError> {
        todo!()
    }

    /// Writes a whiteout of `path`.
    ///
    /// # Errors
    /// [`TarError::Stream`].
    pub fn whiteout(&mut self, _path: &TreePath) -> Result<(), TarError> {
        todo!()
    }

    /// Writes the end and returns what was written to.
    ///
    /// # Errors
    /// [`TarError::Stream`].
    pub fn finish(self) -> Result<W, TarError> {
        todo!()
    }
}
