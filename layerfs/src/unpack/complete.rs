//! Fills in what a layer leans on below it.

use crate::change::Node;
use crate::index::LayerIndex;
use crate::io_error::IoError;
use crate::meta::Metadata;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::{Found, Stack};
use crate::unpack::disk::Disk;
use crate::unpack::sink::{Content, Sink};
use crate::unpack::{Borrowed, LayerError, Unpacked};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;

/// Opens a file of a layer below: the layer's number, the path in it.
type Open<'a> = dyn Fn(usize, &TreePath) -> Result<File, IoError> + 'a;

/// Fills in what `unpacked` borrows, in `destination` (if there is one) and in the index: metadata of implied
/// directories, and files behind hardlinks to lower layers, which `open` opens (layer number in `below`, path).
///
/// # Errors
/// [`LayerError`]; a link to nothing is [`LayerError::NoLinkTarget`].
pub fn complete(
    unpacked: Unpacked,
    destination: Option<&RootDir>,
    below: &Stack,
    open: &Open<'_>,
) -> Result<LayerIndex, LayerError> {
    let Unpacked { index, borrowed } = unpacked;
    let mut layer =
        Completion { nodes: index.changes.into_iter().map(|c| (c.path, c.node)).collect(), destination, below };
    layer.links(&borrowed, open)?;
    layer.directories(&borrowed)?;
    let mut changes: Vec<_> =
        layer.nodes.into_iter().map(|(path, node)| crate::change::Change { path, node }).collect();
    changes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(LayerIndex { changes, ..index })
}

struct Completion<'a> {
    nodes: HashMap<TreePath, Node>,
    destination: Option<&'a RootDir>,
    below: &'a Stack,
}

impl Completion<'_> {
    fn links(&mut self, borrowed: &Borrowed, open: &Open<'_>) -> Result<(), LayerError> {
        let mut first_names: HashMap<(usize, TreePath), TreePath> = HashMap::new();
        for (path, target) in &borrowed.links {
            let found = self.target(path, target)?;
            let metadata = found.metadata.clone();
            let inode = (found.layer, found.inode);
            if let Some(first) = first_names.get(&inode) {
                if let Some(destination) = self.destination {
                    Disk::new(destination).hardlink(path, first)?;
                }
                self.nodes.insert(path.clone(), Node::Hardlink { target: first.clone() });
                continue;
            }
            self.copy(path, &metadata, &inode, open)?;
            self.nodes.insert(path.clone(), Node::Inode(metadata));
            first_names.insert(inode, path.clone());
        }
        Ok(())
    }

    fn target(&self, path: &TreePath, target: &TreePath) -> Result<Found<'_>, LayerError> {
        self.below
            .resolve(target, false)
            .ok()
            .and_then(|resolved| self.below.lookup(&resolved))
            .filter(|found| !found.metadata.is_directory())
            .ok_or_else(|| LayerError::NoLinkTarget { path: path.clone(), target: target.clone() })
    }

    fn copy(
        &self,
        path: &TreePath,
        metadata: &Metadata,
        (layer, inode): &(usize, TreePath),
        open: &Open<'_>,
    ) -> Result<(), LayerError> {
        let Some(destination) = self.destination else { return Ok(()) };
        let mut disk = Disk::new(destination);
        fn content(bytes: &mut dyn Read) -> Content<'_> {
            Content { bytes, segments: None }
        }
        match metadata.kind {
            crate::meta::Kind::File { .. } => disk.inode(path, metadata, content(&mut open(*layer, inode)?)),
            _ => disk.inode(path, metadata, content(&mut std::io::empty())),
        }
    }

    /// Gives implied directories what the layers below say of them, and the directories of new files their times again.
    fn directories(&mut self, borrowed: &Borrowed) -> Result<(), LayerError> {
        let mut touched: BTreeSet<TreePath> = borrowed.directories.iter().cloned().collect();
        touched.extend(borrowed.links.iter().filter_map(|(path, _)| path.parent()));
        for path in &borrowed.directories {
            let found = self.below.lookup(path).filter(|found| found.metadata.is_directory());
            if let Some(found) = found {
                self.nodes.insert(path.clone(), Node::Inode(found.metadata.clone()));
            }
        }
        let Some(destination) = self.destination else { return Ok(()) };
        for path in touched.iter().rev() {
            if let Some(metadata) = self.nodes.get(path).and_then(Node::metadata) {
                destination.apply(path, metadata).map_err(|error| LayerError::of(error, path, metadata))?;
            }
        }
        Ok(())
    }
}
