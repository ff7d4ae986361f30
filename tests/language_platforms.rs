//! Images for several platforms (FEATURES 1.3-7, 1.4-4, 4-19; 9-4).

use crate::harness::{Lab, output};
use crate::registry::Registry;
use serde_json::{Value, json};

/// One stage runs here for all of them, the others only copy.
const CROSS: &str = "FROM --platform=$BUILDPLATFORM busybox AS build\nRUN --mount=type=cache,target=/n echo x >> /n/n && wc -l < /n/n > /count\n\
    FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY --from=build /count /\nCOPY for-$TARGETARCH /is\n";

fn lab() -> Lab {
    let lab = Lab::with(CROSS);
    lab.file("for-amd64", "amd64").file("for-arm64", "arm64");
    lab
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Returns platform and label of each image of an index, `read` being what reads a blob.
fn images(index: &Value, read: impl Fn(&str) -> Value) -> Vec<(Value, Value, Value)> {
    let one = |entry: &Value| {
        let manifest = read(entry["digest"].as_str().expect("a digest"));
        let config = read(manifest["config"]["digest"].as_str().expect("a digest"));
        (entry["platform"].clone(), config["architecture"].clone(), config["config"]["Labels"]["arch"].clone())
    };
    index["manifests"].as_array().expect("a list").iter().map(one).collect()
}

fn wanted() -> Vec<(Value, Value, Value)> {
    let one = |name: &str| (json!({ "architecture": name, "os": "linux" }), json!(name), json!(name));
    vec![one("amd64"), one("arm64")]
}

#[test]
fn userns_an_index_goes_into_a_layout() {
    let lab = lab();
    let both = "--platform=linux/amd64,linux/arm64";
    let ids = lab.home().join("id").to_string_lossy().into_owned();
    lab.build(&["-t", "x:1", both, "-o", "type=oci,dest=out,tar=false", "--iidfile", &ids]).ok();
    let read = |digest: &str| {
        let path = lab.path("out/blobs/sha256").join(digest.trim_start_matches("sha256:"));
        parse(&std::fs::read_to_string(path).expect("a blob"))
    };
    let top = parse(&std::fs::read_to_string(lab.path("out/index.json")).expect("an index"));
    assert_eq!(top["manifests"].as_array().map(Vec::len), Some(1));
    let digest = top["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(top["manifests"][0]["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(std::fs::read_to_string(&ids).expect("an id").trim(), digest);
    assert_eq!(images(&read(&digest), read), wanted());
    // Another tool takes the image for the other platform out of it.
    let from = format!("oci:{}:1", lab.path("out").display());
    let told = output("skopeo", &["inspect", "--override-arch=arm64", "--config", &from]);
    assert_eq!(parse(&told)["architecture"], "arm64");
    // The stage that runs here ran once.
    let archive = lab.home().join("out.tar").to_string_lossy().into_owned();
    lab.build(&["-t", "x:1", both, "-o", &format!("type=oci,dest={archive}")]).ok().says("CACHED");
    lab.build(&["-t", "only"]).ok();
    assert_eq!(lab.layer("only", 0), ["count"]);
    let digest = lab.inspect("only")["Layers"][0]["digest"].as_str().expect("a layer").replace("sha256:", "");
    let blob = lab.store().join("blobs/sha256").join(digest).to_string_lossy().into_owned();
    assert_eq!(output("tar", &["-xOf", &blob, "count"]), "1\n");
    for (how, said) in
        [("type=docker,dest=d", "`docker load`"), ("type=local,dest=d", "files"), ("type=image", "the store")]
    {
        let run = lab.build(&[both, "-o", how]);
        run.ends(125).says(said).says("cannot take an image for several platforms").says("--push");
    }
    lab.fsck();
}

#[test]
fn userns_an_index_is_pushed_under_its_name() {
    let registry = Registry::plain();
    let lab = lab();
    let name = registry.name("x:1");
    lab.build(&["-t", &name, "--platform=linux/amd64", "--platform=linux/arm64", "--push"]).ok();
    let raw =
        |name: &str| parse(&output("skopeo", &["inspect", "--tls-verify=false", "--raw", &format!("docker://{name}")]));
    let index = raw(&name);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let platforms: Vec<&Value> =
        index["manifests"].as_array().expect("a list").iter().map(|one| &one["platform"]).collect();
    assert_eq!(platforms, wanted().iter().map(|one| &one.0).collect::<Vec<_>>());
    let arm = output(
        "skopeo",
        &["inspect", "--tls-verify=false", "--override-arch=arm64", "--config", &format!("docker://{name}")],
    );
    assert_eq!(parse(&arm)["config"]["Labels"]["arch"], "arm64");
}

/// What is wrong with the text is told once, not once for each platform.
#[test]
fn warnings_are_told_once_for_all_platforms() {
    let lab = Lab::with("FROM scratch\nARG UNUSED\nENV KEY value\nCOPY f /\n");
    lab.file("f", "x");
    let both = "--platform=linux/amd64,linux/arm64";
    let run = lab.build(&[both, "-o", "type=oci,dest=../out.tar"]);
    run.ok();
    let told = run.stderr.lines().filter(|line| line.contains("LegacyKeyValueFormat")).count();
    assert_eq!(told, 1, "{}", run.stderr);
}
