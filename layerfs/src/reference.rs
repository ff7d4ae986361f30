//! [`ImageRef`]: the name of an image, normalised as Docker does.
//!
//! ```text
//! name   = [ host "/" ] path [ ":" tag ] [ "@" digest ]
//! host   = what stands before the first "/" if it has a "." or ":" or is "localhost"; else docker.io
//! path   = component { "/" component }      component = [a-z0-9]+ parted by ".", "_", "__" or dashes
//! tag    = [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
//! ```

use crate::digest::Digest;
use std::fmt;
use std::str::FromStr;

/// The host that names without a host mean.
pub const DEFAULT_HOST: &str = "docker.io";
/// The tag that names without tag and digest mean.
pub const DEFAULT_TAG: &str = "latest";
const DEFAULT_NAMESPACE: &str = "library/";
const LONGEST_TAG: usize = 128;
const LONGEST_REPOSITORY: usize = 255;

/// The name of an image: host, repository, and a tag, a digest or both. `fedora` is `docker.io/library/fedora:latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRef {
    /// Registry host with its port, as `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub host: String,
    /// Repository, as `library/fedora`.
    pub repository: String,
    /// Tag; `latest` where neither tag nor digest was given.
    pub tag: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<Digest>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image name: {why}")]
pub struct ReferenceError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl ImageRef {
    /// Returns the short form that Docker shows: without `docker.io/library/`, tag always there (unless only a digest
    /// was given).
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// Returns the short form without tag and digest.
    pub fn familiar_name(&self) -> String {
        if self.host != DEFAULT_HOST {
            return self.name();
        }
        let short = match self.repository.strip_prefix(DEFAULT_NAMESPACE) {
            Some(official) if !official.contains('/') => official,
            _ => &self.repository,
        };
        // A first component like `a.b` would be read as a host.
        if split_host(short) == (DEFAULT_HOST, short) { short.to_owned() } else { self.name() }
    }

    /// Returns host and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// Reports whether both are names in the same repository.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.host == other.host && self.repository == other.repository
    }

    fn suffix(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        tag.chain(self.digest.iter().map(|digest| format!("@{digest}"))).collect()
    }
}

impl FromStr for ImageRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|why| ReferenceError { text: text.to_owned(), why })
    }
}

impl fmt::Display for ImageRef {
    /// Prints the full name, as `docker.io/library/fedora:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name(), self.suffix())
    }
}

fn parse(text: &str) -> Result<ImageRef, String> {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(named);
    check_tag(tag)?;
    let (host, path) = split_host(name);
    check_host(host)?;
    let repository = repository(host, path)?;
    let tag = match (tag, digest) {
        (Some(tag), _) => Some(tag.to_owned()),
        (None, Some(_)) => None,
        (None, None) => Some(DEFAULT_TAG.to_owned()),
    };
    Ok(ImageRef { host: host.to_owned(), repository, tag, digest })
}

/// Splits at the last `:` that stands after the last `/`.
fn split_tag(named: &str) -> (&str, Option<&str>) {
    match named.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (named, None),
    }
}

fn split_host(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((DEFAULT_HOST | "index.docker.io", path)) => (DEFAULT_HOST, path),
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => (DEFAULT_HOST, name),
    }
}

fn check_tag(tag: Option<&str>) -> Result<(), String> {
    let Some(tag) = tag else { return Ok(()) };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match tag.as_bytes() {
        [] => Err("the tag after `:` is empty".to_owned()),
        bytes if bytes.len() > LONGEST_TAG => {
            Err(format!("the tag has {} characters, at most {LONGEST_TAG} are allowed", bytes.len()))
        }
        [first, rest @ ..] if plain(*first) && rest.iter().all(|&b| plain(b) || matches!(b, b'.' | b'-')) => Ok(()),
        _ => Err(format!("tag `{tag}` may hold letters, digits, `_`, `.` and `-` only, and starts with none of `.-`")),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let valid_port = port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()));
    if valid_port && (is_address(name) || name.split('.').all(is_host_label)) {
        return Ok(());
    }
    Err(format!("`{host}` is not a registry host"))
}

fn is_address(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn repository(host: &str, path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(format!("the repository `{path}` must be lower case"));
    }
    if let Some(wrong) = path.split('/').find(|part| !is_component(part)) {
        return Err(format!(
            "`{wrong}` in it must be lower-case letters and digits, parted by single `.` or `_`, `__` or dashes"
        ));
    }
    if Digest::from_hex(path).is_ok() {
        return Err("64 hexadecimal digits are an image ID, not a name".to_owned());
    }
    let official = host == DEFAULT_HOST && !path.contains('/');
    let repository = if official { format!("{DEFAULT_NAMESPACE}{path}") } else { path.to_owned() };
    if repository.len() > LONGEST_REPOSITORY {
        return Err(format!(
            "the repository has {} characters, at most {LONGEST_REPOSITORY} are allowed",
            repository.len()
        ));
    }
    Ok(repository)
}

