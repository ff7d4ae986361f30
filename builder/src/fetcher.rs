//! [`Fetcher`]: brings build contexts and Dockerfiles that are elsewhere, each shown as a step, within limits.

use crate::context::archive::ArchiveTree;
use crate::context::local::BuildContext;
use crate::context::repository::RepositoryTree;
use crate::copy::archive::read_archive;
use crate::copy::error::CopyError;
use crate::fetch_context::{ContextPlace, FetchContextError, FetchedContext, FoundContext, LONGEST_DOCKERFILE, read};
use crate::fetch_limits::FetchLimits;
use crate::fetch_step::FetchStep;
use crate::git::Git;
use crate::git_ref::GitRef;
use crate::listener::Client;
use crate::progress::{Outcome, ProgressSink, StepId};
use crate::request::BuildRequest;
use crate::source::Source;
use crate::tokens::Tokens;
use layerfs::cancel::Cancel;
use layerfs::io_error::IoContext;
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::registry::error::RegistryError;
use layerfs::registry::web::{WebRequest, without_user};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

/// What fetching is given.
pub struct Fetcher<'a> {
    /// A directory for what is fetched.
    pub temporary: &'a Path,
    /// Who fetches files of the web.
    pub client: &'a Client,
    /// Who is shown how it goes on.
    pub sink: &'a dyn ProgressSink,
    /// Ends it.
    pub cancel: &'a Cancel,
    /// What the build was told: secrets, limits, certificate authorities.
    pub request: &'a BuildRequest,
}

impl fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("temporary", &self.temporary).finish_non_exhaustive()
    }
}

