//! Go durations, as HEALTHCHECK takes them (Go, package time, `ParseDuration`).

/// Returns the nanoseconds of a text such as `1m30s`, `.5h` or `0`; nothing if it is none or does not fit.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = component(rest)?;
        total = total.checked_add(nanoseconds)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Reads one number with its unit.
fn component(text: &str) -> Option<(i128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let length = rest.find(|character: char| character == '.' || character.is_ascii_digit()).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(length);
    let unit = unit(name)?;
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.into() };
    Some((whole * unit + fraction_of(fraction, unit), rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

/// Returns the nanoseconds of a decimal fraction of `unit`, cut off; digits past the fifteenth weigh nothing.
fn fraction_of(digits: &str, unit: i128) -> i128 {
    let digits = &digits[..digits.len().min(15)];
    let scale = 10_i128.pow(u32::try_from(digits.len()).unwrap_or(0));
    digits.parse::<i128>().unwrap_or(0) * unit / scale
}

fn unit(name: &str) -> Option<i128> {
    Some(match name {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_read_as_go_reads_them() {
        let table = [
            ("0", Some(0)),
            ("1s", Some(1_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            (".5h", Some(1_800_000_000_000)),
            ("1.5ms", Some(1_500_000)),
            ("5\u{b5}s", Some(5_000)),
            ("-1ns", Some(-1)),
            ("+2us", Some(2_000)),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("9223372036854775808ns", None),
            ("3000000h", None),
            ("", None),
            ("-", None),
            ("1", None),
            ("s", None),
            (".s", None),
            ("1x", None),
            ("1s ", None),
        ];
        for (text, nanoseconds) in table {
            assert_eq!(parse(text), nanoseconds, "{text:?}");
        }
    }
}
