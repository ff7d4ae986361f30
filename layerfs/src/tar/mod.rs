//! Layers as tar streams: PAX out, any common tar in.

pub mod reader;
pub mod writer;

use crate::path::TreePath;

/// What can be wrong with a tar stream.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Reading or writing the stream failed.
    #[error("{act} layer tar: {source}")]
    Stream {
        /// `read` or `write`.
        act: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file's content ended early or went on past the size in its metadata: it changed while it was read.
    #[error("`{path}` changed while it was read: {wanted} bytes were announced, {got} came")]
    SizeChanged {
        /// Which file.
        path: TreePath,
        /// Announced.
        wanted: u64,
        /// Read.
        got: u64,
    },
    /// The stream breaks the format.
    #[error("layer tar, entry {entry}: {why}")]
    Malformed {
        /// Number of the entry from 1.
        entry: u64,
        /// What is wrong.
        why: String,
    },
}
