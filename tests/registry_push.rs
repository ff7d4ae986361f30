//! Images that are pushed, and what of them is not sent.

use crate::harness::{Lab, has_ranges};
use crate::registry::form::copy_onto;
use crate::registry::{
    Class, Exchange, Fault, Faults, Form, Post, Proxy, Registry, TokenRequest, layout, received, sent,
};
use std::fs;

/// Returns a registry with a base as `base:1`, and a proxy in front of it.
fn behind_proxy(name: &str) -> (Registry, Proxy) {
    let registry = Registry::plain();
    registry.fill("base:1", &layout(name));
    let proxy = Proxy::to(&registry, Faults::none());
    (registry, proxy)
}

fn size(registry: &Registry, digest: &str) -> u64 {
    fs::metadata(registry.blob(digest)).expect("a blob").len()
}

fn requests<'a>(seen: &'a [Exchange], method: &'a str, class: Class) -> impl Iterator<Item = &'a Exchange> {
    seen.iter().filter(move |one| one.method == method && one.class == class)
}

/// Bytes that no compression makes fewer.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| crate::registry::random(&mut state).to_le_bytes()).flatten().take(size).collect()
}

#[test]
fn every_way_to_say_push() {
    let registry = Registry::plain();
    registry.fill("base:1", &layout("busybox"));
    let lab = copy_onto(&registry.name("base:1"));
    let name = |tag: &str| registry.name(&format!("x:{tag}"));
    let built = |arguments: &[&str]| lab.lbuild_within(60, &[arguments, &["."]].concat()).ok().stdout.clone();
    built(&["-t", &name("a"), "--push"]);
    built(&["-t", &name("b"), "-o", "type=registry"]);
    built(&["-o", &format!("type=image,\"name={},{}\",push=true", name("c"), name("d"))]);
    built(&["-o", &format!("type=registry,name={}", name("e"))]);
    built(&["-t", &name("f"), "-t", &name("g"), "--output=type=image,push=true"]);
    for tag in ["a", "b", "c", "d", "e", "f", "g"] {
        assert_eq!(registry.digest("x", tag), registry.digest("x", "a"), "{tag}: the same build, the same bytes");
    }
    // The image went to the registry as an image of the store does, later and by its name.
    built(&["-t", &name("h")]);
    assert!(!registry.has("x", "h"));
    lab.lbuild_within(60, &["push", &name("h")]).ok();
    assert_eq!(registry.manifest("x", "h")["config"], registry.manifest("x", "a")["config"]);
    lab.fsck();
}

/// FEATURES 4-11, 4-19.
#[test]
fn a_push_by_digest_leaves_no_tag() {
    let registry = Registry::plain();
    registry.fill("base:1", &layout("busybox"));
    let lab = copy_onto(&registry.name("base:1"));
    let to = format!("type=image,push=true,push-by-digest=true,name={}", registry.name("x"));
    let run = lab.lbuild_within(60, &["build", "-o", &to, "."]);
    run.ok();
    let manifests = registry.storage().join("repositories/x/_manifests");
    assert!(!manifests.join("tags").exists());
    let revisions: Vec<_> = fs::read_dir(manifests.join("revisions/sha256")).expect("revisions").flatten().collect();
    assert_eq!(revisions.len(), 1);
    let digest = format!("sha256:{}", revisions[0].file_name().to_string_lossy());
    run.says(&digest);
    let other = copy_onto(&registry.name(&format!("x@{digest}")));
    other.lbuild_within(60, &["-t", "y", "."]).ok();
}

#[test]
fn compression_is_what_was_asked_for() {
    let registry = Registry::plain();
    registry.fill("base:1", &layout("busybox"));
    let lab = copy_onto(&registry.name("base:1"));
    lab.file("f", "what can be compressed ".repeat(100_000));
    let push = |tag: &str, how: &str| {
        let to = format!("type=registry,name={}{how}", registry.name(&format!("x:{tag}")));
        lab.lbuild_within(60, &["build", "-o", &to, "."]).ok();
        let manifest = registry.manifest("x", tag);
        let layers = manifest["layers"].as_array().expect("layers").clone();
        let kind = |layer: &serde_json::Value| {
            layer["mediaType"].as_str().expect("a type").rsplit('.').next().expect("one").to_owned()
        };
        (layers.iter().map(kind).collect::<Vec<_>>(), layers[1]["size"].as_u64().expect("a size"))
    };
    let (kinds, usual) = push("a", "");
    assert_eq!(kinds, ["tar+gzip", "tar+gzip"], "gzip unless asked");
    assert_eq!(push("b", ",compression=zstd").0, ["tar+gzip", "tar+zstd"], "the base stays as it is");
    assert_eq!(push("c", ",compression=zstd,force-compression=true").0, ["tar+zstd", "tar+zstd"]);
    assert_eq!(push("d", ",compression=uncompressed").0, ["tar+gzip", "tar"]);
    let quick = push("e", ",compression=gzip,compression-level=1").1;
    assert!(quick > usual, "{quick} {usual}");
}

