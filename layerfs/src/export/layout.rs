//! [`Layout`]: images as the files of an OCI image layout (image-spec image-layout.md), not yet written.

use super::{Dress, ExportLayer, FinishedImage, LayerCompression, hold_in};
use crate::blobs::seal::is_unchanged;
use crate::descriptor::{Descriptor, media_type};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::image::Index;
use crate::io_error::IoError;
use crate::lease::Lease;
use crate::meter::Meter;
use crate::reference::ImageRef;
use crate::refs::{FULL_NAME, REF_NAME};
use crate::store::Store;
use crate::verify::{VerifiedReader, unwrap_error};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Name of the file that says that a directory is an image layout.
pub(super) const LAYOUT_FILE: &str = "oci-layout";
/// Its content (image-spec image-layout.md, "oci-layout file").
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the file with the manifests' descriptors.
pub(super) const INDEX_FILE: &str = "index.json";
const CREATED: &str = "org.opencontainers.image.created";
const BUFFER: usize = 256 << 10;

/// A layer in the form in which it leaves the store.
#[derive(Debug)]
pub(super) struct Part {
    /// As the manifest states it.
    pub descriptor: Descriptor,
    /// The file with its bytes: open, so that gc cannot take it away.
    pub file: File,
}

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(super) enum Source {
    /// In memory: config and manifest.
    Bytes(Vec<u8>),
    /// In a file: layers.
    File(File),
}

/// A blob of a layout. Reading it checks digest and size, unless its file is known to be as it was written.
#[derive(Debug)]
pub(super) struct Blob {
    pub descriptor: Descriptor,
    source: Source,
}

/// An image, and the names that it goes by where it is going.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedImage<'a> {
    pub image: &'a FinishedImage,
    pub names: &'a [ImageRef],
}

/// An image of a layout.
#[derive(Debug)]
pub(super) struct LaidOut {
    /// The manifest.
    pub manifest: Descriptor,
    /// The layers of the manifest, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// Images as the files of an image layout.
#[derive(Debug)]
pub(super) struct Layout {
    /// The images, in the order in which they were given.
    pub images: Vec<LaidOut>,
    /// Each blob once, in the order of the digests.
    pub blobs: BTreeMap<Digest, Blob>,
    /// What `index.json` says of the images.
    pub entries: Vec<Descriptor>,
    /// Who is told how far writing has come.
    meter: Meter,
    /// gc lets the layers be meanwhile.
    _lease: Lease,
}

impl Blob {
    /// Opens the blob for one read.
    pub fn reader(&self) -> Box<dyn Read + '_> {
        match &self.source {
            Source::Bytes(bytes) => Box::new(bytes.as_slice()),
            Source::File(file) => match is_unchanged(file, &self.descriptor) {
                Ok(true) => Box::new(BufReader::with_capacity(BUFFER, file)),
                // What a stat fails with, reading will say.
                _ => Box::new(VerifiedReader::new(BufReader::with_capacity(BUFFER, file), &self.descriptor)),
            },
        }
    }
}

