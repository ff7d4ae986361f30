//! [`assign`]: a lane for every entry, so that those of one lane lie beside each other or in each other.
//!
//! Threads come and go, more than anybody wants to look at; what they did is packed into as few lanes as it fits in.
//! What one thread did while it did something else stays below that.

use super::Entry;
use builder::progress::StepId;
use std::collections::HashMap;
use std::time::Duration;

/// Where an entry belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A step.
    Step(StepId),
    /// Waits for registries.
    Waits,
    /// A thread of lbuild or of the worker.
    Thread {
        /// Which process.
        in_worker: bool,
        /// Its number there.
        number: u64,
    },
}

/// A row of the picture: its process, what stands together there, and its number among these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lane {
    /// Steps, lbuild or the worker.
    pub(super) process: Process,
    /// Which rows stand together: a stage's; those of images, outputs, registries; all of a process.
    pub(super) group: Group,
    /// The number among them.
    pub(super) number: usize,
}

/// A group of lanes with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Process {
    Steps,
    Front,
    Worker,
}

/// Which rows stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Group {
    Images,
    Stage(usize),
    Outputs,
    Waits,
    Threads,
}

impl Place {
    fn process(self) -> Process {
        match self {
            Self::Step(_) | Self::Waits => Process::Steps,
            Self::Thread { in_worker: false, .. } => Process::Front,
            Self::Thread { in_worker: true, .. } => Process::Worker,
        }
    }

    fn group(self) -> Group {
        match self {
            Self::Step(step) if step.is_fetch() => Group::Images,
            Self::Step(StepId { stage: StepId::INTERNAL, .. }) => Group::Outputs,
            Self::Step(step) => Group::Stage(step.stage),
            Self::Waits => Group::Waits,
            Self::Thread { .. } => Group::Threads,
        }
    }

    /// Returns the thread, whose entries may lie in each other.
    fn thread(self) -> Option<u64> {
        match self {
            Self::Thread { number, .. } => Some(number),
            Self::Step(_) | Self::Waits => None,
        }
    }
}

/// What was assigned last.
#[derive(Default)]
struct Taken {
    /// The end of what each lane holds.
    ends: HashMap<Lane, Duration>,
    /// The lane of a thread's outermost entry, and its end.
    outermost: HashMap<(Process, u64), (Lane, Duration)>,
}

/// Sorts entries by their beginning, the longer first, and returns the lane of each.
pub(super) fn assign(entries: &mut [Entry]) -> Vec<Lane> {
    entries.sort_by(|left, right| left.began.cmp(&right.began).then(right.took.cmp(&left.took)));
    let mut taken = Taken::default();
    entries.iter().map(|entry| taken.lane(entry)).collect()
}

impl Taken {
    fn lane(&mut self, entry: &Entry) -> Lane {
        let (process, group, end) = (entry.place.process(), entry.place.group(), entry.began + entry.took);
        let thread = entry.place.thread().map(|number| (process, number));
        if let Some((lane, outer)) = thread.and_then(|thread| self.outermost.get(&thread))
            && end <= *outer
        {
            return *lane;
        }
        let lane = self.free(process, group, entry.began);
        self.ends.insert(lane, end);
        if let Some(thread) = thread {
            self.outermost.insert(thread, (lane, end));
        }
        lane
    }

    /// Returns the first lane of a group that holds nothing after `from`.
    fn free(&self, process: Process, group: Group, from: Duration) -> Lane {
        let lanes = (0..).map(|number| Lane { process, group, number });
        let is_free = |lane: &Lane| self.ends.get(lane).is_none_or(|end| *end <= from);
        lanes.into_iter().find(is_free).expect("numbers do not end")
    }
}
