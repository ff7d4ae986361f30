//! [`Heard`]: what a command writes, read from its pipes beside the call that runs it.

use crate::progress::Stream;
use crate::worker::error::WorkerError;
use layerfs::io_error::IoError;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// How long output is awaited after the command's end: someone outside may hold a pipe that the command handed over.
const GRACE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Bytes that a command may be ahead of who reads, where the kernel grants that much (pipe(7)); as many are passed on at a
/// time.
const AHEAD: usize = 1 << 20;

/// Hands what a command writes to whom it is for.
pub(super) struct Heard<'a> {
    pipes: Vec<(Stream, OwnedFd)>,
    output: &'a mut dyn FnMut(Stream, Arc<Vec<u8>>),
    /// Read into again once nobody holds it any more.
    buffer: Arc<Vec<u8>>,
}

impl<'a> Heard<'a> {
    /// Returns one that has no pipes yet.
    pub(super) fn new(output: &'a mut dyn FnMut(Stream, Arc<Vec<u8>>)) -> Self {
        Self { pipes: Vec::new(), output, buffer: Arc::default() }
    }

    /// Takes the pipes of a command: standard output and standard error.
    pub(super) fn take(&mut self, pipes: Vec<OwnedFd>) {
        for pipe in &pipes {
            if rustix::pipe::fcntl_setpipe_size(pipe, AHEAD).is_err() {
                // It keeps the usual size: a user with many pipes gets no longer ones.
            }
        }
        self.pipes = [Stream::Stdout, Stream::Stderr].into_iter().zip(pipes).collect();
    }

    /// Waits until one of `others` is ready, and reports which are; passes on what is written meanwhile.
    ///
    /// # Errors
    /// [`WorkerError::Lost`] if nothing can be waited for, [`WorkerError::Io`] if nothing can be read.
    pub(super) fn wait<const N: usize>(&mut self, others: [BorrowedFd<'_>; N]) -> Result<[bool; N], WorkerError> {
        loop {
            let (ready, _) = self.look(others, None)?;
            if ready.contains(&true) {
                return Ok(ready);
            }
        }
    }

    /// Passes on what is left when the command has ended.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(super) fn finish(&mut self) -> Result<(), WorkerError> {
        while !self.pipes.is_empty() && self.look([], Some(&GRACE))?.1 {}
        Ok(())
    }

    /// Waits once; reports which of `others` are ready, and whether a pipe was.
    fn look<const N: usize>(
        &mut self,
        others: [BorrowedFd<'_>; N],
        timeout: Option<&Timespec>,
    ) -> Result<([bool; N], bool), WorkerError> {
        let pipes = self.pipes.iter().map(|(_, pipe)| pipe.as_fd());
        let mut watched: Vec<PollFd<'_>> =
            others.into_iter().chain(pipes).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        while let Err(errno) = rustix::event::poll(&mut watched, timeout) {
            if errno != Errno::INTR {
                return Err(WorkerError::Lost(errno.to_string()));
            }
        }
        let ready: Vec<bool> = watched.iter().map(|watched| !watched.revents().is_empty()).collect();
        // Where both have something, standard output comes first, as most write it first.
        let mut open = Vec::with_capacity(self.pipes.len());
        for (pipe, ready) in std::mem::take(&mut self.pipes).into_iter().zip(&ready[N..]) {
            if !ready || self.pass_on(&pipe)? {
                open.push(pipe);
            }
        }
        self.pipes = open;
        Ok((std::array::from_fn(|number| ready[number]), ready[N..].contains(&true)))
    }

    /// Passes on a piece of what is in a pipe; reports whether more may come.
    fn pass_on(&mut self, (stream, pipe): &(Stream, OwnedFd)) -> Result<bool, WorkerError> {
        if Arc::get_mut(&mut self.buffer).is_none() {
            self.buffer = Arc::default();
        }
        let buffer = Arc::get_mut(&mut self.buffer).expect("nobody else has it");
        buffer.clear();
        buffer.reserve(AHEAD);
        match rustix::io::read(pipe, spare_capacity(buffer)) {
            Err(Errno::INTR) => Ok(true),
            Err(errno) => Err(IoError::new("read", "the command's output", &errno.into()).into()),
            Ok(0) => Ok(false),
            Ok(_) => {
                (self.output)(*stream, Arc::clone(&self.buffer));
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn output_is_passed_on_until_the_pipes_are_closed_or_forgotten() {
        let (output, mut output_end) = std::io::pipe().expect("a pipe");
        let (errors, mut errors_end) = std::io::pipe().expect("a pipe");
        let (other, mut other_end) = std::io::pipe().expect("a pipe");
        // Who keeps what was said is not written over.
        let mut said: Vec<(Stream, Arc<Vec<u8>>)> = Vec::new();
        let mut take = |stream, bytes| said.push((stream, bytes));
        let mut heard = Heard::new(&mut take);
        heard.take(vec![output.into(), errors.into()]);
        errors_end.write_all(b"two").expect("written");
        output_end.write_all(b"one").expect("written");
        other_end.write_all(b"x").expect("written");
        assert_eq!(heard.wait([other.as_fd()]).expect("waited"), [true]);
        errors_end.write_all(b"three").expect("written");
        drop(errors_end);
        // Someone keeps this one open and says nothing more.
        let kept = output_end;
        heard.finish().expect("it ends");
        drop(kept);
        let wanted: [(Stream, &[u8]); 3] =
            [(Stream::Stdout, b"one"), (Stream::Stderr, b"two"), (Stream::Stderr, b"three")];
        assert_eq!(said, wanted.map(|(stream, bytes)| (stream, Arc::new(bytes.to_vec()))));
    }
}
