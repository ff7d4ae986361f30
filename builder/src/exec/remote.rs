//! What ADD takes from elsewhere: files of the web and git repositories (1.6-20 to 1.6-23).
//!
//! The sources of one ADD form one tree: the context's, and beside it one for each remote source, below a name that no
//! file can have. So selecting, hashing and writing know nothing of where files come from.

use crate::context::local::BuildContext;
use crate::context::repository::RepositoryTree;
use crate::context::tree::{Child, Entry, Exclusion, MemoryTree, Opened, SourceTree, TreeError};
use crate::error::StepError;
use crate::exec::session::Session;
use crate::fetch_step::FetchStep;
use crate::git::Git;
use crate::git_ref::GitRef;
use crate::known_urls::{KnownUrl, KnownUrls};
use crate::plan::op::{CopyOp, Remote};
use crate::progress::{Outcome, StepId};
use crate::tokens::Tokens;
use layerfs::digest::Digest;
use layerfs::holes::HoleReader;
use layerfs::io_error::{IoContext, IoError};
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::registry::web::{WebAnswer, WebRequest, modified, without_user};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

/// A remote source that was fetched.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A file, as a blob of the store.
    File {
        /// What it is called.
        name: String,
        /// Its bytes.
        digest: Digest,
        /// What it looks like.
        metadata: Metadata,
    },
    /// A repository, checked out.
    Repository {
        /// Where; gone with this.
        directory: tempfile::TempDir,
        /// What to take of it.
        subdirectory: TreePath,
        /// The commit's time.
        time: Timestamp,
    },
}

/// Returns where the remote source of this number stands in the tree of its ADD.
pub(super) fn prefix(number: usize) -> TreePath {
    TreePath::from(format!("\0remote{number}").as_str())
}

/// Returns the name that a file of the web gets in a directory: the last component of the URL's path.
pub(super) fn file_name(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest).split(['?', '#']).next().unwrap_or_default();
    let name = path.split_once('/').and_then(|(_, path)| path.rsplit('/').next()).unwrap_or_default();
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    match layerfs::path::is_plain_name(name.as_bytes()) {
        true => name,
        false => "__unnamed__".to_owned(),
    }
}

