//! [`WorkerError`]: what can go wrong in the worker, as a value that crosses the pipe.

use crate::channel::ChannelError;
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::sandbox::error::SandboxError;
use layerfs::digest::DiffId;
use layerfs::io_error::{CURE_OF_FULL_DISK, IoError};
use layerfs::layer::LayerKey;
use layerfs::path::TreePath;
use layerfs::unpack::LayerError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What can go wrong in the worker, or on the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum WorkerError {
    /// An operating system call failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A layer is wrong, or cannot be made here.
    #[error("{message}")]
    Layer {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A file's owner has no place in the user namespace.
    #[error("`{path}` belongs to {uid}:{gid}, which has no place among the user's ids")]
    IdNotMapped {
        /// Which file.
        path: TreePath,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// What to do about it.
        help: Option<String>,
    },
    /// What needs several ids failed where there is one.
    #[error("{error}")]
    OneId {
        /// What failed.
        error: Box<WorkerError>,
        /// Why there is one, and what to do about it.
        help: String,
    },
    /// The disk or the quota is full.
    #[error("no space left to write `{}`", .path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// A layer's tar is not what its image says.
    #[error("layer has diff ID {got}, its image says {wanted}")]
    DiffIdMismatch {
        /// As stated.
        wanted: DiffId,
        /// As found.
        got: DiffId,
    },
    /// A layer's directory or index is not there.
    #[error("layer {0} is not unpacked")]
    NoLayer(LayerKey),
    /// A layer that must stand alone leans on what lies below it.
    #[error("layer {0} is not self-contained")]
    NotSelfContained(LayerKey),
    /// A command could not be started.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A seed of a cache mount is not there, or no directory.
    #[error("cache mount `{id}`: `{path}` in what it is to start from is not a directory")]
    NoSeed {
        /// The cache mount's id.
        id: String,
        /// The path.
        path: TreePath,
    },
    /// A path that the worker does not touch.
    #[error("`{0}` is not below `layers/`, `mounts/` or `tmp/`")]
    ForeignPath(String),
    /// The call was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The worker is gone, or said what makes no sense.
    #[error("the worker process is gone: {0}")]
    Lost(String),
}

impl WorkerError {
    /// Returns the status with which a shell would report the same, if it is the command's own fault (127, 126).
    pub fn exit_status(&self) -> Option<i32> {
        match self {
            Self::Sandbox(error) => error.exit_status(),
            _ => None,
        }
    }

    /// Returns the error with the cure for there being only one id, if that is what is behind it.
    pub(super) fn with_one_id(self, help: Option<String>) -> Self {
        match (self, help) {
            (error @ (Self::IdNotMapped { .. } | Self::Sandbox(SandboxError::IdNotMapped { .. })), Some(help)) => {
                Self::OneId { error: Box::new(error), help }
            }
            (error, _) => error,
        }
    }

    /// Reports whether a layer's directory or index is missing, so that making it anew may help.
    pub fn missing_layer(&self) -> Option<LayerKey> {
        match self {
            Self::NoLayer(key) => Some(*key),
            _ => None,
        }
    }
}

impl Diagnose for WorkerError {
    fn diagnose(&self) -> Diagnostic {
        let help = match self {
            Self::Layer { help, .. } | Self::IdNotMapped { help, .. } => help.clone(),
            Self::OneId { help, .. } => Some(help.clone()),
            Self::Sandbox(error) => error.help(),
            Self::Full { .. } => Some(CURE_OF_FULL_DISK.to_owned()),
            Self::Io(error) if error.is_full() => Some(CURE_OF_FULL_DISK.to_owned()),
            _ => None,
        };
        Diagnostic { help, ..Diagnostic::error(self.to_string()) }
    }
}

impl From<LayerError> for WorkerError {
    fn from(error: LayerError) -> Self {
        let help = error.cure();
        match error {
            LayerError::Io(error) => Self::Io(error),
            LayerError::IdNotMapped { path, uid, gid } => Self::IdNotMapped { path, uid, gid, help },
            LayerError::Full { path } => Self::Full { path },
            other => Self::Layer { message: other.to_string(), help },
        }
    }
}

impl From<ChannelError> for WorkerError {
    fn from(error: ChannelError) -> Self {
        Self::Lost(error.to_string())
    }
}
