//! Blobs on their way here.

use super::super::credentials::Credential;
use super::super::error::RegistryError;
use super::super::remote::Remote;
use super::super::routing::Scheme;
use super::super::secret::Secret;
use super::super::testing::{Received, Reply, Server, Then, client, client_for_silence, client_of, endpoint, reply};
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::verify::VerifiedReader;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SIZE: usize = 100_000;

fn bytes() -> Vec<u8> {
    (0..SIZE as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn blob() -> Descriptor {
    Descriptor::of("x", &bytes())
}

/// Returns where the range begins that a request asks for; nothing if it asks for all.
fn from(request: &Received) -> Option<usize> {
    let range = request.header("range");
    (!range.is_empty())
        .then(|| range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')).expect(range))?
        .parse()
        .ok()
}

/// Answers as the standards say.
fn honest(request: &Received) -> Reply {
    match from(request) {
        None => reply(200, &[], bytes()),
        Some(start) => part(&format!("bytes {start}-{}/{SIZE}", SIZE - 1), start),
    }
}

/// Answers with the bytes from `start` on, of which it says that they are `range`.
fn part(range: &str, start: usize) -> Reply {
    reply(206, &[("content-range", range)], &bytes()[start..])
}

fn all(remote: &Remote) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    remote.blob(&blob())?.read_to_end(&mut read)?;
    Ok(read)
}

/// Returns the registry's error within one of reading.
fn inner(error: io::Error) -> RegistryError {
    error.downcast::<RegistryError>().expect("an error of the registry")
}

/// Returns a server that cuts its first answer after `first` bytes and then does as `then` says.
fn cut(first: usize, then: impl Fn(&mut Received) -> Reply + Send + Sync + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::new(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => reply(200, &[], bytes()).without(SIZE - first).then(Then::Close),
        _ => then(request),
    })
}

/// 6-7.
#[test]
fn a_cut_blob_goes_on_where_it_was() {
    let registry = cut(40_000, |request| {
        assert_eq!(request.header("range"), "bytes=40000-");
        honest(request)
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client(&cancel);
    assert!(all(&client.puller(endpoint(&registry.host, "x"))).expect("read") == bytes());
    assert_eq!(registry.lines(), vec![format!("GET /v2/x/blobs/{}", blob().digest); 2]);
    assert_eq!(notes.sent(), SIZE as u64);
    assert_eq!(*notes.said(), [format!("{}: it ended too early", registry.host)]);
}

#[test]
fn resets_cost_nothing_but_a_request() {
    // Every answer brings 20,000 bytes more, and then a reset, so that more fail than may fail in a row.
    let registry = Server::new(|request| {
        let left = SIZE - from(request).unwrap_or(0);
        match left > 20_000 {
            true => honest(request).without(left - 20_000).then(Then::Reset),
            false => honest(request),
        }
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    assert!(all(&client.puller(endpoint(&registry.host, "x"))).expect("read") == bytes());
    assert_eq!(registry.lines().len(), 5);
}

#[test]
fn a_server_without_ranges_is_read_from_the_start_again() {
    let cuts = Mutex::new(vec![0, 60_000, 10_000]);
    let registry = cut(40_000, move |_| {
        let missing = cuts.lock().expect("no panic").pop().expect("three requests");
        // Once before we are where we were, once after that.
        let whole = reply(200, &[], bytes()).without(missing);
        if missing > 0 { whole.then(Then::Close) } else { whole }
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client(&cancel);
    assert!(all(&client.puller(endpoint(&registry.host, "x"))).expect("read") == bytes());
    assert_eq!(registry.lines().len(), 4);
    assert_eq!(notes.said().len(), 3);
}

/// RFC 9110, 14.4.
#[test]
fn a_part_that_was_not_asked_for_is_refused() {
    let cases = [
        ("bytes 40000-99999/*", true),
        ("bytes 0-99999/100000", false),
        ("bytes 39999-99999/100000", false),
        ("bytes 40000-99999/100001", false),
        ("bytes 40000-100000/100000", false),
        ("bytes 40000-39999/100000", false),
        ("bytes 40000-99999", false),
        ("lines 40000-99999/100000", false),
        ("bytes */100000", false),
        ("", false),
        ("bytes 40000-99999999999999999999/*", false),
    ];
    for (range, works) in cases {
        let registry = cut(40_000, move |_| part(range, 40_000));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        match all(&client.puller(endpoint(&registry.host, "x"))) {
            Ok(read) => assert!(works && read == bytes(), "{range}"),
            Err(error) => {
                let error = inner(error);
                let end = format!("bytes from 40000 of 100000 were asked for, not `{range}`");
                assert!(!works && matches!(error, RegistryError::Malformed { .. }), "{range}: {error}");
                assert!(error.to_string().ends_with(&end), "{error}");
            }
        }
        assert_eq!(registry.lines().len(), 2, "{range}");
    }
}

#[test]
fn a_part_that_ends_too_early_is_followed_by_the_next() {
    let registry = cut(40_000, |request| match request.header("range") {
        "bytes=40000-" => {
            let range = [("content-range", "bytes 40000-69999/100000")];
            reply(206, &range, &bytes()[40_000..70_000])
        }
        _ => honest(request),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    assert!(all(&client.puller(endpoint(&registry.host, "x"))).expect("read") == bytes());
    assert_eq!(registry.lines().len(), 3);
}

#[test]
fn a_blob_of_another_size_is_refused_at_once() {
    for size in [SIZE + 1, SIZE - 1, 0] {
        let registry = Server::new(move |_| reply(200, &[], vec![0; size]));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let error = inner(all(&client.puller(endpoint(&registry.host, "x"))).expect_err("a wrong size"));
        let url = format!("http://{}/v2/x/blobs/{}", registry.host, blob().digest);
        let act = format!("read blob {} of `{}/x`", blob().digest, registry.host);
        assert_eq!(error.to_string(), format!("{act}: `{url}` has {size} bytes, the descriptor says {SIZE}"));
        assert_eq!(registry.lines().len(), 1);
    }
}

#[test]
fn no_more_bytes_are_taken_than_the_descriptor_says() {
    let chunked = |bytes: &[u8]| {
        let mut body = format!("{:x}\r\n", bytes.len()).into_bytes();
        body.extend(bytes);
        body.extend(b"\r\n0\r\n\r\n");
        reply(200, &[("transfer-encoding", "chunked")], body)
    };
    let more = [bytes(), vec![7; 50_000]].concat();
    let registry = Server::new(move |_| chunked(&more));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let read = all(&client.puller(endpoint(&registry.host, "x"))).expect("read");
    assert!(read == bytes(), "{}", read.len());
    // Fewer are asked for again, and then it is over.
    let registry = Server::new(move |_| chunked(&bytes()[1..]));
    let error = inner(all(&client.puller(endpoint(&registry.host, "x"))).expect_err("too few"));
    assert!(matches!(error, RegistryError::Broken { .. }), "{error}");
    assert_eq!(registry.lines().len(), 4);
}

#[test]
fn wrong_bytes_do_not_pass_for_the_blob() {
    let mut wrong = bytes();
    wrong[SIZE / 2] ^= 1;
    let registry = Server::new(move |_| reply(200, &[], &wrong));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let reader = client.puller(endpoint(&registry.host, "x")).blob(&blob()).expect("open");
    let error = VerifiedReader::new(reader, &blob()).read_to_end(&mut Vec::new()).expect_err("wrong bytes");
    assert!(error.to_string().contains(&blob().digest.to_string()), "{error}");
}

#[test]
fn silence_is_left_and_asked_again() {
    let stalling = Server::new(|request| match from(request) {
        None => honest(request).without(60_000).then(Then::Stall),
        Some(_) => honest(request),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client_for_silence(&cancel, Duration::from_millis(400));
    assert!(all(&client.puller(endpoint(&stalling.host, "x"))).expect("read") == bytes());
    assert_eq!(*notes.said(), [format!("{}: nothing moved for 0.4 s", stalling.host)]);
}

#[test]
fn a_server_that_never_gets_on_is_given_up() {
    // A byte each time is no progress.
    let registry = Server::new(|request| {
        let left = SIZE - from(request).unwrap_or(0);
        honest(request).without(left - 1).then(Then::Close)
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client(&cancel);
    let error = inner(all(&client.puller(endpoint(&registry.host, "x"))).expect_err("given up"));
    assert!(error.to_string().ends_with("broke: it ended too early"), "{error}");
    assert_eq!((registry.lines().len(), notes.said().len()), (4, 3));
}

#[test]
fn what_is_refused_after_a_cut_is_the_error() {
    for (status, tries) in [(404, 2), (403, 2), (416, 2), (503, 4)] {
        let registry = cut(40_000, move |_| reply(status, &[], "no"));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let error = inner(all(&client.puller(endpoint(&registry.host, "x"))).expect_err("refused"));
        let text = error.to_string();
        match status {
            416 => assert!(text.ends_with("is wrong: it has no byte 40000"), "{text}"),
            _ => assert!(text.contains(&format!("answered {status} ")) && text.contains(": no"), "{text}"),
        }
        assert_eq!(registry.lines().len(), tries, "{status}");
    }
}

#[test]
fn a_part_where_all_was_asked_for_is_refused() {
    let registry = Server::new(|_| part("bytes 0-99999/100000", 0));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let error = inner(all(&client.puller(endpoint(&registry.host, "x"))).expect_err("a part"));
    assert!(error.to_string().ends_with("is wrong: a part, where all was asked for"), "{error}");
}

/// 6-7: the store that a registry sends us to does not see who we are, the registry does each time.
#[test]
fn another_host_is_not_told_who_we_are() {
    let store = Server::new(|request| {
        assert_eq!(request.header("authorization"), "");
        assert_eq!(request.target, "/blob?signature=1");
        match from(request) {
            None => honest(request).without(60_000).then(Then::Close),
            Some(_) => honest(request),
        }
    });
    let there = format!("http://{}/blob?signature=1", store.host);
    let registry = Server::new(move |request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], ""),
        basic => {
            assert_eq!(basic, "Basic dTpw");
            reply(307, &[("location", &there)], "over there")
        }
    });
    let cancel = Cancel::new().expect("an eventfd");
    let password = Credential::Password { user: "u".to_owned(), password: Secret::new("p") };
    let (client, _) = client_of(&cancel, password);
    assert!(all(&client.puller(endpoint(&registry.host, "x"))).expect("read") == bytes());
    assert_eq!((registry.lines().len(), store.lines().len()), (3, 2));
}

#[test]
fn a_blob_is_opened_anywhere() {
    let registry = Server::new(|request| honest(request));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let remote = client.puller(endpoint(&registry.host, "x"));
    let mut read = Vec::new();
    remote.blob_from(&blob(), 99_000).expect("open").read_to_end(&mut read).expect("read");
    assert!(read == bytes()[99_000..], "{}", read.len());
    assert_eq!(registry.lines().len(), 1);
    // Where nothing is left, or less than that, nothing is asked.
    for offset in [SIZE as u64, u64::MAX] {
        assert_eq!(remote.blob_from(&blob(), offset).expect("open").read(&mut [0; 9]).expect("the end"), 0);
    }
    assert_eq!(registry.lines().len(), 1);
    // A blob without bytes is asked for all the same: it may not be there.
    assert!(remote.blob(&Descriptor::of("x", b"")).is_err());
}

/// 6-7: one connection does for all.
#[test]
fn connections_are_used_again() {
    let registry = Server::new(|request| match request.method.as_str() {
        "HEAD" => reply(404, &[], ""),
        _ => honest(request),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let mut place = endpoint(&registry.host, "x");
    place.scheme = Scheme::Http;
    let remote = client.puller(place);
    for _ in 0..3 {
        assert!(!remote.has_blob(&blob().digest).expect("ask"));
        assert!(all(&remote).expect("read") == bytes());
    }
    assert_eq!((registry.lines().len(), registry.connections()), (6, 1));
}

#[test]
fn a_cancelled_build_ends_the_reading() {
    let cancel = Cancel::new().expect("an eventfd");
    let registry = Server::new(|request| honest(request).without(60_000).then(Then::Stall));
    let (client, _) = client(&cancel);
    let mut reader = client.puller(endpoint(&registry.host, "x")).blob(&blob()).expect("open");
    let trigger = cancel.clone();
    let ender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        trigger.cancel();
    });
    let error = inner(reader.read_to_end(&mut Vec::new()).expect_err("cancelled"));
    assert!(matches!(error, RegistryError::Cancelled), "{error:?}");
    ender.join().expect("no panic");
    assert_eq!(registry.lines().len(), 1);
}
