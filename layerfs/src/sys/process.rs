//! Forks, namespaces, identities and signals of single-threaded helper processes.

use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{ForkResult, Pid};
use std::io;
use std::time::Duration;

/// Forks. Returns the child's process id in the parent, nothing in the child.
///
/// # Errors
/// The operating system's; EINVAL if the process has more than one thread, because the child of such a process may
/// hardly do anything.
pub fn fork_single_threaded() -> io::Result<Option<Pid>> {
    if thread_count()? != 1 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the process has one thread, which was checked, so no lock is held by a thread that the child lacks.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Returns the number of threads of this process: the links of its task directory less `.` and `..`.
fn thread_count() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self/task")?.nlink().saturating_sub(2))
}

/// Waits for a child to end; returns the CPU time, of user and system, of it and of those that it waited for.
///
/// # Errors
/// The operating system's; ECHILD if it is no child of this process, or was waited for.
pub fn wait_for_cpu(child: u32) -> io::Result<Duration> {
    let child = libc::pid_t::try_from(child).map_err(|_| io::Error::from_raw_os_error(libc::ECHILD))?;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: the kernel writes no more than one `struct rusage` to where `usage` is; a status is not asked for.
        if unsafe { libc::wait4(child, std::ptr::null_mut(), 0, usage.as_mut_ptr()) } == child {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: integers only, of which zero is a value each.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::new(time.tv_sec.try_into().unwrap_or(0), u32::try_from(time.tv_usec).unwrap_or(0) * 1000)
    };
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}

/// Moves the calling thread, which must be the only one of its process, into new namespaces.
///
/// # Errors
/// The operating system's.
pub fn unshare(namespaces: CloneFlags) -> io::Result<()> {
    Ok(nix::sched::unshare(namespaces)?)
}

/// The highest signal number.
const HIGHEST_SIGNAL: libc::c_int = 64;

/// Gives every signal its default disposition and unblocks all; exec(2) keeps what is ignored or blocked, and Rust
/// programs ignore SIGPIPE.
///
/// # Errors
/// The operating system's.
pub fn reset_signals() -> io::Result<()> {
    // struct sigaction of the kernel, all zeroes: SIG_DFL, no flags, an empty mask. The C library hides two signals of
    // its own (32, 33), which a caller may have ignored all the same.
    let default = [0u64; 4];
    for signal in 1..=HIGHEST_SIGNAL {
        // SAFETY: the action is no function, so nothing of ours runs on a signal; the kernel reads at most 32 bytes. It
        // refuses SIGKILL and SIGSTOP, whose disposition is always the default.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u8>(), size_of::<u64>());
        }
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Marks every descriptor from `first` on to be closed by exec(2).
///
/// # Errors
/// The operating system's.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: marking descriptors closes none; whoever owns one can go on using it.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends the process at once, without running destructors or flushing: for the child of a fork.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) takes no memory and does not return.
    unsafe { libc::_exit(status) }
}

/// Closes every descriptor but the standard ones: what a user's shell or CI left open is no business of a new process.
/// To be called first thing in a re-executed process, before it opens anything.
pub fn close_inherited() {
    // SAFETY: the process has just begun and owns no descriptor above 2, so none is closed under its owner. Where the
    // call is missing (before Linux 5.9) they stay open, as they were.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
