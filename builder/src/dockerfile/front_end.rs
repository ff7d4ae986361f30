//! [`foreign`]: whether a Dockerfile asks for a front end whose language is not this one (FEATURES 1.1-8).

use super::Dockerfile;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Span;

/// Names of the front end whose language is spoken here, in Docker's short form.
const OWN: [&str; 3] = ["docker/dockerfile", "docker/dockerfile-upstream", "dockerfile.v0"];

/// Returns a warning if the Dockerfile, or `given` (BUILDKIT_SYNTAX), which goes before, asks for another front end.
/// None is ever fetched.
pub(crate) fn foreign(dockerfile: &Dockerfile, given: Option<&str>) -> Option<Diagnostic> {
    let given = given.and_then(|given| given.split(' ').next()).filter(|given| !given.is_empty());
    let name = given.or(dockerfile.directives.syntax.as_deref())?;
    if OWN.contains(&familiar(name)) {
        return None;
    }
    let text = format!("front end `{name}` is not used: this Dockerfile is read as `docker/dockerfile` would read it");
    let warning = Diagnostic { severity: Severity::Warning, ..Diagnostic::error(text) };
    let at = dockerfile.source.text.find(name).filter(|_| given.is_none());
    Some(match at {
        Some(at) => warning.at(Span::new(at, at + name.len()), ""),
        None => warning,
    })
}

/// Returns an image's name without Docker's registry, tag and digest.
fn familiar(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let name = name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    let path = name.rfind('/').unwrap_or(0);
    name[path..].find(':').map_or(name, |colon| &name[..path + colon])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse;
    use crate::source::Source;

    #[test]
    fn row_1_1_8_front_ends_of_others_are_told() {
        for (top, given, told) in [
            ("", None, None),
            ("# syntax=docker/dockerfile:1\n", None, None),
            ("# syntax=docker.io/docker/dockerfile:1.7-labs@sha256:0\n", None, None),
            ("# syntax=docker/dockerfile-upstream:master\n", None, None),
            ("# syntax=localhost:5000/docker/dockerfile\n", None, Some("localhost:5000/docker/dockerfile")),
            ("# syntax=x/y:1\n", None, Some("x/y:1")),
            ("# syntax=x/y:1\n", Some("dockerfile.v0"), None),
            ("# syntax=x/y:1\n", Some(""), Some("x/y:1")),
            ("", Some("a/b c"), Some("a/b")),
        ] {
            let dockerfile =
                parse(Source::new("Dockerfile", format!("{top}FROM a\n"))).dockerfile.expect("a Dockerfile");
            let found = foreign(&dockerfile, given);
            let name = found.as_ref().and_then(|warning| warning.message.split('`').nth(1));
            assert_eq!(name, told, "{top} {given:?}");
            let place = found.as_ref().and_then(|warning| warning.labels.first()).map(|label| label.span.range());
            let place = place.map(|range| &dockerfile.source.text[range]);
            assert_eq!(place, told.filter(|_| given.unwrap_or_default().is_empty()), "{top} {given:?}");
        }
    }
}
