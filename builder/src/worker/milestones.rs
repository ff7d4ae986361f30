//! [`Milestones`]: where the time of one sandbox went.

use crate::sandbox::message::Milestone;
use crate::worker::call::Call;
use layerfs::trace::{Phase, now};
use std::time::Duration;

/// The parts of a sandbox's time, told one after the other as its helper reaches the next.
#[derive(Debug)]
pub(super) struct Milestones<'a> {
    call: &'a Call,
    /// When the part that lasts began.
    since: Duration,
}

impl<'a> Milestones<'a> {
    /// Begins the first part: the helper's start.
    pub(super) fn new(call: &'a Call) -> Self {
        Self { call, since: if call.is_traced() { now() } else { Duration::ZERO } }
    }

    /// Ends the part that lasts, and begins the next.
    pub(super) fn reached(&mut self, milestone: Milestone, at: Duration) {
        let (phase, what) = match milestone {
            Milestone::Started => (Phase::Sandboxing, "start of the helper"),
            Milestone::Mounted => (Phase::Sandboxing, "mounts of the root file system"),
            Milestone::Prepared => (Phase::Sandboxing, "working directory and mount points"),
            Milestone::Isolated => (Phase::Sandboxing, "namespaces, mounts and filters"),
            Milestone::Ended => (Phase::Executing, "the command"),
        };
        self.call.tell(phase, what, (self.since, at));
        self.since = at;
    }

    /// Ends the last part: what is taken away after the command.
    pub(super) fn end(self) {
        if self.call.is_traced() {
            self.call.tell(Phase::Sandboxing, "end of the helper", (self.since, now()));
        }
    }
}
