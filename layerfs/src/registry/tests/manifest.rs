//! Manifests, indexes and tags.

use super::super::error::RegistryError;
use super::super::testing::{Server, client, endpoint, reply};
use crate::cancel::Cancel;
use crate::descriptor::{Descriptor, media_type};
use crate::digest::Digest;

const OCI: &str = media_type::OCI_MANIFEST;

fn manifest() -> String {
    format!(r#"{{"mediaType":"{OCI}","layers":[]}}"#)
}

/// Headers of an answer.
type Headers<'a> = Vec<(&'a str, &'a str)>;
type Head<'a> = &'a [(&'a str, &'a str)];
type Own<'a> = Vec<(&'a str, String)>;
/// Whether an error is of the kind that is wanted.
type Kind = fn(&RegistryError) -> bool;

#[test]
fn a_manifest_is_checked() {
    let right = Digest::of(manifest()).to_string();
    let wrong = Digest::of(b"other").to_string();
    let long = manifest() + &" ".repeat(9 << 20);
    let schema_1 = r#"{"schemaVersion":1}"#.to_owned();
    let json = |kind: &'static str| ("content-type", kind);
    // Reference, headers, body, what the error says.
    let cases: Vec<(&str, Headers<'_>, String, Option<&str>)> = vec![
        ("1", vec![json(OCI)], manifest(), None),
        ("1", vec![json(OCI), ("docker-content-digest", &right)], manifest(), None),
        ("1", vec![json(OCI), ("docker-content-digest", "sha512:what")], manifest(), None),
        (&right, vec![json(OCI)], manifest(), None),
        (&right, vec![json(OCI), ("docker-content-digest", &wrong)], manifest(), None),
        ("1", vec![("docker-content-digest", &wrong)], manifest(), Some("have digest")),
        (&wrong, vec![json(OCI), ("docker-content-digest", &wrong)], manifest(), Some("have digest")),
        ("1", vec![], format!(r#"{{"schemaVersion":"{}"}}"#, "\\u001b[31m".repeat(1000)), Some("no manifest")),
        ("1", vec![], r#"{"mediaType":"a\u001b[31m"}"#.to_owned(), Some("its media type is `a\\u{1b}[31m`")),
        ("1", vec![], long, Some("a manifest of more than 8388608 bytes")),
        ("1", vec![json("text/html")], "<html>".to_owned(), Some("no manifest")),
        ("1", vec![json("application/vnd.docker.distribution.manifest.v1+prettyjws")], schema_1, Some("schema 1")),
        ("1", vec![json(media_type::OCI_INDEX)], manifest(), Some("its header says")),
    ];
    for (reference, headers, body, wanted) in cases {
        let headers: Vec<(String, String)> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let served = body.clone();
        let registry = Server::new(move |request| {
            assert!(request.header("accept").contains(media_type::DOCKER_INDEX));
            assert_eq!(request.header("user-agent"), concat!("lbuild/", env!("CARGO_PKG_VERSION")));
            assert_eq!(request.header("accept-encoding"), "identity");
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            reply(200, &headers, &served)
        });
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        match (client.puller(endpoint(&registry.host, "x")).manifest(reference), wanted) {
            (Ok(got), None) => assert_eq!(got.descriptor, Descriptor::of(OCI, body.as_bytes())),
            (Err(error), Some(wanted)) => {
                let text = error.to_string();
                assert!(text.contains(wanted) && !text.contains('\u{1b}') && text.len() < 700, "{text}");
            }
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
        assert_eq!(registry.lines().len(), 1);
    }
}

#[test]
fn a_head_that_says_too_little_is_followed_by_a_get() {
    let right = Digest::of(manifest()).to_string();
    let full: &[(&str, &str)] = &[("content-type", OCI), ("docker-content-digest", &right)];
    let cases: [(u16, Head<'_>, usize); 4] =
        [(200, full, 1), (200, &full[..1], 2), (200, &full[1..], 2), (405, &[], 2)];
    for (status, headers, requests) in cases {
        let head: Vec<(String, String)> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let right = right.clone();
        let registry = Server::new(move |request| match request.method.as_str() {
            "HEAD" => {
                let head: Vec<(&str, &str)> = head.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                reply(status, &head, manifest())
            }
            _ => reply(200, &[("content-type", OCI), ("docker-content-digest", &right)], manifest()),
        });
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let got = client.puller(endpoint(&registry.host, "x")).head_manifest("1").expect("ask");
        assert_eq!(got, Some(Descriptor::of(OCI, manifest().as_bytes())));
        assert_eq!(registry.lines().len(), requests, "{:?}", registry.lines());
    }
}

/// 6-12: what a HEAD cannot say is asked for with GET.
#[test]
fn a_refused_head_is_repeated_to_get_the_words() {
    let registry =
        Server::new(|_| reply(403, &[], "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"not\\u001b[31m yours\"}]}"));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let error = client.puller(endpoint(&registry.host, "x")).head_manifest("1").expect_err("denied");
    let place = format!("http://{}/v2/x/manifests/1", registry.host);
    let credential = format!("no credentials for `{}`: `host` in `auth.json`", registry.host);
    assert_eq!(
        error.to_string(),
        format!(
            "look for `{}/x:1`: `{place}` answered 403 Forbidden: DENIED: not\\u{{1b}}[31m yours ({credential})",
            registry.host
        )
    );
    assert_eq!(registry.lines().len(), 2);
}

#[test]
fn a_missing_tag_names_those_that_look_like_it() {
    let registry = Server::new(|request| match request.target.as_str() {
        "/v2/x/tags/list?n=1000" => {
            reply(200, &[("link", "</v2/x/tags/list?last=b>; rel=\"next\"")], r#"{"tags":["1.2","zzz","\u001b[0m"]}"#)
        }
        "/v2/x/tags/list?last=b" => reply(200, &[], r#"{"tags":["1.3"]}"#),
        _ => reply(404, &[], r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let remote = client.puller(endpoint(&registry.host, "x"));
    let error = remote.manifest("1.4").expect_err("missing");
    assert!(matches!(&error, RegistryError::NotFound { near, .. } if *near == ["1.2", "1.3"]), "{error:?}");
    assert!(error.to_string().ends_with("answered 404 Not Found: MANIFEST_UNKNOWN: manifest unknown"), "{error}");
    assert_eq!(error.help().as_deref(), Some("there is `1.2`, `1.3`"));
    assert_eq!(remote.head_manifest("1.4").expect("ask"), None);
    assert_eq!(remote.tags().expect("list"), ["1.2", "1.3", "zzz"]);
}

#[test]
fn lists_of_tags_without_end_end() {
    let registry = Server::new(|request| {
        let link = format!("<{}x>; rel=next", request.target);
        reply(200, &[("link", &link)], r#"{"tags":["same"]}"#)
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    assert_eq!(client.puller(endpoint(&registry.host, "x")).tags().expect("list"), ["same"]);
    assert_eq!(registry.lines().len(), 2);
}

#[test]
fn long_lists_of_tags_are_cut() {
    let long = |count: u32| {
        let tags: Vec<String> = (0..count).map(|n| format!("\"{n}\"")).collect();
        format!(r#"{{"tags":[{}]}}"#, tags.join(","))
    };
    let registry = Server::new(move |request| match request.target.as_str() {
        "/v2/x/tags/list?n=1000" => reply(200, &[("link", "<?last=9>; rel=next")], long(600)),
        "/v2/x/tags/list?last=9" => reply(200, &[("link", "<?last=9>; rel=next")], long(5000)),
        _ => reply(200, &[], long(200_000)),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let tags = client.puller(endpoint(&registry.host, "x")).tags().expect("list");
    assert_eq!((tags.len(), registry.lines().len()), (1000, 2));
    let error = client.puller(endpoint(&registry.host, "y")).tags().expect_err("too long");
    assert!(error.to_string().ends_with("a list of tags of more than 1 MiB"), "{error}");
}

#[test]
fn a_manifest_that_is_not_taken_says_why() {
    let wrong = Digest::of(b"other").to_string();
    let cases: Vec<(u16, Own<'_>, &str, Kind)> = vec![
        (
            400,
            vec![],
            "The image tag '1' already exists in the 'x' repository and cannot be overwritten because the repository is immutable.",
            |e| matches!(e, RegistryError::Immutable(_)),
        ),
        (412, vec![], r#"{"errors":[{"code":"PRECONDITION","message":"tag is configured as immutable"}]}"#, |e| {
            matches!(e, RegistryError::Immutable(_))
        }),
        (413, vec![], "", |e| matches!(e, RegistryError::TooLarge(_))),
        (403, vec![], "", |e| matches!(e, RegistryError::Denied(_))),
        (400, vec![], "MANIFEST_INVALID", |e| matches!(e, RegistryError::Answered(_))),
        (201, vec![("docker-content-digest", wrong)], "", |e| matches!(e, RegistryError::Digest { .. })),
    ];
    for (status, headers, body, is) in cases {
        let registry = Server::new(move |request| {
            assert_eq!(request.header("content-type"), OCI);
            assert_eq!(request.body(), manifest().into_bytes());
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            reply(status, &headers, body)
        });
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let error = client.pusher(endpoint(&registry.host, "x"), &[]).put_manifest("1", OCI, manifest().as_bytes());
        let error = error.expect_err("refused");
        assert!(is(&error), "{error:?}");
        assert_eq!(registry.lines().len(), 1);
    }
}
