//! [`Trace`]: who is told where the time goes. Without a [`Tracer`] no clock is read.
//!
//! Times are those of CLOCK_MONOTONIC, so that what several processes of a machine tell fits together.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a stretch of time went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Another stage, step or process, or a registry that is to be let be.
    Waiting,
    /// Fetching blobs of an image.
    Pulling,
    /// Making a layer's directory from its blob.
    Unpacking,
    /// Making a root file system ready.
    Mounting,
    /// A command and its sandbox.
    Running,
    /// What stands around a command: the start of its sandbox's helper, mounts, namespaces and filters, and their end.
    Sandboxing,
    /// A command by itself.
    Executing,
    /// Finding what a command changed.
    Diffing,
    /// Choosing and digesting files of a context or a stage.
    Hashing,
    /// Writing a layer's tar, and digesting it.
    Writing,
    /// Compressing a layer.
    Compressing,
    /// Bringing an image to an output that is no registry.
    Exporting,
    /// Sending to a registry.
    Pushing,
}

impl Phase {
    /// Returns its name: the word of the variant in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pulling => "pulling",
            Self::Unpacking => "unpacking",
            Self::Mounting => "mounting",
            Self::Running => "running",
            Self::Sandboxing => "sandboxing",
            Self::Executing => "executing",
            Self::Diffing => "diffing",
            Self::Hashing => "hashing",
            Self::Writing => "writing",
            Self::Compressing => "compressing",
            Self::Exporting => "exporting",
            Self::Pushing => "pushing",
        }
    }
}

/// A stretch of time of one thread. Those of a thread lie beside each other or in each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// What it went into.
    pub phase: Phase,
    /// What was worked on: a digest, a command, a step.
    pub what: String,
    /// When it began, by [`now`].
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// CPU time, of user and system: of the thread; of the whole process where the work takes all cores; of the command
    /// where one runs. Nothing where another process measured the time.
    pub cpu: Option<Duration>,
    /// Bytes that were worked on, where they were counted.
    pub bytes: Option<u64>,
    /// The thread's number in its process.
    pub thread: u64,
    /// Whether the process is the worker.
    pub in_worker: bool,
}

/// Listens. Called from several threads.
pub trait Tracer: Debug + Send + Sync {
    /// Takes one span, after its end.
    fn span(&self, span: Span);
}

/// Who is told where the time goes, if anyone is. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Trace(Option<Arc<dyn Tracer>>);

impl Trace {
    /// Returns a trace that tells `tracer`.
    pub fn new(tracer: Arc<dyn Tracer>) -> Self {
        Self(Some(tracer))
    }

    /// Reports whether anyone listens.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span of this thread, which ends when what is returned is dropped.
    pub fn begin(&self, phase: Phase, what: impl FnOnce() -> String) -> Open<'_> {
        let begun = self.0.as_deref().map(|tracer| Begun::new(tracer, phase, what()));
        Open(begun)
    }

    /// Tells of a stretch of time that another process measured for this thread.
    pub fn measured(&self, phase: Phase, what: impl FnOnce() -> String, (began, ended): (Duration, Duration)) {
        if let Some(tracer) = &self.0 {
            let (took, thread) = (ended.saturating_sub(began), this_thread());
            let (cpu, bytes, in_worker) = (None, None, false);
            tracer.span(Span { phase, what: what(), began, took, cpu, bytes, thread, in_worker });
        }
    }

    /// Passes on a span that another process told of.
    pub fn pass(&self, span: Span) {
        if let Some(tracer) = &self.0 {
            tracer.span(span);
        }
    }
}

/// A span that has not ended.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Open<'a>(Option<Begun<'a>>);

#[derive(Debug)]
struct Begun<'a> {
    tracer: &'a dyn Tracer,
    span: Span,
    clock: ClockId,
    /// What `clock` showed at the beginning.
    shown: Duration,
    /// CPU time that is not of `clock`.
    more: Duration,
}

