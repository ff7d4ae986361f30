//! Bases that are pulled: mirrors, limits, what is asked for and what is not.

use crate::harness::{Lab, output};
use crate::registry::form::{copy_onto, mirrors, write_registries};
use crate::registry::{
    Class, Exchange, Fault, Faults, Form, Proxy, Registry, SIGNATURE, dead_address, layout, put, received,
};
use std::fs;

/// Returns a registry with the busybox base as `base:1`, and a proxy in front of it.
fn behind_proxy() -> (Registry, Proxy) {
    let registry = Registry::plain();
    registry.fill("base:1", &layout("busybox"));
    let proxy = Proxy::to(&registry, Faults::none());
    (registry, proxy)
}

fn layer_size(registry: &Registry, repository: &str) -> u64 {
    let digest = registry.layers(repository, "1")[0].clone();
    fs::metadata(registry.blob(&digest)).expect("a blob").len()
}

fn layer_gets<'a>(seen: &'a [Exchange], registry: &Registry) -> Vec<&'a Exchange> {
    let digest = registry.layers("base", "1")[0].clone();
    seen.iter().filter(|one| one.method == "GET" && one.target.contains(&digest)).collect()
}

/// FEATURES 6-4: `FROM fedora` means Docker Hub's, and the user's mirror is asked for it.
#[test]
fn a_mirror_stands_for_docker_hub() {
    let registry = Registry::plain();
    registry.fill("library/fedora:latest", &layout("busybox"));
    let lab = copy_onto("fedora");
    for places in [vec![registry.address.clone()], vec![dead_address(), registry.address.clone()]] {
        fs::remove_dir_all(lab.store()).ok();
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        write_registries(lab.home(), &mirrors(&places));
        lab.lbuild_within(60, &["-t", "x", "."]).ok();
        assert_eq!(lab.layer("x", 1), ["f"]);
    }
}

/// A mirror may be a place within a registry, and `[[registry]]` may rewrite a prefix.
#[test]
fn prefixes_are_rewritten() {
    let registry = Registry::plain();
    registry.fill("hub/library/fedora:latest", &layout("busybox"));
    registry.fill("team/tools:1", &layout("busybox"));
    let lab = copy_onto("fedora");
    let text = mirrors(&[&registry.name("hub")]);
    let more = format!(
        "[[registry]]\nprefix = \"example.invalid/group\"\nlocation = \"{}\"\n[[registry]]\nprefix = \"example.invalid/shut\"\n\
         blocked = true\n",
        registry.name("team")
    );
    write_registries(lab.home(), &(text + &more));
    lab.lbuild_within(60, &["-t", "x", "."]).ok();
    lab.file("Dockerfile", "FROM example.invalid/group/tools:1\nCOPY f /f\n");
    lab.lbuild_within(60, &["-t", "x", "."]).ok();
    lab.file("Dockerfile", "FROM example.invalid/shut/tools:1\nCOPY f /f\n");
    lab.lbuild_within(60, &["-t", "x", "."]).ends(125).says("blocked").says("registries.conf");
}

#[test]
fn a_limit_is_waited_for() {
    let (_registry, proxy) = behind_proxy();
    let mut left = 2;
    proxy.change(Faults::chosen(move |asking| {
        let limited = left > 0 && asking.class == Class::Manifest;
        left -= usize::from(limited);
        if limited { Fault::Status(429, Some(1)) } else { Fault::None }
    }));
    let lab = copy_onto(&proxy.name("base:1"));
    lab.lbuild_within(60, &["-t", "x", "."]).ok().says("429");
    let seen = proxy.take();
    assert_eq!(seen.iter().filter(|one| one.status == 429).count(), 2);
}

/// The mirror wants an hour: the next place is asked.
#[test]
fn a_limit_is_routed_round() {
    let registry = Registry::plain();
    registry.fill("library/fedora:latest", &layout("busybox"));
    let limited = Proxy::to(&registry, Faults::chosen(|_| Fault::Status(429, Some(3600))));
    let lab = copy_onto("fedora");
    write_registries(lab.home(), &mirrors(&[&limited.address, &registry.address]));
    lab.lbuild_within(60, &["-t", "x", "."]).ok().says("429");
    assert!(!limited.take().is_empty());
}

