//! [`Program`]: this program as a sealed copy in memory, from which helpers are started.
//!
//! A command could reach the file that its helper runs from by way of /proc (CVE-2019-5736 was that); what it reaches
//! so is a copy that nobody can write to.

use crate::sandbox::HELPER_NAME;
use layerfs::io_error::{IoContext, IoError};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

const OWN: &str = "/proc/self/exe";

/// This program, ready to be started as a helper.
#[derive(Debug)]
pub(super) struct Program {
    /// Nothing where memory may not be executed (`vm.memfd_noexec=2`): the file itself serves.
    copy: Option<OwnedFd>,
}

impl Program {
    /// Copies this program.
    pub(super) fn copy() -> Result<Self, IoError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let made = rustix::fs::memfd_create(HELPER_NAME, flags | MemfdFlags::EXEC)
            // A kernel before 6.3 does not know the flag, and makes all of them executable.
            .or_else(|errno| match errno {
                rustix::io::Errno::INVAL => rustix::fs::memfd_create(HELPER_NAME, flags),
                other => Err(other),
            });
        let copy = match made {
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => return Ok(Self { copy: None }),
            other => other.at("make", "memory for the sandbox helper")?,
        };
        let mut memory = File::from(copy);
        let mut own = File::open(OWN).at("open", OWN)?;
        std::io::copy(&mut own, &mut memory).at("copy", OWN)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&memory, seals).at("seal", "memory for the sandbox helper")?;
        Ok(Self { copy: Some(memory.into()) })
    }

    /// Returns the command that starts a helper, without streams.
    pub(super) fn helper(&self) -> Command {
        let mut command = match &self.copy {
            // The child has the descriptor until it executes it.
            Some(copy) => Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd())),
            None => Command::new(OWN),
        };
        command.arg0(HELPER_NAME).env_clear();
        command
    }
}