#[test]
fn a_push_that_changes_nothing_sends_no_layer() {
    let (registry, proxy) = behind_proxy("busybox");
    let lab = copy_onto(&proxy.name("base:1"));
    lab.file("f", noise(1, 100_000));
    let name = proxy.name("x:1");
    lab.lbuild_within(60, &["-t", &name, "--push", "."]).ok();
    assert!(sent(&proxy.take()) > 100_000);
    lab.lbuild_within(60, &["-t", &name, "--push", "."]).ok();
    let seen = proxy.take();
    assert_eq!((sent(&seen), received(&seen)), (0, 0));
    assert_eq!(
        requests(&seen, "POST", Class::Upload).count(),
        0,
        "{:?}",
        seen.iter().map(|one| &one.target).collect::<Vec<_>>()
    );
    lab.lbuild_within(60, &["push", &name]).ok();
    assert_eq!(asked(&proxy.take()), ["HEAD /v2/x/manifests/1"], "one question, and no more");
    let quiet = lab.lbuild_within(60, &["push", "-q", &name]).ok().prints(&format!("{name}\n")).stderr.clone();
    assert_eq!(quiet, "", "Docker says no more than the name");
    lab.lbuild_within(60, &["-t", &proxy.name("other:1"), "--push", "."]).ok();
    let config = registry.manifest("other", "1")["config"]["size"].as_u64();
    assert_eq!(Some(sent(&proxy.take())), config, "layers are mounted from x");
}

/// Returns the requests, methods and paths, without what differs from run to run.
fn asked(seen: &[Exchange]) -> Vec<String> {
    let path = |target: &str| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let upload = path.split_once("/uploads/").map(|(head, _)| format!("{head}/uploads/"));
        let mount = query.split('&').find(|part| part.starts_with("from=")).unwrap_or_default();
        format!("{} {mount}", upload.as_deref().unwrap_or(path)).trim_end().to_owned()
    };
    seen.iter().map(|one| format!("{} {}", one.method, path(&one.target))).collect()
}

/// Of a base that was seen before nothing is asked but where its name leads; what is small is sent and not asked for; and
/// all blobs go side by side, so that four answers are waited for in all.
#[test]
fn a_new_image_on_a_known_base_takes_seven_requests() {
    let (_registry, proxy) = behind_proxy("busybox");
    let lab = copy_onto(&proxy.name("base:1"));
    lab.lbuild_within(60, &["-t", &proxy.name("before:1"), "--push", "."]).ok();
    proxy.take();
    lab.file("f", "other bytes than before");
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "--push", "."]).ok();
    let mut seen = asked(&proxy.take());
    assert_eq!(seen.remove(0), "HEAD /v2/base/manifests/1");
    assert_eq!(seen.pop().as_deref(), Some("PUT /v2/x/manifests/1"));
    seen.sort();
    let upload = "/v2/x/blobs/uploads/";
    let (post, put) = (format!("POST {upload}"), format!("PUT {upload}"));
    assert_eq!(seen, [post.clone(), post.clone(), format!("{post} from=base"), put.clone(), put]);

    // In its own repository again: layers that were there are asked for, and nothing of them is begun.
    lab.file("f", "and other bytes again");
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "-t", &proxy.name("x:2"), "--push", "."]).ok();
    let seen = asked(&proxy.take());
    let count = |method: &str| seen.iter().filter(|line| line.starts_with(method)).count();
    assert_eq!((count("HEAD /v2/x/blobs/sha256:"), count(&post), count("PUT /v2/x/manifests/")), (1, 2, 2), "{seen:?}");
}

/// What cannot be mounted may be there all the same: it is asked for before its bytes are sent.
#[test]
fn a_mount_that_is_refused_does_not_send_what_is_there() {
    let (registry, proxy) = behind_proxy("busybox");
    let lab = copy_onto(&proxy.name("base:1"));
    lab.lbuild_within(60, &["-t", &proxy.name("before:1"), "--push", "."]).ok();
    registry.fill("x:0", &layout("busybox"));
    proxy.change(Faults::chosen(|asking| match asking.target.contains("mount=") {
        true => Fault::Answer(403, "application/json", "{}".to_owned()),
        false => Fault::None,
    }));
    proxy.take();
    lab.file("f", "other bytes than before");
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "--push", "."]).ok();
    let seen = proxy.take();
    assert!(sent(&seen) < 5000, "{} bytes were sent: {:?}", sent(&seen), asked(&seen));
}

