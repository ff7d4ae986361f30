//! What the worker and the helper process of one sandbox say to each other.

use crate::plan::op::{ExtraHost, Network, Script};
use crate::sandbox::error::SandboxError;
use crate::sandbox::limits::RunLimits;
use layerfs::mount::MountInstructions;
use layerfs::path::TreePath;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Everything the helper must know, found out by the worker; secrets come as descriptors beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instructions {
    /// The root file system.
    pub root: MountInstructions,
    /// An empty directory of this run's own, for mount points that only the helper sees.
    pub hidden: PathBuf,
    /// The argument list; never empty.
    pub arguments: Vec<String>,
    /// Environment without HOME, in order.
    pub environment: Vec<(String, String)>,
    /// Working directory.
    pub working_directory: TreePath,
    /// `user[:group]` as written.
    pub user: String,
    /// Network.
    pub network: Network,
    /// None of the sandbox's limits but those of its user namespace.
    pub insecure: bool,
    /// Host name.
    pub host_name: String,
    /// More lines of /etc/hosts.
    pub extra_hosts: Vec<ExtraHost>,
    /// How much it may have.
    pub limits: RunLimits,
    /// The user's mounts in order.
    pub mounts: Vec<UserMount>,
    /// A script at `/dev/pipes/<name>`.
    pub script: Option<Script>,
    /// What the user namespace can do.
    pub tier: TierFacts,
    /// Whether standard output is a terminal that is to be the command's own.
    pub terminal: bool,
    /// Whether the helper says how far it is.
    pub timed: bool,
}

/// What the user namespace can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierFacts {
    /// Group 5 (`tty`) is mapped, so that devpts takes it.
    pub tty_group: bool,
    /// setgroups(2) is allowed; if not, the caller's groups stay.
    pub set_groups: bool,
}

/// A `--mount` with its source ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMount {
    /// Where.
    pub target: TreePath,
    /// What.
    pub source: UserMountSource,
}

/// What a `--mount` mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserMountSource {
    /// A path of a root file system of its own.
    Tree {
        /// How to have that file system.
        instructions: MountInstructions,
        /// Which path of it.
        source: TreePath,
        /// Writable.
        writable: bool,
    },
    /// A directory of the store.
    Directory {
        /// Which.
        path: PathBuf,
        /// Read-only.
        readonly: bool,
    },
    /// Memory.
    Tmpfs {
        /// Size in bytes.
        size: Option<u64>,
    },
    /// A secret.
    Secret {
        /// Number of the descriptor with its bytes.
        descriptor: usize,
        /// Mode of the file.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A socket.
    Socket {
        /// Number of the descriptor that listens on it, unbound yet.
        descriptor: usize,
        /// Mode of the socket.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// How far a sandbox is, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Milestone {
    /// The helper is there, and knows what to do.
    Started,
    /// Root file system and trees are mounted.
    Mounted,
    /// The root file system has its working directory and mount points.
    Prepared,
    /// Namespaces, mounts and filters of the command are there: execve(2) is next.
    Isolated,
    /// The command has ended.
    Ended,
}

/// What the helper says: how it ended, then it closes its end. Before that, how far it is, if somebody wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The sandbox is so far, since this time by [`layerfs::trace::now`].
    Reached(Milestone, Duration),
    /// The command ended with this status.
    Status(i32),
    /// The command was ended by this signal.
    Signal(i32),
    /// The command was never started.
    Failed(SandboxError),
}
