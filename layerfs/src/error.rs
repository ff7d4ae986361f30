//! [`StoreError`]: what can go wrong with the store.

use crate::digest::Digest;
use crate::io_error::IoError;

/// What can go wrong with the store, a source or an output.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Bytes do not have the digest they were asked for by.
    #[error("{what} has digest {got}, not {wanted}")]
    DigestMismatch {
        /// What was read.
        what: String,
        /// The digest asked for.
        wanted: Digest,
        /// The digest found.
        got: Digest,
    },
    /// Bytes do not have the size their descriptor states.
    #[error("{what} has {got} bytes, its descriptor says {wanted}")]
    SizeMismatch {
        /// What was read.
        what: String,
        /// As stated.
        wanted: u64,
        /// As found.
        got: u64,
    },
    /// There is no such blob.
    #[error("blob {0} is not in the store")]
    NoBlob(Digest),
}
