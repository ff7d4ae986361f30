//! [`Archive`]: the files of a tar file and where their bytes are, read once without their content.

use crate::digest::Digest;
use crate::error::StoreError;
use crate::io_error::IoContext;
use crate::path::TreePath;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Entries that an archive of an image may have: each costs memory.
const MOST_ENTRIES: usize = 200_000;
/// Links that are followed from one name.
const MOST_LINKS: usize = 16;

/// The files of a tar file.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    path: PathBuf,
    file: Arc<File>,
    entries: BTreeMap<TreePath, Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    File(Extent),
    Link(TreePath),
}

/// Where a file's bytes are in the tar file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Archive {
    /// Reads the headers of the tar file `path`.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).at("open", path)?;
        let is_file = file.metadata().at("stat", path)?.is_file();
        let archive = Self { path: path.to_owned(), file: Arc::new(file), entries: BTreeMap::new() };
        if !is_file {
            return Err(archive.malformed("not a regular file"));
        }
        archive.refuse_compressed()?;
        archive.listed()
    }

    /// Reads the headers of the plain tar `file`, which messages call `place`.
    pub(super) fn of(file: File, place: &Path) -> Result<Self, StoreError> {
        Self { path: place.to_owned(), file: Arc::new(file), entries: BTreeMap::new() }.listed()
    }

    fn listed(mut self) -> Result<Self, StoreError> {
        let length = self.file.metadata().at("stat", &self.path)?.len();
        self.read_headers(length)?;
        Ok(self)
    }

    fn refuse_compressed(&self) -> Result<(), StoreError> {
        let mut first = Vec::new();
        self.reader(Extent { offset: 0, size: 6 }).read_to_end(&mut first).at("read", &self.path)?;
        let form = match first.as_slice() {
            [0x1f, 0x8b, ..] => "gzip",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
            [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
            [b'B', b'Z', b'h', ..] => "bzip2",
            _ => return Ok(()),
        };
        Err(self.malformed(&format!("the whole archive is compressed with {form}; decompress it first")))
    }

    fn read_headers(&mut self, length: u64) -> Result<(), StoreError> {
        let file = Arc::clone(&self.file);
        let mut tar = tar::Archive::new(&*file);
        let unreadable = |error: io::Error| StoreError::Malformed {
            place: self.path.display().to_string(),
            why: format!("not a tar archive: {error}"),
        };
        let mut entries = BTreeMap::new();
        for entry in tar.entries_with_seek().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = TreePath::normalize(&entry.path_bytes());
            if let Some(found) = describe(&entry, &path) {
                // Seeking past the end is no error, so a file that was cut short would go unnoticed.
                if let Entry::File(Extent { offset, size }) = found
                    && offset.checked_add(size).is_none_or(|end| end > length)
                {
                    return Err(self.malformed(&format!("`{path}` in it is cut short")));
                }
                entries.insert(path, found);
            }
            if entries.len() > MOST_ENTRIES {
                return Err(self.malformed(&format!("it has more than {MOST_ENTRIES} entries")));
            }
        }
        self.entries = entries;
        Ok(())
    }

    /// Reports whether there is a file or link called `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(&TreePath::from(name))
    }

    /// Returns what messages call it.
    pub(super) fn place(&self) -> &Path {
        &self.path
    }

    /// Returns where the bytes of `name` are, links followed.
    pub(super) fn find(&self, name: &str) -> Result<Extent, StoreError> {
        let mut path = TreePath::from(name);
        for _ in 0..MOST_LINKS {
            match self.entries.get(&path) {
                Some(Entry::File(extent)) => return Ok(*extent),
                Some(Entry::Link(target)) => path = target.clone(),
                None => return Err(self.malformed(&format!("it has no file `{name}`"))),
            }
        }
        Err(self.malformed(&format!("`{name}` leads through more than {MOST_LINKS} links")))
    }

    /// Returns the bytes of a small file.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, StoreError> {
        let extent = self.find(name)?;
        if extent.size > limit {
            return Err(StoreError::TooLong { what: format!("`{name}` in `{}`", self.path.display()), limit });
        }
        let mut bytes = Vec::new();
        self.reader(extent).read_to_end(&mut bytes).at("read", &self.path)?;
        Ok(bytes)
    }

    /// Returns a reader of a part of the file; readers do not disturb each other.
    pub(super) fn reader(&self, extent: Extent) -> ExtentReader {
        ExtentReader { file: Arc::clone(&self.file), extent }
    }

    pub(super) fn malformed(&self, why: &str) -> StoreError {
        StoreError::Malformed { place: self.path.display().to_string(), why: why.to_owned() }
    }

    /// Returns the digest that is the name of a file, as `blobs/sha256/<hex>` or `<hex>.json`.
    pub(super) fn stated_digest(name: &str) -> Option<Digest> {
        let last = name.rsplit('/').next()?;
        Digest::from_hex(last.strip_suffix(".json").unwrap_or(last)).ok()
    }
}

fn describe<R: Read>(entry: &tar::Entry<'_, R>, path: &TreePath) -> Option<Entry> {
    let target = || entry.link_name_bytes().map(|target| target.into_owned());
    match entry.header().entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            Some(Entry::File(Extent { offset: entry.raw_file_position(), size: entry.size() }))
        }
        tar::EntryType::Symlink => Some(Entry::Link(path.parent()?.join(&target()?))),
        tar::EntryType::Link => Some(Entry::Link(TreePath::normalize(&target()?))),
        _ => None,
    }
}

/// Reads a part of a file from start to end.
#[derive(Debug)]
pub(super) struct ExtentReader {
    file: Arc<File>,
    extent: Extent,
}

impl Read for ExtentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.extent.size).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..most], self.extent.offset)?;
        self.extent.offset += count as u64;
        self.extent.size -= count as u64;
        Ok(count)
    }
}
