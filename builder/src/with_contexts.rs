//! [`with_contexts`]: fetches what a request names that is no directory of the user.

use crate::fetch_context::{ContextPlace, FetchContextError, FetchedContext, Fetcher, FoundContext, fetch_context};
use crate::listener::with_registries;
use crate::progress::ProgressSink;
use crate::request::{BuildContextSource, BuildRequest, ContextSource};
use crate::source::Source;
use layerfs::cancel::Cancel;
use layerfs::store::Store;
use std::sync::Arc;

/// Returns `request` with its contexts fetched. If the main one was, and `dockerfile` says so, the Dockerfile is read
/// from it: the one of this name, or where that is nothing the usual one.
///
/// # Errors
/// [`FetchContextError`].
pub fn with_contexts(
    mut request: BuildRequest,
    dockerfile: Option<Option<&str>>,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<BuildRequest, FetchContextError> {
    let is_elsewhere = |source: &BuildContextSource| matches!(source, BuildContextSource::Elsewhere(_));
    let named = request.build_contexts.iter().any(|(_, source)| is_elsewhere(source));
    if !named && !matches!(request.context, ContextSource::Elsewhere(_)) {
        return Ok(request);
    }
    let settings = request.registries.clone();
    let keep = request.build_args.iter().rev().find(|(name, _)| name == "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    let keep_git_dir = keep.is_some_and(|(_, value)| matches!(value.as_deref(), Some("1" | "true")));
    with_registries(&settings, sink, cancel, |client| {
        let (temporary, ca_file) = (store.temporary(), settings.ca_file.as_deref());
        let fetcher = Fetcher { temporary: &temporary, client, cancel, ca_file, keep_git_dir };
        if let ContextSource::Elsewhere(place) = request.context.clone() {
            main(&mut request, &place, dockerfile, &fetcher)?;
        }
        for (_, source) in &mut request.build_contexts {
            if let BuildContextSource::Elsewhere(place) = source.clone() {
                *source = BuildContextSource::Fetched(files(&place, &fetcher)?);
            }
        }
        Ok(request)
    })
}

fn main(
    request: &mut BuildRequest,
    place: &ContextPlace,
    dockerfile: Option<Option<&str>>,
    fetcher: &Fetcher<'_>,
) -> Result<(), FetchContextError> {
    let (source, name, bytes) = match (fetch_context(place, fetcher)?, dockerfile) {
        (FoundContext::Files(context), None) => {
            request.context = ContextSource::Fetched(context);
            return Ok(());
        }
        (FoundContext::Files(context), Some(named)) => {
            let (name, bytes) = context.dockerfile(named)?;
            (ContextSource::Fetched(context), name, bytes)
        }
        // It is the Dockerfile itself, and there are no files beside it.
        (FoundContext::Dockerfile(bytes), _) => (ContextSource::Empty, place.shown(), bytes),
    };
    request.context = source;
    request.dockerfile = Source::of_bytes(&name, bytes).map_err(|_| FetchContextError::NotText { name })?;
    Ok(())
}

/// Returns the files of a named context.
fn files(place: &ContextPlace, fetcher: &Fetcher<'_>) -> Result<Arc<FetchedContext>, FetchContextError> {
    match fetch_context(place, fetcher)? {
        FoundContext::Files(context) => Ok(context),
        FoundContext::Dockerfile(_) => Err(FetchContextError::NoArchive { shown: place.shown() }),
    }
}