impl<'a> Begun<'a> {
    fn new(tracer: &'a dyn Tracer, phase: Phase, what: String) -> Self {
        let clock = ClockId::ThreadCPUTime;
        let (took, cpu, bytes, in_worker) = (Duration::ZERO, None, None, false);
        let span = Span { phase, what, began: now(), took, cpu, bytes, thread: this_thread(), in_worker };
        Self { tracer, span, clock, shown: read(clock), more: Duration::ZERO }
    }
}

fn this_thread() -> u64 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs().into()
}

impl Open<'_> {
    /// Counts bytes; `count` is called only if somebody listens.
    pub fn bytes(&mut self, count: impl FnOnce() -> u64) {
        if let Some(begun) = &mut self.0 {
            *begun.span.bytes.get_or_insert(0) += count();
        }
    }

    /// Counts CPU time that others spent on this.
    pub fn cpu(&mut self, more: Duration) {
        if let Some(begun) = &mut self.0 {
            begun.more += more;
        }
    }

    /// Takes the CPU time of the whole process from here on, for work that takes all cores.
    pub fn on_all_cores(mut self) -> Self {
        if let Some(begun) = &mut self.0 {
            begun.clock = ClockId::ProcessCPUTime;
            begun.shown = read(begun.clock);
        }
        self
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(Begun { tracer, mut span, clock, shown, more }) = self.0.take() {
            span.took = now().saturating_sub(span.began);
            span.cpu = Some(read(clock).saturating_sub(shown) + more);
            tracer.span(span);
        }
    }
}

/// Keeps spans for another process.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Vec<Span>>);

impl Kept {
    /// Returns what was kept, and forgets it.
    pub fn take(&self) -> Vec<Span> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tracer for Kept {
    fn span(&self, span: Span) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }
}

/// Returns the time since some moment that is the same for all processes of this machine.
pub fn now() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_tell_what_they_cost() {
        let kept = Arc::new(Kept::default());
        let trace = Trace::new(Arc::clone(&kept) as Arc<dyn Tracer>);
        let before = now();
        {
            let mut outer = trace.begin(Phase::Writing, || "outer".to_owned());
            outer.bytes(|| 3);
            outer.bytes(|| 4);
            outer.cpu(Duration::from_secs(7));
            let _inner = trace.begin(Phase::Compressing, || "inner".to_owned()).on_all_cores();
        }
        let [inner, outer] = kept.take().try_into().expect("two spans");
        assert_eq!((inner.what.as_str(), inner.phase, inner.bytes), ("inner", Phase::Compressing, None));
        assert_eq!((outer.what.as_str(), outer.phase, outer.bytes), ("outer", Phase::Writing, Some(7)));
        assert!(before <= outer.began && outer.began <= inner.began);
        assert!(inner.began + inner.took <= outer.began + outer.took);
        assert_eq!((outer.cpu.map(|cpu| cpu.as_secs()), outer.thread, outer.in_worker), (Some(7), inner.thread, false));
        assert_eq!(kept.take(), []);
        let at = Duration::from_secs;
        trace.measured(Phase::Executing, || "elsewhere".to_owned(), (at(3), at(5)));
        let [elsewhere] = kept.take().try_into().expect("a span");
        assert_eq!((elsewhere.began, elsewhere.took, elsewhere.cpu), (at(3), at(2), None));
        assert_eq!(elsewhere.thread, inner.thread);
    }

    #[test]
    fn nothing_is_worked_out_for_nobody() {
        let trace = Trace::default();
        let mut span = trace.begin(Phase::Waiting, || panic!("nobody asked"));
        span.bytes(|| panic!("nobody asked"));
        drop(span.on_all_cores());
        assert!(!trace.is_on());
    }

    #[test]
    fn phases_are_called_as_they_are_written() {
        for phase in [Phase::Waiting, Phase::Compressing, Phase::Exporting, Phase::Pushing] {
            assert_eq!(phase.name(), format!("{phase:?}").to_lowercase());
        }
    }
}
