//! [`Said`]: a server's own words, made fit to print.

use crate::registry::address::escape;
use crate::registry::secret::Secret;
use serde_json::Value;
use std::fmt;

const LONGEST: usize = 400;
const MOST: usize = 3;
/// Fewer characters are words of any text, and stars in their place would tell more than they hide.
const SHORTEST_SECRET: usize = 6;

/// A server's own words: at most some hundred characters, control characters escaped; empty if it said nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said(String);

impl Said {
    /// Returns what the body of an answer says: `errors` of the distribution-spec, the `error` and `error_description` of
    /// OAuth (RFC 6749, 5.2), `message` or `details` of others, else the text itself unless it is a page of HTML. Servers
    /// that repeat what they were sent tell none of `secrets`.
    pub fn of(body: &[u8], secrets: &[Secret]) -> Self {
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(value) => of_json(&value),
            Err(_) => of_text(&String::from_utf8_lossy(body)),
        };
        Self(printable(without(text, secrets).trim()))
    }

    /// Returns the words; empty if there are none.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// Returns `text` with stars for each of `secrets`, as it is or as it stands in a form; the longest first, since one may be
/// part of another.
fn without(mut text: String, secrets: &[Secret]) -> String {
    let secrets = secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SHORTEST_SECRET);
    let mut forms: Vec<String> = secrets.flat_map(|secret| [secret.to_owned(), escape(secret)]).collect();
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    for form in forms {
        text = text.replace(&form, "***");
    }
    text
}

fn of_text(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('<') { String::new() } else { text.to_owned() }
}

fn of_json(value: &Value) -> String {
    if let Some(errors) = value.get("errors").and_then(Value::as_array) {
        return errors.iter().take(MOST).map(of_error).collect::<Vec<_>>().join("; ");
    }
    let word = |key: &str| value.get(key).and_then(Value::as_str);
    let words = [word("error"), word("error_description"), word("message"), word("details")];
    words.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// Prints one of the distribution-spec's errors ("Error Codes"): `CODE: message (detail)`.
fn of_error(error: &Value) -> String {
    let word = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let (code, message) = (word("code"), word("message"));
    let detail = match error.get("detail") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut text = [code, message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    if !detail.is_empty() && detail != "{}" && detail != message {
        text.push_str(&format!(" ({detail})"));
    }
    text
}

/// Returns `text` cut to what fits, with control characters (and those that break lines or turn the writing direction) escaped.
pub(in crate::registry) fn printable(text: &str) -> String {
    let mut printed = String::new();
    for character in text.chars() {
        if printed.len() > LONGEST {
            printed.push('…');
            break;
        }
        if character.is_control()
            || matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            printed.extend(character.escape_default());
        } else {
            printed.push(character);
        }
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_form() {
        let cases: [(&[u8], &str); 10] = [
            (br#"{"errors":[{"code":"DENIED","message":"no","detail":null}]}"#, "DENIED: no"),
            (br#"{"errors":[{"code":"A","message":"b","detail":"c"},{"code":"D"}]}"#, "A: b (c); D"),
            (br#"{"errors":[{"message":"m","detail":{"x":1}}]}"#, r#"m ({"x":1})"#),
            (br#"{"errors":[]}"#, ""),
            (br#"{"error":"invalid_grant","error_description":"bad"}"#, "invalid_grant: bad"),
            (br#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (b"<html>no</html>", ""),
            (b"busy\n", "busy"),
            (b"red\x1b[31m\r\n text", r"red\u{1b}[31m\r\n text"),
            (b"[1,2]", ""),
        ];
        for (body, words) in cases {
            assert_eq!(Said::of(body, &[]).text(), words, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn no_secret_is_repeated() {
        let secrets = ["hunter2&=", "hunter2", "ab", ""].map(Secret::new);
        for (body, words) in [
            (
                r#"{"errors":[{"code":"X","message":"no hunter2&= here","detail":{"a":"hunter2"}}]}"#,
                r#"X: no *** here ({"a":"***"})"#,
            ),
            ("password=hunter2%26%3D&x=ab", "password=***&x=ab"),
        ] {
            assert_eq!(Said::of(body.as_bytes(), &secrets).text(), words);
        }
        // Not even by what is cut.
        let long = format!("{}hunter2", "x".repeat(LONGEST - 3));
        assert!(Said::of(long.as_bytes(), &secrets).text().ends_with("xxx***"));
    }

    #[test]
    fn words_are_cut() {
        let said = Said::of("ä".repeat(10_000).as_bytes(), &[]);
        assert!(said.text().len() <= LONGEST + 6, "{}", said.text().len());
        assert!(said.text().ends_with('…'));
    }
}
