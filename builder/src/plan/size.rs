//! Sizes as Docker writes them: `64m`, `1.5GiB`, `100` (1.7-8).

/// Returns the number of bytes that `text` means; units are powers of 1024, in any case, with or without `b` and `ib`.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start().to_ascii_lowercase());
    let shift = 10 * power(&unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
    whole.checked_mul(1 << shift)?.checked_add(part(fraction, shift)?)
}

/// Returns the power of 1024 of a unit.
fn power(unit: &str) -> Option<u32> {
    let letter = match unit.len() {
        0 => return Some(0),
        1 => unit,
        _ => unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b'))?,
    };
    match letter {
        "b" => Some(0),
        "k" => Some(1),
        "m" => Some(2),
        "g" => Some(3),
        "t" => Some(4),
        "p" => Some(5),
        _ => None,
    }
}

/// Returns what the digits after the point are worth, rounded down.
fn part(digits: &str, shift: u32) -> Option<u64> {
    if digits.is_empty() {
        return Some(0);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Nine digits say more than a mebibyte can tell apart.
    let digits = &digits[..digits.len().min(9)];
    let parts: u128 = digits.parse().ok()?;
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    u64::try_from((parts << shift) / scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_1_7_8() {
        for (text, wanted) in [
            ("100", Some(100)),
            ("1b", Some(1)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("1 k", Some(1024)),
            (".5k", Some(512)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("1..5k", None),
            ("1.2.3", None),
            ("99999999999999999999", None),
            ("18446744073709551615p", None),
        ] {
            assert_eq!(parse(text), wanted, "{text}");
        }
    }
}
