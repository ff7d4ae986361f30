//! [`ContextPlace`], [`FetchedContext`]: build contexts that are no directory of the user: archives and Dockerfiles from
//! standard input or the web, and git repositories.

use crate::context::archive::ArchiveTree;
use crate::context::local::ContextError;
use crate::context::repository::RepositoryTree;
use crate::context::tree::{SourceTree, TreeError};
use crate::copy::archive::{Archive, Member};
use crate::copy::error::CopyError;
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::fetch_limits::Excess;
use crate::git::GitError;
use crate::git_ref::{GitRef, GitRefError, is_git, is_url};
use layerfs::io_error::{IoContext, IoError};
use layerfs::meta::Kind;
use layerfs::path::TreePath;
use layerfs::registry::error::RegistryError;
use layerfs::registry::web::without_user;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes that a Dockerfile may have.
pub const LONGEST_DOCKERFILE: u64 = 16 << 20;

/// Where a build context that is no directory comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// Standard input.
    Stdin,
    /// A URL.
    Url(String),
    /// A git repository.
    Git(GitRef),
}

/// A named context that is fetched when a build first needs it, once for all platforms and tries.
#[derive(Debug)]
pub struct LateContext {
    /// Where it is.
    pub place: ContextPlace,
    fetched: Mutex<Option<Arc<FetchedContext>>>,
}

impl PartialEq for LateContext {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for LateContext {}

impl LateContext {
    /// Returns a context that nobody has asked for yet.
    pub fn new(place: ContextPlace) -> Self {
        Self { place, fetched: Mutex::default() }
    }

    /// Returns its files, which `fetch` brings the first time.
    ///
    /// # Errors
    /// What `fetch` failed with; [`FetchContextError::NoArchive`].
    pub fn get(
        &self,
        fetch: impl FnOnce(&ContextPlace) -> Result<FoundContext, FetchContextError>,
    ) -> Result<Arc<FetchedContext>, FetchContextError> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetched) = &*fetched {
            return Ok(Arc::clone(fetched));
        }
        match fetch(&self.place)? {
            FoundContext::Files(context) => Ok(Arc::clone(fetched.insert(context))),
            FoundContext::Dockerfile(_) => Err(FetchContextError::NoArchive { shown: self.place.shown() }),
        }
    }
}

/// A build context that was fetched; its `.dockerignore` counts for nothing (2-11).
#[derive(Debug)]
pub struct FetchedContext {
    tree: Tree,
    shown: String,
    _directory: Option<tempfile::TempDir>,
}

#[derive(Debug)]
enum Tree {
    Archive(ArchiveTree),
    Repository(Box<RepositoryTree>),
}

