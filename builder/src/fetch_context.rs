//! [`fetch_context`]: build contexts that are no directory of the user: archives and Dockerfiles from standard input or
//! the web, and git repositories.

use crate::context::archive::ArchiveTree;
use crate::context::local::{BuildContext, ContextError};
use crate::context::repository::RepositoryTree;
use crate::context::tree::{SourceTree, TreeError};
use crate::copy::archive::{Archive, Member, read_archive};
use crate::copy::error::CopyError;
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::git::{Git, GitError};
use crate::git_ref::{GitRef, GitRefError, is_git, is_url};
use crate::listener::Client;
use layerfs::cancel::Cancel;
use layerfs::io_error::{IoContext, IoError};
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::registry::error::RegistryError;
use layerfs::registry::web::{WebRequest, without_user};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

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
    /// An archive is malformed.
    #[error(transparent)]
    Archive(#[from] CopyError),
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
            Self::NoDockerfile { .. } => diagnostic.help("name it with `-f`, relative to the context"),
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

/// What fetching is given.
#[derive(Debug)]
pub struct Fetcher<'a> {
    /// A directory for what is fetched.
    pub temporary: &'a Path,
    /// Who fetches files of the web.
    pub client: &'a Client,
    /// Ends it.
    pub cancel: &'a Cancel,
    /// Authorities that replace the system's.
    pub ca_file: Option<&'a Path>,
    /// BUILDKIT_CONTEXT_KEEP_GIT_DIR.
    pub keep_git_dir: bool,
}

/// Fetches a build context. Standard input is read to its end.
///
/// # Errors
/// [`FetchContextError`].
pub fn fetch_context(place: &ContextPlace, fetcher: &Fetcher<'_>) -> Result<FoundContext, FetchContextError> {
    let shown = place.shown();
    match place {
        ContextPlace::Stdin => {
            let mut file = tempfile::tempfile_in(fetcher.temporary).at("create a file in", fetcher.temporary)?;
            std::io::copy(&mut std::io::stdin().lock(), &mut file).at("read", "standard input")?;
            found(file, shown, fetcher.temporary)
        }
        ContextPlace::Url(url) => {
            let mut file = tempfile::tempfile_in(fetcher.temporary).at("create a file in", fetcher.temporary)?;
            let request = WebRequest { url: url.clone(), ..WebRequest::default() };
            fetcher.client.registries.download(&request, &mut file)?;
            found(file, shown, fetcher.temporary)
        }
        ContextPlace::Git(reference) => {
            let ca_file = fetcher.ca_file.map(Path::to_owned);
            let git = Git { cancel: fetcher.cancel, authorization: None, ca_file };
            let commit = git.resolve(reference)?;
            let directory = tempfile::tempdir_in(fetcher.temporary).at("make directory in", fetcher.temporary)?;
            let keep = reference.keep_git_dir.unwrap_or(fetcher.keep_git_dir);
            let seconds = git.checkout(reference, &commit, keep, directory.path())?;
            let files = BuildContext::open(directory.path(), Some((String::new(), Vec::new())))?;
            let time = Timestamp::from_seconds(seconds);
            let below = TreePath::from(reference.subdirectory.as_deref().unwrap_or_default());
            let tree = RepositoryTree::below(files, &below, time)?;
            let tree = tree
                .ok_or_else(|| FetchContextError::NoDockerfile { name: below.to_string(), context: shown.clone() })?;
            let tree = Tree::Repository(Box::new(tree));
            Ok(FoundContext::Files(Arc::new(FetchedContext { tree, shown, _directory: Some(directory) })))
        }
    }
}

/// Tells an archive from a Dockerfile.
fn found(mut file: File, shown: String, temporary: &Path) -> Result<FoundContext, FetchContextError> {
    let size = file.stream_position().at("measure", &shown)?;
    if size == 0 {
        return Err(FetchContextError::Empty { shown });
    }
    let name = TreePath::from("context");
    let mut one = ArchiveTree::new(file.try_clone().at("copy", &shown)?);
    let kind = Kind::File { size };
    let mtime = Timestamp::default();
    one.add(&name, Metadata { kind, mode: 0o600, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() }, 0);
    if let Some(archive) = read_archive(&one, &name, None, temporary)? {
        let tree = Tree::Archive(tree_of(archive));
        return Ok(FoundContext::Files(Arc::new(FetchedContext { tree, shown, _directory: None })));
    }
    file.rewind().at("rewind", &shown)?;
    let bytes = read(&mut file, &shown)?;
    Ok(FoundContext::Dockerfile(bytes))
}

fn read(from: &mut dyn Read, name: &str) -> Result<Vec<u8>, FetchContextError> {
    let mut bytes = Vec::new();
    from.take(LONGEST_DOCKERFILE + 1).read_to_end(&mut bytes).at("read", name)?;
    match bytes.len() as u64 > LONGEST_DOCKERFILE {
        true => Err(FetchContextError::TooLong { name: name.to_owned() }),
        false => Ok(bytes),
    }
}

fn tree_of(archive: Archive) -> ArchiveTree {
    let mut tree = ArchiveTree::new(archive.spool);
    for member in archive.members {
        match member {
            Member::Inode { path, metadata, offset } => tree.add(&path, metadata, offset),
            Member::Hardlink { path, target } => tree.link(&path, &target),
        }
    }
    tree
}

impl FetchedContext {
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
