//! Archives and layouts.

use crate::harness::{Lab, binary, output};
use serde_json::Value;
use std::fs;

fn lab() -> Lab {
    let lab = Lab::with("FROM busybox\nCOPY f /f\nLABEL a=1\n");
    lab.file("f", "x".repeat(10_000));
    lab
}

/// Returns the manifest of an unpacked layout.
fn manifest(dir: &std::path::Path) -> Value {
    let read = |path: &str| -> Value { serde_json::from_slice(&fs::read(dir.join(path)).expect(path)).expect("JSON") };
    let digest = read("index.json")["manifests"][0]["digest"].as_str().expect("a digest").replace(':', "/");
    read(&format!("blobs/{digest}"))
}

/// FEATURES 4-19, 4-11.
#[test]
fn an_oci_archive_holds_the_image_in_the_form_that_was_asked_for() {
    let lab = lab();
    let id = lab.id(&["-t", "x"]);
    for (compression, ending) in [("uncompressed", ".tar"), ("gzip", "+gzip"), ("zstd", "+zstd")] {
        lab.build(&["-t", "x:1", "-o", &format!("type=oci,dest=out.tar,compression={compression}")]).ok();
        let dir = lab.home().join(compression);
        fs::create_dir(&dir).expect("a directory");
        output("tar", &["-C", &dir.to_string_lossy(), "-xf", &lab.path("out.tar").to_string_lossy()]);
        let manifest = manifest(&dir);
        assert_eq!(manifest["config"]["digest"], id.as_str(), "the image ID is the same for every output");
        assert!(manifest["layers"][1]["mediaType"].as_str().expect("a type").ends_with(ending), "{manifest}");
        assert!(!dir.join("manifest.json").exists());
        fs::remove_file(lab.path("out.tar")).expect("removed");
    }
}

#[test]
fn the_same_build_writes_the_same_bytes() {
    let (one, two) = (lab(), lab());
    for lab in [&one, &two] {
        // Times of a COPY are those of its files.
        output("touch", &["-d", "@1700000000", &lab.path("f").to_string_lossy()]);
        let mut build = lab.building(&["-t", "x", "-o", "type=oci,dest=out.tar,compression=gzip"]);
        assert!(build.env("SOURCE_DATE_EPOCH", "1700000000").output().expect("runs").status.success());
    }
    assert!(fs::read(one.path("out.tar")).expect("one") == fs::read(two.path("out.tar")).expect("two"));
}

#[test]
fn a_layout_directory_takes_several_images() {
    let lab = lab();
    lab.build(&["-t", "x:1", "-o", "type=oci,tar=false,dest=layout"]).ok();
    lab.file("f", "y");
    lab.build(&["-t", "x:2", "-o", "type=oci,tar=false,dest=layout"]).ok();
    let index: Value =
        serde_json::from_slice(&fs::read(lab.path("layout/index.json")).expect("an index")).expect("JSON");
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2));
    let dir = lab.path("layout").to_string_lossy().into_owned();
    // As BuildKit has it, tags alone are the names by which other tools find the images.
    output("skopeo", &["inspect", &format!("oci:{dir}:1")]);
    output("skopeo", &["inspect", &format!("oci:{dir}:2")]);
}

/// FEATURES 4-20.
#[test]
fn a_docker_archive_has_a_manifest() {
    let lab = lab();
    lab.build(&["-t", "x:1", "-o", "type=docker,dest=out.tar"]).ok();
    let text = output("tar", &["-xOf", &lab.path("out.tar").to_string_lossy(), "manifest.json"]);
    let manifest: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["x:1"]));
    assert_eq!(manifest[0]["Layers"].as_array().map(Vec::len), Some(2));
}

#[test]
fn standard_output_takes_an_archive() {
    let lab = lab();
    let run = lab.building(&["-o", "type=oci,dest=-"]).output().expect("runs");
    assert!(run.status.success());
    assert_eq!(&run.stdout[257..262], b"ustar");
}

/// Issue 4: bars with bytes for long archives, and for the compressing before them.
#[test]
fn a_long_archive_tells_how_far_it_has_come() {
    let lab = lab();
    lab.file("f", (0..3_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    for (compression, wanted) in [("uncompressed", &["out.tar"][..]), ("zstd", &["compressing sha256:"])] {
        let run = lab.build(&["--progress=rawjson", "-o", &format!("type=oci,dest=out.tar,compression={compression}")]);
        let events = run.ok().stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let moved: Vec<Value> =
            events.filter(|event| event["event"] == "transfer" && event["step"] == "output.0").collect();
        for what in wanted {
            let of: Vec<&Value> =
                moved.iter().filter(|event| event["what"].as_str().is_some_and(|w| w.starts_with(what))).collect();
            assert!(of.len() > 5, "{compression}: {moved:?}");
            assert!(of.is_sorted_by_key(|event| event["done"].as_u64()), "{of:?}");
            let last = of[of.len() - 1];
            assert_eq!(last["done"], last["total"], "{compression}");
            assert!(last["total"].as_u64().is_some_and(|total| total >= 12_000_000), "{last}");
        }
    }
}

#[test]
fn an_output_that_cannot_be_written_leaves_nothing() {
    let lab = lab();
    lab.build(&["-o", "type=oci,dest=/no/such/dir/out.tar"]).ends(125).says("/no/such/dir");
    fs::create_dir(lab.home().join("out")).expect("a directory");
    lab.file("big", vec![1u8; 1 << 20]);
    lab.file("Dockerfile", "FROM scratch\nCOPY big missing /\n");
    let dest = lab.home().join("out/x.tar").to_string_lossy().into_owned();
    lab.build(&["-o", &format!("type=oci,dest={dest}")]).ends(125);
    assert_eq!(fs::read_dir(lab.home().join("out")).expect("a directory").count(), 0);
    assert!(binary().exists());
}

#[test]
fn labels_of_the_command_line_go_over_those_of_the_dockerfile() {
    let lab = lab();
    lab.build(&["-t", "x", "--label", "a=2", "--label", "b=3"]).ok();
    assert_eq!(lab.inspect("x")["Config"]["Labels"], serde_json::json!({"a": "2", "b": "3"}));
}

#[test]
fn bases_of_other_tools_are_read() {
    let lab = Lab::with("FROM other\nCOPY Dockerfile /d\n");
    for context in [
        "oci-layout://{}/busybox.umoci:latest",
        "docker-archive:{}/busybox.docker.tar",
        "docker-archive:{}/busybox.docker.tar:busybox:latest",
    ] {
        let context = context.replace("{}", &crate::harness::base("others").to_string_lossy());
        lab.build(&["-t", "x", "--build-context", &format!("other={context}")]).ok();
        assert_eq!(lab.layer("x", 1), ["d"], "{context}");
    }
}