impl Session<'_> {
    /// Returns what stands for the bytes of remote sources in a key, beside what is selected: commits.
    ///
    /// # Errors
    /// What asking failed with.
    pub(super) fn commit(&self, git: &GitRef) -> Result<String, StepError> {
        let commit = self.commits.get_or_try(git.clone(), || Ok::<_, StepError>(self.git(git)?.resolve(git)?))?;
        Ok(commit)
    }

    /// Returns the remote sources of an ADD by number, fetched; each once in a build.
    ///
    /// # Errors
    /// What fetching failed with.
    pub(super) fn fetched(
        &self,
        op: &CopyOp,
        repositories: bool,
    ) -> Result<Vec<(usize, std::sync::Arc<Fetched>)>, StepError> {
        let wanted = op.remotes.iter().filter(|(_, remote)| repositories || matches!(remote, Remote::File { .. }));
        wanted
            .map(|(number, remote)| {
                let fetch = || self.fetch(remote).map(std::sync::Arc::new);
                Ok((*number, self.remotes.get_or_try(remote.clone(), fetch)?))
            })
            .collect()
    }

    fn fetch(&self, remote: &Remote) -> Result<Fetched, StepError> {
        match remote {
            Remote::File { url, checksum } => self.fetch_file(url, *checksum),
            Remote::Repository { git, keep } => {
                let commit = self.commit(git)?;
                let temporary = self.build.store.temporary();
                let directory = tempfile::tempdir_in(&temporary).at("make directory in", &temporary)?;
                let seconds = self.git(git)?.checkout(git, &commit, *keep, directory.path())?;
                let subdirectory = TreePath::from(git.subdirectory.as_deref().unwrap_or_default());
                Ok(Fetched::Repository { directory, subdirectory, time: Timestamp::from_seconds(seconds) })
            }
        }
    }

    fn fetch_file(&self, url: &str, checksum: Option<Digest>) -> Result<Fetched, StepError> {
        let blobs = self.build.store.blobs();
        let urls = KnownUrls::of(self.build.store);
        let known = urls.get(url)?;
        if let Some(known) = &known {
            self.build.shelf.hold_blob(known.digest)?;
        }
        let known = match known {
            Some(known) if urls.is_here(&known)? => Some(known),
            _ => None,
        };
        if let Some(known) = known.as_ref().filter(|known| checksum == Some(known.digest)) {
            return Ok(file(known));
        }
        let request = WebRequest {
            url: url.to_owned(),
            etag: known.as_ref().and_then(|known| known.etag.clone()),
            last_modified: known.as_ref().and_then(|known| known.last_modified.clone()),
            authorization: self.tokens().web(url)?,
            limit: Some(self.build.settings.fetch_limits.download),
        };
        let mut blob = blobs.create()?;
        let found = match (self.download(&request, blob.file())?, known) {
            (WebAnswer::NotModified, Some(known)) => known,
            (WebAnswer::NotModified, None) => {
                return Err(StepError::Fetch {
                    url: without_user(url),
                    why: "it answered 304 to a first question".to_owned(),
                });
            }
            (WebAnswer::File { digest, size, etag, last_modified }, _) => {
                self.build.shelf.hold_blob(digest)?;
                blobs.commit(blob, &digest, size)?;
                KnownUrl { url: url.to_owned(), etag, last_modified, digest, size }
            }
        };
        if let Some(wanted) = checksum.filter(|wanted| *wanted != found.digest) {
            return Err(StepError::WrongDigest { url: without_user(url), found: found.digest, wanted });
        }
        urls.put(&found)?;
        Ok(file(&found))
    }

    /// Fetches a file of the web; what comes of it is shown as a step.
    fn download(&self, request: &WebRequest, to: &mut File) -> Result<WebAnswer, StepError> {
        let shown = without_user(&request.url);
        let id = StepId::file(self.files.fetch_add(1, Ordering::Relaxed));
        let step = FetchStep::at_first_byte(self.build.sink, id, format!("fetch {shown}"), shown);
        let answer = self.build.registries.download(request, to, &|done, total| step.moved(done, total));
        step.end(match &answer {
            Ok(_) => Outcome::Done,
            Err(_) if self.build.cancel.is_cancelled() => Outcome::Cancelled,
            Err(error) => Outcome::Failed(error.to_string()),
        });
        Ok(answer?)
    }

    fn git(&self, git: &GitRef) -> Result<Git<'_>, StepError> {
        let authorization = self.tokens().git(git)?;
        let ca_file = self.build.settings.ca_file.map(Path::to_owned);
        let environment = self.build.settings.git_environment;
        let limit = self.build.settings.fetch_limits.download;
        Ok(Git { cancel: self.build.cancel, authorization, ca_file, environment, limit })
    }

    fn tokens(&self) -> Tokens<'_> {
        Tokens(self.build.settings.secrets)
    }
}

fn file(known: &KnownUrl) -> Fetched {
    let seconds = known.last_modified.as_deref().and_then(modified).and_then(|time| i64::try_from(time).ok());
    let mtime = Timestamp::from_seconds(seconds.unwrap_or(0));
    let kind = Kind::File { size: known.size };
    let metadata = Metadata { kind, mode: 0o600, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() };
    Fetched::File { name: file_name(&known.url), digest: known.digest, metadata }
}

impl Fetched {
    /// Returns the path of what is copied, below the tree of this source.
    pub(super) fn path(&self) -> TreePath {
        match self {
            Self::File { name, .. } => TreePath::from(name.as_str()),
            Self::Repository { subdirectory, .. } => subdirectory.clone(),
        }
    }

    /// Returns the tree of this source; the bytes of files are in `blobs`.
    pub(super) fn tree<'a>(&self, blobs: &'a layerfs::blobs::DiskBlobs) -> Result<Box<dyn SourceTree + 'a>, StepError> {
        match self {
            Self::File { digest, metadata, .. } => {
                let mut nodes = MemoryTree::default();
                nodes.nodes.insert(self.path(), (Entry::plain(metadata.clone()), Vec::new()));
                Ok(Box::new(FileTree { nodes, digest: *digest, blobs }))
            }
            Self::Repository { directory, time, .. } => {
                let nothing_hidden = Some((String::new(), Vec::new()));
                let files = BuildContext::open(directory.path(), nothing_hidden).map_err(StepError::Context)?;
                Ok(Box::new(RepositoryTree::new(files, *time)))
            }
        }
    }
}

