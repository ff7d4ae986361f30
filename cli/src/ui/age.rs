//! Times of images in words.

/// Returns how long `seconds` are, in Docker's words and with its bounds: `2 hours`, `About a minute`.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    let days = hours / 24;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if days < 14 => format!("{days} days"),
        _ if days < 60 => format!("{} weeks", days / 7),
        _ if days < 730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

/// Returns how long before `now` (in seconds since 1970) an RFC 3339 time was; `N/A` for what is none.
pub fn age(created: &str, now: i64) -> String {
    moment(created).map_or_else(|| "N/A".to_owned(), |then| format!("{} ago", duration(now.saturating_sub(then))))
}

/// Returns the time as Docker's lists show it: `2026-11-21 01:30:00 +0000 UTC`.
pub fn date(created: &str) -> String {
    match moment(created) {
        Some(_) if created.ends_with('Z') => format!("{} {} +0000 UTC", &created[..10], &created[11..19]),
        Some(_) => created.to_owned(),
        None => "N/A".to_owned(),
    }
}

/// Returns the seconds since 1970 of `2026-11-21T01:30:00Z` or `2026-11-21T01:30:00+02:00`; fractions are dropped.
pub fn moment(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let zone = time.get(19..)?.trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
    let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(local - offset(zone)?)
}

/// Returns the seconds by which a zone is ahead.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes() {
        [b'Z'] => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let number = |range: std::ops::Range<usize>| zone.get(range)?.parse::<i64>().ok();
    Some(sign * (number(1..3)? * 3600 + number(4..6)? * 60))
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
    fn times_are_read() {
        for (time, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T01:30:00.5Z", Some(1_795_224_600)),
            ("2026-11-21T03:30:00.123456789+02:00", Some(1_795_224_600)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("", None),
            ("2026", None),
            ("2026-11-21T01:30:00", None),
            ("äöü-11-21T01:30:00Z", None),
        ] {
            assert_eq!(moment(time), wanted, "{time}");
        }
        assert_eq!(date("2026-11-21T01:30:00.5Z"), "2026-11-21 01:30:00 +0000 UTC");
    }

    #[test]
    fn times_are_told_in_words() {
        for (later, wanted) in [
            (0, "Less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "About a minute ago"),
            (3600, "About an hour ago"),
            (7200, "2 hours ago"),
            (90_000, "25 hours ago"),
            (200_000, "2 days ago"),
            (1_300_000, "2 weeks ago"),
            (10_000_000, "3 months ago"),
            (100_000_000, "3 years ago"),
        ] {
            assert_eq!(age("1970-01-01T00:00:00Z", later), wanted);
        }
        assert_eq!(age("never", 0), "N/A");
    }
}