#[test]
fn a_limit_leaves_what_is_held_already() {
    let (_registry, proxy) = behind_proxy();
    let lab = copy_onto(&proxy.name("base:1"));
    lab.lbuild_within(60, &["-t", "x", "."]).ok();
    proxy.change(Faults::chosen(|_| Fault::Status(429, Some(3600))));
    lab.file("f", "another");
    lab.lbuild_within(60, &["--pull", "-t", "y", "."]).ok().says("429").says("WARN: ");
    assert_eq!(lab.layer("y", 1), ["f"]);
    // Tidying up forgets nothing that would have to be asked for again.
    lab.lbuild(&["prune"]).ok();
    lab.file("f", "a third");
    lab.lbuild_within(60, &["--pull", "-t", "y", "."]).ok().says("429").says("WARN: ");
    let fresh = copy_onto(&proxy.name("base:1"));
    let run = fresh.lbuild_within(60, &["-t", "x", "."]);
    run.ends(125).says("429").says(&proxy.name("base:1")).says("a fault of the test").says("help: ");
}

/// FEATURES 6-15: what no output and no RUN needs is not fetched.
#[test]
fn layers_are_fetched_when_their_bytes_are_needed() {
    let (registry, proxy) = behind_proxy();
    let lab =
        Lab::with(&format!("FROM {} AS unused\nRUN false\nFROM scratch\nCOPY Dockerfile /d\n", proxy.name("base:1")));
    lab.lbuild_within(60, &["-t", "x", "."]).ok();
    assert_eq!(received(&proxy.take()), 0, "no stage that is left out is fetched");
    lab.file("Dockerfile", format!("FROM {}\nENV A=b\n", proxy.name("base:1")));
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "--push", "."]).ok();
    assert_eq!(layer_gets(&proxy.take(), &registry).len(), 0, "the registry has the layer");
    lab.lbuild_within(60, &["-t", "x", "."]).ok();
    let seen = proxy.take();
    assert_eq!(layer_gets(&seen, &registry).len(), 1, "the store is to have it");
    assert_eq!(layer_gets(&seen, &registry)[0].received, layer_size(&registry, "base"));
}

/// However many stages and processes want it.
#[test]
fn userns_a_layer_is_fetched_once() {
    let (registry, proxy) = behind_proxy();
    // Slow enough that all want it while it is under way.
    proxy.change(Faults::chosen(|asking| if asking.class == Class::Blob { Fault::Drip(8 << 10) } else { Fault::None }));
    let name = proxy.name("base:1");
    let stage = |n| format!("FROM {name} AS s{n}\nRUN echo {n} > /n\n");
    let lab = Lab::with(&format!("{}{}FROM {name}\nCOPY --from=s1 /n /1\nCOPY --from=s2 /n /2\n", stage(1), stage(2)));
    std::thread::scope(|scope| {
        for name in ["x", "y"] {
            let lab = &lab;
            scope.spawn(move || {
                lab.lbuild_within(60, &["-t", name, "."]).ok();
            });
        }
    });
    assert_eq!(lab.shell("x", "cat /1 /2"), "1\n2\n");
    assert_eq!(layer_gets(&proxy.take(), &registry).len(), 1);
    lab.fsck();
}

/// FEATURES 6-7.
#[test]
fn a_download_goes_on_where_it_was_cut() {
    let (registry, proxy) = behind_proxy();
    let size = layer_size(&registry, "base");
    for fault in [Fault::ResetResponse(300_000), Fault::Truncate(300_000)] {
        proxy.change(Faults::chosen({
            let (digest, fault, mut left) = (registry.layers("base", "1")[0].clone(), fault.clone(), 1);
            move |asking| {
                let here = left > 0 && asking.target.contains(&digest);
                left -= usize::from(here);
                if here { fault.clone() } else { Fault::None }
            }
        }));
        let lab = copy_onto(&proxy.name("base:1"));
        lab.lbuild_within(60, &["-t", "x", "."]).ok();
        let seen = proxy.take();
        let gets = layer_gets(&seen, &registry);
        assert_eq!((gets.len(), gets[1].status), (2, 206), "{fault:?}");
        assert!(gets[1].head.contains("range: bytes="), "{fault:?}: {}", gets[1].head);
        assert!(gets[0].received + gets[1].received <= size + 300_000, "{fault:?}");
        lab.fsck();
    }
}