/// FEATURES 6-10.
#[test]
fn blobs_are_mounted_from_their_repository() {
    let (registry, proxy) = behind_proxy("busybox");
    let lab = copy_onto(&proxy.name("base:1"));
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "--push", "."]).ok();
    let seen = proxy.take();
    let layer = registry.layers("base", "1")[0].clone();
    let mounts: Vec<_> = requests(&seen, "POST", Class::Upload).filter(|one| one.target.contains("mount=")).collect();
    assert_eq!(mounts.len(), 1);
    assert!(mounts[0].target.contains(layer.trim_start_matches("sha256:")) && mounts[0].target.contains("from=base"));
    assert_eq!(mounts[0].status, 201);
    assert!(sent(&seen) < 5000, "{}", sent(&seen));
}

/// The token must let one read where it is mounted from.
#[test]
fn a_mount_asks_for_both_scopes() {
    let form = Form::token(Post::NotFound);
    let lab = copy_onto(&form.registry.name("team/base:1"));
    form.let_in(lab.home()).fill(lab.home(), "team/base:1");
    let before = form.tokens.as_ref().expect("a server").requests().len();
    lab.lbuild_within(60, &["-t", &form.registry.name("team/x:1"), "--push", "."]).ok();
    let requests = form.tokens.as_ref().expect("a server").requests().split_off(before);
    let asked = |one: &TokenRequest, scope: &str| one.scopes.iter().any(|asked| asked == scope);
    let push = requests.iter().find(|one| asked(one, "repository:team/x:pull,push")).expect("a token to push");
    assert!(asked(push, "repository:team/base:pull"), "{:?}", push.scopes);
    let linked = form.registry.storage().join("repositories/team/x/_layers/sha256");
    let layer = form.registry.layers("team/base", "1")[0].replace("sha256:", "");
    assert!(linked.join(layer).exists());
}

/// A registry that will not mount answers 202: the same request is then the beginning of an upload.
#[test]
fn a_mount_that_is_refused_becomes_the_upload() {
    let (one, other) = (Registry::plain(), Registry::plain());
    one.fill("base:1", &layout("busybox"));
    let proxy = Proxy::to(&other, Faults::none());
    let lab = copy_onto(&one.name("base:1"));
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "--push", "."]).ok();
    let seen = proxy.take();
    let layers = other.layers("x", "1");
    assert_eq!(layers[0], one.layers("base", "1")[0]);
    let whole: u64 = layers.iter().map(|layer| size(&other, layer)).sum();
    assert!(sent(&seen) >= whole && sent(&seen) < whole + 5000, "{} of {whole}", sent(&seen));
    // One upload for each of two layers and the config.
    assert_eq!(requests(&seen, "POST", Class::Upload).count(), 3);
}

#[test]
fn several_registries_at_once() {
    let registries = [Registry::plain(), Registry::plain()];
    registries[0].fill("base:1", &layout("busybox"));
    let lab = copy_onto(&registries[0].name("base:1"));
    let (here, there) = (registries[0].name("x:1"), registries[1].name("y/z:2"));
    lab.lbuild_within(60, &["-t", &here, "-t", &there, "--push", "."]).ok();
    assert_eq!(registries[0].digest("x", "1"), registries[1].digest("y/z", "2"));
}

#[test]
fn layers_go_before_the_config_and_the_manifest_last() {
    let (_registry, proxy) = behind_proxy("busybox");
    let lab = copy_onto(&proxy.name("base:1"));
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "-t", &proxy.name("x:2"), "--push", "."]).ok();
    let seen = proxy.take();
    let last_blob = seen.iter().rposition(|one| one.class == Class::Upload && one.method == "PUT").expect("an upload");
    let first_manifest =
        seen.iter().position(|one| one.class == Class::Manifest && one.method == "PUT").expect("a manifest");
    assert!(last_blob < first_manifest);
}

