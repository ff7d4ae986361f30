//! [`IndexDraft`]: the index of a layer in the making, which need not fit in memory.

use crate::change::Change;
use crate::index::{LayerIndex, MAGIC};
use crate::io_error::{IoContext, IoError};
use crate::path::TreePath;
use crate::sealed::SealedWriter;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Indexes of more changes are written while they come.
const KEPT: usize = 4096;

/// The index of a layer in the making: its changes come in order of their paths, and there are as many as was said. A
/// long one is written while they come, and so is never in memory.
#[derive(Debug)]
pub struct IndexDraft(Draft);

#[derive(Debug)]
enum Draft {
    /// In memory.
    Kept(Vec<Change>),
    /// On its way to its file.
    Written(Box<Written>),
}

#[derive(Debug)]
struct Written {
    out: SealedWriter,
    path: PathBuf,
    /// How many changes are to come.
    left: usize,
    scratch: Vec<u8>,
}

impl IndexDraft {
    pub(super) fn begin(path: &Path, temporary: &Path, count: usize) -> Result<Self, IoError> {
        if count <= KEPT {
            return Ok(Self(Draft::Kept(Vec::with_capacity(count))));
        }
        let out = SealedWriter::begin(path, temporary)?;
        let mut written = Written { out, path: path.to_owned(), left: count, scratch: Vec::new() };
        written.bytes(MAGIC)?;
        written.value(&count)?;
        Ok(Self(Draft::Written(Box::new(written))))
    }

    /// Takes the next change.
    ///
    /// # Errors
    /// The operating system's; one more change than was said.
    pub fn push(&mut self, change: Change) -> Result<(), IoError> {
        match &mut self.0 {
            Draft::Kept(changes) => changes.push(change),
            Draft::Written(written) => {
                written.left = written.left.checked_sub(1).ok_or_else(|| written.miscounted())?;
                written.value(&change)?;
            }
        }
        Ok(())
    }

    /// Puts the file in its place; returns the index that is still to be written if it is in memory.
    pub(super) fn finish(self, accounts: BTreeMap<TreePath, Vec<u8>>) -> Result<Option<LayerIndex>, IoError> {
        match self.0 {
            Draft::Kept(changes) => Ok(Some(LayerIndex { changes, accounts, ..LayerIndex::default() })),
            Draft::Written(written) => written.finish(&accounts).map(|()| None),
        }
    }
}

impl Written {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), IoError> {
        self.out.write_all(bytes).at("write", &self.path)
    }

    /// Writes one field, or one element of one, as [`LayerIndex::encode`] does.
    fn value(&mut self, value: &impl Serialize) -> Result<(), IoError> {
        let scratch = std::mem::take(&mut self.scratch);
        let mut scratch = postcard::to_extend(value, scratch).expect("memory takes whatever is written");
        self.bytes(&scratch)?;
        scratch.clear();
        self.scratch = scratch;
        Ok(())
    }

    fn finish(mut self, accounts: &BTreeMap<TreePath, Vec<u8>>) -> Result<(), IoError> {
        if self.left > 0 {
            return Err(self.miscounted());
        }
        let nothing: [TreePath; 0] = [];
        self.value(&nothing.as_slice())?;
        self.value(accounts)?;
        self.value(&nothing.as_slice())?;
        self.out.finish()
    }

    fn miscounted(&self) -> IoError {
        IoError::new("write", &self.path, &io::Error::other("a layer has another number of changes than was said"))
    }
}
