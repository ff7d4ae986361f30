//! save and load, also by way of other tools (FEATURES 3.5-8).

use crate::harness::{Identity, Lab, Run, base, fed_bytes, identity, output, succeeds};
use std::fs;
use std::process::Stdio;

const PLAIN: &str = "FROM scratch\nCOPY f /f\nCOPY g /g\nLABEL a=1\nCMD [\"/f\"]\n";

fn built(tags: &[&str]) -> Lab {
    let lab = Lab::with(PLAIN);
    lab.file("f", "x".repeat(100_000)).file("g", "y");
    let flags: Vec<&str> = tags.iter().flat_map(|tag| ["-t", *tag]).collect();
    lab.build(&flags).ok();
    lab
}

fn load(lab: &Lab, file: &str) -> Run {
    lab.lbuild(&["load", "-i", file])
}

/// Forgets all images, so that what is there afterwards was loaded.
fn forget(lab: &Lab, names: &[&str]) {
    lab.lbuild(&[&["rmi"], names].concat()).ok();
    lab.lbuild(&["prune", "-a"]).ok();
    lab.lbuild(&["images", "-q"]).ok().prints("");
}

#[test]
fn what_was_saved_loads_again_the_same() {
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        let lab = built(&["one:1", "example.com/two"]);
        let image = lab.inspect("one:1");
        lab.lbuild(&["save", "--format", format, "-o", "out", "one:1", "example.com/two"]).ok().prints("");
        forget(&lab, &["one:1", "example.com/two"]);
        load(&lab, "out").ok().prints("Loaded image: one:1\nLoaded image: example.com/two:latest\n");
        assert_eq!(lab.inspect("one:1"), image, "{format}");
        lab.fsck();
    }
}

/// Whole archives may be compressed, and come by a pipe.
#[test]
fn compressed_archives_load_from_a_pipe() {
    let lab = built(&["one"]);
    let id = lab.inspect("one")["Id"].clone();
    let saved = lab.command(&["save", "one"]).output().expect("runs");
    assert!(saved.status.success());
    fs::write(lab.path("out.tar"), &saved.stdout).expect("written");
    for program in ["cat", "gzip", "zstd", "xz", "bzip2"] {
        if !succeeds(program, &["--version"]) {
            crate::harness::skip(program);
            continue;
        }
        forget(&lab, &["one"]);
        let script = format!("{program} < '{}'", lab.path("out.tar").display());
        let packed = std::process::Command::new("sh").args(["-c", &script]).output().expect("packs").stdout;
        fed_bytes(lab.command(&["load"]), &packed).ok().prints("Loaded image: one:latest\n");
        assert_eq!(lab.inspect("one")["Id"], id, "{program}");
        forget(&lab, &["one"]);
        fs::write(lab.path("packed"), &packed).expect("written");
        load(&lab, "packed").ok().prints("Loaded image: one:latest\n");
    }
}

#[test]
fn several_images_are_one_archive() {
    let lab = built(&["one"]);
    lab.file("g", "z");
    lab.build(&["-t", "two"]).ok();
    let (one, two) = (lab.inspect("one"), lab.inspect("two"));
    lab.lbuild(&["save", "-o", "out.tar", "one", "two"]).ok();
    let listing = output("tar", &["-tf", &lab.path("out.tar").to_string_lossy()]);
    let shared = one["Layers"][0]["digest"].as_str().expect("a digest").replace("sha256:", "");
    assert_eq!(listing.matches(&shared).count(), 1, "what both have is there once");
    forget(&lab, &["one", "two"]);
    load(&lab, "out.tar").ok().prints("Loaded image: one:latest\nLoaded image: two:latest\n");
    assert_eq!((lab.inspect("one"), lab.inspect("two")), (one, two));
}

/// As `docker save` has it: a name without a tag is the whole repository.
#[test]
fn a_repository_is_saved_with_all_its_tags() {
    let lab = built(&["one", "one:2", "other:3"]);
    lab.lbuild(&["save", "-o", "out.tar", "one"]).ok();
    lab.lbuild(&["save", "-o", "latest.tar", "one:latest"]).ok();
    forget(&lab, &["one", "one:2", "other:3"]);
    load(&lab, "out.tar").ok().prints("Loaded image: one:2\nLoaded image: one:latest\n");
    load(&lab, "latest.tar").ok().prints("Loaded image: one:latest\n");
}

