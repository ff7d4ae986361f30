//! [`Flat`]: the files that layers give together, read from their blobs: nothing is unpacked, no namespace is needed.

mod content;

pub use content::FileContent;

use crate::cancel::Cancel;
use crate::compress::{Compression, decompress};
use crate::error::StoreError;
use crate::index::LayerIndex;
use crate::io_error::{IoContext, IoError};
use crate::meter::Course;
use crate::path::TreePath;
use crate::source::ExportLayer;
use crate::stack::{Found, Stack};
use crate::store::Store;
use crate::unpack::{
    Borrowed, FilePlace, LayerError, LayerStream, Places, UnpackLimits, Unpacked, complete, locate_tar,
};
use crate::verify::unwrap_error;
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;
use std::sync::Arc;

/// The files that layers give together.
#[derive(Debug)]
pub struct Flat {
    stack: Stack,
    layers: Vec<FlatLayer>,
}

#[derive(Debug)]
struct FlatLayer {
    tar: Arc<File>,
    places: Places,
    borrowed: Borrowed,
}

/// A layer that was read alone.
struct Read {
    unpacked: Unpacked,
    places: Places,
    tar: File,
}

impl Flat {
    /// Reads layers, the lowest first, each to its end: their bytes are those of their diff IDs. Compressed ones are
    /// written, plain, to files without a name in the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(layers: &[ExportLayer], store: &Store, cancel: &Cancel) -> Result<Self, StoreError> {
        let read: Vec<Read> =
            layers.par_iter().map(|layer| read(layer, store, cancel)).collect::<Result<_, StoreError>>()?;
        let mut flat = Self { stack: Stack::default(), layers: Vec::new() };
        for (layer, read) in layers.iter().zip(read) {
            let borrowed = read.unpacked.borrowed.clone();
            let index = whole(read.unpacked, &flat.stack).map_err(|error| wrong(layer, &error))?;
            flat.stack.push(Arc::new(index));
            flat.layers.push(FlatLayer { tar: Arc::new(read.tar), places: read.places, borrowed });
        }
        Ok(flat)
    }

    /// Returns the layers, laid over one another.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Returns everything that is there, by path; the root is among it if a layer states it.
    pub fn walk(&self) -> Vec<(TreePath, Found<'_>)> {
        self.stack.walk(&TreePath::root())
    }

    /// Opens the content of a regular file.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] if no layer has it.
    pub fn content(&self, layer: usize, inode: &TreePath) -> Result<FileContent, StoreError> {
        let missing = || StoreError::Malformed {
            place: format!("layer {}", layer + 1),
            why: format!("`{inode}` has no content"),
        };
        let (layer, place) = self.place(layer, inode).ok_or_else(missing)?;
        Ok(FileContent::new(Arc::clone(&self.layers[layer].tar), place))
    }

    /// Begins writing the contents of `files`, those with several names once; `what` they are written to.
    pub fn course(&self, files: &[(TreePath, Found<'_>)], store: &Store, what: &Path) -> Course {
        let mut seen = HashSet::new();
        let once = files.iter().filter(|(_, found)| seen.insert((found.layer, &found.inode)));
        let total = once.map(|(_, found)| found.metadata.size()).sum();
        store.meter().begin(total, || what.display().to_string())
    }

    fn place(&self, layer: usize, inode: &TreePath) -> Option<(usize, &FilePlace)> {
        if let Some(place) = self.layers[layer].places.get(inode) {
            return Some((layer, place));
        }
        // A hardlink to a file of a layer below, under its own name or that of the file.
        let below = Stack::new(self.stack.layers()[..layer].to_vec());
        let target = self.layers[layer].borrowed.links.iter().find(|(path, _)| path == inode).map(|(_, target)| target);
        let target = below.resolve(target.unwrap_or(inode), true).ok()?;
        let found = below.lookup(&target)?;
        let (number, inode) = (found.layer, found.inode);
        self.place(number, &inode)
    }
}

fn whole(unpacked: Unpacked, below: &Stack) -> Result<LayerIndex, LayerError> {
    if unpacked.borrowed.is_empty() {
        return Ok(unpacked.index);
    }
    let no_file = |_: usize, _: &TreePath| unreachable!("an index needs no bytes of files");
    complete(unpacked, None, below, &no_file)
}

fn read(layer: &ExportLayer, store: &Store, cancel: &Cancel) -> Result<Read, StoreError> {
    let tar = plain(layer, store, cancel)?;
    let mut stream = LayerStream::new(cancel.watch(&tar), UnpackLimits::default());
    let located = locate_tar(&mut stream).map_err(|error| wrong(layer, &error))?;
    let got = stream.finish().map_err(|error| wrong(layer, &error))?;
    if got != layer.diff_id {
        let what = format!("layer tar of blob {}", layer.blob.digest);
        return Err(StoreError::DigestMismatch { what, wanted: layer.diff_id.0, got: got.0 });
    }
    Ok(Read { unpacked: located.0, places: located.1, tar })
}

/// Returns a layer's plain tar as a file, at its beginning.
fn plain(layer: &ExportLayer, store: &Store, cancel: &Cancel) -> Result<File, StoreError> {
    if Compression::of_media_type(&layer.blob.media_type) == Some(Compression::Plain) && layer.source.is_none() {
        return store.blobs().open(&layer.blob.digest);
    }
    let place = layer.blob.digest.to_string();
    let failed = |error: io::Error| unwrap_error(error, "read blob", Path::new(&place));
    let mut tar = decompress(layer.open(store)?).map_err(failed)?;
    let temporary = store.temporary();
    let mut spool = tempfile::tempfile_in(&temporary).at("create a file in", &temporary)?;
    io::copy(&mut cancel.watch(&mut tar), &mut spool).map_err(failed)?;
    spool.rewind().map_err(|error| IoError::new("rewind", &temporary, &error))?;
    Ok(spool)
}

fn wrong(layer: &ExportLayer, error: &LayerError) -> StoreError {
    StoreError::Malformed { place: format!("layer {}", layer.blob.digest), why: error.to_string() }
}

#[cfg(test)]
mod tests;
