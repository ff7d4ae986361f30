//! Layers as tar streams: PAX out, any common tar in.
//!
//! ```text
//! out: [x header, records]  header  content, padded to 512   ...   two zero blocks
//! ```

mod encoding;
mod header;
mod layer;
pub mod reader;
mod records;
mod sparse;
pub mod writer;

pub(crate) use header::Block;
pub use header::{Entry, EntryKind};
pub use layer::{OpenContent, write_layer};
pub use reader::TarReader;
pub(crate) use reader::padding;
pub(crate) use records::{Key, Records};
pub use sparse::Segment;
pub use writer::TarWriter;

use crate::io_error::{means_full, plain_text};
use crate::path::TreePath;

/// Size of a header and of the unit to which content is padded, in bytes.
pub const BLOCK: usize = 512;

/// Largest PAX header, GNU long name or long link that is written or read, in bytes. Other implementations stop here too.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// What begins the name of a whiteout (image-spec layer.md, "Whiteouts").
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// The name of the marker that makes the directory it stands in opaque (image-spec layer.md, "Opaque Whiteout").
pub const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";

/// What can be wrong with a tar stream.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Reading or writing the stream failed.
    #[error("{act} layer tar: {}", plain_text(source))]
    Stream {
        /// `read` or `write`.
        act: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Reading a file's content failed.
    #[error("read content of `{path}`: {}", plain_text(source))]
    Content {
        /// Which file.
        path: TreePath,
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
        /// Read; one more than announced if there was more to come.
        got: u64,
    },
    /// A change that no layer tar can hold.
    #[error("write `{path}` to layer tar: {why}")]
    Unwritable {
        /// Which path.
        path: TreePath,
        /// What stands against it.
        why: &'static str,
    },
    /// The stream ends inside an entry.
    #[error("layer tar ends inside entry {entry}")]
    Truncated {
        /// Number of the entry from 1.
        entry: u64,
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

impl TarError {
    /// Reports whether the disk or the quota was full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Stream { source, .. } if means_full(source.raw_os_error()))
    }
}

#[cfg(test)]
mod tests;
