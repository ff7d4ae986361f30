//! [`OciArchiveSource`]: an image of a tar of an OCI image layout.

use super::ImageSource;
use super::archive::Archive;
use super::choose::{Choice, Documents};
use super::layout::{LONGEST_LAYOUT_FILE, check_layout_file, images};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::image::{Image, Index};
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::refs::LONGEST_INDEX;
use crate::verify::VerifiedReader;
use std::io::Read;
use std::sync::Arc;

/// Names of the files that make a tar an image layout.
pub(super) const MARKS: [&str; 2] = ["oci-layout", "index.json"];

/// An image of a tar of an OCI image layout, which may be hostile: everything is checked as it is read.
#[derive(Debug)]
pub(super) struct OciArchiveSource {
    archive: Arc<Archive>,
    entry: Descriptor,
}

impl OciArchiveSource {
    /// Returns every image that the archive lists, each with its names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn all(archive: &Arc<Archive>) -> Result<Vec<(Vec<ImageRef>, Self)>, StoreError> {
        let [mark, index] = MARKS;
        check_layout_file(&archive.read(mark, LONGEST_LAYOUT_FILE)?)
            .map_err(|why| archive.malformed(&format!("not an OCI image layout: {why}")))?;
        let place = archive.place().display().to_string();
        let wrong = |source| StoreError::Image { place: place.clone(), source };
        let entries = Index::parse(&archive.read(index, LONGEST_INDEX)?).map_err(wrong)?.manifests;
        let one = |(entry, names)| (names, Self { archive: Arc::clone(archive), entry });
        Ok(images(&entries, &place)?.into_iter().map(one).collect())
    }
}

impl Archive {
    fn blob(&self, blob: &Descriptor) -> Result<impl Read + Send + use<>, StoreError> {
        let extent = self.find(&format!("blobs/sha256/{}", blob.digest.hex()))?;
        if extent.size == blob.size {
            return Ok(VerifiedReader::new(self.reader(extent), blob));
        }
        let what = format!("blob {} in {}", blob.digest, self.place().display());
        Err(StoreError::SizeMismatch { what, wanted: blob.size, got: extent.size })
    }
}

impl Documents for Archive {
    fn read(&self, entry: &Descriptor, limit: u64) -> Result<Vec<u8>, StoreError> {
        let name = format!("blobs/sha256/{}", entry.digest.hex());
        let bytes = Archive::read(self, &name, limit)?;
        let got = Digest::of(&bytes);
        if got == entry.digest {
            return Ok(bytes);
        }
        let what = format!("`{name}` in {}", self.place().display());
        Err(StoreError::DigestMismatch { what, wanted: entry.digest, got })
    }
}

impl ImageSource for OciArchiveSource {
    fn resolve(&self, platform: &Platform) -> Result<Image, StoreError> {
        Choice::new(&*self.archive, platform, &self.location()).image(&self.entry)
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(self.archive.blob(blob)?))
    }

    fn location(&self) -> String {
        format!("oci-archive:{}", self.archive.place().display())
    }
}
