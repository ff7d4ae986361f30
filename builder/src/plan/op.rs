//! [`Op`]: what a step does to files, with every variable gone.

use crate::copy::select::Choice;
use crate::git_ref::GitRef;
use crate::source::Span;
use layerfs::digest::Digest;
use layerfs::path::TreePath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a step does to files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Runs a command.
    Run(RunOp),
    /// Copies files; ADD of local files too.
    Copy(CopyOp),
    /// Makes the working directory.
    Workdir(WorkdirOp),
}

/// A command and all it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOp {
    /// The argument list, the shell included for shell forms.
    pub arguments: Vec<String>,
    /// Environment: the image's ENV, then build arguments, in the order in which they are handed over; PATH is among
    /// them. HOME is added by the sandbox from the user.
    pub environment: Vec<(String, String)>,
    /// Proxy variables: handed over, kept out of the key.
    pub proxies: Vec<(String, String)>,
    /// Working directory.
    pub working_directory: TreePath,
    /// USER as written; empty for root.
    pub user: String,
    /// Network.
    pub network: Network,
    /// `--security=insecure`: none of the sandbox's limits but those of its user namespace.
    pub insecure: bool,
    /// Host name.
    pub host_name: String,
    /// More lines of /etc/hosts; the key holds their names, not their addresses.
    pub extra_hosts: Vec<ExtraHost>,
    /// Mounts in order; of two with one target the later wins and is the only one here.
    pub mounts: Vec<MountOp>,
    /// A script from a heredoc that starts with `#!`: mounted read-only at `/dev/pipes/<name>`, mode 0755, and the only
    /// argument.
    pub script: Option<Script>,
}

/// A file that the builder puts into the sandbox for a heredoc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its name, the heredoc's delimiter.
    pub name: String,
    /// Its bytes.
    pub body: String,
}

/// A line of /etc/hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Network {
    /// The caller's.
    Host,
    /// Loopback only.
    None,
}

/// A `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOp {
    /// Where, absolute in the sandbox; never the root.
    pub target: TreePath,
    /// What.
    pub kind: MountKind,
}

/// What a `--mount` mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind {
        /// Whose files.
        from: From,
        /// Which, below its root.
        source: TreePath,
        /// Writable; what is written is thrown away.
        writable: bool,
    },
    /// A directory that lasts from build to build.
    Cache {
        /// Its id, with the name space before it where one is set.
        id: String,
        /// How several steps share it.
        sharing: Sharing,
        /// Read-only.
        readonly: bool,
        /// Seed for a new directory.
        seed: Option<(From, TreePath)>,
        /// Mode of a new directory.
        mode: u32,
        /// Owner of a new directory.
        uid: u32,
        /// Group of a new directory.
        gid: u32,
    },
    /// Memory.
    Tmpfs {
        /// Size in bytes.
        size: Option<u64>,
    },
    /// A secret.
    Secret {
        /// Its id.
        id: String,
        /// Environment variable to set, if any.
        environment: Option<String>,
        /// Whether a file is mounted at the target (not if only `env` was given).
        file: bool,
        /// Whether the build fails without it.
        required: bool,
        /// Mode of the file.
        mode: u32,
        /// Owner of the file.
        uid: u32,
        /// Group of the file.
        gid: u32,
    },
    /// A socket that leads to an SSH agent of the caller.
    Ssh {
        /// Its id.
        id: String,
        /// Whether the build fails without it.
        required: bool,
        /// Mode of the socket.
        mode: u32,
        /// Owner of the socket.
        uid: u32,
        /// Group of the socket.
        gid: u32,
    },
}

/// How steps share a cache mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sharing {
    /// All at once.
    Shared,
    /// Each gets one of its own if the first is taken.
    Private,
    /// One after another.
    Locked,
}

/// Whose files a COPY or a bind mount reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum From {
    /// The build context.
    Context,
    /// A named build context that is a local directory.
    NamedContext(String),
    /// A stage: index into [`super::Plan::stages`].
    Stage(usize),
    /// An image: index into [`crate::bases::Bases`].
    Image(usize),
    /// Nothing: an empty tree (`from=scratch`).
    Scratch,
}

/// COPY, or ADD of local files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOp {
    /// Whose files.
    pub from: From,
    /// Sources as typed after expansion: paths or patterns below the root of `from`.
    pub sources: Vec<String>,
    /// Where each of `sources` stands in the Dockerfile; none where it names none.
    pub source_spans: Vec<Span>,
    /// `--exclude`: patterns of what is left out of copied directories, relative to each (1.6-16).
    pub exclude: Vec<String>,
    /// `--parents`: the directories that sources name are made in the destination, too (1.6-15).
    pub parents: bool,
    /// Files that the Dockerfile itself holds, copied after `sources`.
    pub heredocs: Vec<Script>,
    /// Where to, absolute after WORKDIR; `destination_is_directory` says whether it must be a directory.
    pub destination: TreePath,
    /// True if the destination was typed with a trailing `/`, as `.`, or empty.
    pub destination_is_directory: bool,
    /// `--chown` after expansion, as written.
    pub chown: Option<String>,
    /// `--chmod` after expansion, as written; checked to be octal or symbolic.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// ADD: local archives are unpacked.
    pub unpack_archives: bool,
    /// ADD: archives of the web are unpacked.
    pub unpack_remote: bool,
    /// ADD: which of `sources`, by number, are fetched from elsewhere.
    pub remotes: BTreeMap<usize, Remote>,
}

/// A source of ADD that is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remote {
    /// A file of the web.
    File {
        /// Its URL.
        url: String,
        /// The digest that it must have.
        checksum: Option<Digest>,
    },
    /// A git repository.
    Repository {
        /// Which, and what of it.
        git: GitRef,
        /// Whether `.git` is kept.
        keep: bool,
    },
}

impl CopyOp {
    /// Returns which files it takes.
    pub fn choice(&self) -> Choice<'_> {
        Choice { sources: &self.sources, exclude: &self.exclude, parents: self.parents }
    }

    /// Returns where the source that was typed as `text` stands.
    pub fn span_of(&self, text: &str) -> Option<Span> {
        let number = self.sources.iter().position(|source| source == text)?;
        self.source_spans.get(number).copied()
    }
}

/// WORKDIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkdirOp {
    /// The directory.
    pub path: TreePath,
    /// USER in force, who owns what is made.
    pub user: String,
}