impl PartialEq for FetchedContext {
    /// A context is equal to itself alone.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for FetchedContext {}

/// What a place has.
#[derive(Debug)]
pub enum FoundContext {
    /// Files, a Dockerfile among them.
    Files(Arc<FetchedContext>),
    /// A Dockerfile and no files.
    Dockerfile(Vec<u8>),
}

/// Why a build context cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchContextError {
    /// An address means nothing.
    #[error(transparent)]
    Reference(#[from] GitRefError),
    /// A repository cannot be had.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A URL cannot be had.
    #[error(transparent)]
    Web(#[from] RegistryError),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An archive cannot be read.
    #[error(transparent)]
    Archive(#[from] CopyError),
    /// A secret that opens the place is no line of text.
    #[error("secret `{id}` is no line of text, which it must be to be an `Authorization`")]
    Secret {
        /// The secret.
        id: String,
    },
    /// An archive is bigger than it may be.
    #[error("unpack `{shown}`: {excess}")]
    Excess {
        /// Where.
        shown: String,
        /// In which way.
        excess: Excess,
    },
    /// An archive broke off or is malformed.
    #[error("unpack `{shown}`: {why}")]
    Malformed {
        /// Where.
        shown: String,
        /// What is wrong.
        why: String,
    },
    /// Standard input has more bytes than it may have.
    #[error("`{shown}` has more than {limit} bytes")]
    TooBig {
        /// Where.
        shown: String,
        /// The limit.
        limit: u64,
    },
    /// A directory cannot be read.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A file of the context cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The context has no Dockerfile.
    #[error("`{name}` is not in the build context `{context}`")]
    NoDockerfile {
        /// The name that was looked for.
        name: String,
        /// The context.
        context: String,
    },
    /// A Dockerfile is too long.
    #[error("`{name}` has more than {LONGEST_DOCKERFILE} bytes")]
    TooLong {
        /// Its name.
        name: String,
    },
    /// A Dockerfile is no text.
    #[error("`{name}` is neither an archive nor UTF-8 text")]
    NotText {
        /// Its name.
        name: String,
    },
    /// A named context is no archive.
    #[error("`{shown}` is no archive, and a named context has files")]
    NoArchive {
        /// Where.
        shown: String,
    },
    /// Standard input has nothing.
    #[error("`{shown}` is empty: neither an archive nor a Dockerfile")]
    Empty {
        /// Where.
        shown: String,
    },
}

impl Diagnose for FetchContextError {
    fn diagnose(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.to_string());
        match self {
            Self::Web(error) => error.diagnose(),
            Self::Git(error) => Diagnostic { help: error.help(), ..diagnostic },
            Self::Archive(error) => error.diagnose(),
            Self::NoDockerfile { .. } => diagnostic.help("name it with `-f`, relative to the context"),
            Self::Excess { excess, .. } => diagnostic.help(excess.cure()),
            Self::TooBig { .. } => diagnostic.help("allow more with `--limit download=SIZE`"),
            _ => diagnostic,
        }
    }
}

impl ContextPlace {
    /// Returns the place that `text` names; nothing for a directory of the user.
    ///
    /// # Errors
    /// [`GitRefError`].
    pub fn of(text: &str) -> Result<Option<Self>, GitRefError> {
        if text == "-" {
            return Ok(Some(Self::Stdin));
        }
        if text.starts_with("github.com/") && !Path::new(text).exists() {
            return GitRef::parse(&format!("https://{text}")).map(|git| Some(Self::Git(git)));
        }
        if is_git(text) {
            return GitRef::parse(text).map(|git| Some(Self::Git(git)));
        }
        Ok(is_url(text).then(|| Self::Url(text.to_owned())))
    }

    /// Returns what to call it.
    pub fn shown(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".to_owned(),
            Self::Url(url) => without_user(url),
            Self::Git(git) => without_user(&git.remote),
        }
    }
}

/// Reads a Dockerfile.
///
/// # Errors
/// The operating system's; [`FetchContextError::TooLong`].
pub(crate) fn read(from: &mut dyn Read, name: &str) -> Result<Vec<u8>, FetchContextError> {
    let mut bytes = Vec::new();
    from.take(LONGEST_DOCKERFILE + 1).read_to_end(&mut bytes).at("read", name)?;
    match bytes.len() as u64 > LONGEST_DOCKERFILE {
        true => Err(FetchContextError::TooLong { name: name.to_owned() }),
        false => Ok(bytes),
    }
}

impl FetchedContext {
    /// Returns the context in an archive from the place `shown`.
    pub(crate) fn of_archive(archive: Archive, shown: String) -> Self {
        let mut tree = ArchiveTree::new(archive.spool);
        for member in archive.members {
            match member {
                Member::Inode { path, metadata, offset } => tree.add(&path, metadata, offset),
                Member::Hardlink { path, target } => tree.link(&path, &target),
            }
        }
        Self { tree: Tree::Archive(tree), shown, _directory: None }
    }

    /// Returns the context of a repository from the place `shown`, checked out in a directory that goes with it.
    pub(crate) fn of_repository(tree: RepositoryTree, shown: String, directory: tempfile::TempDir) -> Self {
        Self { tree: Tree::Repository(Box::new(tree)), shown, _directory: Some(directory) }
    }

    /// Returns its files.
    pub fn tree(&self) -> &dyn SourceTree {
        match &self.tree {
            Tree::Archive(tree) => tree,
            Tree::Repository(tree) => &**tree,
        }
    }

    /// Returns name and bytes of the Dockerfile: the one that was named, else `Dockerfile`, else `dockerfile`.
    ///
    /// # Errors
    /// [`FetchContextError::NoDockerfile`]; what reading it fails with.
    pub fn dockerfile(&self, named: Option<&str>) -> Result<(String, Vec<u8>), FetchContextError> {
        let names: Vec<&str> = named.map_or_else(|| vec!["Dockerfile", "dockerfile"], |name| vec![name]);
        for name in &names {
            let path = self.tree().resolve(&TreePath::from(*name))?;
            let is_file = |kind: &Kind| matches!(kind, Kind::File { .. });
            if self.tree().lookup(&path)?.is_some_and(|entry| is_file(&entry.metadata.kind)) {
                return Ok(((*name).to_owned(), read(&mut *self.tree().open(&path)?, name)?));
            }
        }
        Err(FetchContextError::NoDockerfile { name: names[0].to_owned(), context: self.shown.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_from_directories() {
        for (text, wanted) in [
            ("-", "<stdin>"),
            (".", "a directory"),
            ("a/b", "a directory"),
            ("https://u:p@h/a.tar.gz?x", "https://h/a.tar.gz"),
            ("https://h/a.git#main:d", "https://h/a.git"),
            ("git@h:a.git", "git@h:a.git"),
            ("github.com/a/b", "https://github.com/a/b"),
        ] {
            let place = ContextPlace::of(text).expect(text);
            assert_eq!(place.map_or("a directory".to_owned(), |place| place.shown()), wanted, "{text}");
        }
    }
}
