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
    let archive = format!("type=oci,dest={archive}");
    lab.build(&["-t", "x:1", both, "-o", &archive]).ok().says("CACHED");
    let runs = || {
        lab.build(&["-t", "only"]).ok();
        assert_eq!(lab.layer("only", 0), ["count"]);
        let digest = lab.inspect("only")["Layers"][0]["digest"].as_str().expect("a layer").replace("sha256:", "");
        output("tar", &["-xOf", &lab.store().join("blobs/sha256").join(digest).to_string_lossy(), "count"])
    };
    assert_eq!(runs(), "1\n");
    // Where no cache is wanted it runs again, once for both.
    for (flag, wanted) in [("--no-cache", "2\n"), ("--no-cache-filter=build", "3\n")] {
        lab.build(&["-t", "x:1", both, "-o", &archive, flag]).ok();
        assert_eq!(runs(), wanted, "{flag}");
    }
    for (how, said) in [("type=docker,dest=d", "`docker load`"), ("type=image", "the store")] {
        let run = lab.build(&[both, "-o", how]);
        run.ends(125).says(said).says("cannot take an image for several platforms").says("--push");
    }
    lab.fsck();
}

/// Each platform's steps have its name, and outputs of all of them are steps as those of one are, in every form.
#[test]
fn userns_steps_of_several_platforms_are_told_apart() {
    let lab = lab();
    let both = "--platform=linux/amd64,linux/arm64";
    let outputs = ["-o", "type=oci,dest=o.tar", "-o", "type=tar,dest=t.tar", "-o", "type=local,dest=files"];
    let names = ["exporting to oci image format", "sending tarball", "copying files"];
    let all: Vec<&str> = [both].into_iter().chain(outputs).collect();
    let run = lab.build(&all);
    for name in ["[linux/amd64 build 2/2] RUN", "[linux/arm64 stage-1 1/2] COPY --from=build /count /"] {
        run.ok().says(name);
    }
    for name in names {
        let number = run.stderr.lines().find_map(|line| line.strip_suffix(name)?.trim_end().strip_prefix('#'));
        run.says(&format!("\n#{} DONE ", number.unwrap_or_else(|| panic!("no {name}\n{}", run.stderr))));
    }
    run.says("\n1 of 6 steps cached in ");
    let raw: Vec<&str> = ["--progress=rawjson"].into_iter().chain(all).collect();
    let run = lab.build(&raw);
    let events: Vec<Value> = run.ok().stderr.lines().map(parse).collect();
    let of = |kind: &str, key: &str| -> Vec<String> {
        let events = events.iter().filter(|event| event["event"] == kind);
        events.map(|event| event[key].as_str().expect(key).to_owned()).collect()
    };
    let cached = ["0.0", "1.0", "1.1"].map(|id| [id.to_owned(), format!("{id}@1")]).concat();
    let mut told = of("cached", "step");
    told.sort();
    assert_eq!(told, {
        let mut all = cached;
        all.sort();
        all
    });
    let started: Vec<String> = of("started", "name").into_iter().filter(|name| !name.starts_with('[')).collect();
    let mut sorted = started.clone();
    sorted.sort();
    assert_eq!(sorted, {
        let mut all = names.map(str::to_owned);
        all.sort();
        all
    });
    assert_eq!(of("started", "step").len(), of("finished", "step").len(), "{}", run.stderr);
    lab.lbuild(&["logs", "0.0@1"]).ok();
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

/// FEATURES 4-15. The levels are those of BuildKit's docs/annotations.md; the places are those of image-spec annotations.md.
#[test]
fn userns_annotations_go_where_their_level_and_platform_say() {
    let registry = Registry::plain();
    let lab = lab();
    let name = registry.name("x:1");
    let both = "--platform=linux/amd64,linux/arm64";
    let common = ["-t", &name, both, "--annotation", "all=1", "--annotation", "index:i=2"];
    let more = "annotation-manifest[linux/arm64].arm=3,annotation-manifest-descriptor[linux/amd64].d=4,\
                annotation-index-descriptor.top=5";
    let out = format!("type=oci,dest=out,tar=false,{more}");
    lab.build(&[&common[..], &["-o", &out, "-o", &format!("type=registry,{more}")]].concat()).ok();
    let checked = |index: &Value, read: &dyn Fn(&str) -> Value| {
        assert_eq!(index["annotations"], json!({ "i": "2" }));
        let manifest = |number: usize| read(index["manifests"][number]["digest"].as_str().expect("a digest"));
        assert_eq!(manifest(0)["annotations"], json!({ "all": "1" }));
        assert_eq!(manifest(1)["annotations"], json!({ "all": "1", "arm": "3" }));
        assert_eq!(index["manifests"][0]["annotations"], json!({ "d": "4" }));
        assert_eq!(index["manifests"][1]["annotations"], Value::Null);
    };
    let read = |digest: &str| {
        let path = lab.path("out/blobs/sha256").join(digest.trim_start_matches("sha256:"));
        parse(&std::fs::read_to_string(path).expect("a blob"))
    };
    let top = parse(&std::fs::read_to_string(lab.path("out/index.json")).expect("an index"));
    assert_eq!(top["manifests"][0]["annotations"]["top"], "5");
    checked(&read(top["manifests"][0]["digest"].as_str().expect("a digest")), &read);
    let raw =
        |name: &str| parse(&output("skopeo", &["inspect", "--tls-verify=false", "--raw", &format!("docker://{name}")]));
    checked(&raw(&name), &|digest| raw(&format!("{}@{digest}", registry.name("x"))));
    lab.build(&[both, "--annotation", "manifest[s390x]:a=b", "-o", "type=oci,dest=o.tar"])
        .ends(125)
        .says("nothing is built for `linux/s390x`, only for `linux/amd64`, `linux/arm64`");
}

/// FEATURES 4-21, 4-22: as BuildKit does, a directory for each platform unless `platform-split` says otherwise.
#[test]
fn userns_files_of_several_platforms_have_a_directory_each() {
    let lab = lab();
    let both = "--platform=linux/amd64,linux/arm64";
    let read = |path: &str| std::fs::read_to_string(lab.path(path)).unwrap_or_else(|error| format!("{path}: {error}"));
    lab.build(&[both, "-o", "out"]).ok();
    assert_eq!([read("out/linux_amd64/is"), read("out/linux_arm64/is")], ["amd64", "arm64"]);
    lab.file("out/linux_arm64/stale", "").file("out/kept", "");
    lab.build(&[both, "-o", "type=local,dest=out,mode=delete"]).ok();
    assert!(!lab.path("out/linux_arm64/stale").exists() && lab.path("out/kept").exists());
    lab.build(&[both, "-o", "type=local,dest=one,platform-split=false"]).ok();
    assert_eq!(read("one/is"), "arm64");
    lab.build(&["--platform=linux/arm64", "-o", "type=local,dest=single,platform-split=true"]).ok();
    assert_eq!(read("single/linux_arm64/is"), "arm64");
    lab.build(&[both, "-o", "type=local,dest=one,platform-split=false,mode=delete"]).ends(125).says("the next");
    lab.build(&[both, "-o", "type=tar,dest=both.tar"]).ok();
    let listed = output("tar", &["-tf", &lab.path("both.tar").to_string_lossy()]);
    let wanted = ["linux_amd64/", "linux_amd64/count", "linux_amd64/is"].join("\n");
    assert_eq!(listed, format!("{wanted}\n{}\n", wanted.replace("amd64", "arm64")));
    lab.build(&[both, "-o", "type=tar,dest=x,platform-split=false"]).ends(125).says("each path once");
}

/// With Docker's media types several images are a manifest list.
#[test]
fn userns_a_manifest_list_is_written_in_dockers_types() {
    let lab = lab();
    let both = "--platform=linux/amd64,linux/arm64";
    lab.build(&[both, "-o", "type=oci,dest=out,tar=false,oci-mediatypes=false"]).ok();
    let top = parse(&std::fs::read_to_string(lab.path("out/index.json")).expect("an index"));
    assert_eq!(top["manifests"][0]["mediaType"], "application/vnd.docker.distribution.manifest.list.v2+json");
    let from = format!("oci:{}", lab.path("out").display());
    let told = output("skopeo", &["inspect", "--override-arch=arm64", "--config", &from]);
    assert_eq!(parse(&told)["architecture"], "arm64");
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
