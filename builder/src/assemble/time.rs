//! Times as image configs have them: RFC 3339 in UTC, with as many digits of the second as are needed.

use layerfs::meta::Timestamp;

const SECONDS_A_DAY: i64 = 86_400;

/// Returns a time as `2026-01-31T12:00:00.5Z`; years past 9999 have more digits, years before 0 a sign.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let (days, second) = (time.seconds.div_euclid(SECONDS_A_DAY), time.seconds.rem_euclid(SECONDS_A_DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = fraction(time.nanoseconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

fn fraction(nanoseconds: u32) -> String {
    let digits = format!(".{nanoseconds:09}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last, in eras of 400 years (146,097 days).
fn date(days: i64) -> (i64, i64, i64) {
    let from_march_of_0 = days + 719_468;
    let (era, day) = (from_march_of_0.div_euclid(146_097), from_march_of_0.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date_1() {
        for (seconds, nanoseconds, wanted) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_709_164_800, 500_000_000, "2024-02-29T00:00:00.5Z"),
            (1_767_225_599, 1, "2025-12-31T23:59:59.000000001Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (4_102_444_800, 0, "2100-01-01T00:00:00Z"),
            (253_402_300_800, 0, "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Timestamp { seconds, nanoseconds }), wanted);
        }
    }

    #[test]
    fn no_time_is_too_far() {
        for seconds in [i64::MIN, i64::MAX] {
            assert!(rfc3339(Timestamp { seconds, nanoseconds: 0 }).ends_with('Z'));
        }
    }
}
