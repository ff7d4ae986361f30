//! Outputs of files, several outputs at once, and how images look in them (FEATURES 4).

use crate::harness::{Lab, Run, base, output};
use crate::tree::{Field, Tree};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

const FILES: &str = "FROM scratch\nCOPY --chown=7:8 tree /\nCOPY late /dir/late\n";

fn lab() -> Lab {
    let lab = Lab::with(FILES);
    lab.file("tree/dir/program", "#!/bin/sh\n").file("tree/plain", "x".repeat(5000)).file("late", "late");
    fs::set_permissions(lab.path("tree/dir/program"), fs::Permissions::from_mode(0o4751)).expect("a mode");
    symlink("dir/program", lab.path("tree/link")).expect("a link");
    fs::hard_link(lab.path("tree/plain"), lab.path("tree/same")).expect("a hardlink");
    let script = "import os,sys; os.setxattr(sys.argv[1], 'user.note', b'kept')";
    output("python3", &["-c", script, &text(&lab.path("tree/plain"))]);
    output("touch", &["-d", "@1600000000.5", &text(&lab.path("tree/plain")), &text(&lab.path("tree/dir/program"))]);
    lab
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// FEATURES 4-21.
#[test]
fn a_directory_gets_the_files_as_they_are() {
    for arguments in [&["-o", "out"][..], &["-o", "type=local,dest=out"]] {
        let lab = lab();
        lab.build(arguments).ok();
        let stat = |name: &str| fs::symlink_metadata(lab.path("out").join(name)).expect(name);
        let (program, plain) = (stat("dir/program"), stat("plain"));
        assert_eq!((program.mode() & 0o7777, plain.mtime(), plain.mtime_nsec()), (0o4751, 1_600_000_000, 500_000_000));
        assert_eq!(program.uid(), nix::unistd::geteuid().as_raw(), "files are the caller's");
        assert_eq!((plain.ino(), plain.nlink()), (stat("same").ino(), 2));
        assert_eq!(fs::read_link(lab.path("out/link")).expect("a link"), Path::new("dir/program"));
        assert_eq!(fs::read(lab.path("out/dir/late")).expect("read"), b"late");
        let script = "import os,sys; print(os.getxattr(sys.argv[1], 'user.note').decode())";
        assert_eq!(output("python3", &["-c", script, &text(&lab.path("out/plain"))]), "kept\n");
        let names: Vec<_> = fs::read_dir(lab.path("out")).expect("listed").collect();
        assert_eq!(names.len(), 4, "nothing is left beside: {names:?}");
    }
}

#[test]
fn a_directory_keeps_what_the_image_does_not_have_unless_it_is_to_be_deleted() {
    let lab = lab();
    lab.file("out/stale/deep/file", "x").file("out/dir/stale", "x").file("out/plain", "old");
    // What is behind links of the directory is nobody's business; a file in the place of a directory gives way.
    lab.file("victim", "untouched").file("elsewhere/late", "untouched");
    symlink("../victim", lab.path("out/same")).expect("a link");
    fs::remove_dir_all(lab.path("out/dir")).expect("removed");
    symlink("../elsewhere", lab.path("out/dir")).expect("a link");
    lab.build(&["-o", "out"]).ok();
    assert_eq!(fs::read(lab.path("out/plain")).expect("read").len(), 5000);
    assert!(lab.path("out/stale/deep/file").exists());
    assert_eq!(fs::read(lab.path("victim")).expect("read"), b"untouched");
    assert_eq!(fs::read(lab.path("elsewhere/late")).expect("read"), b"untouched");
    lab.file("out/dir/stale", "x");
    lab.build(&["-o", "type=local,dest=out,mode=delete"]).ok();
    assert!(!lab.path("out/stale").exists() && !lab.path("out/dir/stale").exists());
    assert!(lab.path("out/dir/late").exists());
    lab.build(&["-o", "type=local,dest=.,mode=delete"]).ends(125).says("would delete all of");
    lab.build(&["-o", "late"]).ends(125).says("`late` is not a directory");
    assert_eq!(fs::read(lab.path("late")).expect("still there"), b"late");
}

/// FEATURES 4-22.
#[test]
fn a_tar_keeps_owners() {
    let lab = lab();
    lab.build(&["-o", "type=tar,dest=out.tar"]).ok();
    let listing = output("tar", &["--numeric-owner", "--utc", "--full-time", "-tvf", &text(&lab.path("out.tar"))]);
    let lines: Vec<Vec<&str>> = listing.lines().map(|line| line.split_whitespace().collect()).collect();
    let names: Vec<&str> = lines.iter().map(|line| line[5]).collect();
    assert_eq!(names, ["dir/", "dir/late", "dir/program", "link", "plain", "same"]);
    assert_eq!((lines[2][0], lines[2][1], lines[2][3]), ("-rwsr-x--x", "7/8", "2020-09-13"));
    assert_eq!((lines[1][1], lines[5][0]), ("0/0", "hrw-r--r--"));
    let piped = lab.building(&["-o", "-"]).output().expect("runs");
    assert!(piped.status.success());
    assert_eq!(piped.stdout, fs::read(lab.path("out.tar")).expect("the tar"));
}

/// What is in an image's layers, seen by umoci, is what the tar has: whiteouts, links and all.
#[test]
fn subid_a_tar_is_the_root_that_others_unpack() {
    if !crate::harness::has_ranges() {
        return;
    }
    let lab = Lab::with(
        "FROM debian\nRUN rm -r /usr/share/doc && ln /etc/hostname /etc/same || true; echo x > /etc/new; rm /etc/motd\n",
    );
    lab.build(&["-t", "x", "-o", "type=tar,dest=out.tar", "-o", "type=oci,tar=false,dest=layout"]).ok();
    let to = lab.home().join("unpacked");
    fs::create_dir(&to).expect("a directory");
    // What a plain user cannot make, and what is compared nowhere.
    let how = [
        "--exclude=dev/*",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--same-owner",
        "-C",
        &text(&to),
        "-xpf",
    ];
    crate::tree::with_ids_ok("tar", &[&how[..], &[&text(&lab.path("out.tar"))]].concat());
    let tree = Tree::at(&to);
    crate::tree::with_ids_ok("rm", &["-rf", &text(&to)]);
    let umoci = Tree::umoci(&lab, &lab.path("layout"), "latest");
    let without = ["dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/same"];
    // A tar of files has no entry for the root itself.
    let compared = |tree: Tree| tree.without(&without).without_field(Field::Mtime, |path, _| path.is_empty());
    compared(tree).equals(&compared(umoci), "tar and umoci");
}

/// FEATURES 4-1, 4-23.
#[test]
fn several_outputs_come_of_one_build() {
    let lab = lab();
    let several = ["-o", "type=oci,dest=a.tar", "-o", "type=docker,dest=b.tar", "-o", "type=tar,dest=c.tar", "-o", "d"];
    lab.build(&[&["-t", "x", "-o", "type=image"], &several[..]].concat()).ok();
    for name in ["a.tar", "b.tar", "c.tar", "d"] {
        assert!(lab.path(name).exists(), "{name}");
    }
    lab.inspect("x");
    let other = self::lab();
    other.build(&["-t", "x", "-o", "type=cacheonly"]).ok();
    other.lbuild(&["images", "-q"]).ok().prints("");
    other.build(&["-o", "type=tar,dest=-", "-o", "-"]).ends(125).says("only one output can go to standard output");
}

fn inspected(lab: &Lab, archive: &str) -> Value {
    json(&output("skopeo", &["inspect", "--raw", &format!("oci-archive:{}", text(&lab.path(archive)))]))
}

/// FEATURES 4-8, 4-15.
#[test]
fn manifests_are_annotated_and_typed_as_was_asked() {
    let lab = lab();
    let output = "type=oci,dest=a.tar,annotation.one=1,annotation-manifest-descriptor.three=3";
    lab.build(&["--annotation", "two=2", "-o", output]).ok();
    let manifest = inspected(&lab, "a.tar");
    assert_eq!(manifest["annotations"], serde_json::json!({"one": "1", "two": "2"}));
    let index = json(&self::output("tar", &["-xOf", &text(&lab.path("a.tar")), "index.json"]));
    assert_eq!(index["manifests"][0]["annotations"]["three"], "3");
    lab.build(&["-o", "type=oci,dest=b.tar,oci-mediatypes=false,compression=gzip"]).ok();
    let manifest = inspected(&lab, "b.tar");
    assert_eq!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    lab.build(&["-t", "x", "--format", "docker"]).ok();
    let image = lab.inspect("x");
    assert_eq!(image["MediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    lab.build(&["-t", "y"]).ok();
    assert_eq!(lab.inspect("y")["Id"], image["Id"], "the same image in other words");
    lab.fsck();
}

fn with_epoch(lab: &Lab, epoch: &str, arguments: &[&str]) {
    let run = lab.building(arguments).env("SOURCE_DATE_EPOCH", epoch).output().expect("runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// FEATURES 4-2, 4-14.
#[test]
fn rewritten_times_make_builds_the_same() {
    let digests: Vec<String> = ["1650000000", "1660000000"]
        .map(|time| {
            let lab = Lab::with("FROM busybox\nCOPY a b /d/\nWORKDIR /w\n");
            lab.file("a", "a").file("b", "b");
            output("touch", &["-d", &format!("@{time}"), &text(&lab.path("a")), &text(&lab.path("b"))]);
            with_epoch(&lab, "1600000000", &["-t", "x", "-o", "type=image,rewrite-timestamp=true"]);
            let image = lab.inspect("x");
            let base = json(&output("skopeo", &["inspect", "--raw", &format!("oci:{}", text(&base("busybox")))]));
            assert_eq!(image["Layers"][0]["digest"], base["layers"][0]["digest"], "the base's layers are kept");
            lab.fsck();
            image["Digest"].as_str().expect("a digest").to_owned()
        })
        .to_vec();
    assert_eq!(digests[0], digests[1]);
    let lab = lab();
    lab.build(&["-o", "type=image,name=x,rewrite-timestamp=true"])
        .ok()
        .says("changes nothing without SOURCE_DATE_EPOCH");
    lab.build(&["-o", "type=tar,dest=t.tar,source-date-epoch=1000000000"]).ok();
    let listing = output("tar", &["--utc", "-tvf", &text(&lab.path("t.tar"))]);
    assert!(listing.lines().all(|line| line.contains("2001-09-09 01:46")), "{listing}");
    lab.build(&["-o", "type=image,name=y,source-date-epoch=1000000000"]).ok();
    assert_eq!(lab.inspect("y")["Created"], "2001-09-09T01:46:40Z");
}

/// FEATURES 4-14: whatever the number of jobs, and whoever builds when.
#[test]
fn userns_two_stores_and_any_number_of_jobs_give_the_same_image() {
    let digests = ["1", "8"].map(|jobs| {
        let lab = Lab::with(
            "FROM busybox AS a\nRUN mkdir /a && echo a > /a/f && ln -s f /a/l && chmod 600 /a/f\n\
             FROM busybox AS b\nRUN echo b > /b\n\
             FROM busybox\nCOPY --from=a /a /a\nCOPY --from=b /b /b\nCOPY c /c\nRUN rm /etc/os-release; touch /d\n",
        );
        lab.file("c", "c");
        let output = "type=oci,dest=x.tar,compression=gzip,rewrite-timestamp=true";
        with_epoch(&lab, "1600000000", &["--jobs", jobs, "-t", "x", "-o", output]);
        (inspected(&lab, "x.tar"), fs::read(lab.path("x.tar")).expect("the archive"))
    });
    assert_eq!(digests[0].0, digests[1].0);
    assert!(digests[0].1 == digests[1].1, "the archives have the same bytes");
}

/// FEATURES 3.1-21.
#[test]
fn metadata_is_written_as_buildx_does() {
    let lab = lab();
    lab.build(&["-t", "x:1", "-t", "y", "--metadata-file", "m.json", "--iidfile", "id"]).ok();
    let (metadata, image) = (json(&fs::read_to_string(lab.path("m.json")).expect("read")), lab.inspect("x:1"));
    assert_eq!(metadata["containerimage.digest"], image["Digest"]);
    assert_eq!(metadata["containerimage.config.digest"], image["Id"]);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], image["Digest"]);
    assert_eq!(metadata["image.name"], "docker.io/library/x:1,docker.io/library/y:latest");
    assert_eq!(fs::read_to_string(lab.path("id")).expect("read"), image["Id"].as_str().expect("an id"));
    lab.build(&["-o", "out", "--metadata-file", "m.json"]).ok();
    assert_eq!(json(&fs::read_to_string(lab.path("m.json")).expect("read")), serde_json::json!({}));
}

/// FEATURES 3.1, `--squash`.
#[test]
fn a_squashed_image_has_one_layer_more_than_its_base() {
    let dockerfile = "FROM busybox\nCOPY a /d/a\nCOPY b /d/b\nENV X=1\nCOPY a /d/b\n";
    let lab = Lab::with(dockerfile);
    lab.file("a", "a").file("b", "b");
    with_epoch(&lab, "1600000000", &["-t", "usual"]);
    with_epoch(&lab, "1600000000", &["-t", "squashed", "--squash"]);
    let (usual, squashed) = (lab.inspect("usual"), lab.inspect("squashed"));
    let layers = |image: &Value| image["RootFS"]["Layers"].as_array().expect("layers").clone();
    let base = layers(&usual).len() - 3;
    assert_eq!(layers(&squashed).len(), base + 1);
    assert_eq!(layers(&squashed)[..base], layers(&usual)[..base]);
    let history = |image: &Value| image["History"].as_array().expect("a history").clone();
    assert_eq!(history(&squashed).len(), history(&usual).len(), "every line is still told");
    let with_layer = history(&squashed).iter().filter(|line| line["empty_layer"] != true).count();
    assert_eq!(with_layer, base + 1);
    for name in ["usual", "squashed"] {
        lab.lbuild(&["save", "--format", "oci-archive", "-o", &format!("{name}.tar"), name]).ok();
        let mut tar = lab.building(&["-o", &format!("type=tar,dest={name}.files")]);
        if name == "squashed" {
            tar.arg("--squash");
        }
        assert!(tar.env("SOURCE_DATE_EPOCH", "1600000000").output().expect("runs").status.success());
    }
    let files = |name: &str| output("tar", &["-tvf", &text(&lab.path(name))]);
    assert_eq!(files("usual.files"), files("squashed.files"));
    assert!(lab.layer("squashed", base).contains(&"d/b".to_owned()));
    lab.fsck();
}

/// What listens where Docker would, knows no image, and writes what it got to a file.
const DOCKER: &str = r#"
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(5)
print("ready", flush=True)
head = [""]
while not head[0].startswith("POST"):
    stream, _ = server.accept()
    reader = stream.makefile("rb")
    head = []
    while (line := reader.readline().strip()):
        head.append(line.decode())
    if head[0].startswith("GET"):
        stream.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n{}")
        reader.close()
        stream.close()
body = b""
while (size := int(reader.readline(), 16)):
    body += reader.read(size)
    reader.readline()
open(sys.argv[2], "wb").write(body)
open(sys.argv[2] + ".head", "w").write(head[0])
stream.sendall(sys.argv[3].encode())
stream.close()
"#;

fn with_docker(lab: &Lab, answer: &str, arguments: &[&str]) -> Run {
    use std::io::BufRead;
    let socket = text(&lab.home().join("docker.sock"));
    let got = text(&lab.path("got.tar"));
    let mut daemon = std::process::Command::new("python3")
        .args(["-c", DOCKER, &socket, &got, answer])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    let mut line = String::new();
    std::io::BufReader::new(daemon.stdout.take().expect("a pipe")).read_line(&mut line).expect("ready");
    let mut build = lab.building(arguments);
    build.env("DOCKER_HOST", format!("unix://{socket}"));
    let run = Run::within(&mut build, 60);
    daemon.wait().expect("the daemon ends");
    fs::remove_file(&socket).expect("removed");
    run
}

/// FEATURES 4-20.
#[test]
fn an_image_is_loaded_into_docker() {
    let lab = lab();
    let loaded = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"stream\":\"Loaded image: x:1\\n\"}\n";
    let run = with_docker(&lab, loaded, &["--load", "-t", "x:1"]);
    run.ok().says("loading into Docker at `");
    assert_eq!(fs::read_to_string(lab.path("got.tar.head")).expect("read"), "POST /images/load?quiet=1 HTTP/1.1");
    let listed = json(&output("tar", &["-xOf", &text(&lab.path("got.tar")), "manifest.json"]));
    assert_eq!(listed[0]["RepoTags"], serde_json::json!(["x:1"]));
    lab.lbuild(&["load", "-i", "got.tar"]).ok().prints("Loaded image: x:1\n");
    let refused = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n{\"message\":\"no space left\"}\n";
    with_docker(&lab, refused, &["-o", "type=docker", "-t", "x:1"])
        .ends(125)
        .says("did not take the image: no space left");
    let mut gone = lab.building(&["--load"]);
    gone.env("DOCKER_HOST", "unix:///no/such.sock");
    Run::within(&mut gone, 60).ends(125).says("/no/such.sock");
}

/// Podman where Docker is not; and what is said where neither is.
#[test]
fn subid_an_image_is_loaded_into_podman() {
    let lab = lab();
    let mut nowhere = lab.building(&["--load"]);
    nowhere.env("PATH", "/no/such").env("LBUILD_ENGINE", "podman");
    Run::within(&mut nowhere, 60).ends(125).says("neither Docker").says("type=docker,dest=FILE");
    if !crate::harness::has_ranges() || !crate::harness::succeeds("podman", &["--version"]) {
        return;
    }
    let storage = lab.home().join("storage.conf");
    let (root, run) = (lab.home().join("podman"), lab.home().join("podman-run"));
    let conf = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = {root:?}\nrunroot = {run:?}\nrootless_storage_path = {root:?}\n"
    );
    fs::write(&storage, conf).expect("written");
    let mut build = lab.building(&["--load", "-t", "example.com/x:1", "--iidfile", "id"]);
    build.env("CONTAINERS_STORAGE_CONF", &storage).env("LBUILD_ENGINE", "podman");
    Run::within(&mut build, 120).ok().says("loading into Podman");
    let podman = |arguments: &[&str]| {
        let mut podman = std::process::Command::new("podman");
        podman.args(arguments).current_dir(lab.home()).env("CONTAINERS_STORAGE_CONF", &storage).env("HOME", lab.home());
        let run = podman.output();
        let run = run.expect("podman");
        assert!(run.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    };
    let id = fs::read_to_string(lab.path("id")).expect("an id");
    assert_eq!(podman(&["images", "--no-trunc", "-q", "example.com/x:1"]), id);
    // Only what Podman lacks is sent.
    let load = |flags: &[&str]| {
        let mut build = lab.building(&[&["--load", "--iidfile", "id"], flags].concat());
        Run::within(build.env("CONTAINERS_STORAGE_CONF", &storage).env("LBUILD_ENGINE", "podman"), 120)
    };
    load(&["-t", "y"]).ok().says("the image is there already");
    assert_eq!(podman(&["images", "--no-trunc", "-q", "docker.io/library/y"]), id);
    lab.file("big", vec![7; 2 << 20])
        .file("late", "later")
        .file("Dockerfile", "FROM scratch\nCOPY big /\nCOPY late /\nHEALTHCHECK CMD true\n");
    load(&["-t", "z"]).ok().does_not_say("there already");
    lab.file("late", "latest");
    load(&["-t", "z"]).ok().says("1 of 2 layers sent");
    let id = fs::read_to_string(lab.path("id")).expect("an id");
    assert_eq!(podman(&["images", "--no-trunc", "-q", "docker.io/library/z"]), id);
    assert_eq!(podman(&["image", "inspect", "--format", "{{.HealthCheck.Test}}", "z"]), "[CMD-SHELL true]");
    podman(&["save", "-q", "--format", "docker-archive", "-o", &text(&lab.path("back.tar")), "z"]);
    let other = Lab::new();
    other.lbuild(&["load", "-i", &text(&lab.path("back.tar"))]).ok();
    assert_eq!(other.inspect(&id[7..19])["Id"], id.as_str());
    if !nix::unistd::geteuid().is_root() {
        podman(&["unshare", "rm", "-rf", &text(&root), &text(&run)]);
    }
}
