//! Who we say we are, to whom.

use super::super::credentials::Credential;
use super::super::error::RegistryError;
use super::super::remote::Start;
use super::super::secret::Secret;
use super::super::testing::{Received, Reply, Server, client, client_of, endpoint, reply};
use crate::cancel::Cancel;
use crate::digest::Digest;
use std::sync::{Arc, Mutex};

fn password() -> Credential {
    Credential::Password { user: "ann".to_owned(), password: Secret::new("hunter2&=") }
}

/// Returns a token server that answers as `script` says, and a registry that wants its token `T1`.
fn pair(script: impl Fn(&mut Received) -> Reply + Send + Sync + 'static) -> (Server, Server) {
    let tokens = Server::new(script);
    let realm = format!("http://{}/token", tokens.host);
    let registry = Server::new(move |request| {
        if request.header("authorization") == "Bearer T1" {
            return reply(202, &[("location", "/up")], "");
        }
        let challenge = format!(r#"Bearer realm="{realm}",service="reg",scope="repository:x:pull""#);
        reply(401, &[("www-authenticate", &challenge)], r#"{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}"#)
    });
    (tokens, registry)
}

fn post(line: &str) -> String {
    format!("POST {line}")
}

#[test]
fn a_token_is_fetched_once_and_sent_from_then_on() {
    let (tokens, registry) = pair(|_| reply(200, &[], r#"{"token":"T1"}"#));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let remote = client.pusher(endpoint(&registry.host, "x"), &["base".to_owned()]);
    for _ in 0..2 {
        let Ok(Start::Upload(_)) = remote.start(None, None) else { panic!("no upload") };
    }
    let scopes = "scope=repository:base:pull&scope=repository:x:pull%2Cpush";
    assert_eq!(tokens.lines(), [format!("GET /token?service=reg&{scopes}")]);
    let begin = post("/v2/x/blobs/uploads/");
    let give_up = "DELETE /up".to_owned();
    assert_eq!(registry.lines(), [begin.clone(), begin.clone(), give_up.clone(), begin, give_up]);
}

#[test]
fn credentials_go_by_post_and_by_get_where_post_is_unknown() {
    for status in [404, 405, 401, 400] {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&seen);
        let (tokens, registry) = pair(move |request| {
            let body = String::from_utf8(request.body()).expect("a form");
            notes.lock().expect("no panic").push(format!("{body}|{}", request.header("authorization")));
            match request.method.as_str() {
                "POST" => reply(status, &[], ""),
                _ => reply(200, &[], r#"{"access_token":"T1","expires_in":300}"#),
            }
        });
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client_of(&cancel, password());
        client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect("start");
        let form = "grant_type=password&username=ann&password=hunter2%26%3D&service=reg&client_id=lbuild&scope=repository:x:pull%2Cpush|";
        let basic = "|Basic YW5uOmh1bnRlcjImPQ==";
        assert_eq!(*seen.lock().expect("no panic"), [form, basic], "{status}");
        assert_eq!(tokens.lines()[1], "GET /token?service=reg&scope=repository:x:pull%2Cpush");
    }
}

#[test]
fn an_identity_token_is_exchanged() {
    let seen: Arc<Mutex<String>> = Arc::default();
    let notes = Arc::clone(&seen);
    let (_tokens, registry) = pair(move |request| {
        *notes.lock().expect("no panic") = String::from_utf8(request.body()).expect("a form");
        reply(200, &[], r#"{"access_token":"T1"}"#)
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client_of(&cancel, Credential::Identity(Secret::new("refresh")));
    client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect("start");
    assert!(seen.lock().expect("no panic").starts_with("grant_type=refresh_token&refresh_token=refresh&service=reg"));
}

#[test]
fn a_token_of_the_user_is_sent_as_it_is() {
    let (tokens, registry) = pair(|_| reply(500, &[], ""));
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client_of(&cancel, Credential::Bearer(Secret::new("T1")));
    client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect("start");
    assert_eq!(tokens.lines(), Vec::<String>::new());
}

#[test]
fn a_name_and_a_password_are_sent_where_basic_is_asked_for() {
    let registry = Server::new(|request| match request.header("authorization") {
        "Basic YW5uOmh1bnRlcjImPQ==" => reply(404, &[], ""),
        _ => reply(401, &[("www-authenticate", r#"Basic realm="x""#)], ""),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client_of(&cancel, password());
    let remote = client.puller(endpoint(&registry.host, "x"));
    for _ in 0..2 {
        assert!(!remote.has_blob(&Digest::of(b"")).expect("ask"));
    }
    assert_eq!(registry.lines().len(), 3);
}

#[test]
fn an_old_token_is_replaced_and_a_fresh_one_that_is_refused_ends_it() {
    let count = Mutex::new(0);
    let tokens = Server::new(move |_| {
        let mut count = count.lock().expect("no panic");
        *count += 1;
        reply(200, &[], format!(r#"{{"token":"T{count}"}}"#))
    });
    let realm = format!(r#"Bearer realm="http://{}/t""#, tokens.host);
    let registry =
        Server::new(move |request| match (request.target.contains("/manifests/"), request.header("authorization")) {
            (false, "Bearer T1") | (true, "Bearer T2") => reply(404, &[], ""),
            _ => reply(401, &[("www-authenticate", &realm)], r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#),
        });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let remote = client.puller(endpoint(&registry.host, "x"));
    assert!(!remote.has_blob(&Digest::of(b"")).expect("T1 does"));
    assert_eq!(remote.head_manifest("1").expect("T2 does"), None);
    let error = remote.has_blob(&Digest::of(b"")).expect_err("neither T2 nor T3 does");
    assert!(matches!(&error, RegistryError::Denied(_)), "{error}");
    assert!(error.to_string().contains("answered 401 Unauthorized: UNAUTHORIZED (no credentials for"), "{error}");
    assert_eq!(error.help(), Some(format!("run `lbuild login {}`, if the repository is yours to use", registry.host)));
}

#[test]
fn refused_credentials_do_not_keep_us_from_public_images() {
    let script = |request: &mut Received| match (request.method.as_str(), request.header("authorization")) {
        ("GET", "") => reply(200, &[], r#"{"token":"T1"}"#),
        _ => reply(401, &[], r#"{"details":"incorrect username or password"}"#),
    };
    let (_tokens, registry) = pair(script);
    let cancel = Cancel::new().expect("an eventfd");
    let (client, notes) = client_of(&cancel, password());
    let reader = client.puller(endpoint(&registry.host, "x"));
    // The registry answers 202 to all that it lets in, which is no answer to this question.
    let error = reader.has_blob(&Digest::of(b"")).expect_err("202");
    assert!(error.to_string().contains("answered 202"), "{error}");
    let warning =
        format!("`{}` refuses us with the credentials of `host` in `auth.json`; going on without", registry.host);
    assert_eq!(*notes.said(), [warning]);
    let error = client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect_err("denied");
    let text = error.to_string();
    assert!(matches!(error, RegistryError::Denied(_)), "{text}");
    assert!(
        text.ends_with(
            "/token` answered 401 Unauthorized: incorrect username or password (with the credentials of `host` in `auth.json`)"
        ),
        "{text}"
    );
}

#[test]
fn a_server_that_refuses_the_other_repository_is_asked_for_ours_alone() {
    let (tokens, registry) = pair(|request| match request.target.contains("base") {
        true => reply(403, &[], ""),
        false => reply(200, &[], r#"{"token":"T1"}"#),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let remote = client.pusher(endpoint(&registry.host, "x"), &["base".to_owned()]);
    remote.start(None, None).expect("start");
    assert_eq!(tokens.lines().len(), 2);
}

#[test]
fn strange_token_servers_are_refused() {
    let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(2 << 20));
    let cases = [
        (long, "more than 1 MiB"),
        ("{}".to_owned(), "no token in it"),
        (r#"{"token":""}"#.to_owned(), "no token in it"),
        ("<html>".to_owned(), "no JSON"),
        (format!(r#"{{"token":"{}"}}"#, "x".repeat(100_000)), "more than 64 KiB"),
        (r#"{"token":"a\r\nx-evil: 1"}"#.to_owned(), "characters"),
    ];
    for (answer, why) in cases {
        let (_tokens, registry) = pair(move |_| reply(200, &[], &answer));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let error = client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect_err(why);
        assert!(error.to_string().contains(why), "{error}");
    }
    for realm in ["ftp://x/t", "nowhere", ""] {
        let challenge = format!(r#"Bearer realm="{realm}""#);
        let registry = Server::new(move |_| reply(401, &[("www-authenticate", &challenge)], ""));
        let cancel = Cancel::new().expect("an eventfd");
        let (client, _) = client(&cancel);
        let error = client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect_err(realm);
        assert!(error.to_string().contains("the token server it names is no address"), "{error}");
    }
}

#[test]
fn a_login_asks_for_nothing_but_to_be_let_in() {
    // What everybody may read is no proof of a password.
    let (tokens, registry) = pair(|request| {
        let everybody = request.method == "GET" && request.header("authorization").is_empty();
        match everybody || String::from_utf8_lossy(&request.body()).contains("hunter2") {
            true => reply(200, &[], r#"{"token":"T1"}"#),
            false => reply(401, &[], r#"{"details":"wrong"}"#),
        }
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    let wrong = Credential::Password { user: "ann".to_owned(), password: Secret::new("wrong") };
    let error = client.check_credential(&registry.host, &wrong).expect_err("a wrong password");
    assert!(matches!(error, RegistryError::Denied(_)), "{error}");
    assert!(
        error.to_string().ends_with("answered 401 Unauthorized: wrong (with the credentials of this login)"),
        "{error}"
    );
    // This registry answers 202 to those it lets in; a real one 200.
    let error = client.check_credential(&registry.host, &password()).expect_err("202");
    assert!(error.to_string().contains("answered 202"), "{error}");
    assert_eq!(tokens.lines(), ["POST /token", "GET /token?service=reg", "POST /token"]);
}

/// 6-3: what one repository needs is not asked for where another is wanted.
#[test]
fn repositories_do_not_share_what_is_asked_for() {
    let tokens = Server::new(|_| reply(200, &[], r#"{"token":"T1"}"#));
    let realm = format!("http://{}/token", tokens.host);
    let registry = Server::new(move |request| {
        let repository = request.target.split('/').nth(2).unwrap_or_default();
        let challenge = format!(r#"Bearer realm="{realm}",scope="repository:group/{repository}:pull""#);
        match request.header("authorization") {
            "" => reply(401, &[("www-authenticate", &challenge)], ""),
            _ => reply(404, &[], ""),
        }
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client(&cancel);
    for repository in ["a", "b", "a"] {
        assert!(!client.puller(endpoint(&registry.host, repository)).has_blob(&Digest::of(b"")).expect("ask"));
    }
    let of_a = "GET /token?scope=repository:a:pull&scope=repository:group/a:pull";
    assert_eq!(tokens.lines(), [of_a, "GET /token?scope=repository:b:pull"]);
    // The first is asked for what it wants, the others are known to want a token.
    assert_eq!(registry.lines().len(), 4);
}

/// What a form says is for the token server alone.
#[test]
fn no_password_follows_a_redirect_to_another_server() {
    let other = Server::new(|_| reply(200, &[], r#"{"token":"T1"}"#));
    for status in [307, 308] {
        for credential in [password(), Credential::Identity(Secret::new("refresh"))] {
            let there = format!("http://{}/token", other.host);
            let (_tokens, registry) = pair(move |_| reply(status, &[("location", &there)], ""));
            let cancel = Cancel::new().expect("an eventfd");
            let (client, _) = client_of(&cancel, credential);
            let error = client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect_err("redirected");
            let end = format!("to `http://{}/token`, which is not to hear what is for this server alone", other.host);
            assert!(error.to_string().ends_with(&end), "{error}");
        }
    }
    assert_eq!(other.lines(), Vec::<String>::new());
    // Within the server it does.
    let (tokens, registry) = pair(|request| match request.target.as_str() {
        "/token" => reply(307, &[("location", "/new")], ""),
        _ => reply(200, &[], r#"{"token":"T1"}"#),
    });
    let cancel = Cancel::new().expect("an eventfd");
    let (client, _) = client_of(&cancel, password());
    client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect("start");
    assert_eq!(tokens.lines(), ["POST /token", "POST /new"]);
}

/// Some servers repeat what they were sent, which would put it into the log of a build.
#[test]
fn no_secret_is_told() {
    let echo = |request: &mut Received| {
        let body = String::from_utf8_lossy(&request.body()).into_owned();
        format!("{} {body}", request.header("authorization"))
    };
    let (_tokens, registry) = pair(move |request| match request.method.as_str() {
        "POST" => reply(503, &[], echo(request)),
        _ => reply(401, &[], echo(request)),
    });
    let cancel = Cancel::new().expect("an eventfd");
    for credential in
        [password(), Credential::Identity(Secret::new("hunter2")), Credential::Bearer(Secret::new("hunter2"))]
    {
        let (client, notes) = client_of(&cancel, credential);
        let remote = client.pusher(endpoint(&registry.host, "x"), &[]);
        let error = remote.start(None, None).expect_err("refused");
        let told = format!("{error} {error:?} {:?} {client:?} {remote:?} {:?}", error.help(), notes.said());
        for secret in ["hunter2", "YW5uOmh1bnRlcjI"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
    // Nor by the registry: neither password nor token.
    let tokens = Server::new(|_| reply(200, &[], r#"{"token":"T0k3n-T0k3n"}"#));
    for challenge in ["Basic".to_owned(), format!(r#"Bearer realm="http://{}/t""#, tokens.host)] {
        let registry = Server::new(move |request| match request.header("authorization") {
            "" => reply(401, &[("www-authenticate", &challenge)], ""),
            authorization => {
                reply(403, &[], format!(r#"{{"errors":[{{"code":"DENIED","detail":"{authorization}"}}]}}"#))
            }
        });
        let (client, _) = client_of(&cancel, password());
        let error = client.pusher(endpoint(&registry.host, "x"), &[]).start(None, None).expect_err("refused");
        let told = format!("{error} {error:?}");
        assert!(told.contains(" ***"), "{told}");
        for secret in ["hunter2", "YW5uOmh1bnRlcjI", "T0k3n"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
