//! The servers of these tests, shown to work by clients of other people: skopeo and curl.

use crate::harness::{base, output, succeeds};
use crate::registry::{
    Certificates, Class, Fault, Faults, PASSWORD, Post, Proxy, Registry, SIGNATURE, TokenServer, USER, layout,
};
use std::fs;
use std::process::{Command, Stdio};

fn skopeo(home: &std::path::Path, arguments: &[&str]) -> bool {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy").args(arguments).env("HOME", home).env_remove("XDG_RUNTIME_DIR");
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("skopeo").success()
}

#[test]
fn a_plain_registry_takes_and_gives() {
    let registry = Registry::plain();
    registry.fill("base:1", &layout("busybox"));
    assert!(registry.has("base", "1") && !registry.has("base", "2"));
    let blob = registry.blob(&registry.layers("base", "1")[0]);
    assert!(fs::metadata(blob).expect("a blob").len() > 500_000);
}

#[test]
fn tls_needs_the_authority_and_the_clients_certificate() {
    let certificates = Certificates::new();
    let home = tempfile::tempdir().expect("a directory");
    let (one, both) = (Registry::tls(&certificates), Registry::mutual_tls(&certificates));
    let push = |registry: &Registry| {
        let to = format!("docker://{}", registry.name("x:1"));
        skopeo(home.path(), &["copy", &layout("busybox"), &to])
    };
    assert!(!push(&one));
    certificates.trust(home.path(), &one.address);
    assert!(push(&one));
    certificates.trust(home.path(), &both.address);
    assert!(!push(&both));
    certificates.show(home.path(), &both.address);
    assert!(push(&both) && both.has("x", "1"));
}

#[test]
fn a_password_is_checked() {
    let registry = Registry::htpasswd();
    let push = |credentials: &str| {
        let to = format!("docker://{}", registry.name("x:1"));
        let home = tempfile::tempdir().expect("a directory");
        skopeo(home.path(), &["copy", "--dest-tls-verify=false", "--dest-creds", credentials, &layout("busybox"), &to])
    };
    assert!(!push("alice:wrong"));
    assert!(push(&format!("{USER}:{PASSWORD}")));
}

#[test]
fn tokens_are_believed_and_scopes_enforced() {
    let server = TokenServer::new(Post::NotFound, 300);
    let registry = Registry::token(&server);
    let home = tempfile::tempdir().expect("a directory");
    let creds = format!("{USER}:{PASSWORD}");
    let push = |name: &str, creds: &str| {
        let to = format!("docker://{}", registry.name(name));
        skopeo(home.path(), &["copy", "--dest-tls-verify=false", "--dest-creds", creds, &layout("busybox"), &to])
    };
    let pull = |name: &str| {
        let from = format!("docker://{}", registry.name(name));
        skopeo(home.path(), &["inspect", "--tls-verify=false", "--no-creds", &from])
    };
    assert!(!push("public/x:1", "alice:wrong"));
    assert!(push("public/x:1", &creds) && push("private/x:1", &creds));
    assert!(pull("public/x:1") && !pull("private/x:1"));
    let requests = server.requests();
    assert!(requests.iter().any(|one| one.status == 401 && one.user.as_deref() == Some(USER)), "{requests:?}");
    assert!(requests.iter().any(|one| one.scopes == ["repository:public/x:pull,push"]), "{requests:?}");
    assert!(!server.issued().is_empty());
    let form = format!("grant_type=password&username={USER}&password={PASSWORD}&service=s&scope=repository:x:pull");
    let address = format!("http://{}/token", server.address());
    assert_eq!(output("curl", &["-s", "-d", &form, &address]), "{\"details\":\"no such page\"}");
}

