//! [`Helpers`]: the helper processes of sandboxes, of which the next is started while a command runs.

use crate::channel::{Channel, ChannelError};
use crate::sandbox::message::Instructions;
use crate::worker::error::WorkerError;
use crate::worker::program::Program;
use layerfs::io_error::{IoContext, IoError};
use layerfs::sys::process;
use std::os::fd::BorrowedFd;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Starts helpers. A new program takes a millisecond until it can be told what to do, a fifth of what a short command
/// takes with everything around it; so one waits for its instructions while another serves.
#[derive(Debug)]
pub(super) struct Helpers {
    program: Program,
    spare: Mutex<Option<Helper>>,
}

/// A helper process.
#[derive(Debug)]
pub(super) struct Helper {
    channel: Channel,
    process: Child,
}

impl Helpers {
    /// Returns what starts helpers from `program`.
    pub(super) fn new(program: Program) -> Self {
        Self { program, spare: Mutex::default() }
    }

    /// Tells a helper what to do; the first two descriptors are the standard output and error of its command.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn instruct(
        &self,
        instructions: &Instructions,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Helper, WorkerError> {
        let spare = self.spare().take();
        if let Some(spare) = spare {
            match spare.channel.send(instructions, descriptors) {
                Ok(()) => return Ok(spare),
                // Somebody killed it; it has done nothing yet, and another can.
                Err(ChannelError::Closed) => drop(spare.finish()?),
                Err(error) => return Err(error.into()),
            }
        }
        let helper = self.start()?;
        helper.channel.send(instructions, descriptors)?;
        Ok(helper)
    }

    /// Starts a helper for the next command, unless one waits.
    pub(super) fn make_ready(&self) {
        let mut spare = self.spare();
        if spare.is_none() {
            // Who needs one and finds none starts it, and tells why that fails.
            *spare = self.start().ok();
        }
    }

    fn start(&self) -> Result<Helper, WorkerError> {
        let (channel, far) = Channel::pair()?;
        let mut command = self.program.helper();
        let process = command.stdin(Stdio::from(far.into_socket())).spawn().at("start", "sandbox helper")?;
        Ok(Helper { channel, process })
    }

    fn spare(&self) -> MutexGuard<'_, Option<Helper>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Helper {
    /// Returns the channel to it.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Lets the helper end, and takes leave of it: only then has it taken its mount points away. Returns the CPU time of the
    /// helper and all that it waited for.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn finish(self) -> Result<Duration, IoError> {
        self.channel.finish_sending();
        process::wait_for_cpu(self.process.id()).at("wait for", "sandbox helper")
    }
}
