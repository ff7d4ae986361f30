//! Every form of registry, both ways.

use crate::containers::Containers;
use crate::harness::{Lab, Run, base, has_ranges, is_left_to_a_plain_user, output};
use crate::registry::form::copy_onto;
use crate::registry::{Form, digest_of, layout, put};
use crate::tree::{Field, Tree};
use serde_json::{Value, json};
use std::fs;

/// Builds from a base that is there, pushes from an empty store, and lets skopeo look at it.
fn both_ways(form: &Form) {
    let lab = copy_onto(&form.registry.name("private/base:1"));
    form.let_in(lab.home());
    form.fill(lab.home(), "private/base:1");
    let (there, id) = (form.registry.name("private/x:1"), lab.home().join("id").to_string_lossy().into_owned());
    let run = lab.lbuild_within(60, &["-t", &there, "--push", "--iidfile", &id, "."]);
    assert_eq!(run.status, 0, "{}: {}", form.name, run.stderr);
    let manifest = form.registry.manifest("private/x", "1");
    assert_eq!(manifest["config"]["digest"], fs::read_to_string(&id).expect("an id").trim(), "{}", form.name);
    let layers = form.registry.layers("private/x", "1");
    assert_eq!(layers[0], form.registry.layers("private/base", "1")[0], "the base's layer is what it was");
    assert_eq!(layers.len(), 2);
    // skopeo checks each digest and size as it copies.
    let to = format!("oci:{}:x", lab.home().join("copy").display());
    form.skopeo(lab.home(), &["copy", "-q", &form.verify("src-"), &format!("docker://{there}"), &to]).ok();
    // The other way round: lbuild takes what it gave, in a store that has nothing.
    let other = Lab::with(&format!("FROM {there}\n"));
    form.let_in(other.home());
    let run = other.lbuild_within(60, &["-t", "again", "."]);
    assert_eq!(run.status, 0, "{}: {}", form.name, run.stderr);
    assert_eq!(other.layer("again", 1), ["f"]);
    other.fsck();
}

#[test]
fn plain_http_on_loopback() {
    both_ways(&Form::plain());
}

#[test]
fn tls_under_a_private_authority() {
    both_ways(&Form::tls());
}

#[test]
fn certificates_of_clients() {
    both_ways(&Form::mutual_tls());
}

#[test]
fn a_file_of_passwords() {
    both_ways(&Form::htpasswd());
}

#[test]
fn tokens() {
    both_ways(&Form::token(crate::registry::Post::NotFound));
}

const MIXED: &str = "\
RUN mkdir -p /d/e && echo one > /d/one && ln /d/one /d/e/two && ln -s one /d/three && chmod 2750 /d/e
COPY --chmod=0640 f /d/f
RUN rm /etc/os-release && touch -d @1000000000.25 /d/one
";

/// skopeo, umoci and Podman see the image that lbuild sees, skopeo in each compression.
#[test]
fn subid_others_pull_what_was_pushed() {
    if !has_ranges() || is_left_to_a_plain_user() {
        return;
    }
    let form = Form::plain();
    let lab = Lab::with(&format!("FROM {}\n{MIXED}", form.registry.name("base:1")));
    lab.file("f", "f");
    form.fill_from(lab.home(), "base:1", "debian");
    for (tag, compression) in [("a", "gzip"), ("b", "zstd"), ("c", "uncompressed")] {
        let there = form.registry.name(&format!("x:{tag}"));
        let to = format!("type=image,name={there},push=true,compression={compression},force-compression=true");
        lab.lbuild_within(60, &["build", "-o", &to, "."]).ok();
        let kinds = [("gzip", "+gzip"), ("zstd", "+zstd"), ("uncompressed", ".tar")];
        let ending = kinds.iter().find(|kind| kind.0 == compression).expect("a kind").1;
        for layer in form.registry.manifest("x", tag)["layers"].as_array().expect("layers") {
            assert!(layer["mediaType"].as_str().expect("a type").ends_with(ending), "{layer}");
        }
        let copy = lab.home().join(format!("copy-{tag}"));
        let to = format!("oci:{}:x", copy.display());
        form.skopeo(lab.home(), &["copy", "-q", &form.verify("src-"), &format!("docker://{there}"), &to]).ok();
        // The umoci of Debian 12 reads no zstd.
        if compression != "zstd" {
            let theirs = Tree::umoci(&lab, &copy, "x");
            assert_eq!(theirs.field("d/one", Field::Mtime), "1000000000250000000");
            Tree::inside(&lab, &there).equals(&theirs, compression);
        }
        // Podman copies every file for every layer, which takes long, and has nothing to decompress here.
        if compression == "uncompressed" {
            continue;
        }
        let containers = Containers::new();
        containers.podman(&["pull", "-q", "--tls-verify=false", &there]);
        let id = containers.podman(&["image", "inspect", "--format", "{{.Id}}", &there]);
        assert_eq!(format!("sha256:{}", id.trim()), lab.inspect(&there)["Id"], "{compression}");
    }
}

