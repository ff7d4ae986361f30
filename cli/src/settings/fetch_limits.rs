//! `--limit`: how much of what others wrote a build takes in.

use super::SettingsError;
use builder::fetch_limits::FetchLimits;
use builder::plan::size;

const FLAG: &str = "--limit";
const NAMES: &[&str] = &["download", "archive-bytes", "archive-entries", "archive-ratio"];

/// Returns the limits that were typed; of two of one name the later counts.
///
/// # Errors
/// [`SettingsError`].
pub fn fetch_limits(typed: &[String]) -> Result<FetchLimits, SettingsError> {
    let mut limits = FetchLimits::default();
    for text in typed {
        let wrong = |why: &str| SettingsError::Malformed { flag: FLAG, text: text.clone(), why: why.to_owned() };
        let (name, value) = text.split_once('=').ok_or_else(|| wrong("write `NAME=SIZE`"))?;
        let bytes =
            || size::parse(value).ok_or_else(|| wrong("write a number of bytes, or one with a unit such as `32g`"));
        let number = || value.parse().map_err(|_| wrong("write a number"));
        match name {
            "download" => limits.download = bytes()?,
            "archive-bytes" => limits.archive_bytes = bytes()?,
            "archive-entries" => limits.archive_entries = number()?,
            "archive-ratio" => limits.archive_ratio = number()?,
            _ => {
                let (text, name) = (text.clone(), name.to_owned());
                return Err(SettingsError::UnknownAttribute { flag: FLAG, text, name, known: NAMES });
            }
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_their_names() {
        let read = |texts: &[&str]| fetch_limits(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&[]).expect("none"), FetchLimits::default());
        let limits = read(&["download=1m", "archive-bytes=2k", "archive-entries=7", "archive-ratio=9", "download=3"]);
        let wanted = FetchLimits {
            download: 3,
            archive_bytes: 2048,
            archive_entries: 7,
            archive_ratio: 9,
            ..FetchLimits::default()
        };
        assert_eq!(limits.expect("limits"), wanted);
        for (text, why) in [
            ("download", "`--limit download`: write `NAME=SIZE`"),
            ("download=x", "`--limit download=x`: write a number of bytes, or one with a unit such as `32g`"),
            ("archive-ratio=-1", "`--limit archive-ratio=-1`: write a number"),
            ("archive=1", "`--limit archive=1`: no attribute is called `archive`"),
        ] {
            assert_eq!(read(&[text]).expect_err(text).to_string(), why);
        }
    }
}