/// FEATURES 6-7: authorization stays where it belongs, and a signed URL is nobody's business.
#[test]
fn a_redirect_to_another_host_takes_no_authorization_along() {
    for form in [Form::htpasswd(), Form::token(crate::registry::Post::Known)] {
        let lab = Lab::new();
        form.let_in(lab.home()).fill(lab.home(), "base:1");
        let proxy = Proxy::to(&form.registry, Faults::chosen(|_| Fault::Redirect));
        let text = fs::read_to_string(lab.home().join(".docker/config.json")).expect("a file");
        fs::write(lab.home().join(".docker/config.json"), text.replace(&form.registry.address, &proxy.address))
            .expect("a file");
        lab.file("Dockerfile", format!("FROM {}\nCOPY Dockerfile /d\n", proxy.name("base:1")));
        let run = lab.lbuild_within(60, &["-t", "x", "."]);
        run.ok().does_not_say(SIGNATURE);
        let seen = proxy.take();
        let elsewhere: Vec<_> = seen.iter().filter(|one| one.class == Class::Elsewhere).collect();
        assert!(
            !elsewhere.is_empty() && elsewhere.iter().all(|one| !one.head.contains("authorization")),
            "{}",
            form.name
        );
        let asked: Vec<_> = seen.iter().filter(|one| one.class == Class::Blob).collect();
        assert!(asked.iter().any(|one| one.head.contains("authorization: ")), "{}", form.name);
        // The other host fails: the error says which, without the query that lets anyone in.
        fs::remove_dir_all(lab.store()).expect("removed");
        let layer = form.registry.layers("base", "1")[0].clone();
        fs::remove_file(form.registry.blob(&layer)).expect("removed");
        let run = lab.lbuild_within(60, &["-t", "x", "."]);
        run.ends(125).says("404").says(&proxy.elsewhere()).does_not_say(SIGNATURE);
    }
}

#[test]
fn wrong_bytes_never_enter_the_store() {
    let (registry, proxy) = behind_proxy();
    let digest = registry.layers("base", "1")[0].clone();
    let name = proxy.name("base:1");
    for (class, fault, says) in [
        (Class::Blob, Fault::Corrupt(20), "sha256:"),
        (Class::Blob, Fault::Corrupt(250_000), digest.as_str()),
        (Class::Manifest, Fault::WrongDigest, "sha256:0000"),
        (Class::Manifest, Fault::Corrupt(60), "sha256:"),
    ] {
        let chosen = fault.clone();
        let faults =
            move |asking: &crate::registry::Asking| if asking.class == class { chosen.clone() } else { Fault::None };
        proxy.change(Faults::chosen(faults));
        let lab = copy_onto(&name);
        lab.lbuild_within(60, &["-t", "x", "."]).ends(125).says(says).says("error: ");
        lab.lbuild(&["images", "-q"]).ok().prints("");
        lab.fsck();
        proxy.change(Faults::none());
        lab.lbuild_within(60, &["-t", "x", "."]).ok();
        assert_eq!(lab.layer("x", 1), ["f"], "{fault:?}");
        lab.fsck();
    }
}

#[test]
fn a_tag_that_moved_is_seen_by_pull() {
    let (registry, proxy) = behind_proxy();
    let lab = copy_onto(&proxy.name("base:1"));
    lab.lbuild_within(60, &["-t", "x", "."]).ok();
    let moved = Lab::with(&format!("FROM {}\nENV MOVED=yes\n", registry.name("base:1")));
    moved.lbuild_within(60, &["-t", &registry.name("base:1"), "--push", "."]).ok();
    lab.lbuild_within(60, &["--pull", "-t", "x", "."]).ok();
    let env = lab.inspect("x")["Config"]["Env"].to_string();
    assert!(env.contains("MOVED=yes"), "{env}");
}

