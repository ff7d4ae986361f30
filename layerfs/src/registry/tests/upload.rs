//! Blobs on their way to a registry.

mod model;

use super::super::credentials::Credential;
use super::super::error::RegistryError;
use super::super::remote::{Remote, Start, Upload};
use super::super::secret::Secret;
use super::super::settings::Patience;
use super::super::testing::{
    Notes, Received, Reply, Server, Then, client, client_for_silence, client_of, client_of_patience, endpoint,
    patience, reply,
};
use crate::cancel::Cancel;
use crate::digest::Digest;
use model::{lock, registry};
use std::io::{self, Read};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The bytes of a chunk in these tests.
const CHUNK: usize = 100_000;

fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Returns the methods of the requests so far.
fn methods(server: &Server) -> String {
    server.lines().iter().map(|line| line.split(' ').next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

/// Returns the repository to push to, and what hears of it.
fn remote(server: &Server) -> (Remote, Arc<Notes>) {
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client(&cancel);
    (client.pusher(endpoint(&server.host, "x"), &[]), notes)
}

fn begin(remote: &Remote, bytes: &[u8]) -> Result<Upload, RegistryError> {
    match remote.start(Some(&Digest::of(bytes)), None)? {
        Start::Upload(upload) => Ok(upload),
        Start::Mounted => panic!("nothing was to be mounted"),
    }
}

/// Sends `bytes` in chunks.
fn push(remote: &Remote, bytes: &[u8]) -> Result<(), RegistryError> {
    let mut upload = begin(remote, bytes)?;
    for chunk in bytes.chunks(CHUNK) {
        upload.chunk(chunk)?;
    }
    upload.finish(&Digest::of(bytes))
}

/// 6-10.
#[test]
fn a_small_blob_goes_in_one_request() {
    let (server, model) = registry(|request, _, _| {
        if request.method == "PUT" {
            let headers = ["content-type", "content-length", "content-range"].map(|name| request.header(name));
            assert_eq!(headers, ["application/octet-stream", "5", ""]);
        }
        None
    });
    let (remote, notes) = remote(&server);
    push(&remote, b"small").expect("push");
    assert_eq!(lock(&model).blobs, [b"small"]);
    let put = format!("PUT /up/1?at=0&digest={}", Digest::of(b"small"));
    assert_eq!(server.lines(), ["POST /v2/x/blobs/uploads/".to_owned(), put]);
    assert_eq!((notes.sent(), notes.said().len()), (5, 0));
}

/// Distribution-spec, "Pushing a blob in chunks".
#[test]
fn a_large_blob_goes_in_chunks() {
    let (server, model) = registry(|_, _, _| None);
    let (remote, notes) = remote(&server);
    let bytes = bytes(3 * CHUNK + 10);
    push(&remote, &bytes).expect("push");
    let model = lock(&model);
    assert!(model.blobs == [bytes.clone()]);
    assert_eq!(methods(&server), "POST PATCH PATCH PATCH PUT");
    assert_eq!(model.ranges, ["0-99999", "100000-199999", "200000-299999", "300000-300009"]);
    assert_eq!((notes.sent(), model.came), (bytes.len() as u64, bytes.len()));
}

#[test]
fn an_empty_blob_is_a_blob() {
    let (server, model) = registry(|_, _, _| None);
    push(&remote(&server).0, b"").expect("push");
    assert_eq!((methods(&server).as_str(), lock(&model).blobs.len()), ("POST PUT", 1));
}

/// 6-11: after a reset the registry is asked how far it came, and at most a chunk is sent again.
#[test]
fn a_reset_costs_at_most_a_chunk() {
    // What the registry keeps of a chunk of which it took 70,000 bytes; how many come twice.
    for (kept, twice) in [(70_000, 0), (30_000, 40_000), (0, 70_000)] {
        for method in ["PATCH", "PUT"] {
            let hit = AtomicUsize::new(0);
            let (server, model) = registry(move |request, model, _| {
                // The second of its kind, or the only one.
                let hits = usize::from(request.method == method) + hit.load(Ordering::SeqCst);
                hit.store(hits, Ordering::SeqCst);
                let now = request.method == method && hits == if method == "PUT" { 1 } else { 2 };
                now.then(|| {
                    let before = model.has.len();
                    model.take(request, if method == "PUT" { 7 } else { 70_000 });
                    model.has.truncate(before + kept);
                    reply(202, &[], "").then(Then::Reset).without(usize::MAX)
                })
            });
            let (remote, notes) = remote(&server);
            let bytes = bytes(3 * CHUNK + 10);
            push(&remote, &bytes).expect("push");
            let model = lock(&model);
            assert!(model.blobs == [bytes.clone()], "{method} {kept}");
            if method == "PATCH" {
                assert_eq!(methods(&server), "POST PATCH PATCH GET PATCH PATCH PUT");
                assert_eq!(model.came - bytes.len(), twice, "{kept}");
            } else {
                assert_eq!(methods(&server), "POST PATCH PATCH PATCH PUT GET HEAD PUT");
            }
            assert_eq!(notes.said().len(), 1, "{:?}", notes.said());
        }
    }
}

#[test]
fn an_answer_that_is_lost_is_asked_for() {
    for method in ["PATCH", "PUT"] {
        let once = AtomicUsize::new(0);
        let (server, model) = registry(move |request, model, _| {
            let now = request.method == method && once.fetch_add(1, Ordering::SeqCst) == 0;
            now.then(|| model.answer(request).without(usize::MAX).then(Then::Reset))
        });
        let bytes = bytes(2 * CHUNK);
        push(&remote(&server).0, &bytes).expect("push");
        let wanted = if method == "PUT" { "POST PATCH PATCH PUT GET HEAD" } else { "POST PATCH GET PATCH PUT" };
        assert_eq!(methods(&server), wanted);
        assert!(lock(&model).came == bytes.len() && lock(&model).blobs == [bytes]);
    }
}

/// A registry that is slow to check a blob keeps its upload until it is done.
#[test]
fn a_blob_that_is_there_after_all_is_not_ended_twice() {
    let (server, model) = registry(|request, model, _| match request.method.as_str() {
        "PUT" => {
            model.take(request, usize::MAX);
            let blob = model.has.clone();
            model.blobs.push(blob);
            Some(reply(201, &[], "").without(usize::MAX).then(Then::Reset))
        }
        _ => None,
    });
    push(&remote(&server).0, &bytes(CHUNK)).expect("push");
    assert_eq!((methods(&server).as_str(), lock(&model).blobs.len()), ("POST PATCH PUT GET HEAD", 1));
}

/// Distribution-spec, "Pushing a blob in chunks": the `Range` of the answer counts.
#[test]
fn what_the_registry_did_not_take_is_sent_again() {
    let (server, model) = registry(|request, model, before| {
        (before == 2).then(|| {
            model.take(request, usize::MAX);
            model.has.truncate(CHUNK + 60_000);
            model.far(202)
        })
    });
    let bytes = bytes(3 * CHUNK);
    push(&remote(&server).0, &bytes).expect("push");
    assert!(lock(&model).blobs == [bytes]);
    assert_eq!(lock(&model).ranges, ["0-99999", "160000-199999", "200000-299999", ""]);
}

#[test]
fn a_416_is_followed_by_the_question_how_far_it_came() {
    // The second chunk breaks off in the middle; asked, the registry does not know yet.
    let (server, model) = registry(|request, model, before| match before {
        2 => {
            model.take(request, 30_000);
            Some(reply(202, &[], "").without(usize::MAX).then(Then::Reset))
        }
        3 => Some(reply(204, &[("range", "0-99999"), ("location", &model.location())], "")),
        _ => None,
    });
    let bytes = bytes(3 * CHUNK);
    push(&remote(&server).0, &bytes).expect("push");
    assert!(lock(&model).blobs == [bytes]);
    assert_eq!(methods(&server), "POST PATCH PATCH GET PATCH GET PATCH PATCH PUT");
}

#[test]
fn a_registry_that_says_it_has_other_bytes_has_lost_the_upload() {
    // Before the chunk, after its end, no answer to the question, the same again.
    for says in [Some("0-49999"), Some("0-299999"), None, Some("0-99999")] {
        let (server, _) = registry(move |request, model, before| match (before, request.method.as_str()) {
            (2, _) => Some(reply(416, &[], "")),
            (_, "GET") => says
                .map(|range| reply(204, &[("range", range), ("location", &model.location())], ""))
                .or_else(|| Some(reply(404, &[], ""))),
            _ => None,
        });
        let error = push(&remote(&server).0, &bytes(2 * CHUNK)).expect_err("lost");
        assert!(matches!(error, RegistryError::UploadLost { .. }), "{says:?}: {error}");
        assert_eq!(methods(&server), "POST PATCH PATCH GET", "{says:?}");
    }
}

#[test]
fn an_upload_that_the_registry_forgot_begins_anew() {
    // Of a blob in chunks: by who has its bytes.
    let (server, _) = registry(|request, model, before| {
        if before == 2 {
            model.number += 1;
        }
        assert_ne!(request.method, "DELETE", "nothing is left to be given up");
        None
    });
    let error = push(&remote(&server).0, &bytes(2 * CHUNK)).expect_err("lost");
    let text = error.to_string();
    assert!(matches!(error, RegistryError::UploadLost { .. }), "{text}");
    assert!(
        text.ends_with("the registry lost the upload at `http://HOST/up/1`".replace("HOST", &server.host).as_str())
    );
    // Of a small one: at once, since its bytes are at hand.
    let (server, model) = registry(|request, model, before| {
        if before == 1 {
            assert_eq!(request.method, "PUT");
            model.number += 1;
        }
        None
    });
    push(&remote(&server).0, b"small").expect("push");
    assert_eq!(lock(&model).blobs, [b"small"]);
    assert_eq!(methods(&server), "POST PUT HEAD POST PUT");
    // One that forgets each time is left.
    let (server, _) = registry(|request, model, _| {
        model.number += usize::from(request.method == "PUT");
        None
    });
    let error = push(&remote(&server).0, b"small").expect_err("lost");
    assert!(matches!(error, RegistryError::UploadLost { .. }), "{error}");
}

#[test]
fn a_registry_without_chunks_is_told_from_one_that_forgot() {
    for status in [404, 405, 415, 501] {
        let (server, _) = registry(move |request, _, _| (request.method == "PATCH").then(|| reply(status, &[], "")));
        let error = push(&remote(&server).0, &bytes(CHUNK)).expect_err("no chunks");
        assert!(matches!(error, RegistryError::NoChunks { .. }), "{status}: {error}");
    }
    // After a reset it is another matter.
    let (server, model) = registry(|request, model, before| match before {
        1 => Some(reply(202, &[], "").without(usize::MAX).then(Then::Reset)),
        3 => {
            assert_eq!(request.header("expect"), "100-continue");
            model.number += 1;
            None
        }
        _ => None,
    });
    push(&remote(&server).0, &bytes(CHUNK)).expect("push");
    assert_eq!(lock(&model).blobs.len(), 1);
    assert_eq!(methods(&server), "POST PATCH GET PATCH POST PATCH PUT");
}

#[test]
fn chunks_are_as_long_as_the_registry_wants_them() {
    for (least, wanted) in [("250000", "POST PATCH PUT"), ("x", "POST PATCH PATCH PATCH PUT"), ("99999999", "")] {
        let (server, model) = registry(move |request, model, _| {
            (request.method == "POST").then(|| {
                model.number = 1;
                reply(202, &[("location", "/up/1?at=0"), ("oci-chunk-min-length", least)], "")
            })
        });
        match push(&remote(&server).0, &bytes(3 * CHUNK)) {
            Ok(()) => assert!(methods(&server) == wanted && lock(&model).blobs == [bytes(3 * CHUNK)], "{least}"),
            Err(error) => assert!(matches!(error, RegistryError::NoChunks { .. }) && wanted.is_empty(), "{error}"),
        }
    }
}

/// 6-10.
#[test]
fn a_blob_of_another_repository_is_mounted_or_sent() {
    let digest = Digest::of(b"base");
    let asked = format!("POST /v2/x/blobs/uploads/?mount={digest}&from=library/base");
    let plain = "POST /v2/x/blobs/uploads/".to_owned();
    // What the registry answers to the question; whether it is mounted; the questions.
    for (status, mounted, questions) in
        [(201, true, 1), (202, false, 1), (404, false, 2), (403, false, 2), (400, false, 2)]
    {
        let server = Server::new(move |request| match request.target.contains("mount=") {
            true => reply(status, &[("location", "/up")], ""),
            false => reply(202, &[("location", "/up")], ""),
        });
        let start = remote(&server).0.start(Some(&digest), Some("library/base")).expect("start");
        assert_eq!(matches!(start, Start::Mounted), mounted, "{status}");
        assert_eq!(server.lines(), [asked.clone(), plain.clone()][..questions], "{status}");
    }
}

/// 6-10: relative, absolute, elsewhere.
#[test]
fn locations_lead_everywhere() {
    let elsewhere = Server::new(|request| {
        assert_eq!(request.header("authorization"), "");
        match request.method.as_str() {
            "PATCH" => reply(202, &[("location", "next?sig=2")], ""),
            _ => reply(201, &[], ""),
        }
    });
    let host = elsewhere.host.clone();
    for location in
        ["/there?sig=1", "there?sig=1", "../there?sig=1", "http://SELF/there?sig=1", "http://OTHER/there?sig=1"]
    {
        let other = host.clone();
        let server = Server::new(move |request| {
            if request.header("authorization").is_empty() {
                return reply(401, &[("www-authenticate", "Basic")], "");
            }
            let place = location.replace("SELF", request.header("host")).replace("OTHER", &other);
            match request.method.as_str() {
                "POST" => reply(202, &[("location", &place)], ""),
                "PATCH" => reply(202, &[("location", "next?sig=2")], ""),
                _ => reply(201, &[], ""),
            }
        });
        let cancel = Cancel::new().expect("an eventfd");
        let password = Credential::Password { user: "u".to_owned(), password: Secret::new("p") };
        let (client, _) = client_of(&cancel, password);
        push(&client.pusher(endpoint(&server.host, "x"), &[]), &bytes(CHUNK)).expect("push");
        let base = match location {
            "there?sig=1" => "/v2/x/blobs/uploads/",
            "../there?sig=1" => "/v2/x/blobs/",
            _ => "/",
        };
        let lines: Vec<String> = server.lines().into_iter().chain(elsewhere.lines()).skip(2).collect();
        let put = format!("PUT {base}next?sig=2&digest={}", Digest::of(bytes(CHUNK)));
        assert_eq!(lines, [format!("PATCH {base}there?sig=1"), put], "{location}");
    }
}

#[test]
fn locations_that_lead_nowhere_are_refused() {
    for (location, why) in [
        (None, "it has no `Location`"),
        (Some("ftp://h/x"), "its `Location` leads nowhere: its scheme is neither `http` nor `https`"),
        (Some("http://"), "its `Location` leads nowhere: it has no host"),
        (Some("/a b"), "its `Location` leads nowhere: it is no URL"),
    ] {
        let server = Server::new(move |_| match location {
            Some(location) => reply(202, &[("location", location)], ""),
            None => reply(202, &[], ""),
        });
        let error = begin(&remote(&server).0, b"").expect_err(why);
        assert!(matches!(error, RegistryError::Malformed { .. }) && error.to_string().ends_with(why), "{error}");
        assert_eq!(server.lines().len(), 1);
    }
}

/// Returns the time in two seconds, as HTTP writes it.
fn date() -> String {
    let form = ["-u", "-d", "2 seconds", "+%a, %d %b %Y %H:%M:%S GMT"];
    let date = Command::new("date").env("LC_ALL", "C").args(form).output().expect("date(1)");
    String::from_utf8_lossy(&date.stdout).trim().to_owned()
}

/// Makes a `Retry-After`.
type After = fn() -> String;

/// RFC 9110, 10.2.3: seconds and dates; 6-11.
#[test]
fn a_registry_that_is_busy_is_waited_for() {
    let now: After = || "0".to_owned();
    let cases: [(&str, u16, After, u64); 7] = [
        ("POST", 429, now, 0),
        ("POST", 503, String::new, 0),
        ("PATCH", 429, || "1".to_owned(), 1000),
        ("PATCH", 503, date, 1),
        ("PATCH", 502, String::new, 0),
        ("PUT", 429, now, 0),
        ("PUT", 500, String::new, 0),
    ];
    for (method, status, after, least) in cases {
        let once = AtomicUsize::new(0);
        let (server, model) = registry(move |request, _, _| {
            let now = request.method == method && once.fetch_add(1, Ordering::SeqCst) == 0;
            now.then(|| reply(status, &[("retry-after", after().as_str())], "busy"))
        });
        let (remote, notes) = remote(&server);
        push(&remote, &bytes(CHUNK)).expect("push");
        assert!(lock(&model).blobs == [bytes(CHUNK)]);
        let said = notes.said().join(", ");
        assert!(
            said.starts_with(&format!("{}: it answered {status} ", server.host)) && said.ends_with(": busy"),
            "{said}"
        );
        assert!(notes.waits()[0] >= Duration::from_millis(least), "{method} {:?}", notes.waits());
        assert!(notes.waits()[0] <= Duration::from_secs(2), "{method} {:?}", notes.waits());
    }
}

/// Whether an error is of the kind that is wanted.
type Kind = fn(&RegistryError) -> bool;

#[test]
fn what_lasts_is_the_error() {
    let cases: [(u16, usize, Kind); 7] = [
        (429, 4, |e| matches!(e, RegistryError::TooMany(_))),
        (500, 4, |e| matches!(e, RegistryError::Answered(_))),
        (503, 4, |e| matches!(e, RegistryError::Answered(_))),
        (413, 1, |e| matches!(e, RegistryError::TooLarge(_))),
        (403, 1, |e| matches!(e, RegistryError::Denied(_))),
        (400, 1, |e| matches!(e, RegistryError::Answered(_))),
        (507, 4, |e| matches!(e, RegistryError::Answered(_))),
    ];
    for method in ["POST", "PATCH", "PUT"] {
        for (status, tries, is) in cases {
            let (server, _) =
                registry(move |request, _, _| (request.method == method).then(|| reply(status, &[], "no")));
            let error = push(&remote(&server).0, &bytes(CHUNK)).expect_err("refused");
            assert!(is(&error), "{method} {status}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("answered {status} ")) && text.contains(": no"), "{text}");
            let sent = server.lines().iter().filter(|line| line.starts_with(method)).count();
            assert_eq!(sent, tries, "{method} {status}");
            // What was begun is given up.
            assert_eq!(
                server.lines().iter().any(|line| line.starts_with("DELETE")),
                method != "POST",
                "{method} {status}"
            );
        }
    }
}

/// A proxy that closes as soon as it has seen how much is to come is understood all the same.
#[test]
fn a_limit_is_heard_even_where_the_connection_breaks() {
    let limited = |request: &mut Received| match request.header("expect") {
        "" => reply(413, &[], "too large").without(usize::MAX).then(Then::Reset),
        _ => reply(413, &[], "too large").then(Then::Close),
    };
    let (server, _) = registry(move |request, _, _| (request.method == "PATCH").then(|| limited(request)));
    let error = push(&remote(&server).0, &bytes(CHUNK)).expect_err("too large");
    assert!(matches!(error, RegistryError::TooLarge(_)), "{error}");
    let (server, _) = registry(move |request, _, _| (request.method == "PUT").then(|| limited(request)));
    let error = push(&remote(&server).0, b"small").expect_err("too large");
    assert!(matches!(error, RegistryError::TooLarge(_)), "{error}");
    let (server, _) = registry(move |request, _, _| (request.method == "PUT").then(|| limited(request)));
    let error = whole(&remote(&server).0, CHUNK).expect_err("too large");
    assert!(matches!(error, RegistryError::TooLarge(_)), "{error}");
}

/// Returns the repository to push to, for one of little patience.
fn impatient(server: &Server) -> Remote {
    let cancel = Cancel::new().expect("an eventfd");
    let patience = Patience { idle: Duration::from_millis(200), attempts: 2, ..patience() };
    client_of_patience(&cancel, patience).0.pusher(endpoint(&server.host, "x"), &[])
}

#[test]
fn silence_ends_an_upload() {
    for method in ["POST", "PATCH", "PUT"] {
        let (server, _) =
            registry(move |request, _, _| (request.method == method).then(|| Reply(Vec::new(), Then::Stall)));
        let error = push(&impatient(&server), &bytes(CHUNK)).expect_err("silence");
        assert!(error.to_string().ends_with("broke: nothing moved for 0.2 s"), "{method}: {error}");
        let sent = server.lines().iter().filter(|line| line.starts_with(method)).count();
        assert_eq!(sent, 2, "{method}");
    }
    // More bytes than fit into the buffers between us, which nobody reads.
    let (server, _) = registry(|request, _, _| (request.method == "PATCH").then(|| Reply(Vec::new(), Then::Stall)));
    let mut upload = begin(&impatient(&server), b"").expect("begin");
    let error = upload.chunk(&vec![0; 24 << 20]).expect_err("silence");
    assert!(error.to_string().ends_with("broke: nothing moved for 0.2 s"), "{error}");
}

#[test]
fn a_registry_that_takes_a_byte_at_a_time_is_given_up() {
    let (server, _) = registry(|request, model, _| {
        (request.method == "PATCH").then(|| {
            let before = model.has.len();
            model.take(request, usize::MAX);
            model.has.truncate(before + 1);
            model.far(202)
        })
    });
    let error = push(&remote(&server).0, &bytes(CHUNK)).expect_err("given up");
    assert!(matches!(error, RegistryError::Broken { .. }), "{error}");
    assert!(server.lines().len() < 20, "{}", server.lines().len());
    // Nor does one that resets after each byte get on.
    let (server, _) = registry(|request, model, _| {
        (request.method == "PATCH").then(|| {
            model.take(request, 1);
            reply(202, &[], "").without(usize::MAX).then(Then::Reset)
        })
    });
    let error = push(&remote(&server).0, &bytes(CHUNK)).expect_err("given up");
    assert!(matches!(error, RegistryError::Broken { .. }), "{error}");
    assert!(server.lines().len() < 20, "{}", server.lines().len());
}

#[test]
fn strange_ranges_are_refused() {
    for range in ["0-100000", "1-99999", "99999", "0-x", "0-99999999999999999999", "bytes=5-"] {
        let (server, _) = registry(move |request, model, _| {
            (request.method == "PATCH").then(|| {
                model.take(request, usize::MAX);
                reply(202, &[("range", range), ("location", "/up/1?at=1")], "")
            })
        });
        let error = push(&remote(&server).0, &bytes(CHUNK)).expect_err(range);
        assert!(error.to_string().ends_with(&format!("is wrong: it says it has bytes `{range}`")), "{error}");
    }
}

#[test]
fn another_digest_than_ours_is_an_error() {
    let other = Digest::of(b"other").to_string();
    let (server, _) = registry(move |request, _, _| {
        (request.method == "PUT").then(|| reply(201, &[("docker-content-digest", &other)], ""))
    });
    let remote = remote(&server).0;
    for error in [push(&remote, b"small").expect_err("other"), whole(&remote, 5).expect_err("other")] {
        assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    }
}

/// Sends bytes in one request.
fn whole(remote: &Remote, count: usize) -> Result<(), RegistryError> {
    let bytes = bytes(count);
    let open = || Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read>);
    remote.upload_whole(&Digest::of(&bytes), count as u64, &open)
}

/// 6-10: POST, then PUT.
#[test]
fn a_blob_goes_whole_where_it_must() {
    for (fault, wanted) in [
        (None, "POST PUT"),
        (Some(Then::Reset), "POST PUT HEAD POST PUT"),
        (Some(Then::Stall), "POST PUT HEAD POST PUT"),
        (Some(Then::Keep), "POST PUT HEAD POST PUT"),
    ] {
        let (server, model) = registry(move |request, _, before| {
            let answer = |then| match then {
                Then::Keep => reply(502, &[], "busy"),
                then => Reply(Vec::new(), then),
            };
            (before == 1 && request.method == "PUT").then(|| fault.map(answer)).flatten()
        });
        let cancel = Cancel::new().expect("an eventfd");
        let (client, notes) = client_for_silence(&cancel, Duration::from_millis(400));
        let remote = client.pusher(endpoint(&server.host, "x"), &[]);
        whole(&remote, 3 * CHUNK).expect("push");
        assert!(lock(&model).blobs == [bytes(3 * CHUNK)], "{fault:?}");
        assert_eq!(methods(&server), wanted, "{fault:?}");
        assert_eq!(notes.sent(), 3 * CHUNK as u64);
    }
}

#[test]
fn a_source_that_fails_is_told_at_once() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let (server, _) = registry(|_, _, _| None);
    let remote = remote(&server).0;
    for open in [(|| Ok(Box::new(Broken) as Box<dyn Read>)) as fn() -> io::Result<Box<dyn Read>>, || {
        Err(io::Error::other("the disk is gone"))
    }] {
        let error = remote.upload_whole(&Digest::of(b"x"), 1, &open).expect_err("a broken source");
        assert!(matches!(error, RegistryError::Source { .. }), "{error}");
        assert!(error.to_string().ends_with(": the disk is gone"), "{error}");
    }
    // One that cannot even be opened begins no upload.
    assert_eq!(methods(&server).matches("POST").count(), 1, "{}", methods(&server));
}

#[test]
fn a_source_that_ends_too_early_is_not_sent() {
    let (server, model) = registry(|_, _, _| None);
    let open = || Ok(Box::new(io::Cursor::new(b"short".to_vec())) as Box<dyn Read>);
    let error = remote(&server).0.upload_whole(&Digest::of(b"longer"), 6, &open).expect_err("short");
    assert!(matches!(error, RegistryError::Source { .. }), "{error}");
    assert!(lock(&model).blobs.is_empty());
}

#[test]
fn an_upload_that_is_dropped_is_given_up() {
    let (server, _) = registry(|_, _, _| None);
    let mut upload = begin(&remote(&server).0, b"").expect("begin");
    upload.chunk(&bytes(CHUNK)).expect("a chunk");
    drop(upload);
    assert_eq!(server.lines()[2], "DELETE /up/1?at=100000");
    // Not by a build that is cancelled: it ends at once.
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let upload = begin(&client.pusher(endpoint(&server.host, "x"), &[]), b"").expect("begin");
    cancel.cancel();
    drop(upload);
    assert_eq!(server.lines().len(), 4);
}
