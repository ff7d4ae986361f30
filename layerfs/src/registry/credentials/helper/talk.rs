//! Runs a program with an input, and hears what it says, within a deadline.

use crate::cancel::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The most bytes that a program may say on each of its outputs.
const LIMIT: usize = 1 << 20;
/// What a pipe that is ready for writing takes at least (pipe(7), `PIPE_BUF`).
const ATOMIC: usize = 4096;

/// What a program said.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether it ended with status 0.
    pub success: bool,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub errors: Vec<u8>,
}

/// Why a program did not answer.
#[derive(Debug)]
pub(super) enum TalkError {
    /// It could not be started.
    Start(io::Error),
    /// The operating system failed in between.
    Lost(io::Error),
    /// The deadline is over.
    TooLate,
    /// The user ended the build.
    Cancelled,
    /// It said more than [`LIMIT`] bytes.
    TooLong,
}

/// How long a program is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience<'a> {
    /// At most so long.
    pub longest: Duration,
    /// Not after this.
    pub cancel: Option<&'a Cancel>,
}

/// Runs `command` with `input` as its standard input. It is ended when patience ends, or if it says too much.
/// What it leaves running in the background is not waited for.
pub(super) fn talk(mut command: Command, input: &[u8], patience: Patience<'_>) -> Result<Answer, TalkError> {
    let deadline = Instant::now() + patience.longest;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(TalkError::Start)?;
    let said =
        Conversation::new(&mut child, input, patience.cancel).and_then(|conversation| conversation.hold(deadline));
    if said.is_err() && child.kill().is_err() {
        // It has ended by itself, which is as good.
    }
    let status = child.wait().map_err(TalkError::Lost)?;
    said.map(|(out, errors)| Answer { success: status.success(), out, errors })
}

struct Conversation<'a> {
    process: OwnedFd,
    cancel: Option<&'a Cancel>,
    input: &'a [u8],
    stdin: Option<std::process::ChildStdin>,
    out: Ear<std::process::ChildStdout>,
    errors: Ear<std::process::ChildStderr>,
}

impl<'a> Conversation<'a> {
    fn new(child: &mut Child, input: &'a [u8], cancel: Option<&'a Cancel>) -> Result<Self, TalkError> {
        let pid = Pid::from_child(child);
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| TalkError::Lost(errno.into()))?;
        let (out, errors) = (Ear::new(child.stdout.take()), Ear::new(child.stderr.take()));
        Ok(Self { process, cancel, input, stdin: child.stdin.take(), out, errors })
    }

    /// Speaks and listens until the program has ended and all that it said was heard.
    fn hold(mut self, deadline: Instant) -> Result<(Vec<u8>, Vec<u8>), TalkError> {
        loop {
            let [ended, speak, out, errors, cancelled] = self.wait(deadline)?;
            if cancelled {
                return Err(TalkError::Cancelled);
            }
            if speak {
                self.speak();
            }
            if out {
                self.out.listen()?;
            }
            if errors {
                self.errors.listen()?;
            }
            if ended && !out && !errors {
                return Ok((self.out.heard, self.errors.heard));
            }
        }
    }

    /// Waits until something can be done; returns whether the process has ended, which of its pipes are
    /// ready, and whether all is cancelled.
    fn wait(&self, deadline: Instant) -> Result<[bool; 5], TalkError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| TalkError::TooLate)?;
        let pipes = [
            (Some(self.process.as_fd()), PollFlags::IN),
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT),
            (self.out.pipe.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.errors.pipe.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.cancel.map(AsFd::as_fd), PollFlags::IN),
        ];
        let open =
            |(at, (pipe, flags)): (usize, (Option<_>, _))| pipe.map(|pipe| (at, PollFd::from_borrowed_fd(pipe, flags)));
        let (places, mut watched): (Vec<usize>, Vec<PollFd<'_>>) =
            pipes.into_iter().enumerate().filter_map(open).unzip();
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) => return Err(TalkError::TooLate),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(TalkError::Lost(errno.into())),
        }
        let mut ready = [false; 5];
        for (place, watched) in places.into_iter().zip(&watched) {
            ready[place] = !watched.revents().is_empty();
        }
        Ok(ready)
    }

    fn speak(&mut self) {
        let Some(pipe) = &mut self.stdin else { return };
        match pipe.write(&self.input[..self.input.len().min(ATOMIC)]) {
            Ok(written) => self.input = &self.input[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It does not want to know more; its status says what it made of that.
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }
}

/// An output of the program, and what was heard of it.
struct Ear<R> {
    pipe: Option<R>,
    heard: Vec<u8>,
}

impl<R: Read> Ear<R> {
    fn new(pipe: Option<R>) -> Self {
        Self { pipe, heard: Vec::new() }
    }

    /// Takes what is there; must not be called unless something is, or the end.
    fn listen(&mut self) -> Result<(), TalkError> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut buffer = [0; 8192];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(read) if self.heard.len() + read > LIMIT => return Err(TalkError::TooLong),
            Ok(read) => self.heard.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TalkError::Lost(error)),
        }
        Ok(())
    }
}
