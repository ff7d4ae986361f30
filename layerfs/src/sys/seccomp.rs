//! [`load_filter`]: seccomp(2) without `no_new_privs`.

use std::io;

/// One BPF instruction (struct sock_filter of linux/filter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if the test holds.
    pub jump_true: u8,
    /// Instructions to skip if it does not.
    pub jump_false: u8,
    /// Operand.
    pub k: u32,
}

/// struct sock_fprog.
#[repr(C)]
struct Program {
    length: u16,
    filter: *const Instruction,
}

const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;

/// Loads `program` for the calling thread and all it starts. `no_new_privs` stays as it is, so the caller needs
/// CAP_SYS_ADMIN in its user namespace.
///
/// # Errors
/// The operating system's: EACCES without the capability, EINVAL for a bad or too long program.
pub fn load_filter(program: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { length, filter: program.as_ptr() };
    // SAFETY: `Program` and `Instruction` have the kernel's layout (repr(C)), `filter` points to `length` instructions
    // that live until the call returns, and the kernel copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
