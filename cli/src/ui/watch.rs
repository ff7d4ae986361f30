//! [`Watched`]: a screen, and those who look on.

use builder::progress::{Event, ProgressSink};
use std::sync::Arc;

/// A screen that shows the progress.
pub trait Screen: ProgressSink {
    /// Lets what is shown stand: from now on, others write below it.
    fn settle(&self) {}

    /// Returns it as a sink.
    fn as_sink(&self) -> &dyn ProgressSink;
}

/// A screen that others hold, too.
#[derive(Clone)]
pub struct Shared(pub Arc<dyn Screen>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl ProgressSink for Shared {
    fn event(&self, event: Event) {
        self.0.event(event);
    }
}

/// Looks on: keeps something of the events of a build. Called from several threads.
pub trait Watcher: Send + Sync {
    /// Sees one event.
    fn see(&self, event: &Event);
}

/// Shows each event to watchers, then on the screen.
pub struct Watched<'a> {
    watchers: Vec<&'a dyn Watcher>,
    screen: Box<dyn ProgressSink>,
}

impl<'a> Watched<'a> {
    /// Returns a sink before `screen`.
    pub fn new(watchers: Vec<&'a dyn Watcher>, screen: Box<dyn ProgressSink>) -> Self {
        Self { watchers, screen }
    }
}

impl std::fmt::Debug for Watched<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl ProgressSink for Watched<'_> {
    fn event(&self, event: Event) {
        self.watchers.iter().for_each(|watcher| watcher.see(&event));
        self.screen.event(event);
    }
}
