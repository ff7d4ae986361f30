//! The xattrs of what a directory of a context holds.

use layerfs::meta::Xattrs;
use layerfs::sys::xattr;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Reads the xattrs that an image keeps of what `directory` has under `name`: all but `system.*`, and of `security.*` the
/// capabilities alone, as BuildKit (cache/contenthash/tarsum.go); `user.overlay.*` would be taken for an overlay's own.
pub(super) fn read(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Xattrs, Errno> {
    let (mut short, mut long) = ([0; 1024], Vec::new());
    let names = match xattr::list(directory, name, &mut short) {
        Ok(length) => &short[..length],
        Err(Errno::RANGE) => {
            long.resize(1 << 16, 0);
            let length = xattr::list(directory, name, &mut long)?;
            &long[..length]
        }
        // A file system without xattrs has none; one that hides them is read as far as it lets.
        Err(Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => return Ok(Xattrs::new()),
        Err(error) => return Err(error),
    };
    let mut xattrs = Xattrs::new();
    for kept in names.split(|&b| b == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; 1 << 16];
        if let Ok(length) = xattr::get(directory, name, kept, &mut value) {
            value.truncate(length);
            xattrs.insert(kept.into(), value.into());
        }
    }
    Ok(xattrs)
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