/// By its ID an image has no name to take along; what has none is kept and found by its ID.
#[test]
fn an_image_without_a_name_is_kept() {
    let lab = built(&["one"]);
    let id = lab.inspect("one")["Id"].as_str().expect("an id").to_owned();
    lab.lbuild(&["save", "-o", "out.tar", &id[7..19]]).ok();
    forget(&lab, &["one"]);
    load(&lab, "out.tar").ok().prints(&format!("Loaded image ID: {id}\n"));
    lab.lbuild(&["images", "-q", "--filter", "dangling=true"]).ok().prints(&format!("{}\n", &id[7..19]));
    lab.lbuild(&["prune"]).ok();
    lab.lbuild(&["tag", &id[7..19], "two"]).ok();
    assert_eq!(lab.inspect("two")["Id"], id.as_str());
    lab.lbuild(&["rmi", &id]).ok();
    lab.lbuild(&["images", "-q"]).ok().prints("");
}

/// The archive loads where it is meant to: the same image ID on the other side, and back.
#[test]
fn other_tools_read_archives_and_write_them() {
    let lab = built(&["one:1"]);
    let id = lab.inspect("one:1")["Id"].as_str().expect("an id").to_owned();
    let at = |name: &str| lab.path(name).to_string_lossy().into_owned();
    lab.lbuild(&["save", "-o", "docker.tar", "one:1"]).ok();
    lab.lbuild(&["save", "-o", "oci.tar", "--format", "oci-archive", "one:1"]).ok();
    lab.lbuild(&["save", "-o", "oci", "--format", "oci-dir", "one:1"]).ok();
    for (number, from) in [
        format!("docker-archive:{}:one:1", at("docker.tar")),
        format!("oci-archive:{}:1", at("oci.tar")),
        format!("oci:{}:1", at("oci")),
    ]
    .iter()
    .enumerate()
    {
        for kind in ["docker-archive", "oci-archive"] {
            let file = at(&format!("{kind}.{number}"));
            output("skopeo", &["copy", "-q", from, &format!("{kind}:{file}:example.com/back:1")]);
            load(&lab, &file).ok().prints("Loaded image: example.com/back:1\n");
            let back = lab.inspect("example.com/back:1");
            assert_eq!(back["RootFS"], lab.inspect("one:1")["RootFS"], "{from} {kind}");
            // Between the two kinds skopeo writes a config of its own.
            if from.starts_with("docker") == kind.starts_with("docker") {
                assert_eq!(back["Id"], id.as_str(), "{from}");
            }
        }
    }
    output("umoci", &["stat", "--image", &format!("{}:1", at("oci"))]);
    lab.fsck();
}

