//! [`Reading`]: a Dockerfile that was parsed, and what is told of it, once for all platforms that it is built for.

use crate::diagnostic::Diagnostic;
use crate::dockerfile::checks::Checks;
use crate::dockerfile::{self, Dockerfile, front_end, lint};
use crate::error::BuildError;
use crate::graph::{GraphOptions, StageGraph};
use crate::progress::{Event, ProgressSink};
use crate::request::BuildRequest;
use layerfs::platform::Platform;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A Dockerfile that was parsed, and what is told of it: what the checks keep, each thing once.
pub(crate) struct Reading<'a> {
    /// The Dockerfile.
    pub(crate) dockerfile: Dockerfile,
    /// Who is told.
    pub(crate) sink: &'a dyn ProgressSink,
    checks: Checks,
    /// What the text alone says, of whatever stage.
    of_text: Vec<Diagnostic>,
    told: Mutex<Vec<Diagnostic>>,
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("dockerfile", &self.dockerfile).finish_non_exhaustive()
    }
}

impl<'a> Reading<'a> {
    /// Parses the Dockerfile of `request`; what is to be told of it goes to `sink`.
    ///
    /// # Errors
    /// [`BuildError::Parse`].
    pub(crate) fn of(request: &BuildRequest, sink: &'a dyn ProgressSink) -> Result<Self, BuildError> {
        let (dockerfile, of_text) = parse(request)?;
        let checks = Checks::new(&dockerfile, check_argument(request));
        Ok(Self { dockerfile, sink, checks, of_text, told: Mutex::default() })
    }

    /// Tells what the text alone says of the stages that are reached. Fails if they do not fit together: that is told
    /// before any registry is asked.
    ///
    /// # Errors
    /// [`BuildError::Graph`].
    pub(crate) fn check_graph(&self, request: &BuildRequest) -> Result<(), BuildError> {
        let graph = StageGraph::new(&self.dockerfile, &graph_options(request));
        let warnings = self.of_text.clone();
        self.tell(match &graph {
            Ok(graph) => lint::of_reached(warnings, &self.dockerfile, graph.stages.iter().map(|stage| stage.number)),
            Err(_) => warnings,
        });
        graph?;
        Ok(())
    }

    /// Tells of what the checks keep and nobody was told yet.
    pub(crate) fn tell(&self, warnings: Vec<Diagnostic>) {
        for warning in warnings.into_iter().filter(|warning| self.checks.keep(warning)) {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if !told.contains(&warning) {
                told.push(warning.clone());
                self.sink.event(Event::Warning(warning));
            }
        }
    }

    /// Fails if a rule was told of and `# check=error=true` says so.
    ///
    /// # Errors
    /// [`BuildError::Checks`].
    pub(crate) fn judge(&self) -> Result<(), BuildError> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let rules: BTreeSet<&'static str> = told.iter().filter_map(|warning| warning.rule).collect();
        match rules.is_empty() || !self.checks.fail() {
            true => Ok(()),
            false => Err(BuildError::Checks { rules: rules.into_iter().collect() }),
        }
    }
}

/// Returns the Dockerfile, and what the user should look at.
///
/// # Errors
/// [`BuildError::Parse`].
pub(crate) fn parse(request: &BuildRequest) -> Result<(Dockerfile, Vec<Diagnostic>), BuildError> {
    let outcome = dockerfile::parse(request.dockerfile.clone());
    match outcome.dockerfile {
        Some(dockerfile) if outcome.errors.is_empty() => {
            let mut warnings = outcome.warnings;
            warnings.extend(lint::lint(&dockerfile));
            warnings.extend(front_end::foreign(&dockerfile, build_argument(request, "BUILDKIT_SYNTAX")));
            Ok((dockerfile, warnings))
        }
        _ => Err(BuildError::Parse(outcome.errors)),
    }
}

/// Returns the build argument that stands before `# check=`.
pub(crate) fn check_argument(request: &BuildRequest) -> Option<&str> {
    build_argument(request, "BUILDKIT_DOCKERFILE_CHECK")
}

/// Returns the value of a build argument.
fn build_argument<'a>(request: &'a BuildRequest, name: &str) -> Option<&'a str> {
    request.build_args.iter().rev().find(|(other, _)| other == name)?.1.as_deref()
}

/// Returns what the caller says about the graph.
pub(crate) fn graph_options(request: &BuildRequest) -> GraphOptions {
    GraphOptions {
        target: request.target.clone(),
        build_args: request.build_args.iter().cloned().collect(),
        named_contexts: request.build_contexts.iter().map(|(name, source)| (name.clone(), source.kind())).collect(),
        target_platform: request.platform.clone(),
        build_platform: Platform::host(),
    }
}
