//! `--ssh`.

use super::{Environment, SettingsError};
use builder::request::{SshSource, SshSpec};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

const FLAG: &str = "--ssh";

/// Returns the agent that `text` describes: `ID[=SOCKET[,raw=true]|=KEY[,KEY]]`; without a path that of `SSH_AUTH_SOCK`.
///
/// # Errors
/// [`SettingsError`] if a path is missing, or neither a socket nor a file.
pub fn ssh(text: &str, environment: &Environment) -> Result<SshSpec, SettingsError> {
    let malformed = |why: String| SettingsError::Malformed { flag: FLAG, text: text.to_owned(), why };
    let (id, rest) = text.split_once('=').unwrap_or((text, ""));
    if id.is_empty() {
        return Err(malformed("the id is missing: write `default`, or `ID=SOCKET`, or `ID=KEY`".to_owned()));
    }
    let (mut paths, mut raw) = (Vec::new(), false);
    for field in rest.split(',').filter(|field| !field.is_empty()) {
        match field.strip_prefix("raw=") {
            Some(value) => raw = value.parse().map_err(|_| malformed("`raw` is `true` or `false`".to_owned()))?,
            None => paths.push(PathBuf::from(field)),
        }
    }
    if paths.is_empty() {
        let socket = environment.get("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).ok_or_else(|| {
            malformed("`SSH_AUTH_SOCK` is not set: start an agent, or name a socket or a key".to_owned())
        })?;
        paths.push(socket.into());
    }
    let mut sockets = 0;
    for path in &paths {
        let metadata = std::fs::metadata(path).map_err(|error| malformed(format!("`{}`: {error}", path.display())))?;
        if metadata.file_type().is_socket() {
            sockets += 1;
        } else if !metadata.is_file() {
            return Err(malformed(format!("`{}` is neither a socket nor a key", path.display())));
        }
    }
    let source = match (sockets, paths.as_slice()) {
        (0, _) if raw => return Err(malformed("`raw` needs a socket".to_owned())),
        (0, keys) => SshSource::Keys(keys.to_vec()),
        (1, [socket]) => SshSource::Socket { path: socket.clone(), raw },
        _ => return Err(malformed("only one socket can be given, and no key beside it".to_owned())),
    };
    Ok(SshSpec { id: id.to_owned(), source })
}
