//! [`RegistryError`]: what can go wrong between lbuild and a registry.

use std::path::PathBuf;

/// What can go wrong between lbuild and a registry. No text in it holds a secret; URLs are without user, query and token.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A settings file cannot be understood.
    #[error("`{}`: {why}", path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `registries.conf` blocks the name.
    #[error("`{name}` is blocked by `{}`", path.display())]
    Blocked {
        /// The image's name.
        name: String,
        /// By which file.
        path: PathBuf,
    },
    /// The registry does not let us.
    #[error("{0}")]
    Denied(String),
    /// There is no such thing.
    #[error("{what}")]
    NotFound {
        /// What.
        what: String,
    },
    /// Any other answer that is no success.
    #[error("{0}")]
    Answered(String),
    /// The registry forgot a half-sent blob: it is to be sent again from its start.
    #[error("{act}: the registry lost the upload")]
    UploadLost {
        /// What was being done, on what.
        act: String,
    },
    /// The registry takes no chunks: the blob is to be sent whole ([`super::remote::Remote::upload_whole`]).
    #[error("{act}: the registry takes no blob in chunks")]
    NoChunks {
        /// What was being done, on what.
        act: String,
    },
    /// The bytes to send could not be read.
    #[error("{act}: {source}")]
    Source {
        /// What was being done, on what.
        act: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Ctrl-C.
    #[error("cancelled")]
    Cancelled,
}

impl RegistryError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<String> {
        None
    }
}
