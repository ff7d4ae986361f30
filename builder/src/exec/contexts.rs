//! [`Contexts`]: the user's directories that a build may read, opened once.

use crate::context::local::{BuildContext, ContextError, ignore_file_of};
use crate::context::memo::{Memo, MemoStore, WriteMemo};
use crate::context::tree::{EmptyTree, SourceTree};
use crate::fetch_context::FetchedContext;
use crate::plan::op::From;
use crate::request::{BuildContextSource, BuildRequest, ContextSource};
use crate::source::Span;
use crate::with_contexts::Named;
use layerfs::digest::Digest;
use layerfs::io_error::IoContext;
use layerfs::path::TreePath;
use layerfs::sealed::{self, SealedWriter};
use layerfs::store::Store;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The user's directories that a build may read: the build context and the named ones, each with its own rules and
/// with what is remembered of its files.
#[derive(Debug)]
pub struct Contexts {
    main: Option<Opened>,
    named: HashMap<String, Opened>,
    memos: MemoDirectory,
    nothing: Memo,
}

/// One context.
#[derive(Debug)]
enum Opened {
    /// A directory, with the name of what is remembered of its files.
    Directory { context: Box<BuildContext>, name: String },
    /// What was fetched for this build.
    Fetched(Arc<FetchedContext>),
}

impl Contexts {
    /// Opens the build context and those of the named ones that are `used`: the user's directories, and what was
    /// `fetched`. What is remembered of their files is in `store`.
    ///
    /// # Errors
    /// A directory that cannot be opened, an ignore file that is malformed.
    pub fn open(
        request: &BuildRequest,
        store: &Store,
        used: &BTreeMap<&str, Span>,
        fetched: &Named,
    ) -> Result<Self, ContextError> {
        let ignored = request.no_cache || !request.no_cache_stages.is_empty();
        let memos = MemoDirectory { directory: store.cache().join("contexts"), temporary: store.temporary(), ignored };
        let main = match &request.context {
            ContextSource::Directory(directory) => {
                let specific = ignore_file(request)?;
                Some(Opened::open(directory, specific, &memos)?)
            }
            ContextSource::Fetched(fetched) => Some(Opened::Fetched(Arc::clone(fetched))),
            ContextSource::Empty | ContextSource::Elsewhere(_) => None,
        };
        let mut named = HashMap::new();
        for (name, source) in request.build_contexts.iter().filter(|(name, _)| used.contains_key(name.as_str())) {
            if let BuildContextSource::Directory(directory) = source {
                named.insert(name.clone(), Opened::open(directory, None, &memos)?);
            }
        }
        named.extend(fetched.iter().map(|(name, fetched)| (name.clone(), Opened::Fetched(Arc::clone(fetched)))));
        Ok(Self { main, named, memos, nothing: Memo::default() })
    }

    fn get(&self, from: &From) -> Option<&Opened> {
        match from {
            From::Context => self.main.as_ref(),
            From::NamedContext(name) => self.named.get(name),
            From::Stage(_) | From::Image(_) | From::Scratch => None,
        }
    }

    /// Returns the tree of a local source; an empty one for what has no files.
    pub fn tree(&self, from: &From) -> &dyn SourceTree {
        match self.get(from) {
            Some(Opened::Directory { context, .. }) => &**context,
            Some(Opened::Fetched(fetched)) => fetched.tree(),
            None => &EmptyTree,
        }
    }

    /// Reports whether the build context's ignore file has a line that brings something back.
    pub fn has_exceptions(&self) -> bool {
        matches!(&self.main, Some(Opened::Directory { context, .. }) if context.rules().has_exceptions())
    }

    /// Returns what is remembered of the files of a source.
    pub fn memo(&self, from: &From) -> &Memo {
        match self.get(from) {
            Some(Opened::Directory { context, .. }) => context.memo(),
            Some(Opened::Fetched(_)) | None => &self.nothing,
        }
    }

    /// Returns the sockets that were met, with the name of their context where it has one.
    pub fn sockets(&self) -> Vec<String> {
        let of = |name: Option<&String>, opened: &Opened| -> Vec<String> {
            let shown = |path: &TreePath| match name {
                Some(name) => format!("{name}:{path}"),
                None => path.to_string(),
            };
            match opened {
                Opened::Directory { context, .. } => context.sockets().iter().map(shown).collect(),
                Opened::Fetched(_) => Vec::new(),
            }
        };
        let named = self.named.iter().flat_map(|(name, opened)| of(Some(name), opened));
        let mut all: Vec<String> = self.main.iter().flat_map(|opened| of(None, opened)).chain(named).collect();
        all.sort();
        all
    }

    /// Keeps what was learned of the files that were read, for the next build.
    ///
    /// # Errors
    /// The operating system's.
    pub fn save(&self) -> io::Result<()> {
        self.main.iter().chain(self.named.values()).try_for_each(|opened| match opened {
            Opened::Directory { context, name } => context.memo().save(&self.memos, name),
            Opened::Fetched(_) => Ok(()),
        })
    }
}

/// Returns the rules that go before the context's own: those that the caller named, else those beside the Dockerfile.
fn ignore_file(request: &BuildRequest) -> Result<Option<(String, Vec<u8>)>, ContextError> {
    if let Some(path) = &request.ignore_file {
        let bytes = std::fs::read(path).at("read ignore file", path)?;
        return Ok(Some((path.to_string_lossy().into_owned(), bytes)));
    }
    Ok(request.dockerfile_path.as_deref().map(ignore_file_of).transpose()?.flatten())
}

impl Opened {
    fn open(
        directory: &Path,
        specific: Option<(String, Vec<u8>)>,
        memos: &MemoDirectory,
    ) -> Result<Self, ContextError> {
        let name = Digest::of(std::path::absolute(directory).unwrap_or_default().as_os_str().as_encoded_bytes()).hex();
        let context = BuildContext::open(directory, specific)?;
        let memo = if memos.ignored { Memo::default() } else { Memo::load(memos, &name) };
        Ok(Self::Directory { context: Box::new(context.remembering(memo)), name })
    }
}

/// Memos as files in a store's cache. They verify themselves, and are not fsynced.
#[derive(Debug)]
struct MemoDirectory {
    directory: PathBuf,
    temporary: PathBuf,
    /// Whether what was remembered counts for nothing, as a build without cache wants it.
    ignored: bool,
}

impl MemoStore for MemoDirectory {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        // One that cannot be read is as good as none: the files are read again.
        sealed::read(&self.directory.join(name)).ok().flatten()
    }

    fn save(&self, name: &str, write: &WriteMemo<'_>) -> io::Result<()> {
        let path = self.directory.join(name);
        let mut file = SealedWriter::begin(&path, &self.temporary).map_err(io::Error::other)?;
        write(&mut file)?;
        file.finish().map_err(io::Error::other)
    }
}
