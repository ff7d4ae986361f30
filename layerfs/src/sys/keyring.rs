//! [`join_new_session`]: a session keyring of one's own (keyctl(2)).

use std::io;

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Leaves the caller's session keyring for a new, empty, nameless one.
///
/// # Errors
/// The operating system's: EDQUOT if the user's key quota is used up, ENOSYS on a kernel without keyrings.
pub fn join_new_session() -> io::Result<()> {
    // SAFETY: with a null name the kernel reads no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