#[test]
fn the_token_server_knows_oauth() {
    let server = TokenServer::new(Post::Known, 300);
    let ask = |form: &str| {
        let address = format!("http://{}/token", server.address());
        serde_json::from_str::<serde_json::Value>(&output("curl", &["-s", "-d", form, &address])).expect("JSON")
    };
    let told = ask(&format!("grant_type=password&access_type=offline&username={USER}&password={PASSWORD}"));
    let refresh = told["refresh_token"].as_str().expect("a refresh token");
    let told = ask(&format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository%3Ax%3Apull"));
    assert!(told["access_token"].as_str().is_some_and(|token| token.split('.').count() == 3));
    assert!(ask("grant_type=refresh_token&refresh_token=other")["access_token"].is_null());
    let grants: Vec<String> = server.requests().into_iter().map(|request| request.grant).collect();
    assert_eq!(grants, ["password", "refresh_token", "refresh_token"]);
}

#[test]
fn a_proxy_hands_on_what_it_counts() {
    let registry = Registry::plain();
    let proxy = Proxy::to(&registry, Faults::none());
    let to = format!("docker://{}", proxy.name("x:1"));
    let home = tempfile::tempdir().expect("a directory");
    assert!(skopeo(home.path(), &["copy", "--dest-tls-verify=false", "--preserve-digests", &layout("busybox"), &to]));
    let layer = fs::metadata(registry.blob(&registry.layers("x", "1")[0])).expect("a blob").len();
    let seen = proxy.take();
    let sent: u64 = seen.iter().filter(|one| one.class == Class::Upload).map(|one| one.sent).sum();
    assert!(sent > layer && sent < layer + 10_000, "{sent} of {layer}");
    let put = seen.iter().find(|one| one.method == "PUT" && one.class == Class::Manifest).expect("a manifest");
    assert_eq!((put.status, put.target.as_str()), (201, "/v2/x/manifests/1"));
    assert_eq!(put.body.len() as u64, put.sent);

    let dir = home.path().join("out");
    let from = format!("docker://{}", proxy.name("x:1"));
    assert!(skopeo(home.path(), &["copy", "--src-tls-verify=false", &from, &format!("dir:{}", dir.display())]));
    let received: u64 = proxy.take().iter().filter(|one| one.class == Class::Blob).map(|one| one.received).sum();
    assert!(received > layer && received < layer + 10_000, "{received} of {layer}");
}

const ACCEPT: &str = "Accept: application/vnd.oci.image.manifest.v1+json";

/// Returns curl's exit status, what it wrote, and what the proxy saw of the first and the last request.
fn curl(proxy: &Proxy, path: &str, more: &[&str]) -> (i32, String, Vec<(Class, u16, Fault)>) {
    let mut command = Command::new("curl");
    command.args(["-s", "-S", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "--max-time", "10"]).args(more);
    let out = command.arg(format!("http://{}{path}", proxy.address)).output().expect("curl");
    let seen = proxy.take().into_iter().map(|one| (one.class, one.status, one.fault)).collect();
    (out.status.code().expect("a status"), String::from_utf8(out.stdout).expect("text"), seen)
}

#[test]
fn each_fault_is_what_it_says() {
    let registry = Registry::plain();
    registry.fill("x:1", &layout("busybox"));
    let proxy = Proxy::to(&registry, Faults::none());
    let digest = registry.layers("x", "1")[0].clone();
    let size = fs::metadata(registry.blob(&digest)).expect("a blob").len();
    let (blob, manifest) = (format!("/v2/x/blobs/{digest}"), "/v2/x/manifests/1");
    let with = |fault: Fault| proxy.change(Faults::chosen(move |_| fault.clone()));

    assert_eq!(curl(&proxy, &blob, &[]).1, format!("200 {size}"));
    with(Fault::ResetResponse(1000));
    let (status, told, seen) = curl(&proxy, &blob, &[]);
    // 56: failure in receiving network data; a reset may overtake the bytes before it.
    assert!(status == 56 && told.starts_with("200 ") && seen[0].2 == Fault::ResetResponse(1000), "{status} {told}");
    with(Fault::ResetResponse(0));
    assert_eq!(curl(&proxy, &blob, &[]).0, 56);
    with(Fault::Truncate(1000));
    // 18: a partial file.
    assert_eq!((curl(&proxy, &blob, &[]).0, curl(&proxy, &blob, &[]).1), (18, "200 1000".to_owned()));
    with(Fault::Truncate(size + 1));
    let (status, told, seen) = curl(&proxy, &blob, &[]);
    assert_eq!((status, told, &seen[0].2), (0, format!("200 {size}"), &Fault::None), "it did not come about");
    with(Fault::Status(429, Some(7)));
    let (_, told, seen) = curl(&proxy, &blob, &[]);
    assert!(told.starts_with("429 ") && seen[0].1 == 429);
    with(Fault::Redirect);
    let (status, told, seen) = curl(&proxy, &blob, &["-L", "-r", "10-"]);
    assert_eq!((status, told), (0, format!("206 {}", size - 10)));
    assert_eq!((seen[0].1, seen[1].0, seen[1].1), (307, Class::Elsewhere, 206));
    let (_, told, _) = curl(&proxy, &blob, &["-L", "--location-trusted", "-u", "a:b"]);
    assert!(told.starts_with("400 "), "credentials are refused elsewhere: {told}");
    let place = format!("http://{}/{digest}?signature=other", proxy.elsewhere());
    assert_ne!(output("curl", &["-s", &place]), SIGNATURE);
    with(Fault::Drip(1 << 16));
    assert_eq!(curl(&proxy, &blob, &[]).1, format!("200 {size}"));
    with(Fault::WrongDigest);
    let headers = output("curl", &["-sI", "-H", ACCEPT, &format!("http://{}{manifest}", proxy.address)]);
    assert!(headers.to_lowercase().contains(&format!("docker-content-digest: sha256:{}", "0".repeat(64))), "{headers}");
    with(Fault::NoLocation);
    let uploads = format!("http://{}/v2/x/blobs/uploads/", proxy.address);
    let headers = output("curl", &["-si", "-X", "POST", &uploads]).to_lowercase();
    assert!(headers.contains("202 accepted") && !headers.contains("location"), "{headers}");
}

#[test]
fn a_corrupt_byte_is_one_byte() {
    let registry = Registry::plain();
    registry.fill("x:1", &layout("busybox"));
    let proxy = Proxy::to(&registry, Faults::times(1, "GET", Class::Blob, Fault::Corrupt(100_000)));
    let file = registry.blob(&registry.layers("x", "1")[0]);
    let digest = registry.layers("x", "1")[0].clone();
    let scratch = tempfile::tempdir().expect("a directory");
    let get = |name: &str| {
        let to = scratch.path().join(name);
        let from = format!("http://{}/v2/x/blobs/{digest}", proxy.address);
        output("curl", &["-s", "-o", &to.to_string_lossy(), &from]);
        fs::read(to).expect("a file")
    };
    let right = fs::read(file).expect("a blob");
    let (wrong, again) = (get("one"), get("two"));
    let differ: Vec<usize> = (0..right.len()).filter(|at| right[*at] != wrong[*at]).collect();
    assert_eq!(differ, [100_000]);
    assert!(again == right, "once");
}

/// Begins an upload, sends it through `proxy`, and returns what curl says of that and what the registry then says.
fn cut(registry: &Registry, fault: Fault) -> (bool, String) {
    let proxy = Proxy::to(registry, Faults::times(1, "PATCH", Class::Upload, fault.clone()));
    let headers = output("curl", &["-si", "-X", "POST", &format!("http://{}/v2/x/blobs/uploads/", proxy.address)]);
    let line = headers.lines().find(|line| line.to_lowercase().starts_with("location: ")).expect("a location");
    let location = line[10..].trim();
    assert!(location.starts_with(&format!("http://{}/", proxy.address)), "the registry believes the Host: {location}");
    let data = format!("@{}", base("roots/busybox.tar").display());
    let kind = "Content-Type: application/octet-stream";
    let sent = succeeds("curl", &["-s", "-X", "PATCH", "-H", kind, "--data-binary", &data, location]);
    let patch = proxy.take().into_iter().find(|one| one.method == "PATCH").expect("a PATCH");
    assert_eq!((patch.sent, patch.status, patch.fault), (300_000, 0, fault));
    (sent, output("curl", &["-si", location]).to_lowercase())
}

#[test]
fn an_upload_is_cut_where_it_says() {
    let registry = Registry::plain();
    let (sent, told) = cut(&registry, Fault::ResetRequest(300_000));
    assert!(!sent && told.contains(" 204 ") && told.contains("range: 0-0"), "{told}");
    let (sent, told) = cut(&registry, Fault::TearRequest(300_000));
    assert!(!sent && told.contains(" 404 ") && told.contains("blob_upload_invalid"), "{told}");
}
