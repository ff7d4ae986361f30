//! Manifests, indexes and tags.

use super::super::error::{Refusal, RegistryError};
use super::super::session::{Call, Target};
use super::super::transport::{Payload, Response};
use super::{Remote, RemoteManifest, malformed};
use crate::descriptor::{Descriptor, is_index, is_manifest, media_type};
use crate::digest::Digest;
use serde::Deserialize;
use std::collections::BTreeSet;
use ureq::http::Method;

/// The longest manifest, in bytes.
const LONGEST_MANIFEST: u64 = 8 << 20;
/// The longest list of tags, in bytes.
const LONGEST_LIST: u64 = 1 << 20;
const MOST_TAGS: usize = 1000;
const MOST_PAGES: usize = 20;
/// Tags that an error names.
const NEAR_TAGS: usize = 5;

/// The parts of a manifest that tell what it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Remote {
    /// Returns the descriptor of `reference` (a tag, or a digest in text form), as the registry states it; nothing if there
    /// is no such manifest.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn head_manifest(&self, reference: &str) -> Result<Option<Descriptor>, RegistryError> {
        let act = format!("look for `{}`", self.name(reference));
        let path = self.path(&format!("/manifests/{reference}"));
        let found = self.persist(|| {
            let answer = self.head(&act, &path, &accept())?;
            match answer.status {
                200 => Ok(Some(stated(&answer))),
                404 => Ok(None),
                _ => Err(self.refusal(&act, answer)),
            }
        })?;
        match found {
            None => Ok(None),
            Some(Some(descriptor)) if wanted_digest(reference).is_none_or(|digest| digest == descriptor.digest) => {
                Ok(Some(descriptor))
            }
            // A registry that does not say it all: the bytes do.
            Some(_) => Ok(Some(self.manifest(reference)?.descriptor)),
        }
    }

    /// Returns the manifest or index `reference`, at most 8 MiB.
    ///
    /// # Errors
    /// [`RegistryError`]: no such manifest (near tags among its facts), Docker's schema 1, a digest mismatch.
    pub fn manifest(&self, reference: &str) -> Result<RemoteManifest, RegistryError> {
        let act = format!("read `{}`", self.name(reference));
        let path = self.path(&format!("/manifests/{reference}"));
        let read = self.persist(|| {
            let answer = self.call(Call { headers: &accept(), ..Call::new(&act, Method::GET, Target::Path(&path)) })?;
            if answer.status != 200 {
                return Err(self.refusal(&act, answer));
            }
            self.read_manifest(&act, reference, answer)
        });
        match read {
            Err(RegistryError::NotFound { refusal, .. }) => Err(self.not_found(refusal, reference)),
            other => other,
        }
    }

    fn read_manifest(&self, act: &str, reference: &str, answer: Response) -> Result<RemoteManifest, RegistryError> {
        let address = answer.address.clone();
        let header = |name| answer.header(name).map(str::to_owned);
        let (kind, stated) = (header("content-type"), header("docker-content-digest"));
        let too_long = || malformed(act, &address, format!("a manifest of more than {LONGEST_MANIFEST} bytes"));
        if answer.length().is_some_and(|length| length > LONGEST_MANIFEST) {
            return Err(too_long());
        }
        let read = answer.read(LONGEST_MANIFEST);
        let bytes = read.map_err(|e| self.session.transport.body_failure(e, act, &address))?.ok_or_else(too_long)?;
        let got = Digest::of(&bytes);
        // What is asked for by digest has it. What is asked for by tag has what the registry says, if it says anything.
        let stated = stated.and_then(|text| text.parse().ok());
        if let Some(wanted) = wanted_digest(reference).or(stated).filter(|wanted| *wanted != got) {
            return Err(RegistryError::Digest { act: act.to_owned(), url: address.to_string(), wanted, got });
        }
        let media_type = kind_of(kind.as_deref(), &bytes).map_err(|why| malformed(act, &address, why))?;
        if media_type.starts_with(media_type::DOCKER_SCHEMA_1) {
            return Err(RegistryError::Schema1 { act: act.to_owned() });
        }
        Ok(RemoteManifest { descriptor: Descriptor::of(&media_type, &bytes), bytes })
    }

    /// Adds the tags that look like the missing one, if the list is to be had.
    fn not_found(&self, refusal: Box<Refusal>, reference: &str) -> RegistryError {
        if wanted_digest(reference).is_some() {
            return RegistryError::NotFound { refusal, near: Vec::new() };
        }
        // A list that is not to be had names no tags; the error at hand is the one that matters.
        let near = self.without_waiting().tags().map(|tags| near(reference, tags)).unwrap_or_default();
        RegistryError::NotFound { refusal, near }
    }

    /// Returns the repository's tags, at most 1,000.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        let act = format!("list the tags of `{}`", self.repository());
        let first = self.path(&format!("/tags/list?n={MOST_TAGS}"));
        let mut tags = BTreeSet::new();
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let target = next.as_ref().map_or(Target::Path(&first), Target::At);
            let (page, further) = self.persist(|| self.tag_page(&act, target))?;
            let before = tags.len();
            for tag in page.into_iter().filter(|tag| is_tag(tag)) {
                if tags.len() < MOST_TAGS {
                    tags.insert(tag);
                }
            }
            next = further;
            if next.is_none() || tags.len() >= MOST_TAGS || tags.len() == before {
                break;
            }
        }
        Ok(tags.into_iter().collect())
    }

    /// Returns a page of tags, and where the next is (distribution-spec, "Listing Tags").
    fn tag_page(
        &self,
        act: &str,
        target: Target<'_>,
    ) -> Result<(Vec<String>, Option<super::super::address::Address>), RegistryError> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let answer = self.call(Call::new(act, Method::GET, target))?;
        if answer.status != 200 {
            return Err(self.refusal(act, answer));
        }
        let address = answer.address.clone();
        let next = answer.header("link").and_then(next_link).and_then(|link| address.join(&link).ok());
        let read = answer.read(LONGEST_LIST).map_err(|e| self.session.transport.body_failure(e, act, &address))?;
        let bytes = read.ok_or_else(|| malformed(act, &address, "a list of tags of more than 1 MiB"))?;
        let list: List = serde_json::from_slice(&bytes).map_err(|_| malformed(act, &address, "no list of tags"))?;
        Ok((list.tags.unwrap_or_default(), next.filter(|next| next.origin == address.origin)))
    }

    /// Stores a manifest or index under `reference`.
    ///
    /// # Errors
    /// [`RegistryError`]: denied, immutable, refused with the registry's own words.
    pub fn put_manifest(&self, reference: &str, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let act = format!("push `{}`", self.name(reference));
        let path = self.path(&format!("/manifests/{reference}"));
        let headers = [("content-type", media_type.to_owned())];
        self.persist(|| {
            let put = Call::new(&act, Method::PUT, Target::Path(&path));
            let answer = self.call(Call { headers: &headers, payload: Payload::Bytes(bytes), ..put })?;
            match answer.status {
                200..=204 => check_stored(&act, &answer, bytes),
                _ => Err(immutable(self.refusal(&act, answer))),
            }
        })
    }
}

