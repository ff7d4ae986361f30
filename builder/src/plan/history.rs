//! The words of history lines, as BuildKit writes them (1.5-16).

use layerfs::image::{Healthcheck, History};

/// The comment of every line.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// Returns a history line without its time.
pub(super) fn line(text: String, has_layer: bool) -> History {
    History {
        created_by: Some(text),
        comment: Some(COMMENT.to_owned()),
        empty_layer: (!has_layer).then_some(true),
        ..History::default()
    }
}

/// Returns the line of a layer that no instruction made, as exporters write it (9-2).
pub(super) fn synthesised(text: Option<String>) -> History {
    History { created_by: text, comment: Some("buildkit.exporter.image.v0".to_owned()), ..History::default() }
}

/// Returns a list as Go's `%q` prints it: `["a" "b"]`.
pub(super) fn quoted_list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(" "))
}

/// Returns a list as Go's `%v` prints it: `[a b]`.
pub(super) fn plain_list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}

/// Returns a text as Go's `%q` prints it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Returns the line of HEALTHCHECK.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        plain_list(&check.test),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    )
}

/// Returns nanoseconds as Go prints a duration: `1h0m0s`, `1.5s`, `100ms`, `0s`.
fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let rest = nanoseconds.unsigned_abs();
    let text = match rest {
        0 => "0s".to_owned(),
        1..1_000 => format!("{rest}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(rest, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(rest, 6)),
        _ => hours(rest),
    };
    format!("{sign}{text}")
}

/// Returns nanoseconds of a second or more as hours, minutes and seconds, the leading ones only if needed.
fn hours(nanoseconds: u64) -> String {
    let minutes = nanoseconds / 60_000_000_000;
    let seconds = decimal(nanoseconds % 60_000_000_000, 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Returns `value` with its last `places` digits behind a point, zeros at the end left out.
fn decimal(value: u64, places: u32) -> String {
    let scale = 10_u64.pow(places);
    let fraction = format!("{:0width$}", value % scale, width = places as usize);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (value / scale).to_string() } else { format!("{}.{fraction}", value / scale) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_go_does() {
        for (nanoseconds, wanted) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (1_000_000_000, "1s"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_000, "-1ms"),
        ] {
            assert_eq!(duration(nanoseconds), wanted);
        }
    }

    #[test]
    fn lists_of_1_5_16() {
        let items = ["a b".to_owned(), "q\"\\\n\u{1}é".to_owned()];
        assert_eq!(quoted_list(&items), r#"["a b" "q\"\\\n\x01é"]"#);
        assert_eq!(plain_list(&items[..1]), "[a b]");
        assert_eq!(quoted_list(&[]), "[]");
    }

    #[test]
    fn healthcheck_line_of_1_5_16() {
        let check = Healthcheck {
            test: vec!["CMD-SHELL".to_owned(), "x".to_owned()],
            interval: 1_000_000_000,
            timeout: 10_000_000_000,
            start_period: 3_000_000_000,
            start_interval: 100_000_000,
            retries: 5,
        };
        assert_eq!(
            healthcheck(&check),
            "HEALTHCHECK {Test:[CMD-SHELL x] Interval:1s Timeout:10s StartPeriod:3s StartInterval:100ms Retries:5}"
        );
    }
}
