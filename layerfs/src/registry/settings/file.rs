//! Reads the small files that the user's settings are made of.

use crate::io_error::plain_text;
use crate::registry::error::RegistryError;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The most bytes that a settings file may have.
pub(in crate::registry) const LIMIT: u64 = 4 << 20;

/// Returns the text of `path`; nothing if it is not there.
///
/// # Errors
/// [`RegistryError::Settings`] if it cannot be read, is no text or has more than [`LIMIT`] bytes.
pub(in crate::registry) fn text(path: &Path) -> Result<Option<String>, RegistryError> {
    match bytes(path)? {
        None => Ok(None),
        Some(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| wrong(path, "it is not UTF-8")),
    }
}

/// Returns the bytes of `path`; nothing if it is not there.
///
/// # Errors
/// [`RegistryError::Settings`] if it cannot be read or has more than [`LIMIT`] bytes.
pub(in crate::registry) fn bytes(path: &Path) -> Result<Option<Vec<u8>>, RegistryError> {
    let failed = |error: std::io::Error| wrong(path, format!("cannot be read: {}", plain_text(&error)));
    // `HOME=/dev/null` is how some services say that they have none: ENOTDIR is as good as ENOENT.
    let absent = |error: &std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let metadata = match std::fs::metadata(path) {
        Err(error) if absent(&error) => return Ok(None),
        other => other.map_err(failed)?,
    };
    // Opening a pipe would wait for its writer.
    if !metadata.is_file() && path != Path::new("/dev/null") {
        return Err(wrong(path, "it is not a file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(wrong(path, format!("it has more than {LIMIT} bytes")));
    }
    Ok(Some(bytes))
}

/// Returns the files of `directory` with `extension`, sorted by name; none if the directory is not there.
///
/// # Errors
/// [`RegistryError::Settings`] if it cannot be listed.
pub(in crate::registry) fn list(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, RegistryError> {
    let failed = |error: std::io::Error| wrong(directory, format!("cannot be listed: {}", plain_text(&error)));
    let entries = match std::fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|found| found == extension) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the error that `why` is wrong with the file `path`.
pub(in crate::registry) fn wrong(path: &Path, why: impl Into<String>) -> RegistryError {
    RegistryError::Settings { path: path.to_owned(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_nothing_and_an_unreadable_one_an_error() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("good"), "text")?;
        std::fs::write(at("binary"), [0xff])?;
        std::fs::write(at("big"), vec![b' '; 4 * 1024 * 1024 + 1])?;
        std::os::unix::fs::symlink(at("loop"), at("loop"))?;
        for (path, wanted) in [
            (at("good"), Ok(Some("text".to_owned()))),
            (at("absent"), Ok(None)),
            (at("good/below"), Ok(None)),
            (PathBuf::from("/dev/null"), Ok(Some(String::new()))),
            (at("binary"), Err("it is not UTF-8")),
            (at("big"), Err("it has more than 4194304 bytes")),
            (at("."), Err("it is not a file")),
            (PathBuf::from("/dev/zero"), Err("it is not a file")),
            (at("loop"), Err("cannot be read: Too many levels of symbolic links")),
        ] {
            let wanted = wanted.map_err(|why| format!("`{}`: {why}", path.display()));
            assert_eq!(text(&path).map_err(|error| error.to_string()), wanted);
        }
        Ok(())
    }

    #[test]
    fn a_directory_is_listed_by_extension_and_in_order() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        for name in ["b.conf", "a.conf", "c.conf.bak", "conf"] {
            std::fs::write(dir.path().join(name), "")?;
        }
        std::fs::create_dir(dir.path().join("d.conf"))?;
        assert_eq!(list(dir.path(), "conf")?, [dir.path().join("a.conf"), dir.path().join("b.conf")]);
        assert_eq!(list(&dir.path().join("none"), "conf")?, Vec::<PathBuf>::new());
        Ok(())
    }
}