/// Checks what the registry says that it stored.
fn check_stored(act: &str, answer: &Response, bytes: &[u8]) -> Result<(), RegistryError> {
    let wanted = Digest::of(bytes);
    let stored = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    match stored.filter(|stored| *stored != wanted) {
        None => Ok(()),
        Some(got) => Err(RegistryError::Digest { act: act.to_owned(), url: answer.address.to_string(), wanted, got }),
    }
}

/// Tells a tag that may not be written again by what registries say of it.
fn immutable(error: RegistryError) -> RegistryError {
    let says = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["immutable", "cannot be overwritten", "already exists in the"].iter().any(|words| text.contains(words))
    };
    match error {
        RegistryError::Answered(refusal) | RegistryError::Denied(refusal)
            if refusal.status < 500 && says(refusal.said.text()) =>
        {
            RegistryError::Immutable(refusal)
        }
        other => other,
    }
}

/// Returns the headers that name what we understand, schema 1 not among it.
fn accept() -> [(&'static str, String); 1] {
    use media_type::{DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
    [("accept", [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST, "*/*;q=0.1"].join(", "))]
}

/// Returns the digest that `reference` is, unless it is a tag.
fn wanted_digest(reference: &str) -> Option<Digest> {
    reference.parse().ok()
}

/// Returns the descriptor that the headers of an answer state, if they state one.
fn stated(answer: &Response) -> Option<Descriptor> {
    let kind = bare(answer.header("content-type")?);
    let digest = answer.header("docker-content-digest")?.parse().ok()?;
    let known = is_manifest(kind) || is_index(kind);
    known.then(|| Some(Descriptor::new(kind, digest, answer.length()?))).flatten()
}

/// Returns a media type without its parameters.
fn bare(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// Returns the media type of a manifest: what its `mediaType` says, which is under its digest; else the header; else what
/// its parts tell.
///
/// # Errors
/// Bytes that are no JSON object; two statements that make it a manifest and an index at once.
fn kind_of(header: Option<&str>, bytes: &[u8]) -> Result<String, String> {
    let header = header.map(bare).unwrap_or_default();
    let kind: Kind = serde_json::from_slice(bytes).map_err(|error| match header {
        "" => format!("no manifest: {error}"),
        _ => format!("no manifest, but `{header}`: {error}"),
    })?;
    let is_known = |kind: &str| is_manifest(kind) || is_index(kind);
    if kind.manifests.is_some() && (kind.layers.is_some() || kind.fs_layers.is_some()) {
        return Err("it is a manifest and an index at once".to_owned());
    }
    if let Some(own) = kind.media_type.as_ref().filter(|own| !own.is_empty()) {
        if !is_media_type(own) {
            return Err(format!("its media type is `{own}`"));
        }
        if is_known(own) && is_known(header) && is_index(own) != is_index(header) {
            return Err(format!("it is `{own}`, and its header says `{header}`"));
        }
        return Ok(own.clone());
    }
    if kind.schema_version == Some(1) {
        return Ok(media_type::DOCKER_SCHEMA_1.to_owned());
    }
    Ok(match () {
        () if is_known(header) => header,
        () if kind.manifests.is_some() => media_type::OCI_INDEX,
        () if kind.layers.is_some() => media_type::OCI_MANIFEST,
        () => header,
    }
    .to_owned())
}

/// Reports whether `text` may be a media type (RFC 6838, 4.2).
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

/// Returns the address of the next page in a `Link` header (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    let (link, parameters) = header.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.to_ascii_lowercase().replace([' ', '"'], "").contains("rel=next");
    is_next.then(|| link.to_owned())
}

/// Reports whether `text` may be a tag (distribution-spec, "Pulling manifests").
fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

/// Returns the tags that look most like `wanted`.
fn near(wanted: &str, tags: Vec<String>) -> Vec<String> {
    let mut ranked: Vec<(usize, String)> = tags
        .into_iter()
        .map(|tag| (distance(wanted, &tag), tag))
        .filter(|(distance, tag)| *distance <= wanted.len().max(tag.len()) / 2)
        .collect();
    ranked.sort();
    ranked.into_iter().take(NEAR_TAGS).map(|(_, tag)| tag).collect()
}

/// Returns the number of characters to insert, delete or replace to turn `from` into `to` (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, character) in from.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = corner + usize::from(character != *other);
            corner = row[column + 1];
            row[column + 1] = replaced.min(corner + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_manifest_is_told() {
        use media_type::*;
        let cases = [
            (Some(OCI_MANIFEST), r#"{"layers":[]}"#.to_owned(), Ok(OCI_MANIFEST)),
            (Some("text/plain; charset=utf-8"), format!(r#"{{"mediaType":"{DOCKER_INDEX}"}}"#), Ok(DOCKER_INDEX)),
            (
                Some("application/vnd.docker.distribution.manifest.v2+json; charset=x"),
                "{}".to_owned(),
                Ok(DOCKER_MANIFEST),
            ),
            (None, r#"{"manifests":[]}"#.to_owned(), Ok(OCI_INDEX)),
            (None, r#"{"layers":[]}"#.to_owned(), Ok(OCI_MANIFEST)),
            (None, r#"{"schemaVersion":1}"#.to_owned(), Ok(DOCKER_SCHEMA_1)),
            (Some("application/json"), "{}".to_owned(), Ok("application/json")),
            (None, r#"{"mediaType":"","layers":[]}"#.to_owned(), Ok(OCI_MANIFEST)),
            (None, r#"{"mediaType":"application/vnd.other+json"}"#.to_owned(), Ok("application/vnd.other+json")),
            (None, r#"{"mediaType":"a\u001b[31m/b"}"#.to_owned(), Err("its media type is")),
            (None, format!(r#"{{"mediaType":"a/{}"}}"#, "b".repeat(128)), Err("its media type is")),
            (Some(OCI_INDEX), format!(r#"{{"mediaType":"{OCI_MANIFEST}"}}"#), Err("header says")),
            (None, r#"{"manifests":[],"layers":[]}"#.to_owned(), Err("at once")),
            (None, "<html>".to_owned(), Err("no manifest: ")),
            (Some("text/html"), "<html>".to_owned(), Err("no manifest, but `text/html`: ")),
        ];
        for (header, body, wanted) in cases {
            match (kind_of(header, body.as_bytes()), wanted) {
                (Ok(kind), Ok(wanted)) => assert_eq!(kind, wanted, "{body}"),
                (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{why}"),
                (got, wanted) => panic!("{body}: {got:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn near_tags_come_nearest_first() {
        let tags = ["latest", "1.2", "1.3", "1.2-alpine", "edge"].map(str::to_owned).to_vec();
        assert_eq!(near("1.2.", tags.clone()), ["1.2", "1.3"]);
        assert_eq!(near("lates", tags.clone()), ["latest"]);
        assert_eq!(near("zzz", tags), Vec::<String>::new());
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn links_to_the_next_page_are_found() {
        assert_eq!(next_link(r#"</v2/x?n=2>; rel="next""#), Some("/v2/x?n=2".to_owned()));
        for other in [r#"</v2/x>; rel="prev""#, "/v2/x", "<", ""] {
            assert_eq!(next_link(other), None, "{other}");
        }
    }
}