impl Fetcher<'_> {
    /// Fetches a build context, shown as the step `id`, called `name` in it if it has a name. Standard input is read to
    /// its end.
    ///
    /// # Errors
    /// [`FetchContextError`].
    pub fn context(
        &self,
        id: StepId,
        name: Option<&str>,
        place: &ContextPlace,
    ) -> Result<FoundContext, FetchContextError> {
        let shown = place.shown();
        let title = match name {
            Some(name) => format!("load build context {name} from {shown}"),
            None => format!("load build context {shown}"),
        };
        self.as_step(id, title, shown.clone(), |step| match place {
            ContextPlace::Stdin => self.found(self.standard_input(step)?, shown),
            ContextPlace::Url(url) => self.found(self.file_of_the_web(url, self.limits().download, step)?, shown),
            ContextPlace::Git(reference) => self.repository(reference, shown),
        })
    }

    /// Fetches a Dockerfile from a URL, shown as the step `id`.
    ///
    /// # Errors
    /// [`FetchContextError`].
    pub fn dockerfile(&self, id: StepId, url: &str) -> Result<Source, FetchContextError> {
        let shown = without_user(url);
        self.as_step(id, format!("load Dockerfile {shown}"), shown.clone(), |step| {
            let file = self.file_of_the_web(url, LONGEST_DOCKERFILE, step);
            let mut file = file.map_err(|error| match error {
                FetchContextError::Web(RegistryError::TooBig { .. }) => {
                    FetchContextError::TooLong { name: shown.clone() }
                }
                other => other,
            })?;
            file.rewind().at("rewind", &shown)?;
            source(shown.clone(), read(&mut file, &shown)?)
        })
    }

    fn as_step<T>(
        &self,
        id: StepId,
        title: String,
        what: String,
        work: impl FnOnce(&FetchStep<'_>) -> Result<T, FetchContextError>,
    ) -> Result<T, FetchContextError> {
        let step = FetchStep::begin(self.sink, id, title, what);
        let result = work(&step);
        step.end(match &result {
            Ok(_) => Outcome::Done,
            Err(_) if self.cancel.is_cancelled() => Outcome::Cancelled,
            Err(error) => Outcome::Failed(error.to_string()),
        });
        result
    }

    fn limits(&self) -> &FetchLimits {
        &self.request.fetch_limits
    }

    fn standard_input(&self, step: &FetchStep<'_>) -> Result<File, FetchContextError> {
        let (limit, name) = (self.limits().download, "standard input");
        let mut file = tempfile::tempfile_in(self.temporary).at("create a file in", self.temporary)?;
        let mut from = self.cancel.watch(std::io::stdin().lock());
        let mut buffer = vec![0; 64 << 10];
        let mut done = 0;
        loop {
            let count = from.read(&mut buffer).at("read", name)?;
            if count == 0 {
                return Ok(file);
            }
            done += count as u64;
            if done > limit {
                return Err(FetchContextError::TooBig { shown: "<stdin>".to_owned(), limit });
            }
            file.write_all(&buffer[..count]).at("write", name)?;
            step.moved(done, None);
        }
    }

    fn file_of_the_web(&self, url: &str, limit: u64, step: &FetchStep<'_>) -> Result<File, FetchContextError> {
        let mut file = tempfile::tempfile_in(self.temporary).at("create a file in", self.temporary)?;
        let authorization = Tokens(&self.request.secrets).web(url)?;
        let request = WebRequest { url: url.to_owned(), authorization, limit: Some(limit), ..WebRequest::default() };
        self.client.registries.download(&request, &mut file, &|done, total| step.moved(done, total))?;
        Ok(file)
    }

    fn repository(&self, reference: &GitRef, shown: String) -> Result<FoundContext, FetchContextError> {
        let ca_file = self.request.registries.ca_file.clone();
        let authorization = Tokens(&self.request.secrets).git(reference)?;
        let environment = &self.request.git_environment;
        let limit = self.limits().download;
        let git = Git { cancel: self.cancel, authorization, ca_file, environment, limit };
        let commit = git.resolve(reference)?;
        let directory = tempfile::tempdir_in(self.temporary).at("make directory in", self.temporary)?;
        let keep = reference.keep_git_dir.unwrap_or_else(|| keeps_git_directory(self.request));
        let seconds = git.checkout(reference, &commit, keep, directory.path())?;
        let files = BuildContext::open(directory.path(), Some((String::new(), Vec::new())))?;
        let time = Timestamp::from_seconds(seconds);
        let below = TreePath::from(reference.subdirectory.as_deref().unwrap_or_default());
        let tree = RepositoryTree::below(files, &below, time)?;
        let none = || FetchContextError::NoDockerfile { name: below.to_string(), context: shown.clone() };
        let context = FetchedContext::of_repository(tree.ok_or_else(none)?, shown, directory);
        Ok(FoundContext::Files(Arc::new(context)))
    }

    /// Tells an archive from a Dockerfile.
    fn found(&self, mut file: File, shown: String) -> Result<FoundContext, FetchContextError> {
        let size = file.stream_position().at("measure", &shown)?;
        if size == 0 {
            return Err(FetchContextError::Empty { shown });
        }
        let name = TreePath::from("context");
        let mut one = ArchiveTree::new(file.try_clone().at("copy", &shown)?);
        let kind = Kind::File { size };
        let mtime = Timestamp::default();
        one.add(&name, Metadata { kind, mode: 0o600, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() }, 0);
        let read_as_archive = read_archive(&one, &name, None, self.temporary, self.limits());
        if let Some(archive) = read_as_archive.map_err(|error| of_archive(error, &shown))? {
            return Ok(FoundContext::Files(Arc::new(FetchedContext::of_archive(archive, shown))));
        }
        file.rewind().at("rewind", &shown)?;
        let bytes = read(&mut file, &shown)?;
        Ok(FoundContext::Dockerfile(bytes))
    }
}

/// Returns an error of an archive with the name that the user knows it by.
fn of_archive(error: CopyError, shown: &str) -> FetchContextError {
    let shown = shown.to_owned();
    match error {
        CopyError::TooBig { excess, .. } => FetchContextError::Excess { shown, excess },
        CopyError::Archive { why, .. } => FetchContextError::Malformed { shown, why },
        other => other.into(),
    }
}

/// Reports whether BUILDKIT_CONTEXT_KEEP_GIT_DIR is set.
fn keeps_git_directory(request: &BuildRequest) -> bool {
    let keep = request.build_args.iter().rev().find(|(name, _)| name == "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    keep.is_some_and(|(_, value)| matches!(value.as_deref(), Some("1" | "true")))
}

/// Returns a Dockerfile as text.
pub(crate) fn source(name: String, bytes: Vec<u8>) -> Result<Source, FetchContextError> {
    Source::of_bytes(&name, bytes).map_err(|_| FetchContextError::NotText { name })
}
