//! The xattrs of what a directory has under a name, links not followed: listxattrat(2), getxattrat(2) and
//! removexattrat(2) of Linux 6.13, which older kernels are asked for by a path through /proc. That takes three times as
//! long (5.0 µs in place of 1.6 for a list), which counts where it is asked for each of 100,000 files.

use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

// Calls of that age have one number on all architectures (arch/*/entry/syscalls of the kernel).
const GETXATTRAT: libc::c_long = 464;
const LISTXATTRAT: libc::c_long = 465;
const REMOVEXATTRAT: libc::c_long = 466;

/// Set once the kernel said that it has not got these calls.
static MISSING: AtomicBool = AtomicBool::new(false);

/// struct xattr_args of linux/xattr.h.
#[repr(C, align(8))]
struct Arguments {
    value: u64,
    size: u32,
    flags: u32,
}

/// Writes the names of the xattrs of `name` in `directory` to `buffer`, a zero byte after each; returns how many bytes.
///
/// # Errors
/// The operating system's: [`Errno::RANGE`] if the buffer is too short.
pub fn list(directory: BorrowedFd<'_>, name: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
    match at(|| name.into_with_c_str(|name| list_at(directory, name, buffer))) {
        Some(done) => done,
        None => rustix::fs::llistxattr(path(directory, name), buffer),
    }
}

/// Writes the value of the xattr `xattr` of `name` in `directory` to `buffer`; returns how many bytes.
///
/// # Errors
/// As [`list`].
pub fn get(directory: BorrowedFd<'_>, name: &[u8], xattr: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
    let call =
        || name.into_with_c_str(|name| xattr.into_with_c_str(|xattr| get_at(directory, name, xattr, &mut *buffer)));
    match at(call) {
        Some(done) => done,
        None => rustix::fs::lgetxattr(path(directory, name), xattr, buffer),
    }
}

/// Removes the xattr `xattr` of `name` in `directory`.
///
/// # Errors
/// The operating system's: [`Errno::NODATA`] if there is none.
pub fn remove(directory: BorrowedFd<'_>, name: &[u8], xattr: &[u8]) -> Result<(), Errno> {
    let call =
        || name.into_with_c_str(|name| xattr.into_with_c_str(|xattr| remove_at(directory, name, xattr).map(|_| ())));
    match at(call) {
        Some(done) => done,
        None => rustix::fs::lremovexattr(path(directory, name), xattr),
    }
}

/// Makes a call that the kernel may not have; nothing comes back if it has not.
fn at<T>(call: impl FnOnce() -> Result<T, Errno>) -> Option<Result<T, Errno>> {
    if MISSING.load(Ordering::Relaxed) {
        return None;
    }
    match call() {
        Err(Errno::NOSYS) => {
            MISSING.store(true, Ordering::Relaxed);
            None
        }
        // A filter of calls may say so of those that it does not know.
        Err(Errno::PERM) => None,
        done => Some(done),
    }
}

/// Returns a path for calls that take no directory to start from.
fn path(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat()
}

fn list_at(directory: BorrowedFd<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `name` is a C string, and the kernel writes at most `buffer.len()` bytes to `buffer`.
    done(unsafe {
        libc::syscall(
            LISTXATTRAT,
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })
}

fn get_at(directory: BorrowedFd<'_>, name: &CStr, xattr: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    let arguments = Arguments { value: buffer.as_mut_ptr() as u64, size, flags: 0 };
    // SAFETY: both names are C strings, `Arguments` has the kernel's layout and its size is handed over; the kernel writes
    // at most `size` bytes to `value`, which is `buffer`.
    done(unsafe {
        libc::syscall(
            GETXATTRAT,
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            xattr.as_ptr(),
            &raw const arguments,
            size_of::<Arguments>(),
        )
    })
}

fn remove_at(directory: BorrowedFd<'_>, name: &CStr, xattr: &CStr) -> Result<usize, Errno> {
    // SAFETY: both names are C strings, which the kernel only reads.
    done(unsafe {
        libc::syscall(REMOVEXATTRAT, directory.as_raw_fd(), name.as_ptr(), libc::AT_SYMLINK_NOFOLLOW, xattr.as_ptr())
    })
}

fn done(result: libc::c_long) -> Result<usize, Errno> {
    usize::try_from(result)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).expect("a call that failed says why"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// Asks for `name` in a directory in the way of this kernel, and then as if it were an older one.
    #[test]
    fn old_and_new_kernels_answer_alike() {
        for missing in [MISSING.load(Ordering::Relaxed), true] {
            MISSING.store(missing, Ordering::Relaxed);
            let place = tempfile::tempdir().unwrap();
            let directory = std::fs::File::open(place.path()).unwrap();
            let file = place.path().join("file");
            std::fs::write(&file, "").unwrap();
            std::os::unix::fs::symlink("file", place.path().join("link")).unwrap();
            rustix::fs::setxattr(&file, "user.one", b"1", rustix::fs::XattrFlags::empty()).unwrap();
            let (at, mut buffer) = (directory.as_fd(), [0; 64]);
            let length = list(at, b"file", &mut buffer).unwrap();
            assert!(buffer[..length].split(|b| *b == 0).any(|name| name == b"user.one"), "{buffer:?}");
            assert_eq!(list(at, b"file", &mut [0; 1]), Err(Errno::RANGE));
            assert_eq!(list(at, b"none", &mut buffer), Err(Errno::NOENT));
            assert_eq!(get(at, b"file", b"user.one", &mut buffer), Ok(1));
            assert_eq!(buffer[0], b'1');
            assert_eq!(get(at, b"file", b"user.two", &mut buffer), Err(Errno::NODATA));
            assert!(get(at, b"link", b"user.one", &mut buffer).is_err(), "a link is followed");
            assert_eq!(remove(at, b"file", b"user.one"), Ok(()));
            assert_eq!(remove(at, b"file", b"user.one"), Err(Errno::NODATA));
            assert_eq!(get(at, b".", b"user.one", &mut buffer), Err(Errno::NODATA));
        }
        MISSING.store(false, Ordering::Relaxed);
    }
}