/// What was built is not lost, and what was sent is not sent again.
#[test]
fn a_failed_push_leaves_the_image_and_push_goes_on() {
    let (registry, proxy) = behind_proxy("busybox");
    let lab = copy_onto(&proxy.name("base:1"));
    lab.file("f", noise(2, 1 << 20));
    let refused = r#"{"errors":[{"code":"DENIED","message":"the quota of the team is used up"}]}"#;
    proxy.change(Faults::chosen(|asking| match (asking.method.as_str(), asking.class) {
        ("PUT", Class::Manifest) => Fault::Answer(403, "application/json", refused.to_owned()),
        _ => Fault::None,
    }));
    let name = proxy.name("x:1");
    let run = lab.lbuild_within(60, &["-t", &name, "--push", "."]);
    run.ends(125).says("the quota of the team is used up").says(&name).says("lbuild push").says("help: ");
    assert!(sent(&proxy.take()) > 1 << 20);
    assert!(!registry.has("x", "1"));
    lab.lbuild(&["inspect", &name]).ok();
    lab.fsck();
    proxy.change(Faults::none());
    lab.lbuild_within(60, &["push", &name]).ok();
    assert_eq!(sent(&proxy.take()), 0);
    assert!(registry.has("x", "1"));
}

const CHUNK: u64 = 8 << 20;

/// Cut in the second of three chunks: what the registry has is not sent again.
#[test]
fn an_upload_goes_on_after_the_last_whole_chunk() {
    let (registry, proxy) = behind_proxy("busybox");
    let lab = copy_onto(&proxy.name("base:1"));
    lab.file("f", noise(3, 20 << 20));
    let mut count = 0;
    proxy.change(Faults::chosen(move |asking| {
        count += u32::from(asking.method == "PATCH");
        if count == 2 && asking.method == "PATCH" { Fault::ResetRequest(5 << 20) } else { Fault::None }
    }));
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "--push", "."]).ok();
    let seen = proxy.take();
    let whole = size(&registry, &registry.layers("x", "1")[1]);
    assert!(whole > 20 << 20);
    let cut = seen.iter().find(|one| matches!(one.fault, Fault::ResetRequest(_))).expect("a cut");
    assert_eq!(cut.sent, 5 << 20);
    assert!(sent(&seen) <= whole + CHUNK + 5000, "{} of {whole}", sent(&seen));
    assert!(seen.iter().filter(|one| one.class == Class::Upload).all(|one| one.sent <= CHUNK));
}

#[test]
fn what_a_registry_refuses_is_told_in_its_words() {
    let (_registry, proxy) = behind_proxy("busybox");
    let body =
        |code: &str, message: &str| format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"{message}\"}}]}}");
    let json = "application/json";
    for (method, class, fault, says) in [
        (
            "PUT",
            Class::Manifest,
            Fault::Answer(400, json, body("TAG_INVALID", "tag 1 is immutable")),
            &["tag 1 is immutable", "help: "][..],
        ),
        ("PUT", Class::Manifest, Fault::Answer(409, json, body("CONFLICT", "x:1 is locked")), &["x:1 is locked"]),
        (
            "PUT",
            Class::Upload,
            Fault::Answer(413, "text/html", "<h1>Request Entity Too Large</h1>".into()),
            &["413", "help: "],
        ),
        (
            "POST",
            Class::Upload,
            Fault::Answer(403, json, body("DENIED", "requested access to the resource is denied")),
            &["requested access to the resource is denied", "lbuild login"],
        ),
        ("POST", Class::Upload, Fault::NoLocation, &["Location"]),
    ] {
        let lab = copy_onto(&proxy.name("base:1"));
        let chosen = fault.clone();
        proxy.change(Faults::chosen(move |asking| match asking.method == method && asking.class == class {
            // A mount answers 201 and needs no location.
            true if !asking.target.contains("mount=") => chosen.clone(),
            _ => Fault::None,
        }));
        let name = proxy.name("x:1");
        let run = lab.lbuild_within(60, &["-t", &name, "--push", "."]);
        run.ends(125).says(&name);
        for text in says {
            run.says(text);
        }
        lab.fsck();
    }
}

const W9: &str = "COPY --chmod=0755 tool /bin/tool\nCOPY --chmod=0755 tool /var/run/tool\n";

/// Returns a lab that copies a tool to places that lead through links of the base.
fn through_links(proxy: &Proxy, text: &str) -> Lab {
    let lab = Lab::with(&format!("FROM {}\n{text}", proxy.name("base:1")));
    lab.file("tool", "#!/bin/sh\necho a tool in $(readlink /bin)\n");
    lab
}

/// The shell works, and the tool is where it was put, in a store that pulls the image anew.
fn shell_works(proxy: &Proxy, tag: &str) {
    if !has_ranges() {
        return;
    }
    let fresh = Lab::new();
    let name = proxy.name(&format!("app:{tag}"));
    fresh.lbuild_within(120, &["pull", &name]).ok();
    let script = "/bin/tool && /var/run/tool && test -L /var/run && test -x /usr/bin/tool";
    assert_eq!(fresh.shell(&name, script), "a tool in usr/bin\na tool in usr/bin\n", "{tag}");
}

