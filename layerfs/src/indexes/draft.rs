//! [`IndexDraft`]: the index of a layer in the making, which need not fit in memory.

use crate::change::Change;
use crate::index::{IndexWriter, LayerIndex};
use crate::io_error::{IoContext, IoError};
use crate::path::TreePath;
use crate::sealed::SealedWriter;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Indexes of more changes are written while they come.
const KEPT: usize = 4096;

/// The index of a layer in the making: its changes come in order of their paths. A long one is written while they come,
/// and so is never in memory.
#[derive(Debug)]
pub struct IndexDraft {
    path: PathBuf,
    temporary: PathBuf,
    /// What is in memory.
    kept: Vec<Change>,
    /// Where it goes once it is long.
    written: Option<IndexWriter<SealedWriter>>,
}

impl IndexDraft {
    pub(super) fn new(path: PathBuf, temporary: PathBuf) -> Self {
        Self { path, temporary, kept: Vec::new(), written: None }
    }

    /// Takes the next change.
    ///
    /// # Errors
    /// The operating system's.
    pub fn push(&mut self, change: Change) -> Result<(), IoError> {
        self.kept.push(change);
        if self.kept.len() >= KEPT { self.write() } else { Ok(()) }
    }

    /// Writes what is in memory.
    fn write(&mut self) -> Result<(), IoError> {
        let mut out = match self.written.take() {
            Some(out) => out,
            None => {
                let sealed = SealedWriter::begin(&self.path, &self.temporary)?;
                IndexWriter::begin(sealed).at("write", &self.path)?
            }
        };
        self.kept.drain(..).try_for_each(|change| out.push(&change)).at("write", &self.path)?;
        self.written = Some(out);
        Ok(())
    }

    /// Puts the file in its place; returns the index that is still to be written if it is in memory.
    pub(super) fn finish(mut self, accounts: BTreeMap<TreePath, Vec<u8>>) -> Result<Option<LayerIndex>, IoError> {
        let rest = LayerIndex { accounts, ..LayerIndex::default() };
        if self.written.is_none() {
            return Ok(Some(LayerIndex { changes: self.kept.into(), ..rest }));
        }
        self.write()?;
        let Some(out) = self.written else { return Ok(None) };
        out.finish(&rest).at("write", &self.path)?.finish()?;
        Ok(None)
    }
}
