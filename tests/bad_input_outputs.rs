//! Bad input of what images are written to and read from: told before the build begins where it can be, nothing
//! half-written, and what stood there before still standing.

use crate::harness::{Lab, output};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Returns all that is below a directory, with its bytes.
fn all(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("listed") {
        let path = entry.expect("an entry").path();
        let name = path.display().to_string();
        match path.is_dir() {
            true => found.extend(all(&path).into_iter().chain([(name, Vec::new())])),
            false => drop(found.insert(name, fs::read(&path).expect("read"))),
        }
    }
    found
}

fn lab() -> Lab {
    let lab = Lab::with("FROM busybox\nCOPY f /f\n");
    lab.file("f", "x").file("old", "what stood there").file("dir/kept", "kept");
    lab
}

/// Each is refused before the store is touched, and nothing in the context has changed.
#[test]
fn bad_places_and_forms_are_refused_before_the_build_begins() {
    let lab = lab();
    let before = all(&lab.path(""));
    for (arguments, told) in [
        (&["-o", "type=oci,dest=dir"][..], "`dir` is a directory, and an archive is a file"),
        (&["-o", "type=docker,dest=dir"], "`dir` is a directory, and an archive is a file"),
        (&["-o", "type=tar,dest=dir"], "`dir` is a directory, and an archive is a file"),
        (&["-o", "type=oci,tar=false,dest=old"], "`old` is not a directory"),
        (&["-o", "type=local,dest=old"], "`old` is not a directory"),
        (&["-o", "type=local,dest=old/below"], "`old` is not a directory"),
        (&["-o", "old/below"], "`old` is not a directory"),
        (&["-o", "type=oci,dest=no/such/x.tar"], "there is no directory `no/such`"),
        (&["-o", "type=tar,dest=old/x.tar"], "there is no directory `old`"),
        (&["-o", "type=oci,dest="], "`dest=FILE` is missing"),
        (&["-o", "type=oci,dest=-", "-o", "type=tar,dest=-"], "only one output can go to standard output"),
        (&["-o", "type=oci,dest=-", "-q"], "`-q` prints the image ID where the archive would go"),
        (&["-o", "type=oci,dest=a.tar", "-o", "type=tar,dest=a.tar"], "two outputs go to `a.tar`"),
        (&["-o", "type=oci,dest=a.tar,compression=brotli"], "brotli"),
        (&["-o", "type=oci,dest=a.tar,compression=gzpi"], "`uncompressed`, `gzip` or `zstd`"),
        (&["-o", "type=oci,dest=a.tar,compression=gzip,compression-level=99"], "99"),
        (&["-o", "type=tra,dest=a.tar"], "tra"),
        (&["-o", "type=oci,dset=a.tar"], "did you mean `dest`?"),
        (&["-t", "UPPER/x"], "UPPER/x"),
        (&["-t", "a:b:c"], "a:b:c"),
        (&["-t", "a b"], "a b"),
        (&["-t", ""], "invalid tag ``"),
        (&["--iidfile", "dir"], "`--iidfile dir`: `dir` is a directory"),
        (&["--iidfile", "no/id"], "`--iidfile no/id`: there is no directory `no`"),
        (&["--iidfile", "old/id"], "`--iidfile old/id`: there is no directory `old`"),
        (&["--metadata-file", "dir"], "`--metadata-file dir`: `dir` is a directory"),
        (&["--metadata-file", "no/m"], "`--metadata-file no/m`: there is no directory `no`"),
    ] {
        let run = lab.build(arguments);
        run.ends(125).says(told).does_not_say("panic");
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(!lab.store().exists(), "{arguments:?}: nothing was begun");
        assert!(all(&lab.path("")) == before, "{arguments:?}: nothing has changed");
    }
}

/// A user who may not write somewhere is told so before the build; root by the kernel, after it.
#[test]
fn a_place_that_cannot_be_written_is_named() {
    let lab = lab();
    let is_root = nix::unistd::geteuid().is_root();
    for arguments in [
        &["-o", "type=oci,dest=/proc/x.tar"][..],
        &["-o", "type=local,dest=/proc/x"],
        &["--iidfile", "/proc/x"],
        &["--metadata-file", "/proc/x"],
    ] {
        let run = lab.build(arguments);
        run.ends(125).says("`/proc").does_not_say("panic");
        assert!(is_root || !lab.store().exists(), "{arguments:?}");
    }
}

/// What stood at a destination stands until the new is whole.
#[test]
fn what_stood_there_still_stands_when_a_build_fails() {
    let lab = lab();
    lab.file("Dockerfile", "FROM busybox\nCOPY f missing /\n").file("id", "old id").file("meta", "old meta");
    let before = all(&lab.path(""));
    for output in ["type=oci,dest=old", "type=docker,dest=old", "type=tar,dest=old", "type=local,dest=dir,mode=delete"]
    {
        lab.build(&["-o", output, "--iidfile", "id", "--metadata-file", "meta"]).ends(125).says("missing");
        assert!(all(&lab.path("")) == before, "{output}");
    }
    // And one that succeeds replaces it.
    lab.file("Dockerfile", "FROM busybox\nCOPY f /f\n");
    lab.build(&["-o", "type=oci,dest=old", "--iidfile", "id"]).ok();
    assert!(fs::read(lab.path("old")).expect("there").len() > 1000);
    assert!(fs::read_to_string(lab.path("id")).expect("there").starts_with("sha256:"));
}

