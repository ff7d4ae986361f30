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