/// A store that pulled nothing unpacks what others pushed: Docker's manifest, zstd, no compression.
#[test]
fn userns_what_others_pushed_is_a_base() {
    let lab = Lab::new();
    let from = layout("busybox");
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    let zstd = &["--format", "oci", "--dest-compress-format", "zstd"][..];
    for (tag, options, kind, layer) in [
        ("oci", &["--format", "oci"][..], OCI, format!("{TAR}+gzip")),
        ("docker", &["--format", "v2s2"], DOCKER, "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned()),
        ("zstd", zstd, OCI, format!("{TAR}+zstd")),
    ] {
        // One registry each: skopeo leaves a blob as it is where its bytes are known.
        let form = Form::plain();
        let name = form.registry.name(&format!("other:{tag}"));
        form.registry.fill_with(&format!("other:{tag}"), &from, options);
        lab.file("Dockerfile", format!("FROM {name}\nRUN echo {tag} $(busybox echo works) > /said\n"));
        lab.lbuild_within(60, &["-t", tag, "."]).ok();
        assert_eq!(lab.shell(tag, "cat /said"), format!("{tag} works\n"));
        let manifest = form.registry.manifest("other", tag);
        assert_eq!(manifest["mediaType"].as_str().unwrap_or(OCI), kind, "it is what its name says");
        assert_eq!(manifest["layers"][0]["mediaType"], layer, "it is what its name says");
    }
    lab.fsck();
}

#[test]
fn subid_what_buildah_built_is_a_base() {
    if !has_ranges() {
        return;
    }
    let form = Form::plain();
    let containers = Containers::new();
    let lab = Lab::with("FROM base\nRUN echo built > /by\n");
    containers.buildah(&["pull", "-q", &layout("busybox")]);
    let image = containers.buildah(&["images", "-q"]);
    containers.buildah(&["tag", image.trim(), "localhost/base"]);
    let context = lab.path("").to_string_lossy().into_owned();
    let build = ["build", "-q", "--isolation", "chroot", "--network", "host", "--layers"];
    for format in ["oci", "docker"] {
        lab.file("Dockerfile", format!("FROM localhost/base\nRUN echo {format} > /by\n"));
        containers.buildah(&[&build[..], &["--format", format, "-t", format, &context]].concat());
        let there = form.registry.name(&format!("buildah:{format}"));
        containers.buildah(&["push", "-q", "--tls-verify=false", format, &format!("docker://{there}")]);
        lab.file("Dockerfile", format!("FROM {there}\nRUN cat /by > /seen\n"));
        lab.lbuild_within(60, &["-t", "x", "."]).ok();
        assert_eq!(lab.shell("x", "cat /seen"), format!("{format}\n"));
    }
}

/// Puts an image for another platform beside the base, and an index of both.
fn several_platforms(form: &Form, lab: &Lab) -> String {
    let layout = lab.home().join("layout").to_string_lossy().into_owned();
    output("cp", &["-r", &base("busybox").to_string_lossy(), &layout]);
    let own = format!("{layout}:latest");
    output("umoci", &["config", "--image", &own, "--tag", "other", "--architecture", OTHER]);
    let mut all = Vec::new();
    for (tag, architecture) in [("latest", OWN), ("other", OTHER)] {
        form.registry.fill(&format!("multi:{architecture}"), &format!("oci:{layout}:{tag}"));
        let digest = form.registry.digest("multi", architecture);
        let size = fs::metadata(form.registry.blob(&digest)).expect("a manifest").len();
        all.push(serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": all}).to_string();
    put(&form.registry.address, "multi", "all", INDEX, &index);
    digest_of(index.as_bytes())
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OWN: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
const OTHER: &str = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };

/// FEATURES 6-8.
#[test]
fn an_index_of_several_platforms_gives_the_right_one() {
    let (form, lab) = (Form::plain(), Lab::new());
    let digest = several_platforms(&form, &lab);
    let name = form.registry.name("multi:all");
    for (from, architecture) in [
        (name.clone(), OWN),
        (form.registry.name(&format!("multi@{digest}")), OWN),
        (form.registry.name(&format!("multi:no-such-tag@{digest}")), OWN),
    ] {
        lab.file("Dockerfile", format!("FROM {from}\nCOPY Dockerfile /d\n"));
        lab.lbuild_within(60, &["-t", "x", "."]).ok();
        assert_eq!(lab.inspect("x")["Architecture"], architecture, "{from}");
    }
    lab.lbuild_within(60, &["pull", &format!("--platform=linux/{OTHER}"), &name]).ok();
    assert_eq!(lab.inspect(&name)["Architecture"], OTHER);
    let run = lab.lbuild_within(60, &["pull", "--platform=linux/s390x", &name]);
    run.ends(125).says("s390x").says(&format!("linux/{OWN}")).says(&format!("linux/{OTHER}"));
}

/// The last job of a matrix joins what the others pushed.
#[test]
fn an_index_is_made_of_parts() {
    let (form, lab) = (Form::plain(), Lab::new());
    several_platforms(&form, &lab);
    let part = |architecture: &str| form.registry.name(&format!("multi:{architecture}"));
    let joined = form.registry.name("multi:joined");
    lab.lbuild_within(60, &["manifest", "create", &joined, &part(OWN), &part(OTHER)]).ok();
    let index = form.registry.manifest("multi", "joined");
    let found = index["manifests"].as_array().expect("an index");
    assert_eq!(index["mediaType"], INDEX);
    let pair = |at: usize| {
        (found[at]["platform"]["architecture"].as_str().expect("one").to_owned(), found[at]["digest"].clone())
    };
    assert_eq!(pair(0), (OWN.to_owned(), form.registry.digest("multi", OWN).into()));
    assert_eq!(pair(1), (OTHER.to_owned(), form.registry.digest("multi", OTHER).into()));
    let from = format!("docker://{joined}");
    let inspect = ["inspect", "--override-arch", OTHER, "--format", "{{.Architecture}}", "--tls-verify=false", &from];
    assert_eq!(form.skopeo(lab.home(), &inspect).ok().stdout.trim(), OTHER);
    // FEATURES 3.5-4: of the index, unless something else is said.
    let of_other = format!("manifest-descriptor[{OTHER}]:c=d");
    let annotated = ["manifest", "create", "--annotation", "a=b", "--annotation", &of_other];
    lab.lbuild_within(60, &[&annotated[..], &[&joined, &part(OWN), &part(OTHER)]].concat()).ok();
    let index = form.registry.manifest("multi", "joined");
    let annotations =
        [&index["annotations"], &index["manifests"][0]["annotations"], &index["manifests"][1]["annotations"]];
    assert_eq!(annotations, [&json!({ "a": "b" }), &Value::Null, &json!({ "c": "d" })]);
    let run = lab.lbuild_within(60, &["manifest", "create", "--annotation", "manifest:a=b", &joined, &part(OWN)]);
    run.ends(125).says("images stay as they are");
}

#[test]
fn a_manifest_is_shown_raw_and_readable() {
    let (form, lab) = (Form::plain(), Lab::new());
    several_platforms(&form, &lab);
    let name = form.registry.name("multi:all");
    let raw = lab.lbuild_within(60, &["manifest", "inspect", "--raw", &name]);
    raw.ok();
    let digest = form.registry.digest("multi", "all");
    assert_eq!(digest_of(raw.stdout.as_bytes()), digest, "not a byte more or less");
    let readable: Run = lab.lbuild_within(60, &["manifest", "inspect", &name]);
    for text in [&digest, &format!("linux/{OWN}"), &format!("linux/{OTHER}"), &form.registry.digest("multi", OTHER)] {
        assert!(readable.ok().stdout.contains(text.as_str()), "{text}: {}", readable.stdout);
    }
}
