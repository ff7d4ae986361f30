//! [`Places`]: where in a layer's tar the content of its files is.

use crate::meta::{Kind, Metadata};
use crate::path::TreePath;
use crate::tar::Segment;
use crate::unpack::sink::{Content, Sink};
use crate::unpack::{LayerError, Unpacked, reading};
use std::collections::BTreeMap;

/// Where in a layer's plain tar the content of its regular files is. A path that something else took later may be there,
/// too: the layer's index says what counts.
#[derive(Debug, Default)]
pub struct Places {
    files: BTreeMap<TreePath, FilePlace>,
}

/// Where the content of a regular file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// In the tar.
    Tar {
        /// Its first byte there.
        at: u64,
        /// Its size, holes included, in bytes.
        size: u64,
        /// The segments that the tar holds, one after the other, if it is sparse.
        segments: Option<Vec<Segment>>,
    },
    /// Here.
    Bytes(Vec<u8>),
}

impl Places {
    /// Returns where the content of the file at `path` is.
    pub fn get(&self, path: &TreePath) -> Option<&FilePlace> {
        self.files.get(path)
    }
}

impl Sink for Places {
    fn directory(&mut self, _: &TreePath) -> Result<(), LayerError> {
        Ok(())
    }

    fn inode(&mut self, path: &TreePath, metadata: &Metadata, content: Content<'_>) -> Result<(), LayerError> {
        let Kind::File { size } = metadata.kind else { return Ok(()) };
        let place = match content.at {
            Some(at) => FilePlace::Tar { at, size, segments: content.segments.map(<[Segment]>::to_vec) },
            None => {
                let mut bytes = Vec::new();
                content.bytes.read_to_end(&mut bytes).map_err(reading)?;
                FilePlace::Bytes(bytes)
            }
        };
        self.files.insert(path.clone(), place);
        Ok(())
    }

    fn hardlink(&mut self, _: &TreePath, _: &TreePath) -> Result<(), LayerError> {
        Ok(())
    }

    fn remove(&mut self, path: &TreePath) -> Result<(), LayerError> {
        self.files.remove(path);
        Ok(())
    }

    fn finish(&mut self, _: &Unpacked) -> Result<(), LayerError> {
        Ok(())
    }
}
