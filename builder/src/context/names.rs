//! [`Names`]: what a directory holds, by name.

use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

/// So many bytes of names are read at a time; the C library's own readers take as many.
const BUFFER: usize = 32 << 10;

/// The names in a directory, sorted, with their kinds.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each name with the zero byte after it.
    bytes: Vec<u8>,
    /// Where each begins and ends, the zero byte included.
    found: Vec<(usize, usize, FileType)>,
}

impl Names {
    /// Reads what an opened directory that nobody read yet holds.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn read(directory: &OwnedFd) -> Result<Self, Errno> {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut names = Self::default();
        let mut reader = RawDir::new(directory, &mut buffer);
        while let Some(found) = reader.next() {
            let found = found?;
            let name = found.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            match kind_of(directory, name, found.file_type()) {
                Ok(kind) => names.push(name, kind),
                // What is gone since the directory was read was never there.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        let Self { bytes, found } = &mut names;
        found.sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
        Ok(names)
    }

    fn push(&mut self, name: &CStr, kind: FileType) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        self.found.push((start, self.bytes.len(), kind));
    }

    /// Returns the names in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&CStr, FileType)> {
        self.found.iter().map(|(start, end, kind)| {
            let name = CStr::from_bytes_with_nul(&self.bytes[*start..*end]);
            (name.expect("a name ends with its zero byte"), *kind)
        })
    }
}

/// Returns the kind of a name, as far as the directory tells; else the file does.
fn kind_of(directory: &OwnedFd, name: &CStr, told: FileType) -> Result<FileType, Errno> {
    match told {
        FileType::Unknown => {
            let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(FileType::from_raw_mode(stat.st_mode))
        }
        told => Ok(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_many_buffers_is_read_whole_and_sorted() {
        let directory = tempfile::tempdir().unwrap();
        let mut wanted: Vec<String> =
            (0..2000).map(|number| format!("{number:x}{}", "-".repeat(number % 200))).collect();
        for name in &wanted {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::create_dir(directory.path().join("directory")).unwrap();
        wanted.push("directory".to_owned());
        wanted.sort();
        let opened = OwnedFd::from(std::fs::File::open(directory.path()).unwrap());
        let names = Names::read(&opened).unwrap();
        let found: Vec<&str> = names.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(found, wanted);
        let directories = names.iter().filter(|(_, kind)| *kind == FileType::Directory);
        assert_eq!(directories.map(|(name, _)| name.to_str().unwrap()).collect::<Vec<_>>(), ["directory"]);
    }
}
