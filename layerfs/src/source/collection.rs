//! [`Collection`]: all images of one file or directory.

use super::ImageSource;
use super::archive::Archive;
use super::docker::{self, DockerArchiveSource};
use super::layout::{LayoutSource, parse_name};
use super::oci_archive::{MARKS, OciArchiveSource};
use crate::compress::decompress_any;
use crate::error::StoreError;
use crate::io_error::IoContext;
use crate::reference::ImageRef;
use crate::verify::unwrap_error;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many first bytes tell a compression.
const SNIFF: usize = 6;

/// An image layout, as a directory or a tar, or a Docker archive; archives may be compressed as a whole. All of it may be
/// hostile.
#[derive(Debug)]
pub struct Collection {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory(PathBuf),
    Archive(Arc<Archive>),
}

/// One image of a [`Collection`].
#[derive(Debug)]
pub struct CollectedImage {
    /// Its names; there may be none.
    pub names: Vec<ImageRef>,
    /// Where its bytes are.
    pub source: Box<dyn ImageSource>,
}

impl Collection {
    /// Opens a file or directory. What is compressed or no regular file is first written, plain, to a file without a name
    /// in `temporary`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, temporary: &Path) -> Result<Self, StoreError> {
        if fs::metadata(path).at("open", path)?.is_dir() {
            return Ok(Self { kind: Kind::Directory(path.to_owned()) });
        }
        let file = File::open(path).at("open", path)?;
        let metadata = file.metadata().at("stat", path)?;
        if !metadata.is_file() || is_compressed(&file, path)? {
            return Self::read(file, path, temporary);
        }
        if metadata.len() == 0 {
            return Err(empty(path));
        }
        Ok(Self { kind: Kind::Archive(Arc::new(Archive::of(file, path)?)) })
    }

    /// Reads an archive, compressed or not, which messages call `place`, into a file without a name in `temporary`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(from: impl Read + Send, place: &Path, temporary: &Path) -> Result<Self, StoreError> {
        let mut plain = decompress_any(Box::new(from)).map_err(|error| unwrap_error(error, "read", place))?;
        let mut spool = spool(temporary)?;
        let count = io::copy(&mut plain, &mut spool).map_err(|error| unwrap_error(error, "read", place))?;
        if count == 0 {
            return Err(empty(place));
        }
        spool.rewind().at("rewind", temporary)?;
        Ok(Self { kind: Kind::Archive(Arc::new(Archive::of(spool, place)?)) })
    }

    /// Returns its images, in the order in which they are listed.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] if it is neither a layout nor an archive of images, or has no image.
    pub fn images(&self) -> Result<Vec<CollectedImage>, StoreError> {
        let (images, place) = match &self.kind {
            Kind::Directory(path) => (boxed(LayoutSource::all(path)?), path.as_path()),
            Kind::Archive(archive) => (of_archive(archive)?, archive.place()),
        };
        if images.is_empty() {
            let why = "there is no image in it".to_owned();
            return Err(StoreError::Malformed { place: place.display().to_string(), why });
        }
        Ok(images)
    }
}

fn is_compressed(file: &File, path: &Path) -> Result<bool, StoreError> {
    let mut first = [0; SNIFF];
    let count = file.read_at(&mut first, 0).at("read", path)?;
    Ok(crate::compress::is_compressed(&first[..count]))
}

fn spool(temporary: &Path) -> Result<File, StoreError> {
    Ok(tempfile::tempfile_in(temporary).at("create a file in", temporary)?)
}

fn empty(place: &Path) -> StoreError {
    StoreError::Malformed { place: place.display().to_string(), why: "it is empty".to_owned() }
}

/// A newer Docker archive is an image layout, too, which has the manifests as they were.
fn of_archive(archive: &Arc<Archive>) -> Result<Vec<CollectedImage>, StoreError> {
    if MARKS.iter().all(|mark| archive.has(mark)) {
        return Ok(boxed(OciArchiveSource::all(archive)?));
    }
    if !archive.has(docker::MANIFEST) {
        let why = "no archive of images: it has neither `index.json` and `oci-layout` nor `manifest.json`";
        return Err(archive.malformed(why));
    }
    let place = archive.place().display().to_string();
    let one = |(names, source): (Vec<String>, DockerArchiveSource)| {
        let names = names.iter().map(|name| parse_name(name, &place)).collect::<Result<_, _>>()?;
        Ok(CollectedImage { names, source: Box::new(source) })
    };
    DockerArchiveSource::all(archive)?.into_iter().map(one).collect()
}

fn boxed<S: ImageSource + 'static>(images: Vec<(Vec<ImageRef>, S)>) -> Vec<CollectedImage> {
    let one = |(names, source)| CollectedImage { names, source: Box::new(source) };
    images.into_iter().map(one).collect()
}
