//! [`with_contexts`]: fetches the build context and the Dockerfile of a request, where they are elsewhere; [`named`]: the
//! named contexts that a plan uses.

use crate::error::BuildError;
use crate::fetch_context::{FetchContextError, FetchedContext, FoundContext};
use crate::fetcher::{Fetcher, source};
use crate::listener::{Client, with_registries};
use crate::plan::Plan;
use crate::progress::{ProgressSink, StepId};
use crate::request::{BuildContextSource, BuildRequest, ContextSource};
use crate::source::{Source, Span};
use layerfs::cancel::Cancel;
use layerfs::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a Dockerfile is that is still to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfilePlace {
    /// In the build context: under this name, or where that is nothing the usual one.
    InContext(Option<String>),
    /// At this URL.
    Url(String),
}

/// Returns `request` with its build context fetched, and its Dockerfile read from `dockerfile`, if it is not there yet.
/// Named contexts are fetched when a plan uses them.
///
/// # Errors
/// [`FetchContextError`].
pub fn with_contexts(
    mut request: BuildRequest,
    dockerfile: Option<&DockerfilePlace>,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<BuildRequest, FetchContextError> {
    if dockerfile.is_none() && !matches!(request.context, ContextSource::Elsewhere(_)) {
        return Ok(request);
    }
    let (context, text) = with_registries(&request.registries, sink, cancel, |client| {
        let fetcher = Fetcher { temporary: &store.temporary(), client, sink, cancel, request: &request };
        fetcher.context_and_dockerfile(dockerfile)
    })?;
    request.context = context.unwrap_or(request.context);
    request.dockerfile = text.unwrap_or(request.dockerfile);
    Ok(request)
}

impl Fetcher<'_> {
    /// Returns what stands in the place of the request's context and Dockerfile.
    fn context_and_dockerfile(
        &self,
        dockerfile: Option<&DockerfilePlace>,
    ) -> Result<(Option<ContextSource>, Option<Source>), FetchContextError> {
        let text = match dockerfile {
            Some(DockerfilePlace::Url(url)) => Some(self.dockerfile(StepId::context(1), url)?),
            _ => None,
        };
        let ContextSource::Elsewhere(place) = &self.request.context else { return Ok((None, text)) };
        Ok(match (self.context(StepId::context(0), None, place)?, dockerfile) {
            (FoundContext::Files(context), Some(DockerfilePlace::InContext(named))) => {
                let (name, bytes) = context.dockerfile(named.as_deref())?;
                (Some(ContextSource::Fetched(context)), Some(source(name, bytes)?))
            }
            (FoundContext::Files(context), _) => (Some(ContextSource::Fetched(context)), text),
            // It is the Dockerfile itself, and there are no files beside it.
            (FoundContext::Dockerfile(bytes), _) => (Some(ContextSource::Empty), Some(source(place.shown(), bytes)?)),
        })
    }
}

/// The files of named contexts that were fetched.
pub(crate) type Named = BTreeMap<String, Arc<FetchedContext>>;

/// Fetches the named contexts that are elsewhere and that `plan` uses.
///
/// # Errors
/// [`BuildError::NamedContext`].
pub(crate) fn named(
    plan: &Plan,
    request: &BuildRequest,
    store: &Store,
    (client, sink, cancel): (&Client, &dyn ProgressSink, &Cancel),
) -> Result<Named, BuildError> {
    let fetcher = Fetcher { temporary: &store.temporary(), client, sink, cancel, request };
    let mut fetched = Named::new();
    for (name, span) in plan.named_contexts() {
        let given = request.build_contexts.iter().enumerate().rev().find(|(_, (own, _))| own == name);
        if let Some((number, (_, BuildContextSource::Elsewhere(late)))) = given {
            let context = late.get(|place| fetcher.context(StepId::context(2 + number), Some(name), place));
            fetched.insert(name.to_owned(), context.map_err(|error| of_named(error, span))?);
        }
    }
    Ok(fetched)
}

fn of_named(error: FetchContextError, span: Span) -> BuildError {
    BuildError::NamedContext { error: Box::new(error), span }
}
