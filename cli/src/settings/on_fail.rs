//! `--on-fail`.

use super::SettingsError;
use std::path::PathBuf;

/// What is done with a step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFail {
    /// A shell is opened in it.
    Shell,
    /// It is written into a directory.
    Bundle(PathBuf),
}

/// Returns what was typed; a shell needs a terminal.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn on_fail(typed: Option<&str>, terminal: bool) -> Result<Option<OnFail>, SettingsError> {
    let Some(text) = typed else { return Ok(None) };
    let wrong = |why: &str| SettingsError::Malformed { flag: "--on-fail", text: text.to_owned(), why: why.to_owned() };
    match text.split_once(':').unwrap_or((text, "")) {
        ("shell", "") if text == "shell" && terminal => Ok(Some(OnFail::Shell)),
        ("shell", "") if text == "shell" => Err(wrong("there is no terminal here: use `bundle:DIR`")),
        ("bundle", directory) if !directory.is_empty() => Ok(Some(OnFail::Bundle(directory.into()))),
        _ => Err(wrong("write `shell` or `bundle:DIR`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_for_a_shell_or_for_a_bundle() {
        let meant = |text: &str, terminal| on_fail(Some(text), terminal).map_err(|error| error.to_string());
        assert_eq!(meant("shell", true), Ok(Some(OnFail::Shell)));
        assert_eq!(meant("bundle:a:b", false), Ok(Some(OnFail::Bundle("a:b".into()))));
        for (text, why) in [
            ("shell", "there is no terminal here: use `bundle:DIR`"),
            ("bundle:", "write `shell` or `bundle:DIR`"),
            ("bundle", "write `shell` or `bundle:DIR`"),
            ("shell:x", "write `shell` or `bundle:DIR`"),
        ] {
            assert_eq!(meant(text, false), Err(format!("`--on-fail {text}`: {why}")));
        }
        assert_eq!(on_fail(None, false).expect("nothing"), None);
    }
}
