//! [`Call`]: the worker's end of one call.

use crate::channel::Channel;
use crate::worker::error::WorkerError;
use crate::worker::protocol::Reply;
use crate::worker::scratch::Scratch;
use layerfs::cancel::Watched;
use layerfs::trace::{Kept, Open, Phase, Trace, Tracer};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The worker's end of one call.
#[derive(Debug)]
pub(super) struct Call {
    channel: Channel,
    spans: Arc<Kept>,
    trace: Trace,
    /// What is taken away after the answer.
    leavings: Mutex<Vec<Scratch>>,
}

impl Call {
    /// Returns the call over `channel`; `traced` says whether the front wants to know where its time goes.
    pub(super) fn new(channel: Channel, traced: bool) -> Self {
        let spans = Arc::new(Kept::default());
        let trace = if traced { Trace::new(Arc::clone(&spans) as Arc<dyn Tracer>) } else { Trace::default() };
        Self { channel, spans, trace, leavings: Mutex::default() }
    }

    /// Begins a span of this thread.
    pub(super) fn begin(&self, phase: Phase, what: impl FnOnce() -> String) -> Open<'_> {
        self.trace.begin(phase, what)
    }

    /// Reports whether the front wants to know where the time goes.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_on()
    }

    /// Tells of a stretch of this thread's time that another process measured.
    pub(super) fn tell(&self, phase: Phase, what: &str, stretch: (Duration, Duration)) {
        self.trace.measured(phase, || what.to_owned(), stretch);
    }

    /// Lets `scratch` be taken away after the answer, for which nobody needs to wait.
    pub(super) fn leave(&self, scratch: Scratch) {
        self.leavings.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }

    /// Tells the front where the time went.
    pub(super) fn tell_spans(&self) -> Result<(), WorkerError> {
        if !self.trace.is_on() {
            return Ok(());
        }
        let mut spans = self.spans.take();
        spans.iter_mut().for_each(|span| span.in_worker = true);
        self.reply(&Reply::Spans(spans), &[])
    }

    /// Returns the channel.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Says something to the front.
    pub(super) fn reply(&self, reply: &Reply, descriptors: &[BorrowedFd<'_>]) -> Result<(), WorkerError> {
        // A front that is gone, or that closed its end, wants nothing more.
        self.channel.send(reply, descriptors).map_err(|_| WorkerError::Cancelled)
    }

    /// Reports whether the front closed its end.
    pub(super) fn is_cancelled(&self) -> bool {
        let mut watched = [PollFd::from_borrowed_fd(self.channel.as_fd(), PollFlags::RDHUP)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut watched, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// Fails if the front closed its end.
    pub(super) fn check(&self) -> Result<(), WorkerError> {
        if self.is_cancelled() { Err(WorkerError::Cancelled) } else { Ok(()) }
    }

    /// Returns a reader that ends with an error once the front closed its end.
    pub(super) fn watch<R: Read>(&self, inner: R) -> Watched<R, impl Fn() -> bool> {
        Watched::new(inner, || self.is_cancelled())
    }
}
