//! Redirects, retries, limits of time, and the end of a build.

use super::super::error::RegistryError;
use super::super::routing::Scheme;
use super::super::secret::Secret;
use super::super::settings::{Patience, Proxies, RegistrySettings};
use super::super::testing::{
    Reply, Server, Then, client, client_for_silence, client_of, client_of_patience, client_with, endpoint, patience,
    reply,
};
use super::super::trust::Trust;
use super::super::{Registries, credentials::Credential};
use crate::cancel::Cancel;
use crate::descriptor::{Descriptor, media_type};
use crate::digest::Digest;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn manifest() -> String {
    format!(r#"{{"mediaType":"{}"}}"#, media_type::OCI_MANIFEST)
}

fn password() -> Credential {
    Credential::Password { user: "u".to_owned(), password: Secret::new("p") }
}

/// Headers of an answer.
type Head<'a> = &'a [(&'a str, &'a str)];

#[test]
fn redirects_lose_the_credentials_where_they_leave_the_server() {
    let store = Server::new(|request| match (request.header("authorization"), request.target.as_str()) {
        ("", "/there?sig=1") => reply(200, &[], manifest()),
        other => panic!("{other:?}"),
    });
    let there = format!("http://{}/there?sig=1", store.host);
    let registry = Server::new(move |request| match (request.header("authorization"), request.target.as_str()) {
        ("", _) => reply(401, &[("www-authenticate", "Basic")], ""),
        (_, "/v2/x/manifests/1") => reply(307, &[("location", "/v2/here")], ""),
        (_, "/v2/here") => reply(302, &[("location", &there)], "bye"),
        other => panic!("{other:?}"),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client_of(&cancel, password());
    let got = client.puller(endpoint(&registry.host, "x")).manifest("1").expect("read");
    assert_eq!(got.bytes, manifest().as_bytes());
}

#[test]
fn redirects_that_lead_nowhere_end() {
    let cases = [
        ("/v2/x/manifests/1", "more than 10 times"),
        ("file:///etc/passwd", "its scheme is neither `http` nor `https`"),
        ("http://", "it has no host"),
        // An empty reference means the address that it stands in (RFC 3986, 5.2.2).
        ("", "more than 10 times"),
    ];
    for (location, why) in cases {
        let registry = Server::new(move |_| reply(302, &[("location", location)], ""));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let error = client.puller(endpoint(&registry.host, "x")).manifest("1").expect_err(why);
        assert!(matches!(error, RegistryError::Redirect { .. }) && error.to_string().ends_with(why), "{error}");
        assert!(registry.lines().len() <= 11, "{}", registry.lines().len());
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    // Status, headers, whether it is tried again, how the error ends.
    let cases: [(u16, Head<'_>, usize, &str); 9] = [
        (503, &[], 4, "answered 503 Service Unavailable: busy"),
        (500, &[], 4, "answered 500 Internal Server Error: busy"),
        (408, &[], 4, "answered 408 Request Timeout: busy"),
        (429, &[], 4, "answered 429 Too Many Requests: busy"),
        (429, &[("retry-after", "0")], 4, "answered 429 Too Many Requests: busy"),
        (429, &[("retry-after", "3600")], 1, "answered 429 Too Many Requests: busy"),
        (429, &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], 1, "answered 429 Too Many Requests: busy"),
        (501, &[], 1, "answered 501 Not Implemented: busy"),
        (418, &[], 1, "answered 418 I'm a teapot: busy"),
    ];
    for (status, headers, tries, end) in cases {
        let registry = Server::new(move |_| reply(status, headers, "busy"));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, notes) = client(&cancel);
        let error = client.puller(endpoint(&registry.host, "x")).manifest("1").expect_err(end);
        assert!(error.to_string().ends_with(end), "{error}");
        assert_eq!(registry.lines().len(), tries, "{status} {headers:?}");
        assert_eq!(notes.said().len(), tries - 1, "{:?}", notes.said());
        if headers == [("retry-after", "3600")] {
            let help = error.help().unwrap_or_default();
            assert!(help.starts_with("it asks to wait 3600 s: "), "{help}");
        }
    }
}

#[test]
fn one_who_has_others_to_ask_does_not_wait_long() {
    for (status, headers, tries) in [
        (429, &[("retry-after", "1")][..], 1),
        (429, &[], 1),
        (503, &[("retry-after", "1")], 1),
        (503, &[], 2),
        (200, &[("content-length", "9")], 2),
    ] {
        let registry = Server::new(move |_| reply(status, headers, "").then(Then::Close));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let error = client.puller(endpoint(&registry.host, "x")).without_waiting().manifest("1").expect_err("trouble");
        assert_eq!(registry.lines().len(), tries, "{status} {headers:?}: {error}");
    }
}

#[test]
fn a_broken_connection_is_made_again() {
    let replies = Mutex::new(vec![
        reply(200, &[], manifest()),
        reply(200, &[], manifest()).without(5).then(Then::Close),
        reply(200, &[], manifest()).without(5).then(Then::Reset),
        reply(200, &[], "").without(10).then(Then::Reset),
    ]);
    let registry = Server::new(move |_| replies.lock().expect("no panic").pop().expect("four requests"));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client(&cancel);
    let got = client.puller(endpoint(&registry.host, "x")).manifest("1").expect("the fourth");
    assert_eq!(got.bytes, manifest().as_bytes());
    assert_eq!(notes.said().len(), 3, "{:?}", notes.said());
}

#[test]
fn silence_and_drips_end() {
    let silent = Server::new(|_| reply(200, &[], manifest()).without(5).then(Then::Stall));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client_for_silence(&cancel, Duration::from_millis(400));
    let error = client.puller(endpoint(&silent.host, "x")).manifest("1").expect_err("silence");
    assert!(error.to_string().ends_with("broke: nothing moved for 0.4 s"), "{error}");
    assert_eq!(silent.lines().len(), 4);
}

/// Makes an answer with headers.
type Answer = fn(Head<'_>) -> Reply;

#[test]
fn drips_end_wherever_they_fall() {
    let cancel = Cancel::new().expect("an eventfd");
    let patience = Patience { idle: Duration::from_millis(200), attempts: 1, ..patience() };
    let (client, _) = client_of_patience(&cancel, patience);
    let blob = Descriptor::of("x", &[0; 60_000]);
    let read = |host: &str| {
        let mut reader = client.puller(endpoint(host, "x")).blob(&blob)?;
        reader.read_to_end(&mut Vec::new()).map_err(|error| error.downcast::<RegistryError>().expect("ours"))
    };
    // In the head of the answer, in the words of a refusal, in a blob, in what redirects say.
    let long = &[("content-length", "60000")];
    let cases: [(Answer, &str); 4] = [
        (|_| Reply(b"HTTP/1.1 200 X\r\nx: ".to_vec(), Then::Drip), "broke: the answer took too long"),
        (|long| reply(404, long, "").then(Then::Drip), "answered 404 Not Found"),
        (|long| reply(200, long, "").then(Then::Drip), "broke: less than 1 KiB came each second"),
        (
            |_| reply(307, &[("location", "ftp://x"), ("content-length", "60000")], "").then(Then::Drip),
            "redirects to nowhere: its scheme is neither `http` nor `https`",
        ),
    ];
    for (answer, end) in cases {
        let registry = Server::new(move |_| answer(long));
        let error = read(&registry.host).expect_err(end);
        assert!(error.to_string().ends_with(end), "{error}");
    }
}

/// Each server that a registry sends us to takes memory.
#[test]
fn a_registry_cannot_send_us_everywhere() {
    let count = AtomicUsize::new(0);
    let registry = Server::new(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let port = request.header("host").rsplit(':').next().unwrap_or_default().to_owned();
        reply(307, &[("location", &format!("http://127.0.1.{number}:{port}/"))], "")
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let mut place = endpoint(&registry.host, "x");
    place.scheme = Scheme::Http;
    let remote = client.puller(place).without_waiting();
    // Each is asked twice, and leads to another server each time.
    for number in 0..34 {
        let error = remote.manifest("1").expect_err("nobody is there");
        match number {
            0..31 => assert!(matches!(error, RegistryError::Unreachable { .. }), "{number}: {error}"),
            _ => assert!(error.to_string().ends_with("redirects to too many servers"), "{number}: {error}"),
        }
    }
}

/// 6-7: what a redirect says beside its `Location` is no reason for a new connection.
#[test]
fn redirects_leave_the_connection_as_it_was() {
    let registry = Server::new(|request| match request.target.as_str() {
        "/v2/x/manifests/1" => reply(307, &[("location", "/there")], "<a href=/there>there</a>"),
        _ => reply(200, &[], manifest()),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let mut place = endpoint(&registry.host, "x");
    place.scheme = Scheme::Http;
    for _ in 0..2 {
        assert_eq!(client.puller(place.clone()).manifest("1").expect("read").bytes, manifest().as_bytes());
    }
    assert_eq!((registry.lines().len(), registry.connections()), (4, 1));
}

#[test]
fn nobody_there_is_told_at_once() {
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client(&cancel);
    let host = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    let error = client.puller(endpoint(&host, "x")).manifest("1").expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!("read `{host}/x:1`: `https://{host}/v2/x/manifests/1` cannot be reached: connection refused")
    );
    let error = client.puller(endpoint("no-such-host.invalid", "x")).manifest("1").expect_err("unknown");
    assert_eq!(error.to_string(), "read `no-such-host.invalid/x:1`: host `no-such-host.invalid` is unknown");
    assert_eq!(*notes.said(), Vec::<String>::new());
}

#[test]
fn plain_http_is_spoken_only_where_it_may_be() {
    let registry = Server::new(|_| reply(200, &[], manifest()));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    for (scheme, works) in
        [(Scheme::Https, false), (Scheme::HttpsOrHttp, true), (Scheme::Insecure, true), (Scheme::Http, true)]
    {
        let mut place = endpoint(&registry.host, "x");
        place.scheme = scheme;
        let result = client.puller(place).manifest("1");
        assert_eq!(result.is_ok(), works, "{scheme:?}: {result:?}");
        if let Err(error) = result {
            assert_eq!(error.to_string(), format!("read `{0}/x:1`: `{0}` does not speak TLS", registry.host));
        }
    }
}

/// A greeting that was broken on the way does not turn TLS off for good.
#[test]
fn one_that_refuses_http_is_greeted_in_tls_again() {
    let first = AtomicUsize::new(0);
    let registry = Server::new(move |_| match first.fetch_add(1, Ordering::SeqCst) {
        0 => reply(400, &[], "this port speaks https"),
        _ => reply(200, &[], manifest()),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let remote = client.puller(endpoint(&registry.host, "x"));
    for (result, hellos) in [("400 Bad Request: this port speaks https", 1), ("", 2), ("", 2)] {
        match remote.manifest("1") {
            Ok(_) => assert!(result.is_empty()),
            Err(error) => assert!(!result.is_empty() && error.to_string().ends_with(result), "{error}"),
        }
        assert_eq!(registry.hellos(), hellos);
    }
}

/// Returns a client that waits a minute for a byte: what ends earlier was ended.
fn patient(cancel: &Cancel) -> Registries {
    let minute = Duration::from_secs(60);
    client_of_patience(cancel, Patience { idle: minute, longest_wait: minute, ..patience() }).0
}

#[test]
fn a_cancelled_build_ends_reads_waits_and_first_contacts() {
    let replies: [fn() -> super::super::testing::Reply; 3] = [
        || reply(200, &[], manifest()).without(5).then(Then::Stall),
        || reply(200, &[], "").without(9).then(Then::Stall),
        || reply(429, &[("retry-after", "50")], ""),
    ];
    for answer in replies {
        let cancel = Cancel::new().expect("an eventfd");
        let trigger = cancel.clone();
        let registry = Server::new(move |request| {
            if request.target.ends_with("/first") {
                return reply(404, &[], "");
            }
            let trigger = trigger.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                trigger.cancel();
            });
            answer()
        });
        let client = patient(&cancel);
        let remote = client.puller(endpoint(&registry.host, "x"));
        // Once from the thread of the first contact, once (after another answer) from this one.
        let error = remote.manifest("1").expect_err("cancelled");
        assert!(matches!(error, RegistryError::Cancelled), "{error:?}");
        let error = remote.has_blob(&Digest::of(b"")).expect_err("still cancelled");
        assert!(matches!(error, RegistryError::Cancelled), "{error:?}");
    }
}

#[test]
fn a_known_server_that_stalls_is_left_when_the_build_is_cancelled() {
    let cancel = Cancel::new().expect("an eventfd");
    let trigger = cancel.clone();
    let registry = Server::new(move |request| {
        if request.method == "HEAD" {
            return reply(404, &[], "");
        }
        let trigger = trigger.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            trigger.cancel();
        });
        reply(200, &[], manifest()).without(5).then(Then::Stall)
    });
    let client = patient(&cancel);
    let remote = client.puller(endpoint(&registry.host, "x"));
    assert_eq!(remote.head_manifest("1").expect("ask"), None);
    let error = remote.manifest("1").expect_err("cancelled");
    assert!(matches!(error, RegistryError::Cancelled), "{error:?}");
}

#[test]
fn a_proxy_is_asked_to_connect_us() {
    let proxy = Server::new(|request| match request.line().as_str() {
        // The name of a scheme is the same in every case (RFC 9110, 11.1).
        "CONNECT r.invalid:80" if request.header("proxy-authorization").eq_ignore_ascii_case("basic dTpw") => {
            reply(200, &[("content-length", "0")], "")
        }
        "GET /v2/x/manifests/1" => reply(200, &[], manifest()),
        _ => reply(407, &[], ""),
    });
    let url = |user: &str| Some(Secret::new(format!("http://{user}{}", proxy.host)));
    let cancel = Cancel::new().expect("an eventfd");
    let ask = |user, no_proxy: Option<&str>| {
        let proxies = Proxies { http: url(user), https: None, no_proxy: no_proxy.map(str::to_owned) };
        let settings = RegistrySettings { patience: patience(), proxies, ..RegistrySettings::default() };
        let trust = Trust { authorities: Vec::new(), client: None, read: Vec::new() };
        let mut place = endpoint("r.invalid", "x");
        place.scheme = Scheme::Http;
        let (client, _) = client_with(&cancel, Credential::Anonymous, settings, trust);
        let result = client.puller(place).manifest("1");
        let told = format!("{client:?}");
        assert!(!told.contains("hunter2") && !told.contains("dTpw"), "{told}");
        result
    };
    assert_eq!(ask("u:p@", None).expect("through the proxy").bytes, manifest().as_bytes());
    let error = ask("u:hunter2@", None).expect_err("refused");
    assert!(error.to_string().contains("its proxy does not connect us: proxy server responded 407"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
    assert!(matches!(ask("u:p@", Some("invalid")), Err(RegistryError::UnknownHost { .. })));
}