/// Reports whether `part` is runs of letters and digits with one separator between any two.
fn is_component(part: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separator = |run: &[u8]| matches!(run, b"." | b"_" | b"__") || run.iter().all(|&b| b == b'-');
    let runs: Vec<&[u8]> = part.as_bytes().chunk_by(|a, b| alphanumeric(a) == alphanumeric(b)).collect();
    let ends = |run: Option<&&[u8]>| run.is_some_and(|run| run.iter().all(alphanumeric));
    ends(runs.first()) && ends(runs.last()) && runs.iter().all(|run| run.iter().all(alphanumeric) || separator(run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> ImageRef {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn names_are_normalised_6_1() {
        let hex = "a".repeat(64);
        for (given, full, familiar) in [
            ("fedora", "docker.io/library/fedora:latest", "fedora:latest"),
            ("fedora:41", "docker.io/library/fedora:41", "fedora:41"),
            ("index.docker.io/fedora", "docker.io/library/fedora:latest", "fedora:latest"),
            ("docker.io/library/fedora", "docker.io/library/fedora:latest", "fedora:latest"),
            ("alpine_fedora", "docker.io/library/alpine_fedora:latest", "alpine_fedora:latest"),
            ("me/app", "docker.io/me/app:latest", "me/app:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("quay.io/a__b/c--d.e", "quay.io/a__b/c--d.e:latest", "quay.io/a__b/c--d.e:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("[fe80::1]/x:T", "[fe80::1]/x:T", "[fe80::1]/x:T"),
            ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            (&format!("a@sha256:{hex}"), &format!("docker.io/library/a@sha256:{hex}"), &format!("a@sha256:{hex}")),
            (
                &format!("a:1@sha256:{hex}"),
                &format!("docker.io/library/a:1@sha256:{hex}"),
                &format!("a:1@sha256:{hex}"),
            ),
        ] {
            let reference = parsed(given);
            assert_eq!(
                (reference.to_string(), reference.familiar()),
                (full.to_owned(), familiar.to_owned()),
                "{given}"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_why_6_1() {
        let hex = "0".repeat(64);
        for (given, why) in [
            ("", "is empty"),
            ("Fedora", "must be lower case"),
            ("UPPER/x", "must be lower case"),
            ("localhost/Upper", "must be lower case"),
            (hex.as_str(), "image ID"),
            ("a:", "tag after `:` is empty"),
            ("a:-x", "tag `-x`"),
            (&format!("a:{}", "t".repeat(129)), "129 characters"),
            (&"a".repeat(256 - 8), "256 characters"),
            ("a@sha256:12", "64 lower-case"),
            ("a@sha512:12", "only sha256"),
            ("a@", "64 lower-case"),
            ("a..b", "`a..b`"),
            ("a___b", "`a___b`"),
            ("-a", "`-a`"),
            ("a/", "``"),
            ("/a", "``"),
            ("a//b", "``"),
            ("a b", "`a b`"),
            ("x.y:port/a", "registry host"),
            ("x.y:99999/a", "registry host"),
            ("x..y/a", "registry host"),
            ("-x.y/a", "registry host"),
            ("[::g]:1/a", "registry host"),
            ("ä", "`ä`"),
        ] {
            match given.parse::<ImageRef>() {
                Err(error) => assert!(error.why.contains(why), "{given}: {error}"),
                Ok(reference) => panic!("{given} was taken as {reference}"),
            }
        }
        assert!(format!("a:{}", "t".repeat(128)).parse::<ImageRef>().is_ok());
        assert!("a".repeat(255 - 8).parse::<ImageRef>().is_ok());
    }

    proptest! {
        #[test]
        fn print_and_parse_are_inverse(
            host in "(docker\\.io|localhost|[a-z0-9]{1,8}\\.[a-z]{2,3}|[a-z]{1,5}:[1-9][0-9]{0,3}|\\[::[1-9]\\]:80)",
            path in "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,5}){0,2}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
            digest in proptest::option::of(any::<[u8; 32]>()),
        ) {
            let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            let digest = digest.map(|bytes| format!("@{}", Digest::from_bytes(bytes))).unwrap_or_default();
            let reference = parsed(&format!("{host}/{path}{tag}{digest}"));
            prop_assert_eq!(&parsed(&reference.to_string()), &reference);
            prop_assert_eq!(&parsed(&reference.familiar()), &reference);
        }

        #[test]
        fn any_text_is_taken_or_refused(text in "\\PC{0,40}") {
            if let Ok(reference) = text.parse::<ImageRef>() {
                prop_assert_eq!(parsed(&reference.to_string()), reference);
            }
        }
    }
}
