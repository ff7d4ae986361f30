//! [`SandboxError`]: why a command could not be started.

use crate::sandbox::user::AccountError;
use layerfs::io_error::IoError;
use layerfs::path::TreePath;
use serde::{Deserialize, Serialize};

/// Why a command could not be started. A command that ran and failed is no error but an exit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SandboxError {
    /// A step of making the sandbox failed.
    #[error("make sandbox: {0}")]
    Setup(IoError),
    /// A mount failed.
    #[error("mount `{target}`: {cause}")]
    Mount {
        /// Where.
        target: TreePath,
        /// Why.
        cause: IoError,
    },
    /// What is to be mounted is not there.
    #[error("mount `{target}`: no `{source_path}` in what is mounted")]
    NoMountSource {
        /// Where.
        target: TreePath,
        /// Which path of the tree is missing.
        source_path: TreePath,
    },
    /// A secret is too long.
    #[error("secret for `{target}` is larger than {limit} bytes")]
    SecretTooLarge {
        /// Where it was to be mounted.
        target: TreePath,
        /// The most that is taken.
        limit: u64,
    },
    /// USER names nobody.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// An id that the user namespace does not map.
    #[error("{what} {id} is not mapped into the user namespace")]
    IdNotMapped {
        /// `user`, `group`.
        what: String,
        /// The id.
        id: u32,
    },
    /// The working directory could not be made or entered.
    #[error("working directory `{path}`: {cause}")]
    WorkingDirectory {
        /// Which.
        path: TreePath,
        /// Why.
        cause: IoError,
    },
    /// A resource limit is higher than the caller's own.
    #[error("limit `{name}` is higher than this user may set it{}", ceiling.map(|most| format!(" ({most})")).unwrap_or_default())]
    LimitTooHigh {
        /// Which.
        name: String,
        /// The most that this user may set.
        ceiling: Option<u64>,
    },
    /// A name without `/` is in no directory of PATH.
    #[error("exec: \"{program}\": executable file not found in $PATH")]
    NotInPath {
        /// The name.
        program: String,
    },
    /// The program could not be executed.
    #[error("exec {program}: {message}")]
    Exec {
        /// As asked for.
        program: String,
        /// Why.
        errno: i32,
        /// Why, in words.
        message: String,
    },
    /// The helper process vanished.
    #[error("the process that makes the sandbox ended without a word")]
    Lost,
}

impl SandboxError {
    /// Returns the status with which a shell would report the same: 127 if there is no such program, 126 if it cannot be
    /// executed; nothing for errors that are not the program's.
    pub fn exit_status(&self) -> Option<i32> {
        match self {
            Self::NotInPath { .. } => Some(127),
            Self::Exec { errno: libc::ENOENT | libc::ENOTDIR, .. } => Some(127),
            Self::Exec { .. } => Some(126),
            _ => None,
        }
    }

    /// Returns what the user can do about it, where lbuild knows.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::Exec { errno: libc::ENOEXEC, .. } => {
                "the file is for another processor, or a script without a `#!` line"
            }
            Self::Exec { errno: libc::EACCES, .. } => "the file has no permission to execute for this user",
            Self::Exec { errno: libc::ENOENT, .. } | Self::NotInPath { .. } => {
                "the image has no such program; if the file is there, its interpreter (`#!` line, dynamic linker) is not"
            }
            Self::Account(AccountError::NoUser(_) | AccountError::NoGroup(_)) => {
                "make it with a RUN before, as `useradd` and `groupadd` do, or give a number"
            }
            Self::IdNotMapped { .. } => {
                "give this user more ids in /etc/subuid and /etc/subgid (`usermod --add-subuids … --add-subgids …`)"
            }
            Self::LimitTooHigh { name, .. } => {
                return Some(format!(
                    "ask `--ulimit {name}` for less, or raise your own limit in /etc/security/limits.conf (`ulimit -H -a` \
                     shows it)"
                ));
            }
            Self::Mount { target, cause } if target.as_bytes() == b"proc" && cause.errno == Some(libc::EPERM) => {
                "this runs in a container whose /proc is masked: start it with an unmasked /proc (Docker: \
                 `--security-opt systempaths=unconfined`; Kubernetes: `procMount: Unmasked`)"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}