/// Asserts that nothing of the base was sent.
#[track_caller]
fn base_stayed(seen: &[Exchange]) {
    assert!(sent(seen) < 50_000, "{} bytes were sent", sent(seen));
}

/// With no index of the base each layer is read once, for its headers, and not stored.
#[test]
fn subid_w9_without_an_index() {
    let (registry, proxy) = behind_proxy("debian");
    let lab = through_links(&proxy, W9);
    lab.lbuild_within(120, &["build", "-o", &format!("type=registry,name={}", proxy.name("app:1")), "."]).ok();
    let seen = proxy.take();
    base_stayed(&seen);
    let layer = registry.layers("base", "1")[0].clone();
    let gets: Vec<_> = requests(&seen, "GET", Class::Blob).filter(|one| one.target.ends_with(&layer)).collect();
    assert_eq!(gets.len(), 1);
    assert!(gets[0].received <= size(&registry, &layer));
    let kept = lab.store().join("blobs").join(layer.replace(':', "/"));
    assert!(!kept.exists(), "the base's layer is not stored");
    shell_works(&proxy, "1");

    // Now the index is known: nothing is downloaded either.
    lab.file("tool", "#!/bin/sh\necho a tool in $(readlink /bin) # another\n");
    proxy.take();
    lab.lbuild_within(60, &["build", "-o", &format!("type=registry,name={}", proxy.name("app:2")), "."]).ok();
    let seen = proxy.take();
    base_stayed(&seen);
    assert_eq!(requests(&seen, "GET", Class::Blob).filter(|one| one.target.ends_with(&layer)).count(), 0);
    shell_works(&proxy, "2");
    lab.fsck();
}

/// Indexes outlive blobs: any earlier pull will do.
#[test]
fn subid_w9_after_a_pull_that_is_gone() {
    let (registry, proxy) = behind_proxy("debian");
    let lab = through_links(&proxy, W9);
    lab.lbuild_within(120, &["pull", &proxy.name("base:1")]).ok();
    lab.lbuild(&["rmi", &proxy.name("base:1")]).ok();
    lab.lbuild(&["prune"]).ok();
    let layer = registry.layers("base", "1")[0].clone();
    assert!(!lab.store().join("blobs").join(layer.replace(':', "/")).exists());
    proxy.take();
    lab.lbuild_within(60, &["build", "-o", &format!("type=registry,name={}", proxy.name("app:1")), "."]).ok();
    let seen = proxy.take();
    base_stayed(&seen);
    assert_eq!(requests(&seen, "GET", Class::Blob).filter(|one| one.target.ends_with(&layer)).count(), 0);
    shell_works(&proxy, "1");
}

/// FEATURES 1.6-14: `--link` asks nothing of the base, and follows none of its links.
#[test]
fn subid_w9_with_link() {
    let (registry, proxy) = behind_proxy("debian");
    let lab = through_links(&proxy, "COPY --link tool /opt/tool\nCOPY --link tool /usr/bin/tool\n");
    lab.lbuild_within(60, &["build", "-o", &format!("type=registry,name={}", proxy.name("app:1")), "."]).ok();
    let seen = proxy.take();
    base_stayed(&seen);
    let layer = registry.layers("base", "1")[0].clone();
    assert_eq!(requests(&seen, "GET", Class::Blob).filter(|one| one.target.ends_with(&layer)).count(), 0);
    if has_ranges() {
        let (fresh, name) = (Lab::new(), proxy.name("app:1"));
        fresh.lbuild_within(120, &["pull", &name]).ok();
        assert_eq!(fresh.shell(&name, "sh /opt/tool && sh /usr/bin/tool"), "a tool in usr/bin\na tool in usr/bin\n");
    }
}

/// An image that only went to a registry is completed when something asks for it.
#[test]
fn subid_an_image_without_its_base_can_still_be_run() {
    let (_registry, proxy) = behind_proxy("debian");
    let lab = through_links(&proxy, W9);
    let name = proxy.name("app:1");
    lab.lbuild_within(120, &["build", "-o", &format!("type=registry,name={name}"), "."]).ok();
    lab.lbuild_within(120, &["-t", "again", "."]).ok();
    if has_ranges() {
        assert_eq!(lab.shell("again", "/bin/tool"), "a tool in usr/bin\n");
    }
    lab.fsck();
}