impl Layout {
    /// Returns the layout of images; layers are compressed here, if at all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn of(images: &[NamedImage<'_>], compression: LayerCompression, store: &Store) -> Result<Self, StoreError> {
        let lease = store.lease()?;
        for named in images {
            hold_in(&lease, named.image, &[])?;
        }
        let (blobs, meter) = (BTreeMap::new(), store.meter().clone());
        let mut layout = Self { images: Vec::new(), blobs, entries: Vec::new(), meter, _lease: lease };
        for named in images {
            layout.add(*named, compression, store)?;
        }
        Ok(layout)
    }

    fn add(&mut self, named: NamedImage<'_>, compression: LayerCompression, store: &Store) -> Result<(), StoreError> {
        let NamedImage { image, names } = named;
        let parts = image.layers.iter().map(|layer: &ExportLayer| compression.apply(layer, store));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let layers: Vec<Descriptor> = parts.iter().map(|part| part.descriptor.clone()).collect();
        let (manifest, bytes) = image.manifest(layers.clone());
        let config = Descriptor::of(media_type::OCI_CONFIG, &image.config_bytes);
        let small = [(config, image.config_bytes.clone()), (manifest.clone(), bytes)];
        let small = small.map(|(descriptor, bytes)| Blob { descriptor, source: Source::Bytes(bytes) });
        let large = parts.into_iter().map(|Part { descriptor, file }| Blob { descriptor, source: Source::File(file) });
        self.blobs.extend(large.chain(small).map(|blob| (blob.descriptor.digest, blob)));
        self.entries.extend(entries(image, &manifest, names));
        self.images.push(LaidOut { manifest, layers });
        Ok(())
    }

    /// Joins the images, which have no names, by an index that alone gets names; returns its descriptor.
    pub fn join(&mut self, names: &[ImageRef], dress: &Dress) -> Descriptor {
        let mut manifests: Vec<Descriptor> = Vec::new();
        for mut entry in std::mem::take(&mut self.entries) {
            entry.annotations.remove(CREATED);
            if !manifests.contains(&entry) {
                manifests.push(entry);
            }
        }
        let (index, bytes) = dress.index(manifests);
        self.blobs.insert(index.digest, Blob { descriptor: index.clone(), source: Source::Bytes(bytes) });
        let entry = Descriptor { annotations: dress.descriptor_annotations.clone(), ..index.clone() };
        self.entries = names.iter().map(|name| named(&entry, name)).collect();
        self.entries.dedup();
        if self.entries.is_empty() {
            self.entries.push(entry);
        }
        index
    }

    /// Returns the descriptors of the manifests, in the order in which the images were given.
    pub fn manifests(&self) -> Vec<Descriptor> {
        self.images.iter().map(|image| image.manifest.clone()).collect()
    }

    /// Writes the layout as a tar, with `more` files at its top: entries sorted by name, of 0:0, modified at 0.
    ///
    /// # Errors
    /// [`StoreError`]; `place` is what messages call `out`.
    pub fn write_tar(&self, more: &[(&str, Vec<u8>)], out: &mut dyn Write, place: &Path) -> Result<(), StoreError> {
        let failed = |error| unwrap_error(error, "write", place);
        let mut tar = tar::Builder::new(BufWriter::with_capacity(BUFFER, out));
        for directory in ["blobs/", "blobs/sha256/"] {
            let mut header = header(tar::EntryType::Directory, 0o755, 0);
            tar.append_data(&mut header, directory, std::io::empty()).map_err(failed)?;
        }
        let total = self.blobs.values().map(|blob| blob.descriptor.size).sum();
        let mut course = self.meter.begin(total, || place.display().to_string());
        for (digest, blob) in &self.blobs {
            let mut header = header(tar::EntryType::Regular, 0o644, blob.descriptor.size);
            tar.append_data(&mut header, blob_path(digest), course.reading(blob.reader())).map_err(failed)?;
        }
        let mut top = vec![(INDEX_FILE, Index::new(self.entries.clone()).print()), (LAYOUT_FILE, LAYOUT.to_vec())];
        top.extend_from_slice(more);
        top.sort();
        for (name, bytes) in top {
            let mut header = header(tar::EntryType::Regular, 0o644, bytes.len() as u64);
            tar.append_data(&mut header, name, bytes.as_slice()).map_err(failed)?;
        }
        let mut out = tar.into_inner().map_err(failed)?;
        out.flush().map_err(|error| IoError::new("write", place, &error).into())
    }
}

/// Returns the name of a blob in a layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Returns the descriptors of a manifest for `index.json`: one for each name (FEATURES 9-9), or one without a name.
fn entries(image: &FinishedImage, manifest: &Descriptor, names: &[ImageRef]) -> Vec<Descriptor> {
    let mut entry = Descriptor { platform: Some(image.platform().normalized()), ..manifest.clone() };
    entry.annotations.extend(image.dress.descriptor_annotations.clone());
    entry.annotations.extend(image.config.created.iter().map(|time| (CREATED.to_owned(), time.clone())));
    let mut seen = Vec::new();
    let unique = names.iter().filter(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    let mut entries: Vec<Descriptor> = unique.map(|name| named(&entry, name)).collect();
    if entries.is_empty() {
        entries.push(entry);
    }
    entries
}

fn named(entry: &Descriptor, name: &ImageRef) -> Descriptor {
    let mut entry = entry.clone();
    entry.annotations.insert(FULL_NAME.to_owned(), name.to_string());
    // A name that is only a digest has no tag to go by.
    entry.annotations.extend(name.tag.iter().map(|tag| (REF_NAME.to_owned(), tag.clone())));
    entry
}
