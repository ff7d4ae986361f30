//! [`XattrReader`]: the xattrs of what a directory holds.

use layerfs::meta::Xattrs;
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Reads the xattrs of what one opened directory holds.
#[derive(Debug)]
pub(super) struct XattrReader {
    /// The way to the directory, and room for a name after it: llistxattr(2) takes no directory to start from.
    path: Vec<u8>,
    directory: usize,
}

impl XattrReader {
    /// Returns a reader for a directory; it must stay open as long as it is read from.
    pub(super) fn of(directory: BorrowedFd<'_>) -> Self {
        let path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        Self { directory: path.len(), path }
    }

    /// Reads the xattrs that an image keeps: all but `system.*`, and of `security.*` the capabilities alone, as BuildKit
    /// (cache/contenthash/tarsum.go); `user.overlay.*` would be taken for an overlay's own.
    pub(super) fn read(&mut self, name: &CStr) -> Result<Xattrs, Errno> {
        self.path.truncate(self.directory);
        self.path.extend_from_slice(name.to_bytes_with_nul());
        let path = CStr::from_bytes_with_nul(&self.path).map_err(|_| Errno::INVAL)?;
        let (mut short, mut long) = ([0; 1024], Vec::new());
        let names = match rustix::fs::llistxattr(path, short.as_mut_slice()) {
            Ok(length) => &short[..length],
            Err(Errno::RANGE) => {
                long.resize(1 << 16, 0);
                let length = rustix::fs::llistxattr(path, long.as_mut_slice())?;
                &long[..length]
            }
            // A file system without xattrs has none; one that hides them is read as far as it lets.
            Err(Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => return Ok(Xattrs::new()),
            Err(error) => return Err(error),
        };
        let mut xattrs = Xattrs::new();
        for name in names.split(|&b| b == 0).filter(|name| is_kept(name)) {
            let mut value = vec![0; 1 << 16];
            if let Ok(length) = rustix::fs::lgetxattr(path, name, value.as_mut_slice()) {
                value.truncate(length);
                xattrs.insert(name.into(), value.into());
            }
        }
        Ok(xattrs)
    }
}

/// Reports whether an image keeps the xattr called `name`.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || !(name.is_empty()
            || name.starts_with(b"security.")
            || name.starts_with(b"system.")
            || name.starts_with(b"user.overlay.")
            || name.starts_with(b"trusted.overlay."))
}
