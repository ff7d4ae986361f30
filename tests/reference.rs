//! Other tools agree with what lbuild writes.

use crate::containers::Containers;
use crate::harness::{Identity, Lab, base, identity, output, repository};
use crate::tree::{Field, Tree};
use std::path::Path;

const ODD: &str = include_str!("../testdata/reference/odd.Dockerfile");

/// Returns a lab that builds the odd image, once it is asked to.
fn odd() -> Lab {
    let lab = Lab::with(ODD);
    lab.file("data/a", "a").file("data/b", "b").file("data/d/e", "e").file("data/d/f/g", "g").file("packed/x/y", "y");
    let at = |name: &str| lab.path(name).to_string_lossy().into_owned();
    output("ln", &[&at("data/a"), &at("data/d/other-a")]);
    output("ln", &["-s", "../a", &at("data/d/soft")]);
    output("touch", &["-d", "@1600000000.123456789", &at("data/a")]);
    output("touch", &["-d", "@1600000001.5", &at("data/d/f")]);
    output("setfattr", &["-n", "user.from", "-v", "context", &at("data/b")]);
    output("ln", &[&at("packed/x/y"), &at("packed/x/z")]);
    output("chmod", &["2750", &at("packed/x")]);
    let owner = ["--owner=21:21", "--group=22:22", "--format=posix", "--mtime=@77.25"];
    output("tar", &[&owner[..], &["-C", &at("packed"), "-czf", &at("archive.tar.gz"), "."]].concat());
    lab
}

#[test]
fn subid_umoci_unpacks_the_same_tree_as_lbuild() {
    if identity() == Identity::OneId {
        return;
    }
    let lab = odd();
    lab.build(&["-t", "x"]).ok();
    let own = Tree::inside(&lab, "x");
    // The tree is what was built, so that two wrong trees do not agree in silence.
    assert!(own.len() > 3000, "{}", own.len());
    assert_eq!(own.field("t/times/1234567890.123456789", Field::Mtime), "1234567890123456789");
    assert_eq!(own.field("t/names/deep/a", Field::Group), "b't/names/a'");
    assert_eq!(own.field("t/modes/7777", Field::Mode), "7777");
    assert_eq!(own.field("t/owners/l", Field::Owner), "33:44");
    assert!(own.field("t/odd/capable", Field::Xattrs).contains("security.capability"));
    assert_eq!(own.field("w/kinds/dir", Field::Kind), "file");
    let ours = own
        // GNU tar, which `inside` asks, takes two names of a fifo for two fifos.
        .without_field(Field::Group, |path, _| path.starts_with("t/names/fifo"))
        // umoci reads with Go's archive/tar, to which a PAX record without a value is none.
        .without_xattr("user.none");
    let theirs = Tree::umoci(&lab, &lab.store(), "x:latest")
        .without_field(Field::Group, |path, _| path.starts_with("t/names/fifo"));
    ours.equals(&theirs, "lbuild and umoci");
    let inside = "stat -c %h /t/names/fifo /t/names/fifo2";
    lab.lbuild(&["run", "--entrypoint", "/bin/sh", "x", "-c", inside]).ok().prints("2\n2\n");
    lab.fsck();
}

#[test]
fn subid_a_tree_copied_whole_is_the_same_tree() {
    if identity() == Identity::OneId {
        return;
    }
    let lab = odd();
    let (before, last) = ODD.rsplit_once("\nFROM debian\n").expect("the last stage");
    lab.file("Dockerfile", format!("{before}\nFROM debian AS odd\n{last}\nFROM scratch\nCOPY --from=odd / /\n"));
    lab.build(&["-t", "odd", "--target", "odd"]).ok();
    lab.build(&["-t", "flat"]).ok();
    // A stage without a base has no root directory of its own to copy times into.
    let tree = |name| Tree::umoci(&lab, &lab.store(), name).without_field(Field::Mtime, |path, _| path.is_empty());
    tree("odd:latest").equals(&tree("flat:latest"), "a stage and its copy");
}

/// Layers of other tools, read by lbuild and umoci: `COPY` shows lbuild's tree, whatever tools the image has.
#[test]
fn subid_layers_of_others_are_read_as_umoci_reads_them() {
    if identity() == Identity::OneId {
        return;
    }
    let lab = Lab::with("FROM foreign\nFROM scratch\nCOPY --from=foreign /f /f\n");
    let (place, layout) = (lab.home().join("layers"), lab.home().join("layout"));
    std::fs::create_dir(&place).expect("a directory");
    let script = repository().join("tests/foreign-layers");
    output("sh", &["-c", &format!("cd '{}' && python3 '{}'", place.display(), script.display())]);
    output("cp", &["-r", &base("others/busybox.umoci").to_string_lossy(), &layout.to_string_lossy()]);
    let image = format!("{}:latest", layout.display());
    for number in 1..=7 {
        let layer = place.join(format!("{number}.tar")).to_string_lossy().into_owned();
        output("umoci", &["raw", "add-layer", "--image", &image, &layer]);
    }
    lab.build(&["-t", "x", "--build-context", &format!("foreign=oci-layout://{image}")]).ok();
    // What no layer tells is not compared: umoci takes the time of unpacking.
    let tree = |layout: &Path, image| {
        let implied = |path: &str, fields: &[String]| path.starts_with("f/implied") && fields[0] == "directory";
        Tree::umoci(&lab, layout, image).only("f").without_field(Field::Mtime, implied)
    };
    let ours = tree(&lab.store(), "x:latest");
    assert_eq!(ours.len(), 47);
    assert_eq!(ours.field("f/dup-kind", Field::Content), "to b'dup'");
    ours.equals(&tree(&layout, "latest"), "lbuild and umoci");
}

