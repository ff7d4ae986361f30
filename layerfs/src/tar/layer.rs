//! [`write_layer`]: a whole index as a tar.

use crate::change::{Change, Node};
use crate::index::LayerIndex;
use crate::meta::{Kind, Metadata};
use crate::path::TreePath;
use crate::tar::{TarError, TarWriter};
use std::io::{self, Read, Write};

/// Opens the content of the regular file at a path.
pub type OpenContent<'a, E> = dyn FnMut(&TreePath) -> Result<Box<dyn Read>, E> + 'a;

/// Writes every change of `index` to `out` as a tar, in order of paths, and returns `out`. The inode of a hardlink,
/// with the directories above it, comes before its other names. Opaque directories get their marker; directories that
/// the layer only implies are left out, as in the tar they came from. `open` opens the content of a regular file.
///
/// # Errors
/// What `open` says; [`TarError`], [`TarError::Unwritable`] for a hardlink to no inode of this layer among them.
pub fn write_layer<W, E>(index: &LayerIndex, out: W, open: &mut OpenContent<'_, E>) -> Result<W, E>
where
    W: Write,
    E: From<TarError>,
{
    let written = vec![false; index.changes.len()];
    let mut layer = LayerWriter { index, tar: TarWriter::new(out), open, written };
    for position in 0..index.changes.len() {
        layer.change(position)?;
    }
    Ok(layer.tar.finish()?)
}

struct LayerWriter<'a, W, E> {
    index: &'a LayerIndex,
    tar: TarWriter<W>,
    open: &'a mut OpenContent<'a, E>,
    written: Vec<bool>,
}

impl<W: Write, E: From<TarError>> LayerWriter<'_, W, E> {
    fn change(&mut self, position: usize) -> Result<(), E> {
        if std::mem::replace(&mut self.written[position], true) {
            return Ok(());
        }
        let Change { path, node } = &self.index.changes[position];
        match node {
            Node::Inode(metadata) => self.inode(path, metadata),
            Node::Hardlink { target } => self.hardlink(path, target),
            Node::Whiteout => Ok(self.tar.whiteout(path)?),
        }
    }

    fn inode(&mut self, path: &TreePath, metadata: &Metadata) -> Result<(), E> {
        match metadata.kind {
            Kind::File { .. } => {
                let mut content = (self.open)(path)?;
                Ok(self.tar.inode(path, metadata, &mut *content)?)
            }
            Kind::Directory if self.index.is_implied(path) => self.marker(path),
            _ => {
                self.tar.inode(path, metadata, &mut io::empty())?;
                self.marker(path)
            }
        }
    }

    fn marker(&mut self, path: &TreePath) -> Result<(), E> {
        if self.index.is_opaque(path) {
            self.tar.opaque(path)?;
        }
        Ok(())
    }

    fn hardlink(&mut self, path: &TreePath, target: &TreePath) -> Result<(), E> {
        let index = self.index;
        let inode = index.position(target).and_then(|at| Some((at, index.changes[at].node.metadata()?)));
        let Some((position, metadata)) = inode else {
            return Err(
                TarError::Unwritable { path: path.clone(), why: "it is a hardlink to no file of its layer" }.into()
            );
        };
        if !self.written[position] {
            for directory in target.ancestors().iter().filter_map(|above| index.position(above)) {
                self.change(directory)?;
            }
            self.change(position)?;
        }
        Ok(self.tar.hardlink(path, target, metadata)?)
    }
}