#[test]
fn formats_and_settings_that_do_not_parse_are_told_with_their_place() {
    let lab = lab();
    lab.build(&["-t", "x"]).ok();
    for (arguments, told) in [
        (&["images", "--format", "{{.Repository"][..], "`{{` is not closed by `}}`, at character 1"),
        (&["images", "--format", "{{.Repostory}}"], "Repostory"),
        (&["inspect", "-f", "{{json .Config", "x"], "`{{` is not closed by `}}`, at character 1"),
        (&["inspect", "-f", "{{frobnicate .}}", "x"], "frobnicate"),
        (&["history", "--format", "{{end}}", "x"], "end"),
        (&["tag", "x", "UPPER/y"], "UPPER/y"),
        (&["tag", "x", "y@sha256:0000"], "y@sha256:0000"),
        (&["save", "-o", "dir", "x"], "dir"),
    ] {
        let run = lab.lbuild(arguments);
        run.ends(125).says(told).does_not_say("panic");
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
    fs::create_dir_all(lab.home().join(".config/lbuild")).expect("a directory");
    let config = lab.home().join(".config/lbuild/config.toml");
    for (text, told, help) in [
        (
            "\n[build]\nnetwrok = \"none\"\n",
            "config.toml`, line 3: no key is called `netwrok`",
            "did you mean `network`?",
        ),
        ("max-used-spce = \"1g\"\n", "line 1: no key is called `max-used-spce`", "did you mean `max-used-space`?"),
        ("max-used-space = \"lots\"\n", "line 1: `max-used-space` is not a size", ""),
        ("root = \n", "config.toml`, line 1: ", ""),
    ] {
        fs::write(&config, text).expect("written");
        lab.build(&["-t", "x"]).ends(125).says(told).says(help).does_not_say("panic");
    }
}

/// An archive whose names lead out of it gives nothing of this machine away, and leaves nothing behind.
#[test]
fn hostile_archives_are_refused() {
    let lab = lab();
    let script = r#"
import io, json, sys, tarfile
def add(tar, name, data):
    entry = tarfile.TarInfo(name); entry.size = len(data); tar.addfile(entry, io.BytesIO(data))
def link(tar, name, kind, to):
    entry = tarfile.TarInfo(name); entry.type = kind; entry.linkname = to; tar.addfile(entry)
def manifest(layer, config="config.json"):
    return json.dumps([{"Config": config, "RepoTags": ["x:1"], "Layers": [layer]}]).encode()
config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode()
for name in ["parent", "absolute", "symlink", "hardlink", "loop", "config", "deep", "huge"]:
    with tarfile.open(f"{name}.tar", "w") as tar:
        add(tar, "config.json", config)
        if name == "parent": add(tar, "manifest.json", manifest("../../../../../../etc/passwd"))
        if name == "absolute": add(tar, "manifest.json", manifest("/etc/passwd"))
        if name == "config": add(tar, "manifest.json", manifest("l", "/etc/passwd"))
        if name == "symlink": link(tar, "l", tarfile.SYMTYPE, "/etc/passwd"); add(tar, "manifest.json", manifest("l"))
        if name == "hardlink": link(tar, "l", tarfile.LNKTYPE, "/etc/passwd"); add(tar, "manifest.json", manifest("l"))
        if name == "loop": link(tar, "l", tarfile.SYMTYPE, "m"); link(tar, "m", tarfile.SYMTYPE, "l"); add(tar, "manifest.json", manifest("l"))
        if name == "deep": add(tar, "manifest.json", b"[" * 200000)
        if name == "huge":
            entry = tarfile.TarInfo("manifest.json"); entry.size = 1 << 50; tar.fileobj.write(entry.tobuf())
"#;
    let made = std::process::Command::new("python3").args(["-c", script]).current_dir(lab.path("")).status();
    assert!(made.expect("python runs").success());
    for name in ["parent", "absolute", "symlink", "hardlink", "loop", "config", "deep", "huge"] {
        let run = lab.lbuild_within(60, &["load", "-i", &format!("{name}.tar")]);
        run.ends(125).says(name).does_not_say("panic").does_not_say("root:x:0");
        assert_eq!(run.stdout, "", "{name}");
    }
    lab.lbuild(&["images", "-q"]).ok().prints("");
    assert_eq!(output("find", &[&lab.store().join("blobs").to_string_lossy(), "-type", "f"]), "", "nothing is left");
    lab.fsck();
}