#[test]
fn subid_an_image_unpacked_again_is_the_same_tree() {
    if identity() == Identity::OneId {
        return;
    }
    let lab = odd();
    let there = lab.home().join("layout");
    let to = format!("type=oci,tar=false,compression=gzip,dest={}", there.display());
    lab.build(&["-t", "x", "-o", &to, "-o", "type=image"]).ok();
    let own = Tree::inside(&lab, "x");
    let again = Lab::with("FROM odd\n");
    again.build(&["-t", "y", "--build-context", &format!("odd=oci-layout://{}", there.display())]).ok();
    own.equals(&Tree::inside(&again, "y"), "a RUN's directories and layers unpacked");
}

#[test]
fn subid_skopeo_takes_the_store_and_the_archives() {
    if identity() == Identity::OneId {
        return;
    }
    let lab =
        Lab::with("FROM busybox\nRUN mkdir /d && echo x > /d/f && chown 7:8 /d/f\nCOPY f /g\nCMD [\"/bin/true\"]\n");
    lab.file("f", "f");
    let mut sources = vec![format!("oci:{}:x:latest", lab.store().display())];
    let mut outputs = Vec::new();
    for compression in ["uncompressed", "gzip", "zstd"] {
        for (kind, transport) in [("oci", "oci-archive"), ("docker", "docker-archive")] {
            let name = format!("{kind}-{compression}.tar");
            sources.push(format!("{transport}:{}", lab.path(&name).display()));
            outputs.push(format!("type={kind},dest={name},compression={compression}"));
        }
    }
    outputs.push("type=oci,tar=false,dest=layout".to_owned());
    sources.push(format!("oci:{}:latest", lab.path("layout").display()));
    outputs.push("type=image".to_owned());
    let outputs: Vec<&str> = outputs.iter().flat_map(|output| ["-o", output]).collect();
    let id = lab.id(&[&["-t", "x"], &outputs[..]].concat());
    for (number, from) in sources.iter().enumerate() {
        let to = lab.home().join(format!("copy{number}"));
        output("skopeo", &["--insecure-policy", "copy", "--quiet", from, &format!("dir:{}", to.display())]);
        // Every blob is there, and is what its name says.
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(to.join("manifest.json")).expect("a manifest")).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), 3, "{from}");
        let config = &manifest["config"];
        for blob in layers.iter().chain([config]) {
            let digest = blob["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
            let file = to.join(digest).to_string_lossy().into_owned();
            assert!(output("sha256sum", &[&file]).starts_with(digest), "{from}: {digest}");
        }
        // skopeo makes a Docker config of a Docker archive's; the OCI forms keep the image ID.
        assert_eq!(config["digest"], id.as_str(), "{from}");
    }
}

const RUNNABLE: &str = "\
FROM busybox
RUN echo built > /f && chown 5:6 /f && mkdir /d && chmod 1777 /d
RUN rm -r /d && mkdir /d && rm /bin/vi
ENV GREETING=\"from the image\"
WORKDIR /work
USER 65534:65534
ENTRYPOINT [\"/bin/sh\", \"-c\", \"cat /f; id -u; pwd; echo $GREETING; ls -A /d; test -e /bin/vi || echo gone; echo $0\"]
CMD [\"argument\"]
";

#[test]
fn subid_podman_runs_the_image_and_buildah_builds_from_it() {
    if identity() == Identity::OneId {
        return;
    }
    let lab = Lab::with(RUNNABLE);
    lab.build(&["-t", "x", "-o", "type=oci,dest=a.tar", "-o", "type=docker,dest=d.tar", "-o", "type=image"]).ok();
    let told = "built\n65534\n/work\nfrom the image\ngone\nargument\n";
    lab.lbuild(&["run", "x"]).ok().prints(told);
    let containers = Containers::new();
    let path = |name: &str| lab.path(name).to_string_lossy().into_owned();
    containers.podman(&["load", "-q", "-i", &path("d.tar")]);
    let archive = format!("oci-archive:{}", path("a.tar"));
    let pulled = containers.podman(&["pull", "-q", &archive]);
    // crun needs a file system of cgroups that only root may mount here.
    let runtimes: &[&str] = if identity() == Identity::Root { &["crun", "runc"] } else { &["runc"] };
    for runtime in runtimes {
        for image in ["docker.io/library/x:latest", pulled.trim()] {
            assert_eq!(containers.run(runtime, image), told, "{runtime} {image}");
        }
    }
    for (number, from) in [archive.as_str(), "docker.io/library/x:latest"].iter().enumerate() {
        let file = path(&format!("Again{number}"));
        std::fs::write(
            &file,
            format!("FROM {from}\nUSER 0\nRUN cat /f > /g && stat -c %u:%g /f >> /g && chown 9:9 /g\n"),
        )
        .expect("a file");
        let how = ["build", "--isolation", "chroot", "--network", "host", "-q", "-t", "again", "-f", &file, &path("")];
        containers.buildah(&how);
        let back = lab.home().join(format!("back{number}")).to_string_lossy().into_owned();
        containers.buildah(&["push", "-q", "again", &format!("oci:{back}:latest")]);
        // And back: what Buildah made of our image is a base of ours.
        let third = Lab::with("FROM again\nRUN stat -c %u:%g /g > /h\n");
        third.build(&["-t", "y", "--build-context", &format!("again=oci-layout://{back}")]).ok();
        let script = "cat /g /h; ls -A /d; stat -c %u:%g /f";
        third.lbuild(&["run", "--entrypoint", "/bin/sh", "y", "-c", script]).ok().prints("built\n5:6\n9:9\n5:6\n");
    }
}
