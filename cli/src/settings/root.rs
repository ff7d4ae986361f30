//! Where the store is.

use super::{Environment, SettingsError};
use std::path::{Path, PathBuf};

/// Returns the store's directory: what was typed, `LBUILD_ROOT`, what was set once, `$XDG_DATA_HOME/lbuild`, `~/.local/share/lbuild`.
///
/// # Errors
/// [`SettingsError::NoRoot`] if none of them is set.
pub fn root(typed: Option<&Path>, set: Option<&Path>, environment: &Environment) -> Result<PathBuf, SettingsError> {
    // The XDG base directory specification says that a relative path is to be ignored.
    let data_home = || environment.path("XDG_DATA_HOME").filter(|path| path.is_absolute());
    typed
        .map(Path::to_owned)
        .or_else(|| environment.path("LBUILD_ROOT"))
        .or_else(|| set.map(Path::to_owned))
        .or_else(|| data_home().map(|data| data.join("lbuild")))
        .or_else(|| environment.path("HOME").map(|home| home.join(".local/share/lbuild")))
        .ok_or(SettingsError::NoRoot)
}
