//! Numbers and texts as tar headers and PAX records spell them: octal, base 256, decimal times, percent.

use crate::meta::Timestamp;
use std::borrow::Cow;

/// Returns the number in a header field: octal digits between spaces and NULs, or base 256 if the top bit is set.
/// An empty field is 0.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let digits = field[..end].trim_ascii();
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Two's complement, big endian; the top bit only marks the form, the next one is the sign.
fn base_256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let sign = if first & 0x40 != 0 { -1 } else { 0 };
    let top = i64::from(first & 0x3f) | (sign << 6);
    rest.iter().try_fold(top, |value, &byte| value.checked_mul(256)?.checked_add(i64::from(byte)))
}

/// Returns the decimal number that `text` is, digits only.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Returns the time that a PAX value states: `[-]seconds[.fraction]`, cut off after nanoseconds towards the past.
pub(super) fn time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|&b| b == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    let (nanoseconds, more) = fraction_nanoseconds(fraction)?;
    if !negative {
        return Some(Timestamp { seconds, nanoseconds });
    }
    match nanoseconds + u32::from(more) {
        0 => Some(Timestamp::from_seconds(-seconds)),
        nanoseconds => Some(Timestamp { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds }),
    }
}

/// Returns the nanoseconds of the digits after the point, and whether digits that are not zero follow them.
fn fraction_nanoseconds(digits: &[u8]) -> Option<(u32, bool)> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (kept, cut) = digits.split_at(digits.len().min(9));
    let value = kept.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    let scale = 10u32.pow(9 - u32::try_from(kept.len()).ok()?);
    Some((value * scale, cut.iter().any(|&digit| digit != b'0')))
}

/// Appends the decimal form of `time`, without trailing zeros of its fraction.
pub(super) fn push_time(out: &mut Vec<u8>, time: Timestamp) {
    let (sign, seconds, nanoseconds) = if time.seconds < 0 && time.nanoseconds > 0 {
        ("-", (time.seconds + 1).unsigned_abs(), 1_000_000_000 - time.nanoseconds)
    } else {
        (if time.seconds < 0 { "-" } else { "" }, time.seconds.unsigned_abs(), time.nanoseconds)
    };
    out.extend_from_slice(sign.as_bytes());
    push_decimal(out, seconds);
    if nanoseconds > 0 {
        let mut fraction = [b'0'; 9];
        let mut rest = nanoseconds;
        for digit in fraction.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        out.push(b'.');
        let end = fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        out.extend_from_slice(&fraction[..end]);
    }
}

/// Appends the decimal digits of `value`.
pub(super) fn push_decimal(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Returns `name` as a key can hold it: `%` as `%25`, `=` as `%3D`.
pub(super) fn to_percent(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.iter().any(|byte| matches!(byte, b'%' | b'=')) {
        return Cow::Borrowed(name);
    }
    let mut text = Vec::with_capacity(name.len() + 8);
    for &byte in name {
        match byte {
            b'%' => text.extend_from_slice(b"%25"),
            b'=' => text.extend_from_slice(b"%3D"),
            _ => text.push(byte),
        }
    }
    Cow::Owned(text)
}

/// Returns the name whose percent form is `text`; a `%` without two hexadecimal digits stands for itself.
pub(super) fn from_percent(text: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|pair| Some((hex_digit(pair[0])?, hex_digit(pair[1])?)));
        match digits {
            Some((high, low)) if first == b'%' => {
                name.push(high << 4 | low);
                rest = &after[2..];
            }
            _ => {
                name.push(first);
                rest = after;
            }
        }
    }
    name
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_numbers() {
        let table: [(&[u8], Option<i64>); 10] = [
            (b"0000644\0", Some(0o644)),
            (b"   755 \0", Some(0o755)),
            (b"\0\0\0\0", Some(0)),
            (b"", Some(0)),
            (b"77777777777\0", Some(0o77777777777)),
            (b"9\0", None),
            (b"12 3\0", None),
            (&[0x80, 0, 0, 1, 0], Some(256)),
            (&[0xff; 12], Some(-1)),
            (&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None),
        ];
        for (field, wanted) in table {
            assert_eq!(number(field), wanted, "{field:?}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        let table: [(&[u8], i64, u32); 6] = [
            (b"0", 0, 0),
            (b"1.5", 1, 500_000_000),
            (b"-1", -1, 0),
            (b"-0.000000001", -1, 999_999_999),
            (b"-1.25", -2, 750_000_000),
            (b"99999999999.123456789", 99_999_999_999, 123_456_789),
        ];
        for (text, seconds, nanoseconds) in table {
            let timestamp = Timestamp { seconds, nanoseconds };
            assert_eq!(time(text), Some(timestamp), "{}", text.escape_ascii());
            let mut printed = Vec::new();
            push_time(&mut printed, timestamp);
            assert_eq!(printed, text);
        }
        assert_eq!(time(b"1.1234567899"), Some(Timestamp { seconds: 1, nanoseconds: 123_456_789 }));
        assert_eq!(time(b"-1.1234567891"), Some(Timestamp { seconds: -2, nanoseconds: 876_543_210 }));
        for text in [&b""[..], b"-", b".5", b"1.x", b"1e3", b"99999999999999999999", b"+1"] {
            assert_eq!(time(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn percent_survives() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"\xff\n=", b"%3D%"] {
            assert_eq!(from_percent(&to_percent(bytes)), bytes);
        }
        assert_eq!(&*to_percent(b"a=%"), b"a%3D%25");
        assert_eq!(from_percent(b"%zz%4"), b"%zz%4");
    }
}
