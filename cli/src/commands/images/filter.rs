//! [`Filters`]: which images `lbuild images` lists (FEATURES 3.5-7).

use crate::args::ImagesArgs;
use crate::engine::StoredImage;
use crate::report::Failure;
use crate::settings::SettingsError;
use crate::ui::moment;
use builder::context::glob::Glob;
use layerfs::reference::ImageRef;

const KEYS: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];

/// Which images are listed: those that pass all filters, with the names that pass.
#[derive(Debug, Default)]
pub struct Filters {
    dangling: Option<bool>,
    /// Key, value if it matters, and whether it is to be there.
    labels: Vec<(String, Option<String>, bool)>,
    /// Patterns, of which one must fit.
    references: Vec<Glob>,
    /// Images that those listed are older than.
    before: Vec<String>,
    /// Images that those listed are newer than.
    since: Vec<String>,
    /// The time that those listed are older than, in seconds since 1970.
    until: Option<i64>,
}

impl Filters {
    /// Returns what was typed.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn parse(args: &ImagesArgs, now: i64) -> Result<Self, SettingsError> {
        let mut filters = Self::default();
        for text in &args.filter {
            filters.add(text, now)?;
        }
        filters.references.extend(args.name.as_deref().map(|name| pattern(name, name)).transpose()?);
        Ok(filters)
    }

    fn add(&mut self, text: &str, now: i64) -> Result<(), SettingsError> {
        let Some((key, value)) = text.split_once('=') else { return Err(malformed(text, "write `KEY=VALUE`")) };
        match key {
            "dangling" => self.dangling = Some(truth(value).ok_or_else(|| malformed(text, "say `true` or `false`"))?),
            "label" | "label!" => {
                let (name, wanted) = value.split_once('=').map_or((value, None), |(name, value)| (name, Some(value)));
                self.labels.push((name.to_owned(), wanted.map(str::to_owned), key == "label"));
            }
            "reference" => self.references.push(pattern(value, text)?),
            "before" => self.before.push(value.to_owned()),
            "since" => self.since.push(value.to_owned()),
            "until" => self.until = Some(time(value, now).ok_or_else(|| malformed(text, NO_TIME))?),
            _ => {
                let (flag, name) = ("--filter", key.to_owned());
                return Err(SettingsError::UnknownAttribute { flag, text: text.to_owned(), name, known: KEYS });
            }
        }
        Ok(())
    }

    /// Returns the images that pass.
    ///
    /// # Errors
    /// [`Failure`] if one that a filter names is not there.
    pub fn passed(&self, images: Vec<StoredImage>) -> Result<Vec<StoredImage>, Failure> {
        let times = |names: &[String]| names.iter().map(|name| time_of(name, &images)).collect::<Result<Vec<_>, _>>();
        let (before, since) = (times(&self.before)?, times(&self.since)?);
        let passes = |stored: &StoredImage| {
            let created = created(stored);
            self.passes_alone(stored)
                && before.iter().all(|time| created < *time)
                && since.iter().all(|time| created > *time)
                && self.until.is_none_or(|time| created < time)
        };
        let kept = images.into_iter().filter(passes).map(|stored| self.with_names(stored));
        Ok(kept.filter(|stored| self.references.is_empty() || !stored.names.is_empty()).collect())
    }

    fn passes_alone(&self, stored: &StoredImage) -> bool {
        let labels = stored.image.config.config.labels.as_ref();
        let has = |name: &str, wanted: Option<&str>| {
            let found = labels.and_then(|labels| labels.get(name));
            found.is_some_and(|found| wanted.is_none_or(|wanted| wanted == found))
        };
        self.dangling.is_none_or(|wanted| stored.names.is_empty() == wanted)
            && self.labels.iter().all(|(name, value, wanted)| has(name, value.as_deref()) == *wanted)
    }

    fn with_names(&self, mut stored: StoredImage) -> StoredImage {
        if !self.references.is_empty() {
            stored.names.retain(|name| self.references.iter().any(|pattern| is_called(name, pattern)));
        }
        stored
    }
}

const NO_TIME: &str =
    "give a time (`2026-01-31T12:00:00Z`, `2026-01-31`), seconds since 1970, or how long ago (`24h`, `1h30m`)";

fn pattern(pattern: &str, text: &str) -> Result<Glob, SettingsError> {
    Glob::plain(pattern.as_bytes()).map_err(|error| malformed(text, &error.to_string()))
}

fn malformed(text: &str, why: &str) -> SettingsError {
    SettingsError::Malformed { flag: "--filter", text: text.to_owned(), why: why.to_owned() }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Returns a time that is typed as one, or as how long before `now` it was.
fn time(text: &str, now: i64) -> Option<i64> {
    let day = || moment(&format!("{text}T00:00:00Z")).filter(|_| text.len() == 10);
    let local = || moment(&format!("{text}Z"));
    let ago = || duration(text).and_then(|ago| now.checked_sub(ago));
    text.parse().ok().or_else(|| moment(text)).or_else(day).or_else(local).or_else(ago)
}

/// Returns the seconds of `1h30m`.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let unit = match rest.as_bytes()[digits] {
            b'd' => 86_400,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        sum = sum.checked_add(rest[..digits].parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(sum)
}

fn created(stored: &StoredImage) -> i64 {
    stored.image.config.created.as_deref().and_then(moment).unwrap_or(0)
}

fn time_of(name: &str, images: &[StoredImage]) -> Result<i64, Failure> {
    let reference = name.parse::<ImageRef>().ok();
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let hit = |stored: &&StoredImage| {
        let named = reference.as_ref().is_some_and(|reference| stored.names.contains(reference));
        named || (digits.len() >= 4 && stored.image.id().hex().starts_with(digits))
    };
    match images.iter().find(hit) {
        Some(stored) => Ok(created(stored)),
        None => Err(malformed(name, "there is no such image").into()),
    }
}

/// Reports whether a name fits a pattern: with its tag, or without.
fn is_called(name: &ImageRef, pattern: &Glob) -> bool {
    let texts = [name.familiar(), name.familiar_name(), name.to_string()];
    texts.iter().any(|text| pattern.matches(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_dockers_do() {
        let name: ImageRef = "example.com/me/app:1".parse().expect("a name");
        for (pattern, wanted) in [
            ("example.com/me/app", true),
            ("example.com/me/app:1", true),
            ("*/*/app", true),
            ("*:1", false),
            ("app", false),
        ] {
            assert_eq!(is_called(&name, &Glob::plain(pattern.as_bytes()).expect("a pattern")), wanted, "{pattern}");
        }
    }

    #[test]
    fn times_are_points_or_ages() {
        for (text, wanted) in [
            ("1700000000", Some(1_700_000_000)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000)),
            ("2023-11-14T22:13:20", Some(1_700_000_000)),
            ("1970-01-02", Some(86_400)),
            ("1h30m", Some(1_000_000 - 5400)),
            ("2d", Some(1_000_000 - 172_800)),
            ("1x", None),
            ("", None),
            ("h", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(time(text, 1_000_000), wanted, "{text}");
        }
    }
}