/// Podman's store wants root or id ranges, as a layer of it has owners.
#[test]
fn subid_podman_loads_what_was_saved() {
    if identity() == Identity::OneId || !succeeds("podman", &["--version"]) {
        return;
    }
    let lab = built(&["example.com/one:1"]);
    let id = lab.inspect("example.com/one:1")["Id"].as_str().expect("an id").replace("sha256:", "");
    // Podman takes no long path here.
    let short = tempfile::Builder::new().prefix("p").tempdir_in("/tmp").expect("a directory");
    let (root, run) = (lab.home().join("podman"), short.path().join("run"));
    let podman = |arguments: &[&str]| {
        let mut command = std::process::Command::new("podman");
        command.arg("--root").arg(&root).arg("--runroot").arg(&run).args(["--storage-driver", "vfs"]).args(arguments);
        let done = command.env("HOME", lab.home()).stdin(Stdio::null()).output().expect("podman");
        assert!(done.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    for format in ["docker-archive", "oci-archive"] {
        let file = lab.path(format).to_string_lossy().into_owned();
        lab.lbuild(&["save", "--format", format, "-o", &file, "example.com/one:1"]).ok();
        podman(&["load", "-q", "-i", &file]);
        let loaded = podman(&["images", "--no-trunc", "-q"]);
        assert_eq!(loaded.replace("sha256:", ""), id, "{format}");
        let back = format!("{file}.back");
        let name = if format == "docker-archive" { "example.com/one:1" } else { id.as_str() };
        podman(&["save", "-q", "--format", format, "-o", &back, name]);
        podman(&["rmi", "-a", "-f"]);
        load(&lab, &back).ok();
        assert_eq!(lab.inspect(&id)["Id"], format!("sha256:{id}"));
        assert_eq!(lab.inspect(&id)["RootFS"], lab.inspect("example.com/one:1")["RootFS"]);
    }
    if !nix::unistd::geteuid().is_root() {
        podman(&["unshare", "rm", "-rf", &root.to_string_lossy(), &run.to_string_lossy()]);
    }
}

/// Archives of Docker before 25 and of umoci, made by other tools.
#[test]
fn archives_of_other_tools_load() {
    let lab = Lab::new();
    let others = base("others");
    let docker = others.join("busybox.docker.tar").to_string_lossy().into_owned();
    load(&lab, &docker).ok().prints("Loaded image: busybox:latest\n");
    let layout = others.join("busybox.umoci").to_string_lossy().into_owned();
    let told = load(&lab, &layout);
    assert!(told.ok().stdout.starts_with("Loaded image ID: sha256:"), "{}", told.stdout);
    lab.fsck();
}

#[test]
fn what_is_no_archive_of_images_is_refused_and_leaves_nothing() {
    let lab = built(&["one"]);
    lab.lbuild(&["save", "-o", "good.tar", "one"]).ok();
    let good = fs::read(lab.path("good.tar")).expect("the archive");
    lab.file("empty", "").file("text", "hello").file("half.gz", &fs::read(packed(&lab, "gzip")).expect("gz")[..900]);
    lab.file("half.tar", &good[..good.len() / 2]).file("headless.tar", &good[1300..]);
    let mut flipped = good.clone();
    let place = flipped.windows(64).position(|bytes| bytes == [b'x'; 64]).expect("the layer");
    flipped[place] ^= 1;
    lab.file("flipped.tar", &flipped);
    fs::create_dir(lab.path("directory")).expect("a directory");
    output("tar", &["-cf", &lab.path("other.tar").to_string_lossy(), "-C", &lab.path("").to_string_lossy(), "f"]);
    forget(&lab, &["one"]);
    for (file, why) in [
        ("missing", "No such file"),
        ("empty", "it is empty"),
        ("text", "not a tar archive"),
        ("half.gz", "half.gz"),
        ("half.tar", "cut short"),
        ("headless.tar", "headless.tar"),
        ("flipped.tar", "has digest"),
        ("directory", "not an OCI image layout"),
        ("other.tar", "no archive of images"),
    ] {
        load(&lab, file).ends(125).says(why).does_not_say("panic");
    }
    fed_bytes(lab.command(&["load"]), &good[..5000]).ends(125).says("standard input");
    lab.lbuild(&["images", "--format", "json"]).ok().prints("[]\n");
    lab.fsck();
}

fn packed(lab: &Lab, program: &str) -> std::path::PathBuf {
    let script = format!("{program} < '{}' > packed", lab.path("good.tar").display());
    let done = std::process::Command::new("sh").args(["-c", &script]).current_dir(lab.path("")).status();
    assert!(done.expect("packs").success());
    lab.path("packed")
}

/// A layer that is not the one that the config states would be another image under the same ID.
#[test]
fn a_layer_that_is_not_the_configs_is_refused() {
    let lab = built(&["one"]);
    lab.lbuild(&["save", "--format", "oci-dir", "-o", "layout", "one"]).ok();
    lab.file("f", "other");
    lab.build(&["-t", "two"]).ok();
    let script = r#"
import hashlib, json, sys
root, blobs = sys.argv[1], sys.argv[2]
index = json.load(open(root + "/index.json"))
def path(digest): return root + "/blobs/sha256/" + digest[7:]
manifest = json.load(open(path(index["manifests"][0]["digest"])))
data = open(blobs, "rb").read()
digest = "sha256:" + hashlib.sha256(data).hexdigest()
open(path(digest), "wb").write(data)
manifest["layers"][0].update(digest=digest, size=len(data))
text = json.dumps(manifest).encode()
digest = "sha256:" + hashlib.sha256(text).hexdigest()
open(path(digest), "wb").write(text)
for entry in index["manifests"]: entry.update(digest=digest, size=len(text))
json.dump(index, open(root + "/index.json", "w"))
"#;
    let layer = lab.inspect("two")["Layers"][0]["digest"].as_str().expect("a digest").replace("sha256:", "");
    let blob = lab.store().join("blobs/sha256").join(layer).to_string_lossy().into_owned();
    output("python3", &["-c", script, &lab.path("layout").to_string_lossy(), &blob]);
    load(&lab, "layout").ends(125).says("has digest");
}

#[test]
fn save_says_what_it_cannot_do() {
    let lab = built(&["one"]);
    lab.lbuild(&["save", "missing"]).ends(125).says("the store has no image `missing`").prints("");
    fs::create_dir(lab.path("dir")).expect("a directory");
    lab.lbuild(&["save", "-o", "dir", "one"]).ends(125).says("dir");
    lab.lbuild(&["save", "-o", "/no/such/x", "one"]).ends(125).says("/no/such");
    lab.lbuild(&["save", "--format", "oci-dir", "one"]).ends(125).says("add `-o DIR`");
    lab.lbuild(&["save", "--format", "zip", "one"]).ends(125).says("docker-archive");
    lab.file("there", "x");
    lab.lbuild(&["save", "-o", "there", "missing"]).ends(125);
    assert_eq!(fs::read(lab.path("there")).expect("still there"), b"x");
}
