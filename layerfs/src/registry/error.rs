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
    /// A program that keeps credentials failed.
    #[error("`docker-credential-{name} {act}` for `{server}`: {why}")]
    Helper {
        /// What follows `docker-credential-` in its name.
        name: String,
        /// The settings file that names it.
        named_in: PathBuf,
        /// What it was asked to do: `get`, `store` or `erase`.
        act: &'static str,
        /// The registry, as helpers call it.
        server: String,
        /// What went wrong, in its own words if it had any.
        why: String,
    },
    /// Ctrl-C.
    #[error("cancelled")]
    Cancelled,
}

impl RegistryError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Blocked { path, .. } => Some(format!("take `blocked = true` out of `{}`", path.display())),
            Self::Helper { named_in, .. } => {
                Some(format!("`{}` names this helper in `credsStore` or `credHelpers`", named_in.display()))
            }
            Self::Settings { .. } | Self::Cancelled => None,
        }
    }
}
