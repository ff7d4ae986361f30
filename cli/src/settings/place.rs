//! Places for files that are written at the end of a build: what is wrong with one is told before the build begins.

use super::SettingsError;
use nix::unistd::{AccessFlags, access};
use std::path::{Path, PathBuf};

/// Refuses a file that could not be written to `path`: a directory is there, or none is where it should be, or the user may
/// not write there.
///
/// # Errors
/// [`SettingsError::Malformed`] about `flag` with its value `text`.
pub(super) fn check_file(flag: &'static str, text: &str, path: &Path) -> Result<(), SettingsError> {
    let wrong = |why: String| Err(SettingsError::Malformed { flag, text: text.to_owned(), why });
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => wrong(format!("`{}` is a directory", path.display())),
        // A pipe or a device is written to as it is; a file is replaced, which its directory decides.
        Ok(found) if !found.is_file() => match access(path, AccessFlags::W_OK) {
            Ok(()) => Ok(()),
            Err(errno) => wrong(format!("`{}` cannot be written: {}", path.display(), errno.desc())),
        },
        _ => {
            let parent = parent(path);
            if !parent.is_dir() {
                return wrong(format!("there is no directory `{}`", parent.display()));
            }
            writable(&parent).or_else(wrong)
        }
    }
}

/// Refuses a directory that could neither be written to nor be made.
///
/// # Errors
/// As [`check_file`].
pub(super) fn check_directory(flag: &'static str, text: &str, path: &Path) -> Result<(), SettingsError> {
    let wrong = |why: String| Err(SettingsError::Malformed { flag, text: text.to_owned(), why });
    let there = path.ancestors().map(|one| if one.as_os_str().is_empty() { Path::new(".") } else { one });
    match there.into_iter().find(|one| one.exists()) {
        Some(found) if !found.is_dir() => wrong(format!("`{}` is not a directory", found.display())),
        Some(found) => writable(found).or_else(wrong),
        None => Ok(()),
    }
}

fn writable(directory: &Path) -> Result<(), String> {
    let why = |errno: nix::errno::Errno| format!("`{}` cannot be written: {}", directory.display(), errno.desc());
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).map_err(why)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_place_is_told() {
        let here = tempfile::tempdir().expect("a directory");
        let at = |name: &str| here.path().join(name);
        std::fs::write(at("file"), "").expect("written");
        let why = |result: Result<(), SettingsError>| match result {
            Ok(()) => String::new(),
            Err(SettingsError::Malformed { why, .. }) => why.replace(&here.path().display().to_string(), "HERE"),
            Err(other) => other.to_string(),
        };
        for (path, wanted) in [
            (at("new"), ""),
            (at("file"), ""),
            (PathBuf::from("/dev/null"), ""),
            (at(""), "`HERE/` is a directory"),
            (at("no/file"), "there is no directory `HERE/no`"),
            (at("file/x"), "there is no directory `HERE/file`"),
            (PathBuf::from("/proc/sys/x"), "`/proc/sys` cannot be written: Permission denied"),
        ] {
            let told = why(check_file("--iidfile", "x", &path));
            // Root may write everywhere; the kernel says no later.
            if !(told.is_empty() && path.starts_with("/proc") && nix::unistd::geteuid().is_root()) {
                assert_eq!(told, wanted, "{}", path.display());
            }
        }
        assert_eq!(parent(Path::new("plain-name")), Path::new("."));
        assert_eq!(why(check_directory("--output", "x", &at("a/b/c"))), "");
        assert_eq!(why(check_directory("--output", "x", &at("file/b"))), "`HERE/file` is not a directory");
    }
}
