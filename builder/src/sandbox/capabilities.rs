//! Docker's capability set (row 7-1), and how a process is cut down to it.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;

/// What a command may have: bounding, permitted and effective; nothing is inheritable or ambient.
pub const DOCKER: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Drops everything but [`DOCKER`] from the bounding set, and all ambient capabilities.
///
/// # Errors
/// The operating system's: EPERM without CAP_SETPCAP.
pub fn limit_bounding_set() -> io::Result<()> {
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if DOCKER.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel knows no capability of this number, nor of any higher one.
            Err(Errno::INVAL) => break,
            other => other?,
        }
    }
    Ok(rustix::thread::clear_ambient_capability_set()?)
}

/// Keeps [`DOCKER`] of what the process has; to be called after the user changed (a user that is not root has nothing
/// left by then).
///
/// # Errors
/// The operating system's.
pub fn limit_own_sets() -> io::Result<()> {
    let own = rustix::thread::capabilities(None)?;
    let kept = CapabilitySets {
        effective: own.permitted & DOCKER,
        permitted: own.permitted & DOCKER,
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, kept)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 7-1: what /proc/self/status shows in a Docker container.
    #[test]
    fn the_set_is_dockers() {
        assert_eq!(format!("{:016x}", DOCKER.bits()), "00000000a80425fb");
    }
}
