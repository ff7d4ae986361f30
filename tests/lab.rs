//! The lab, and a real build.

use crate::harness::{Identity, Lab, Server, base, fed, has_ranges, identity, output, repository};
use crate::tree::{Field, Tree};

/// Unpacks a part of the busybox root into `alpine_root`, as the caller.
fn alpine_root(lab: &Lab) {
    let to = lab.path("alpine_root");
    std::fs::create_dir(&to).expect("a directory");
    let (to, from) = (to.to_string_lossy().into_owned(), base("roots/busybox.tar"));
    output(
        "tar",
        &[
            "-C",
            &to,
            "--no-same-owner",
            "-xf",
            &from.to_string_lossy(),
            "./bin/busybox",
            "./bin/ls",
            "./etc/os-release",
        ],
    );
}

const LAB: &str = "FROM fedora\nCOPY ./alpine_root /\nCMD [\"/bin/sh\"]\n";

#[test]
fn the_lab_builds_and_its_layer_holds_the_copied_tree() {
    let lab = Lab::with(LAB);
    alpine_root(&lab);
    lab.build(&["-t", "alpine_fedora"]).ok();
    // `/bin` of the base is a link to `usr/bin`: the copy goes through it and leaves the link alone.
    let through = ["etc", "etc/os-release", "usr", "usr/bin", "usr/bin/busybox", "usr/bin/ls"];
    assert_eq!(lab.layer("alpine_fedora", 1), through);
    let image = lab.inspect("alpine_fedora");
    assert_eq!(image["RepoTags"][0], "alpine_fedora:latest");
    assert_eq!(image["Config"]["Cmd"], serde_json::json!(["/bin/sh"]));
    assert_eq!(image["RootFS"]["Layers"].as_array().map(Vec::len), Some(2));
    lab.fsck();
}

#[test]
fn subid_the_lab_runs() {
    let lab = Lab::with(LAB);
    alpine_root(&lab);
    lab.build(&["-t", "alpine_fedora"]).ok();
    let run = lab.lbuild(&["run", "alpine_fedora", "cat", "/etc/os-release"]);
    if !has_ranges() {
        run.ends(125).says("/etc/subuid").says("help: ");
        return;
    }
    run.ok().prints("NAME=\"busybox root\"\nID=busybox\nPRETTY_NAME=\"busybox root\"\n");
    assert!(lab.shell("alpine_fedora", "dpkg --version").starts_with("Debian 'dpkg'"));
}

const REAL: &str = r#"FROM debian AS build
ARG MIRROR
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* && \
    echo "deb [trusted=yes] $MIRROR bookworm main" > /etc/apt/sources.list && \
    apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY hello.c /src/
RUN gcc -static -O2 -o /hello /src/hello.c
# Only the file's capability lets this user send a ping in a network of its own.
RUN --network=none setpriv --reuid=_apt --regid=nogroup --clear-groups ping -c 1 127.0.0.1 && \
    test "$(stat -c %U:%G:%a /etc/shadow)" = root:shadow:640 && test "$(stat -c %U /var/cache/apt/archives/partial)" = _apt

FROM busybox
COPY --from=build /hello /bin/hello
USER 65534:65534
ENTRYPOINT ["/bin/hello"]
CMD ["world"]
"#;

const HELLO: &str = "#include <stdio.h>\n#include <unistd.h>\nint main(int n, char **a) { printf(\"hello %s from %d\\n\", a[1], getuid()); return n - 2; }\n";

#[test]
fn subid_a_real_build_works() {
    if !has_ranges() {
        return;
    }
    let repository = repository().join("target/apt");
    assert!(repository.exists(), "run `tests/apt-repository`");
    let server = Server::of(&repository);
    let lab = Lab::with(REAL);
    lab.file("hello.c", HELLO);
    let mirror = format!("MIRROR={}", server.address);
    lab.build(&["-t", "hello", "--build-arg", &mirror]).ok();
    lab.lbuild(&["run", "hello"]).ok().prints("hello world from 65534\n");
    lab.lbuild(&["run", "hello", "a", "b"]).ends(1).prints("hello a from 65534\n");

    lab.build(&["-t", "stage", "--target", "build", "--build-arg", &mirror]).ok().does_not_say("apt-get update &&\n#");
    let facts = "stat -c %U:%G:%a /etc/shadow; stat -c %U /var/cache/apt/archives/partial; getcap /usr/bin/ping; ls /var/cache/apt/archives/*.deb 2>/dev/null | wc -l";
    let told = lab.shell("stage", facts);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.first(), Some(&"root:shadow:640"));
    assert_eq!(lines.get(1), Some(&"_apt"), "{told}");
    assert!(told.contains("/usr/bin/ping cap_net_raw=ep"), "{told}");
    assert_eq!(lines.last(), Some(&"0"), "the cache mount left nothing in the layer");
    let tree = Tree::umoci(&lab, &lab.store(), "stage:latest");
    let field = |path, field| tree.field(path, field);
    assert_eq!((field("etc/shadow", Field::Owner), field("etc/shadow", Field::Mode)), ("0:42", "0640"));
    assert_eq!(field("var/cache/apt/archives/partial", Field::Owner), "42:0");
    // VFS_CAP_REVISION_2, effective, CAP_NET_RAW (linux/capability.h).
    let capability = r"b'\x01\x00\x00\x02\x00 \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'";
    assert_eq!(field("usr/bin/ping", Field::Xattrs), format!("{{b'security.capability': {capability}}}"));
    assert_eq!(field("var/cache/apt/archives/lock", Field::Kind), "file");
    lab.fsck();
}

#[test]
fn userns_one_id_is_enough_for_a_root_with_one_owner() {
    let lab = Lab::with("FROM busybox\nRUN id -u > /id && mkdir /d && echo x > /d/f\n");
    lab.build(&["-t", "one"]).ok();
    assert_eq!(lab.shell("one", "cat /id /d/f"), "0\nx\n");
    // The first name is the root's own: what is made in it changes its time.
    assert_eq!(lab.layer("one", 1), ["", "d", "d/f", "id"]);
}

#[test]
fn userns_a_step_that_needs_other_ids_says_what_to_add() {
    if identity() != Identity::OneId {
        return;
    }
    let lab = Lab::with("FROM busybox\nRUN touch /f && chown 1000:1000 /f\n");
    let run = lab.build(&["-t", "x"]);
    assert_ne!(run.status, 0);
    run.says("/etc/subuid");
}

#[test]
fn userns_the_dockerfile_may_come_from_standard_input() {
    let lab = Lab::new();
    lab.file("f", "x");
    let run = fed(lab.building(&["-t", "stdin", "-f", "-"]), "FROM busybox\nCOPY f /g\n");
    run.ok();
    assert_eq!(lab.shell("stdin", "cat /g"), "x");
}
