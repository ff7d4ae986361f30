//! Whose files a plan reads or runs in.

use super::op::{From, MountKind, Op};
use super::{Plan, PlanBase};
use crate::source::Span;
use std::collections::{BTreeMap, HashSet};

impl Plan {
    /// Returns the image that a stage is made of through FROM, if it is made of one.
    pub(crate) fn image_of(&self, mut stage: usize) -> Option<usize> {
        loop {
            match self.stages[stage].base {
                PlanBase::Scratch => return None,
                PlanBase::Stage(below) => stage = below,
                PlanBase::Image(number) => return Some(number),
            }
        }
    }

    /// Returns the images whose files some step reads or runs in; of the others, a step needs to know at most which
    /// files they have.
    pub(crate) fn images_read(&self) -> HashSet<usize> {
        let mut read = HashSet::new();
        for (number, stage) in self.stages.iter().enumerate() {
            for step in &stage.steps {
                if matches!(step.op, Op::Run(_)) {
                    read.extend(self.image_of(number));
                }
                read.extend(sources(&step.op).filter_map(|from| match from {
                    From::Stage(stage) => self.image_of(*stage),
                    From::Image(number) => Some(*number),
                    From::Context | From::NamedContext(_) | From::Scratch => None,
                }));
            }
        }
        read
    }

    /// Returns the named contexts whose files some step reads, each with the first place that names it.
    pub(crate) fn named_contexts(&self) -> BTreeMap<&str, Span> {
        let mut named = BTreeMap::new();
        for step in self.stages.iter().flat_map(|stage| &stage.steps) {
            for from in sources(&step.op) {
                if let From::NamedContext(name) = from {
                    named.entry(name.as_str()).or_insert(step.span);
                }
            }
        }
        named
    }
}

/// Returns whose files a step reads besides its own stage's.
pub(super) fn sources(op: &Op) -> Box<dyn Iterator<Item = &From> + '_> {
    match op {
        Op::Copy(copy) => Box::new(std::iter::once(&copy.from)),
        Op::Run(run) => Box::new(run.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Bind { from, .. } => Some(from),
            MountKind::Cache { seed, .. } => seed.as_ref().map(|(from, _)| from),
            MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => None,
        })),
        Op::Workdir(_) => Box::new(std::iter::empty()),
    }
}
