//! [`RunSpec`]: everything a sandbox must know of one command; a value that crosses the pipe.

use crate::plan::op::{ExtraHost, Network, Script, Sharing};
use crate::sandbox::limits::RunLimits;
use layerfs::layer::LayerKey;
use layerfs::path::TreePath;
use serde::{Deserialize, Serialize};

/// Everything a sandbox must know of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The root file system: layers with directories, the lowest first; none for an empty root.
    pub stack: Vec<LayerKey>,
    /// The argument list.
    pub arguments: Vec<String>,
    /// Environment without HOME, in order.
    pub environment: Vec<(String, String)>,
    /// Working directory; made (0755, owned by the user) if it is missing.
    pub working_directory: TreePath,
    /// `user[:group]` as written; empty for root.
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
    /// Mounts in order.
    pub mounts: Vec<MountSpec>,
    /// A script at `/dev/pipes/<name>`.
    pub script: Option<Script>,
    /// What becomes of the changes.
    pub result: RunResult,
    /// Whether the file system of a command that fails is kept until the worker ends.
    pub keep_failed: bool,
    /// Whether it speaks with a terminal, which is the last descriptor that is handed over.
    pub terminal: bool,
}

/// What becomes of a command's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunResult {
    /// They become the layer of this name.
    Commit(LayerKey),
    /// They are thrown away (`lbuild run`).
    Discard,
}

/// A mount of a [`RunSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Where.
    pub target: TreePath,
    /// What.
    pub kind: MountSource,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or directory of a stack of layers with directories.
    Tree {
        /// The layers, the lowest first.
        stack: Vec<LayerKey>,
        /// Which path of it.
        source: TreePath,
        /// Writable; what is written is thrown away.
        writable: bool,
    },
    /// A directory that lasts from build to build.
    Cache {
        /// Its id.
        id: String,
        /// How it is shared.
        sharing: Sharing,
        /// Read-only.
        readonly: bool,
        /// Seed for a new directory: a stack and a path.
        seed: Option<(Vec<LayerKey>, TreePath)>,
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
    /// A secret: its bytes come over the pipe, from the descriptor of this number among those handed over.
    Secret {
        /// Number of the descriptor.
        descriptor: usize,
        /// Mode of the file.
        mode: u32,
        /// Owner of the file.
        uid: u32,
        /// Group of the file.
        gid: u32,
    },
    /// A socket that the descriptor of this number, unbound yet, listens on.
    Socket {
        /// Number of the descriptor.
        descriptor: usize,
        /// Mode of the socket.
        mode: u32,
        /// Owner of the socket.
        uid: u32,
        /// Group of the socket.
        gid: u32,
    },
}
