//! System calls on mounts that change the calling thread alone.

/// Gives the calling thread a mount namespace, and a working directory, root and umask, of its own. Other threads keep theirs.
///
/// # Errors
/// The operating system's.
pub fn unshare_mounts() -> std::io::Result<()> {
    Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS | nix::sched::CloneFlags::CLONE_FS)?)
}
