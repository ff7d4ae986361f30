//! [`Challenge`]: what a registry asks for in `WWW-Authenticate` (RFC 9110, 11.6.1).

use std::iter::Peekable;
use std::str::Chars;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token of a server (distribution-spec's token authentication).
    Bearer {
        /// The token server's URL.
        realm: String,
        /// Its name for the registry; empty if it has none.
        service: String,
        /// What the registry thinks we need.
        scopes: Vec<String>,
    },
}

impl Challenge {
    /// Returns the same challenge without what the registry thinks we need.
    pub fn for_nothing(&self) -> Self {
        match self {
            Self::Basic => Self::Basic,
            Self::Bearer { realm, service, .. } => {
                Self::Bearer { realm: realm.clone(), service: service.clone(), scopes: Vec::new() }
            }
        }
    }
}

/// Returns the strongest challenge that we can answer among those of the headers: a token before a password.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let all: Vec<Challenge> = headers.flat_map(parse).filter_map(understand).collect();
    let token = all.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    token.or(all.first()).cloned()
}

/// A challenge as it is written: a scheme and its parameters, names in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    scheme: String,
    parameters: Vec<(String, String)>,
}

fn understand(written: Written) -> Option<Challenge> {
    let value = |name: &str| written.parameters.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone());
    match written.scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => {
            let scopes = value("scope").unwrap_or_default();
            let scopes = scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
            Some(Challenge::Bearer { realm: value("realm")?, service: value("service").unwrap_or_default(), scopes })
        }
        _ => None,
    }
}

/// Takes a header apart. Several challenges are parted by commas, and so are their parameters: a word that no `=` follows
/// begins a challenge.
fn parse(header: &str) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    let mut rest = header.chars().peekable();
    loop {
        skip(&mut rest, |c| c == ',' || c.is_whitespace());
        let word = take(&mut rest, is_token);
        if word.is_empty() {
            // Neither a word nor a separator: what follows cannot be understood.
            return all;
        }
        skip(&mut rest, |c| c == ' ' || c == '\t');
        if rest.peek() != Some(&'=') {
            all.push(Written { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            continue;
        }
        rest.next();
        skip(&mut rest, |c| c == ' ' || c == '\t');
        let value = if rest.peek() == Some(&'"') {
            quoted(&mut rest)
        } else {
            take(&mut rest, |c| is_token(c) || c == '=' || c == '/')
        };
        if let Some(challenge) = all.last_mut() {
            challenge.parameters.push((word.to_ascii_lowercase(), value));
        }
    }
}

/// A character of a token, or of the URLs that some servers forget to quote.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:?/@".contains(c)
}

fn skip(rest: &mut Peekable<Chars<'_>>, what: impl Fn(char) -> bool) {
    while rest.next_if(|c| what(*c)).is_some() {}
}

fn take(rest: &mut Peekable<Chars<'_>>, what: impl Fn(char) -> bool) -> String {
    std::iter::from_fn(|| rest.next_if(|c| what(*c))).collect()
}

/// Reads a quoted string, in which `\` stands before a character that means itself.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> String {
    rest.next();
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => text.extend(rest.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scopes: &[&str]) -> Option<Challenge> {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Some(Challenge::Bearer { realm: realm.to_owned(), service: service.to_owned(), scopes })
    }

    #[test]
    fn challenges_are_understood() {
        let cases: [(&[&str], Option<Challenge>); 14] = [
            (
                &[r#"Bearer realm="https://a/t",service="s",scope="repository:x:pull,push""#],
                bearer("https://a/t", "s", &["repository:x:pull,push"]),
            ),
            (&[r#"bearer REALM = "https://a/t" , scope="a b""#], bearer("https://a/t", "", &["a", "b"])),
            (&[r#"Basic realm="x, y""#], Some(Challenge::Basic)),
            (&[r#"Basic realm="Bearer realm=q""#], Some(Challenge::Basic)),
            (&[r#"Basic realm="r", Bearer realm="t",service=s"#], bearer("t", "s", &[])),
            (&["Basic", r#"Bearer realm="t""#], bearer("t", "", &[])),
            (&[r#"Bearer realm="a\"b\\c,d""#], bearer(r#"a"b\c,d"#, "", &[])),
            (&["Bearer realm=https://a/t?x=1,service=s"], bearer("https://a/t?x=1", "s", &[])),
            (&["Negotiate YWJj==, Basic"], Some(Challenge::Basic)),
            (&["Bearer service=s"], None),
            (&[r#"Bearer realm="open"#], bearer("open", "", &[])),
            (&["Digest realm=x"], None),
            (&[""], None),
            (&["=,;\u{0}"], None),
        ];
        for (headers, challenge) in cases {
            assert_eq!(choose(headers.iter().copied()), challenge, "{headers:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "\\PC*") {
            choose(std::iter::once(header.as_str()));
        }
    }
}
