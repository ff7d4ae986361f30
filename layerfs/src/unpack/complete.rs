//! Fills in what a layer leans on below it.
//!
//! A hardlink to a file of a lower layer is a second name of that file, as it would be where layers are applied to one
//! root file system one after the other. A layer directory cannot share an inode with another, so the file is copied up
//! as an overlay does it: under the name that was linked to as well, unless the layer itself says what stands there. All
//! names are then one inode of this layer; names of the file that no hardlink of the layer mentions stay with the old one.

use crate::change::{Change, Node};
use crate::index::{ACCOUNT_FILES, LayerIndex};
use crate::io_error::IoError;
use crate::meta::Metadata;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::{Found, Stack};
use crate::unpack::disk::Disk;
use crate::unpack::layer::is_device;
use crate::unpack::sink::{Content, Sink};
use crate::unpack::{Borrowed, LayerError, Unpacked};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;

/// Opens a file of a layer below: the layer's number, the path in it.
type Open<'a> = dyn Fn(usize, &TreePath) -> Result<File, IoError> + 'a;

/// An inode of a layer below: the layer's number, its path there.
type Lower = (usize, TreePath);

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
    let LayerIndex { changes, opaque, accounts, implied } = index;
    let nodes = Vec::from(changes).into_iter().map(|change| (change.path, change.node)).collect();
    let implied = implied.into_iter().collect();
    let mut layer = Completion { nodes, opaque, accounts, implied, touched: BTreeSet::new(), destination, below, open };
    layer.links(&borrowed)?;
    layer.directories(&borrowed)?;
    let changes = layer.nodes.into_iter().map(|(path, node)| Change { path, node }).collect();
    let implied = layer.implied.into_iter().collect();
    Ok(LayerIndex { changes, opaque: layer.opaque, accounts: layer.accounts, implied })
}

struct Completion<'a> {
    nodes: BTreeMap<TreePath, Node>,
    opaque: Vec<TreePath>,
    accounts: BTreeMap<TreePath, Vec<u8>>,
    implied: BTreeSet<TreePath>,
    /// Directories on disk whose times, at least, are no longer those they are to have.
    touched: BTreeSet<TreePath>,
    destination: Option<&'a RootDir>,
    below: &'a Stack,
    open: &'a Open<'a>,
}

impl Completion<'_> {
    fn links(&mut self, borrowed: &Borrowed) -> Result<(), LayerError> {
        let mut first_names: HashMap<Lower, TreePath> = HashMap::new();
        for (path, target) in &borrowed.links {
            let (resolved, found) = self.target(path, target)?;
            let (metadata, inode) = (found.metadata.clone(), (found.layer, found.inode));
            if self.may_copy_up(&resolved, &metadata) {
                self.imply_parents(&resolved)?;
                self.name(&resolved, &resolved, &metadata, &inode, &mut first_names)?;
            }
            self.name(path, &resolved, &metadata, &inode, &mut first_names)?;
        }
        Ok(())
    }

    /// Returns where a hardlink leads below, and what stands there.
    fn target(&self, path: &TreePath, target: &TreePath) -> Result<(TreePath, Found<'_>), LayerError> {
        let found = |resolved: TreePath| Some((resolved.clone(), self.below.lookup(&resolved)?));
        (self.below.resolve(target, false).ok())
            .and_then(found)
            .filter(|(_, found)| !found.metadata.is_directory())
            .ok_or_else(|| LayerError::NoLinkTarget { path: path.clone(), target: target.clone() })
    }

    /// Reports whether the layer leaves to those below it what stands at `path`. Devices are in indexes alone.
    fn may_copy_up(&self, path: &TreePath, metadata: &Metadata) -> bool {
        let shows_lower = |above: &TreePath| {
            let node = self.nodes.get(above);
            node.is_none_or(|node| node.metadata().is_some_and(Metadata::is_directory))
                && self.opaque.binary_search(above).is_err()
        };
        !is_device(&metadata.kind) && !self.nodes.contains_key(path) && path.ancestors().iter().all(shows_lower)
    }

    /// Makes the directories above `path` that the layer does not have, as they are below.
    fn imply_parents(&mut self, path: &TreePath) -> Result<(), LayerError> {
        for above in path.ancestors() {
            if above.is_root() || self.nodes.contains_key(&above) {
                continue;
            }
            let Some(found) = self.below.lookup(&above) else { continue };
            let node = Node::Inode(found.metadata.clone());
            if let Some(destination) = self.destination {
                Disk::new(destination).directory(&above)?;
            }
            self.touched.extend(above.parent());
            self.touched.insert(above.clone());
            self.implied.insert(above.clone());
            self.nodes.insert(above, node);
        }
        Ok(())
    }

    /// Gives the lower inode `lower`, seen there at `resolved`, a name in this layer, its first or a further one.
    fn name(
        &mut self,
        path: &TreePath,
        resolved: &TreePath,
        metadata: &Metadata,
        lower: &Lower,
        first_names: &mut HashMap<Lower, TreePath>,
    ) -> Result<(), LayerError> {
        let first = first_names.get(lower);
        self.on_disk(path, first, metadata, lower)?;
        let node = match first {
            Some(first) => Node::Hardlink { target: first.clone() },
            None => Node::Inode(metadata.clone()),
        };
        if first.is_none() {
            first_names.insert(lower.clone(), path.clone());
        }
        self.nodes.insert(path.clone(), node);
        self.touched.extend(path.parent());
        let is_account = ACCOUNT_FILES.iter().any(|file| file.as_bytes() == path.as_bytes());
        if let Some(bytes) = self.below.account_file(resolved).filter(|_| is_account) {
            self.accounts.insert(path.clone(), bytes.to_owned());
        }
        Ok(())
    }

    fn on_disk(
        &self,
        path: &TreePath,
        first: Option<&TreePath>,
        metadata: &Metadata,
        (layer, inode): &Lower,
    ) -> Result<(), LayerError> {
        let Some(destination) = self.destination else { return Ok(()) };
        let mut disk = Disk::new(destination);
        fn content(bytes: &mut dyn Read) -> Content<'_> {
            Content { bytes, segments: None, at: None }
        }
        match (first, &metadata.kind) {
            (_, kind) if is_device(kind) => disk.hide(path),
            (Some(first), _) => disk.hardlink(path, first),
            (None, crate::meta::Kind::File { .. }) => {
                disk.inode(path, metadata, content(&mut (self.open)(*layer, inode)?))
            }
            (None, _) => disk.inode(path, metadata, content(&mut std::io::empty())),
        }
    }

    /// Gives implied directories what the layers below say of them, and the directories of new files their times again.
    fn directories(&mut self, borrowed: &Borrowed) -> Result<(), LayerError> {
        for path in &borrowed.directories {
            let found = self.below.lookup(path).filter(|found| found.metadata.is_directory());
            if let Some(found) = found {
                self.nodes.insert(path.clone(), Node::Inode(found.metadata.clone()));
            }
        }
        self.touched.extend(borrowed.directories.iter().cloned());
        let Some(destination) = self.destination else { return Ok(()) };
        for path in self.touched.iter().rev() {
            if let Some(metadata) = self.nodes.get(path).and_then(Node::metadata) {
                destination.apply(path, metadata).map_err(|error| LayerError::of(error, path, metadata))?;
            }
        }
        Ok(())
    }
}
