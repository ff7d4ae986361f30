//! Other tools agree with what lbuild writes.

use crate::harness::{Identity, Lab, identity, output, succeeds};
use std::fs;

const IMAGE: &str = "\
FROM debian
RUN mkdir /t && echo x > /t/f && ln /t/f /t/hard && ln -s f /t/soft && chmod 4755 /t/f && touch -d @1.5 /t/old && truncate -s 1M /t/sparse
RUN chown 12:34 /t/old && setfattr -n user.k -v v /t/f 2>/dev/null; rm -r /usr/share/doc && mkdir /usr/share/doc && echo new > /usr/share/doc/new
COPY --chown=5:6 data /data
RUN rm /data/a && mv /data/b /data/c
ENTRYPOINT [\"/bin/echo\", \"hello\"]
";

fn lab() -> Lab {
    let lab = Lab::with(IMAGE);
    lab.file("data/a", "a").file("data/b", "b").file("data/d/e", "e");
    lab
}

/// Lists a tree: kind, mode, owner, size, mtime with its fraction, link count and target of each path.
fn listing(root: &str) -> String {
    let script = "find . -mindepth 1 ! -type d -printf '%P %y %m %U:%G %s %T@ %n %l\\n' -o -type d -printf '%P %y %m %U:%G %T@\\n' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; getfattr -R -d -m - . 2>/dev/null";
    output("sh", &["-c", &format!("cd '{root}' && {script}")])
}

#[test]
fn subid_umoci_unpacks_the_same_tree() {
    // Only root can look at what both made, owners included.
    if identity() != Identity::Root {
        return;
    }
    let lab = lab();
    lab.build(&["-t", "x"]).ok();
    let bundle = lab.home().join("bundle").to_string_lossy().into_owned();
    output("umoci", &["unpack", "--image", &format!("{}:x:latest", layout(&lab)), &bundle]);
    let script = "cd / && tar --one-file-system --numeric-owner --xattrs --xattrs-include='*' --format=pax --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* -cf - .";
    let own = lab.home().join("own").to_string_lossy().into_owned();
    fs::create_dir(&own).expect("a directory");
    let archive = lab.home().join("own.tar");
    let written = lab
        .command(&["run", "--entrypoint", "/bin/sh", "x", "-c", script])
        .stdout(fs::File::create(&archive).expect("a file"))
        .status();
    assert!(written.expect("runs").success());
    output(
        "tar",
        &["-C", &own, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", &archive.to_string_lossy()],
    );
    let theirs = listing(&format!("{bundle}/rootfs"));
    let ours = listing(&own);
    let only = |of: &str, other: &str| -> Vec<String> {
        let known: std::collections::HashSet<&str> = other.lines().collect();
        // What the sandbox mounts over is the sandbox's: its own test looks at it.
        of.lines().filter(|line| !known.contains(line) && !mounted(line)).map(str::to_owned).collect()
    };
    assert_eq!((only(&ours, &theirs), only(&theirs, &ours)), (Vec::new(), Vec::new()));
}

fn mounted(line: &str) -> bool {
    let path = line.rsplit("  ./").next().unwrap_or(line);
    ["dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname"].iter().any(|top| path.starts_with(top))
}

/// Copies the image `x` into a plain layout with short tags, which umoci wants.
fn layout(lab: &Lab) -> String {
    let to = lab.home().join("layout").to_string_lossy().into_owned();
    lab.build(&["-t", "x", "-o", &format!("type=oci,tar=false,dest={to}")]).ok();
    let from = format!("oci:{to}");
    let list = output("skopeo", &["inspect", "--raw", &from]);
    assert!(list.contains("layers"), "{list}");
    to
}

#[test]
fn subid_skopeo_takes_the_store_and_the_archives() {
    if identity() == Identity::OneId {
        return;
    }
    let lab = lab();
    lab.build(&["-t", "x"]).ok();
    lab.build(&["-t", "x", "-o", "type=oci,dest=a.tar,compression=gzip", "-o", "type=docker,dest=d.tar"]).ok();
    let path = |name: &str| lab.path(name).to_string_lossy().into_owned();
    let copies = [
        format!("oci:{}:x:latest", lab.store().display()),
        format!("oci-archive:{}", path("a.tar")),
        format!("docker-archive:{}", path("d.tar")),
    ];
    for (number, from) in copies.iter().enumerate() {
        let to = format!("dir:{}", lab.home().join(format!("copy{number}")).display());
        output("skopeo", &["--insecure-policy", "copy", "--quiet", from, &to]);
    }
}

#[test]
fn subid_podman_and_buildah_take_the_image() {
    if identity() != Identity::Root {
        return;
    }
    let lab = Lab::with("FROM busybox\nRUN echo built > /f\nENTRYPOINT [\"/bin/cat\"]\nCMD [\"/f\"]\n");
    lab.build(&["-t", "x", "-o", "type=oci,dest=a.tar"]).ok();
    let storage = lab.home().join("storage").to_string_lossy().into_owned();
    let run = lab.home().join("run").to_string_lossy().into_owned();
    let archive = format!("oci-archive:{}", lab.path("a.tar").display());
    let podman = ["--root", &storage, "--runroot", &run, "--storage-driver", "vfs"];
    output("podman", &[&podman[..], &["pull", "-q", &archive]].concat());
    let id = output("podman", &[&podman[..], &["images", "-q"]].concat());
    for runtime in ["crun", "runc"] {
        let flags = ["--runtime", runtime, "--cgroup-manager", "cgroupfs", "--events-backend", "file"];
        let how = ["run", "--rm", "--network", "none", "--cgroups", "disabled", id.trim()];
        if runtime == "runc" && !succeeds("podman", &[&podman[..], &flags, &how].concat()) {
            // runc refuses `--cgroups disabled`; crun shows what is to be shown.
            continue;
        }
        assert_eq!(output("podman", &[&podman[..], &flags, &how].concat()), "built\n", "{runtime}");
    }
    lab.file("Again", format!("FROM {archive}\nRUN cat /f > /g\n"));
    let (file, context) =
        (lab.path("Again").to_string_lossy().into_owned(), lab.path("").to_string_lossy().into_owned());
    let built = ["build", "--isolation", "chroot", "--network", "host", "-q", "-f", &file, &context];
    output("buildah", &[&podman[..], &built].concat());
}