/// One file, whose bytes are a blob.
struct FileTree<'a> {
    nodes: MemoryTree,
    digest: Digest,
    blobs: &'a layerfs::blobs::DiskBlobs,
}

impl SourceTree for FileTree<'_> {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        self.nodes.lookup(path)
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        self.nodes.children(directory)
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        let failed = |error: layerfs::error::StoreError| {
            IoError::new("open", path.to_string(), &std::io::Error::other(error.to_string()))
        };
        let blob = self.blobs.open(&self.digest).map_err(failed)?;
        Ok(Box::new(HoleReader::new(blob)))
    }
}

/// The trees of an ADD's sources as one.
pub(super) struct JoinedTree<'a> {
    /// What local sources name.
    pub(super) main: &'a dyn SourceTree,
    /// Remote sources, each with where it stands.
    pub(super) remotes: Vec<(TreePath, Box<dyn SourceTree + 'a>)>,
}

impl JoinedTree<'_> {
    /// Returns the tree that has `path`, the path in it, and where that tree stands.
    fn find(&self, path: &TreePath) -> (&dyn SourceTree, TreePath, TreePath) {
        for (prefix, tree) in &self.remotes {
            if path == prefix {
                return (&**tree, TreePath::root(), prefix.clone());
            }
            if let Some(rest) = path.strip_prefix(prefix) {
                return (&**tree, rest, prefix.clone());
            }
        }
        (self.main, path.clone(), TreePath::root())
    }
}

impl SourceTree for JoinedTree<'_> {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        let (tree, path, _) = self.find(path);
        tree.lookup(&path)
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        let (tree, path, _) = self.find(directory);
        tree.children(&path)
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        let (tree, path, _) = self.find(path);
        tree.open(&path)
    }

    fn excluded_by(&self, path: &TreePath) -> Option<Exclusion> {
        let (tree, path, _) = self.find(path);
        tree.excluded_by(&path)
    }

    /// Links of a tree lead inside it.
    fn resolve(&self, path: &TreePath) -> Result<TreePath, TreeError> {
        let (tree, path, prefix) = self.find(path);
        Ok(prefix.join(tree.resolve(&path)?.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 1.6-20.
    #[test]
    fn files_are_called_like_the_last_part_of_their_path() {
        for (url, wanted) in [
            ("https://h/a/b.tar.gz?x=/y#z", "b.tar.gz"),
            ("https://h/a%20b", "a b"),
            ("https://h/", "__unnamed__"),
            ("https://h", "__unnamed__"),
            ("https://h/a/", "__unnamed__"),
            ("https://h/..", "__unnamed__"),
            ("https://h/a%2fb", "__unnamed__"),
        ] {
            assert_eq!(file_name(url), wanted, "{url}");
        }
    }

    #[test]
    fn trees_are_joined_and_links_stay_in_theirs() {
        let tree = |lines: &[(&str, Kind)]| {
            let mut tree = MemoryTree::default();
            for (path, kind) in lines {
                let mtime = Timestamp::default();
                let metadata =
                    Metadata { kind: kind.clone(), mode: 0o755, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() };
                tree.nodes.insert(TreePath::from(*path), (Entry::plain(metadata), path.as_bytes().to_vec()));
            }
            tree
        };
        let link = Kind::Symlink { target: b"/f".as_slice().into() };
        let main = tree(&[("f", Kind::File { size: 1 })]);
        let other = tree(&[("f", Kind::File { size: 1 }), ("d", Kind::Directory), ("d/l", link)]);
        let joined = JoinedTree { main: &main, remotes: vec![(prefix(1), Box::new(other))] };
        let at = |path: &str| prefix(1).join(path.as_bytes());
        assert_eq!(joined.resolve(&at("d/l")), Ok(at("f")));
        assert_eq!(joined.resolve(&TreePath::from("f")), Ok(TreePath::from("f")));
        assert!(joined.lookup(&prefix(1)).expect("looked").is_some_and(|entry| entry.metadata.is_directory()));
        assert_eq!(joined.lookup(&prefix(0)).expect("looked"), None);
        assert_eq!(
            joined.children(&TreePath::root()).expect("read").len(),
            1,
            "remote sources are not seen from outside"
        );
        assert_eq!(joined.children(&at("d")).expect("read").len(), 1);
    }
}