#[test]
fn pull_takes_an_image_into_the_store() {
    let (registry, proxy) = behind_proxy();
    let (lab, name) = (Lab::new(), proxy.name("base:1"));
    lab.lbuild_within(60, &["pull", &name]).ok();
    let image = lab.inspect(&name);
    let config = registry.manifest("base", "1")["config"]["digest"].clone();
    assert_eq!(image["Id"], config);
    assert_eq!(image["Layers"][0]["digest"], registry.layers("base", "1")[0].as_str(), "it keeps its bytes");
    proxy.take();
    // The same again: one question.
    lab.lbuild_within(60, &["pull", &name]).ok();
    assert_eq!(received(&proxy.take()), 0);
    let by_digest = registry.name(&format!("base@{}", registry.digest("base", "1")));
    lab.lbuild_within(60, &["pull", &by_digest]).ok();
    lab.fsck();
    let to = format!("oci:{}:x", lab.home().join("copy").display());
    output("skopeo", &["--insecure-policy", "copy", "-q", &format!("oci:{}:{name}", lab.store().display()), &to]);
}

#[test]
fn what_cannot_be_pulled_is_told_in_full() {
    let (registry, proxy) = behind_proxy();
    registry.fill("base:1.25-slim", &layout("busybox"));
    let config = registry.manifest("base", "1")["config"].clone();
    let chart = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": config["digest"], "size": config["size"]},
    });
    put(&registry.address, "base", "chart", "application/vnd.oci.image.manifest.v1+json", &chart.to_string());
    let answer = |kind: &'static str, body: &str| Fault::Answer(200, kind, body.to_owned());
    let old =
        answer("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion":1,"name":"base"}"#);
    let page = answer("text/html", "<html>Please log in to the network</html>");
    let nothing = Fault::None;
    let dead = dead_address();
    for (name, fault, says) in [
        (registry.name("base:1.25-slm"), &nothing, &["1.25-slim", "404 Not Found", "help: "][..]),
        (registry.name("no/such:1"), &nothing, &["no/such:1", "help: "]),
        (registry.name("base:chart"), &nothing, &["application/vnd.cncf.helm.config.v1+json"]),
        (proxy.name("base:1"), &old, &["schema 1", "help: "]),
        (proxy.name("base:1"), &page, &["text/html"]),
        ("registry.invalid/base:1".to_owned(), &nothing, &["registry.invalid", "help: "]),
        (format!("{dead}/base:1"), &nothing, &["refused", &dead]),
    ] {
        let fault = fault.clone();
        proxy.change(Faults::chosen(move |asking| match asking.class {
            Class::Manifest => fault.clone(),
            _ => Fault::None,
        }));
        let lab = copy_onto(&name);
        let run = lab.lbuild_within(60, &["-t", "x", "."]);
        run.ends(125);
        for text in says.iter().chain([&name.rsplit_once(':').expect("a tag").0]) {
            run.says(text);
        }
    }
}

/// A loop mount that takes the base in part.
#[test]
fn a_full_disk_in_the_midst_of_a_pull_is_survived() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let registry = Registry::plain();
    registry.fill("base:1", &layout("debian"));
    let lab = copy_onto(&registry.name("base:1"));
    let (image, disk) = (lab.home().join("image"), lab.home().join("disk"));
    let (image, disk) = (image.to_string_lossy().into_owned(), disk.to_string_lossy().into_owned());
    output("truncate", &["-s", "20M", &image]);
    output("mke2fs", &["-q", "-F", "-t", "ext4", &image]);
    fs::create_dir_all(&disk).expect("a directory");
    if !crate::harness::succeeds("mount", &["-o", "loop", &image, &disk]) {
        crate::harness::skip("a loop mount");
        return;
    }
    let root = format!("{disk}/store");
    let run = lab.lbuild_within(60, &["-t", "x", "--root", &root, "."]);
    let checked = lab.lbuild(&["--root", &root, "fsck"]);
    output("umount", &[&disk]);
    let last = run.stderr.split("error: ").last().unwrap_or_default().to_lowercase();
    assert!(run.status == 125 && last.contains("no space left") && last.contains("help: "), "{}", run.stderr);
    assert_eq!((checked.status, checked.stdout.as_str()), (0, "clean\n"), "{}", checked.stderr);
}
