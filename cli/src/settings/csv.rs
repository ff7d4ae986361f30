//! Flags of the form `key=value,key=value`, with Go's csv quoting, as Docker reads them.

use super::SettingsError;

/// Returns the fields of `text`: the name before `=`, and what follows it, if there is one.
///
/// # Errors
/// [`SettingsError::Malformed`] if a quote is not closed, or stands in the middle of a field.
pub fn fields(flag: &'static str, text: &str) -> Result<Vec<(String, Option<String>)>, SettingsError> {
    let malformed = |why: &str| SettingsError::Malformed { flag, text: text.to_owned(), why: why.to_owned() };
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted).ok_or_else(|| malformed("a quote is not closed"))?,
            None => plain_field(rest).ok_or_else(|| malformed("a quote stands inside a field"))?,
        };
        fields.push(split(&field));
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(fields),
            None => return Err(malformed("something follows a closing quote")),
        }
    }
}

fn plain_field(text: &str) -> Option<(String, &str)> {
    let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    (!field.contains('"')).then(|| (field.to_owned(), after))
}

/// Reads up to the closing quote; two quotes stand for one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

fn split(field: &str) -> (String, Option<String>) {
    match field.split_once('=') {
        Some((name, value)) => (name.trim().to_lowercase(), Some(value.to_owned())),
        None => (field.trim().to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_at_commas_outside_quotes() {
        let pair = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        for (text, wanted) in [
            ("type=oci,dest=a.tar", vec![pair("type", "oci"), pair("dest", "a.tar")]),
            (r#"type=image,"name=a,b""#, vec![pair("type", "image"), pair("name", "a,b")]),
            (r#""dest=a ""b""""#, vec![pair("dest", "a \"b\"")]),
            ("TYPE=oci", vec![pair("type", "oci")]),
            ("out", vec![("out".to_owned(), None)]),
            ("dest=a=b", vec![pair("dest", "a=b")]),
        ] {
            assert_eq!(fields("--output", text).expect(text), wanted);
        }
        for text in [r#""type=oci"#, r#"ty"pe=oci"#, r#""type=oci"x"#] {
            assert!(fields("--output", text).is_err(), "{text}");
        }
    }
}
