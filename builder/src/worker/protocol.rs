//! What front and worker say to each other.

use crate::sandbox::spec::RunSpec;
use crate::worker::error::WorkerError;
use layerfs::digest::{ChainId, DiffId};
use layerfs::layer::LayerKey;
use layerfs::path::TreePath;
use layerfs::trace::Span;
use serde::{Deserialize, Serialize};

/// A call of the front. Descriptors travel beside it, in the order of their numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Unpacks the blob on descriptor 0 (plain, gzip or zstd; sniffed) into a directory, checks the diff ID, and files
    /// index and directory under [`LayerKey::Diff`], or [`LayerKey::Chain`] if it leans on what lies below.
    /// Answered by [`Reply::Unpacked`].
    Unpack {
        /// The diff ID it must have.
        diff_id: DiffId,
        /// The chain ID of the stack up to and with it.
        chain: ChainId,
        /// Diff IDs below it, the lowest first: their layers are unpacked by calls before or beside this one.
        below: Vec<DiffId>,
    },
    /// Unpacks the plain tar on descriptor 0 into a directory under a given name; nothing may lean on what lies below.
    /// Answered by [`Reply::Unpacked`].
    UnpackAs {
        /// The name.
        key: LayerKey,
    },
    /// Runs a command. Answered by [`Reply::Streams`], unless it is on a terminal, then [`Reply::Exited`].
    Run(Box<RunSpec>),
    /// Runs a command on a terminal, the last descriptor, in what a failed [`Request::Run`] left that was to be kept;
    /// the others are its secrets again. Answered by [`Reply::Exited`].
    Enter {
        /// The name that its layer would have had.
        key: LayerKey,
        /// The argument list.
        arguments: Vec<String>,
    },
    /// Makes the layer that a failed [`Request::Run`] would have made. Answered by [`Reply::Done`].
    CommitFailed {
        /// The name that its layer is to have.
        key: LayerKey,
    },
    /// Writes a layer as a plain tar to descriptor 0. Answered by [`Reply::Written`].
    WriteTar {
        /// Which layer.
        key: LayerKey,
    },
    /// Opens regular files of layer directories for reading. Answered by one or more [`Reply::Opened`], each with as
    /// many descriptors as it says, in the order asked.
    OpenFiles {
        /// Which: the layer, and the path in it.
        files: Vec<(LayerKey, TreePath)>,
    },
    /// Deletes directories (relative to the store's root, below `layers/`, `mounts/` or `tmp/`). Answered by [`Reply::Done`].
    Delete {
        /// Which.
        paths: Vec<String>,
    },
    /// Compares a layer's directory with its index: kinds, sizes, modes, owners, times. Answered by [`Reply::Checked`].
    Check {
        /// Which layer.
        key: LayerKey,
    },
    /// Adds up the bytes on disk of directories as in `Delete`. Answered by [`Reply::Measured`].
    Measure {
        /// Which.
        paths: Vec<String>,
    },
}

/// An answer of the worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// See [`Request::Unpack`].
    Unpacked {
        /// The name under which the layer is kept.
        key: LayerKey,
    },
    /// A command is about to start. The ends of two pipes come with this, whose other ends are its standard output and its
    /// standard error.
    Streams,
    /// A command ended; if it was to be committed and ended with 0, its layer stands.
    Exited(Exit),
    /// See [`Request::WriteTar`].
    Written {
        /// The tar's digest.
        diff_id: DiffId,
        /// Its size in bytes.
        size: u64,
    },
    /// See [`Request::OpenFiles`].
    Opened {
        /// How many descriptors come with this.
        count: usize,
    },
    /// Done.
    Done,
    /// See [`Request::Check`]: what differs, empty if nothing does.
    Checked {
        /// One line each.
        differences: Vec<String>,
    },
    /// See [`Request::Measure`].
    Measured {
        /// Bytes on disk.
        bytes: u64,
    },
    /// Where the time of the call went, before the last answer, if the front wants to know.
    Spans(Vec<Span>),
    /// It failed.
    Failed(WorkerError),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// With a status.
    Status(i32),
    /// By a signal.
    Signal(i32),
}
