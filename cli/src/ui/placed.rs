//! [`Placed`]: gives warnings their line of the Dockerfile, for views that show no excerpt.

use super::KnownSource;
use builder::diagnostic::Diagnostic;
use builder::progress::{Event, ProgressSink};

/// Passes events on, warnings with their place: `… (Dockerfile:3)`.
pub struct Placed {
    source: KnownSource,
    next: Box<dyn ProgressSink>,
}

impl Placed {
    /// Returns a sink before `next` for warnings about `source`.
    pub fn new(source: KnownSource, next: Box<dyn ProgressSink>) -> Self {
        Self { source, next }
    }

    fn placed(&self, warning: Diagnostic) -> Diagnostic {
        let (Some(label), Some(source)) = (warning.labels.first(), self.source.get()) else { return warning };
        let line = source.line_of(label.span.start);
        Diagnostic { message: format!("{} ({}:{line})", warning.message, source.name), ..warning }
    }
}

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placed").finish_non_exhaustive()
    }
}

impl ProgressSink for Placed {
    fn event(&self, event: Event) {
        self.next.event(match event {
            Event::Warning(warning) => Event::Warning(self.placed(warning)),
            other => other,
        });
    }
}
