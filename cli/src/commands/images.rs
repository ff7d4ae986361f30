//! `lbuild images`.

use super::{Scene, json, print};
use crate::args::{FormatArg, ImagesArgs};
use crate::engine::{self, StoredImage};
use crate::exit::Exit;
use crate::report::Failure;
use crate::ui::bytes;
use layerfs::reference::ImageRef;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lists the images of the store.
pub fn run(args: &ImagesArgs, scene: &Scene) -> Result<Exit, Failure> {
    let images = engine::images(&scene.root)?;
    let text = match args.format {
        _ if args.quiet => images.iter().map(|stored| format!("{}\n", short(stored))).collect(),
        FormatArg::Json => json(&Value::Array(images.iter().map(as_json).collect())),
        FormatArg::Table => table(&images.iter().flat_map(|stored| rows(stored, now())).collect::<Vec<_>>()),
    };
    print(&text)?;
    Ok(Exit::Success)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

fn short(stored: &StoredImage) -> String {
    stored.image.id().hex()[..12].to_owned()
}

fn as_json(stored: &StoredImage) -> Value {
    json!({
        "Id": stored.image.id().to_string(),
        "RepoTags": stored.names.iter().map(ImageRef::familiar).collect::<Vec<_>>(),
        "Created": stored.image.config.created,
        "Size": stored.size,
    })
}

/// Returns a row for each name; an image without a name has one, too.
fn rows(stored: &StoredImage, now: i64) -> Vec<[String; 5]> {
    let row = |(repository, tag): (String, String)| {
        let created = stored.image.config.created.as_deref().map_or_else(|| "N/A".to_owned(), |time| age(time, now));
        [repository, tag, short(stored), created, bytes(stored.size)]
    };
    if stored.names.is_empty() {
        return vec![row(("<none>".into(), "<none>".into()))];
    }
    stored.names.iter().map(|name| row(repository_and_tag(name))).collect()
}

fn repository_and_tag(name: &ImageRef) -> (String, String) {
    let tag = name.tag.clone().unwrap_or_else(|| "<none>".into());
    let repository = ImageRef { digest: None, ..name.clone() }.familiar();
    (repository.strip_suffix(&format!(":{tag}")).unwrap_or(&repository).to_owned(), tag)
}

fn table(rows: &[[String; 5]]) -> String {
    let head = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let padded: String = widths.iter().zip(row).map(|(width, cell)| format!("{cell:width$}   ")).collect();
        format!("{padded}{}\n", row[4])
    };
    std::iter::once(&head).chain(rows).map(line).collect()
}

/// Returns how long ago an RFC 3339 time was, in words.
fn age(created: &str, now: i64) -> String {
    let Some(then) = seconds(created) else { return "N/A".to_owned() };
    let ago = now.saturating_sub(then).max(0);
    let units = [
        ("year", 31_536_000),
        ("month", 2_592_000),
        ("week", 604_800),
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
    ];
    match units.iter().find(|(_, length)| ago >= *length) {
        Some((unit, length)) => {
            let count = ago / length;
            format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
        }
        None => "less than a minute ago".to_owned(),
    }
}

/// Returns the seconds since 1970 of `2026-11-21T01:30:00Z`; fractions are dropped, other zones are not read.
fn seconds(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    time.ends_with('Z').then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Returns the days from 1970-01-01 to a day of the Gregorian calendar (Howard Hinnant, "days_from_civil").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2026-11-21T01:30:00.5Z"), Some(1_795_224_600));
        assert_eq!(seconds("2000-02-29T23:59:59Z"), Some(951_868_799));
        for broken in ["", "2026", "2026-11-21T01:30:00+01:00", "äöü-11-21T01:30:00Z"] {
            assert_eq!(age(broken, 0), "N/A", "{broken}");
        }
        for (later, wanted) in [
            (0, "less than a minute ago"),
            (60, "1 minute ago"),
            (7200, "2 hours ago"),
            (90_000, "1 day ago"),
            (1_300_000, "2 weeks ago"),
        ] {
            assert_eq!(age("1970-01-01T00:00:00Z", later), wanted);
        }
    }

    #[test]
    fn a_table_has_even_columns() {
        let row = ["a/longer/repository", "1", "0123456789ab", "2 days ago", "1.20MB"].map(str::to_owned);
        let wanted = "\
REPOSITORY            TAG   IMAGE ID       CREATED      SIZE
a/longer/repository   1     0123456789ab   2 days ago   1.20MB
";
        assert_eq!(table(&[row]), wanted);
    }
}
