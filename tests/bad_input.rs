//! Bad input: an error with place and cure, exit status 125, nothing half-written.

use crate::harness::{Lab, base, binary, fed};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Asserts that a Dockerfile is refused, at a line, with a text.
#[track_caller]
fn refused(dockerfile: &str, line: usize, text: &str) {
    let lab = Lab::with(dockerfile);
    // A name that is wrong is to be told without asking anybody on the network.
    let run = lab.build(&["--pull=never", "-t", "x"]);
    run.ends(125).says(text);
    if line > 0 {
        run.says(&format!("Dockerfile:{line}:"));
    }
    let images = lab.lbuild(&["images", "-q"]);
    assert_eq!(images.stdout, "", "nothing is half-written");
}

#[test]
fn usage_is_125_and_suggests() {
    let lab = Lab::with("FROM scratch\n");
    lab.build(&["--tagg", "x"]).ends(125).says("--tag");
    lab.lbuild(&["build", "--no-such-flag", "."]).ends(125).says("--no-such-flag");
    lab.lbuild(&["build", ".", "."]).ends(125).says("unexpected argument");
    lab.lbuild(&["imges"]).ends(125).says("did you mean the command `images`?");
    lab.lbuild(&[]).ends(125).says("Usage:");
    lab.lbuild(&["--version"]).ok().prints(&format!("lbuild {}\n", env!("CARGO_PKG_VERSION")));
    assert!(lab.lbuild(&["--help"]).ok().stdout.contains("Exit status"));
}

#[test]
fn missing_dockerfiles_and_contexts_are_named() {
    let lab = Lab::new();
    lab.build(&[]).ends(125).says("`./Dockerfile` does not exist").says("-f FILE");
    lab.lbuild(&["build", "/no/such"]).ends(125).says("unable to prepare context: path `/no/such` not found");
    lab.build(&["-f", "other"]).ends(125).says("`other` does not exist").says("relative to the current directory");
    lab.build(&["-t", "UPPER/x"]).ends(125);
    assert!(!lab.store().exists(), "nothing is written before the command line is understood");
}

#[test]
fn unknown_words_are_refused_at_their_line() {
    refused("FROM busybox\nRUNN true\n", 2, "did you mean `RUN`");
    refused("FROM busybox\nCOPY --form=x a b\n", 2, "did you mean");
    refused("FROM busybox\nRUN --mount=type=bnid,target=/x true\n", 2, "bnid");
    refused("RUN true\n", 1, "FROM");
    refused("", 0, "no");
}

#[test]
fn cycles_name_both_places() {
    let dockerfile = "FROM busybox AS a\nCOPY --from=b /x /x\nFROM busybox AS b\nCOPY --from=a /x /x\n";
    refused(dockerfile, 0, "Dockerfile");
    let lab = Lab::with("FROM b AS a\nFROM a AS b\n");
    assert_ne!(lab.build(&[]).status, 0);
}

#[test]
fn missing_stages_are_named() {
    let lab = Lab::with("FROM busybox AS build\nFROM busybox AS final\n");
    lab.build(&["--target", "finall"]).ends(125).says("finall").says("final");
    refused("FROM busybox\nCOPY --from=nowhere /a /b\n", 2, "`nowhere` is no stage, no build context and no image");
    refused("FROM busybox AS build\nFROM busybox\nCOPY --from=biuld /a /b\n", 3, "help: did you mean `build`?");
    refused("FROM busybxo\nRUN true\n", 1, "help: did you mean `busybox`?");
    refused("FROM busybox\nCOPY --from=7 /a /b\n", 2, "invalid stage index 7");
}

#[test]
fn copy_sources_that_are_missing_or_ignored_are_explained() {
    refused("FROM busybox\nCOPY missing /\n", 2, "missing");
    let lab = Lab::with("FROM busybox\nCOPY public/ /\n");
    lab.file("public/index.html", "x").file(".dockerignore", "# comment\nnode_modules\npub*\n");
    lab.build(&[]).ends(125).says("Dockerfile:2:").says(".dockerignore").says("3").says("pub*");
}

#[test]
fn secrets_that_are_not_there_are_named() {
    let lab = Lab::with("FROM busybox\nRUN --mount=type=secret,id=token,required=true cat /run/secrets/token\n");
    lab.build(&["--secret", "id=token,src=/no/such"]).ends(125).says("secret `token`");
    lab.build(&["--secret", "id=token,env=NOT_SET"]).ends(125).says("`NOT_SET` is not set");
    lab.build(&[]).ends(125).says("token").says("--secret");
}

/// Every error of a Dockerfile is told at once, each with its place and its cure.
#[test]
fn several_errors_are_told_at_once() {
    let lab = Lab::with("FROM busybox\nRNU x\nCOPY a\nRUN --nmount=x y\n");
    let run = lab.build(&[]);
    run.ends(125).says("unknown instruction: `RNU`").says("Dockerfile:2").says("did you mean `RUN`?");
    run.says("Dockerfile:3").says("unknown flag: `--nmount`").says("Dockerfile:4");
    let lab = Lab::with(&format!("FROM busybox\n{}", "x\n".repeat(1000)));
    lab.build(&[]).ends(125).says("980 more errors are not shown").does_not_say("Dockerfile:30:");
}

/// What is asked for and cannot be given is refused at its line, before anything runs.
#[test]
fn what_cannot_be_given_is_refused_at_its_line() {
    for (dockerfile, line, text) in [
        ("FROM busybox\nRUN --security=insecure true\n", 2, "security.insecure"),
        ("FROM busybox\nRUN --device=vendor.example/d,required true\n", 2, "vendor.example/d"),
        ("FROM --platform=linux/s390x scratch\nRUN true\n", 2, "s390x"),
    ] {
        refused(dockerfile, line, text);
    }
}

/// Writes a layout with one layer of these bytes, and a config that states `diff_id`.
fn layout(lab: &Lab, layer: &[u8], diff_id: Option<&str>) -> String {
    use sha2::{Digest, Sha256};
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let dir = lab.home().join("hostile");
    fs::create_dir_all(dir.join("blobs/sha256")).expect("directories");
    let blob = |bytes: &[u8]| {
        fs::write(dir.join("blobs/sha256").join(hex(bytes)), bytes).expect("a blob");
        (format!("sha256:{}", hex(bytes)), bytes.len())
    };
    let (layer_digest, layer_size) = blob(layer);
    let diff_id = diff_id.map_or(layer_digest.clone(), str::to_owned);
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let (config_digest, config_size) = blob(config.to_string().as_bytes());
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer_size}]});
    let (manifest_digest, manifest_size) = blob(manifest.to_string().as_bytes());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest_digest, "size": manifest_size}]});
    fs::write(dir.join("index.json"), index.to_string()).expect("an index");
    fs::write(dir.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").expect("a marker");
    format!("--build-context=hostile=oci-layout://{}", dir.display())
}

/// One ustar entry.
fn entry(name: &str, kind: u8, link: &str, body: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", body.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().div_ceil(512) * 512, 0);
    bytes
}

const ON_HOSTILE: &str =
    "FROM hostile\nCOPY --from=busybox /bin/busybox /bin/busybox\nRUN [\"/bin/busybox\", \"true\"]\n";

const TRUNCATED: &str = "layer tar ends inside entry 1";

/// A layer, and why it is refused; nothing for one that only tries to leave the root.
#[test]
fn userns_hostile_layers_stay_inside() {
    let file = |name: &str| entry(name, b'0', "", b"x");
    for (entries, refusal) in [
        (vec![file("../../lbuild-escaped")], Some("`../../lbuild-escaped` climbs with `..`")),
        (vec![file("/lbuild-escaped")], None),
        (vec![entry("out", b'2', "/tmp", b""), file("out/lbuild-escaped")], None),
        (vec![entry("out", b'2', "../../../../tmp", b""), file("out/lbuild-escaped")], None),
        (vec![entry("hard", b'1', "../../../etc/passwd", b"")], Some("climbs with `..`")),
        (vec![entry("hard", b'1', "/etc/passwd", b"")], Some("which is no file of this layer")),
        (vec![file(".wh..")], Some("a whiteout of `.` or `..`")),
        (vec![file(".wh...")], Some("a whiteout of `.` or `..`")),
        (vec![file(".")], Some("`/` is a directory")),
        (vec![file("f"), file("f/x")], Some("`/f` is no directory in this layer")),
        (vec![file("f"), file("f"), file(".wh.f")], None),
        (vec![entry("a", b'2', "b", b""), entry("b", b'2', "a", b""), file("a/x")], Some("symbolic links")),
        (vec![vec![b'x'; 512]], Some("the checksum of the header is wrong")),
        (vec![entry("f", b'0', "", &[0; 600])[..1024].to_vec()], Some(TRUNCATED)),
    ] {
        let lab = Lab::with(ON_HOSTILE);
        let mut bytes = entries.concat();
        if refusal != Some(TRUNCATED) {
            bytes.extend([0; 1024]);
        }
        let run = lab.build(&["-t", "x", &layout(&lab, &bytes, None)]);
        match refusal {
            None => {
                run.ok();
            }
            Some(why) => {
                run.ends(125).says(why).says("Dockerfile:2:").says("help: the image is damaged");
                run.says("layer sha256:").says("of image `hostile`: ");
                lab.lbuild(&["images", "-q"]).ok().prints("");
            }
        }
        for outside in ["/tmp/lbuild-escaped", "/lbuild-escaped"] {
            assert!(!std::path::Path::new(outside).exists(), "{entries:?}");
        }
        assert!(!lab.home().join("lbuild-escaped").exists(), "{entries:?}");
        lab.fsck();
    }
}

#[test]
fn userns_corrupt_layers_are_refused() {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let lab = Lab::with(ON_HOSTILE);
    let context = layout(&lab, &[entry("f", b'0', "", b"x"), vec![0; 1024]].concat(), Some(&zeros));
    lab.build(&["-t", "x", &context]).ends(125).says(&zeros);
    lab.fsck();

    let lab = Lab::with(ON_HOSTILE);
    let context = layout(&lab, &[entry("f", b'0', "", b"x"), vec![0; 1024]].concat(), None);
    let blobs = lab.home().join("hostile/blobs/sha256");
    let layer =
        fs::read_dir(&blobs).expect("blobs").flatten().find(|blob| blob.metadata().is_ok_and(|m| m.len() == 2048));
    let path = layer.expect("the layer").path();
    let mut bytes = fs::read(&path).expect("bytes");
    bytes[512] = b'y';
    fs::write(&path, &bytes).expect("damage");
    lab.build(&["-t", "x", &context]).ends(125).says("digest");
    fs::write(&path, &bytes[..1000]).expect("damage");
    lab.build(&["-t", "x", &context]).ends(125);
    assert_eq!(lab.lbuild(&["images", "-q"]).stdout, "");
    lab.fsck();
}

/// Returns a shell with mounts of its own, that may mount, for `script`; its arguments come after it.
fn with_mounts(lab: &Lab, script: &str) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-ec", script, "sh"]).arg(binary());
    command.current_dir(lab.path("")).env("BUILDKIT_PROGRESS", "plain").env("HOME", lab.home());
    command
}

fn busybox() -> String {
    format!("--build-context=busybox=oci-layout://{}", base("busybox").display())
}

#[test]
fn an_unwritable_store_is_named() {
    let lab = Lab::with("FROM scratch\nCOPY Dockerfile /\n");
    let mut roots = vec!["/proc/no-store".to_owned(), lab.path("Dockerfile").to_string_lossy().into_owned()];
    if !nix::unistd::geteuid().is_root() {
        let closed = lab.home().join("closed");
        fs::create_dir(&closed).expect("a directory");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).expect("a mode");
        roots.push(closed.join("store").to_string_lossy().into_owned());
    }
    for root in roots {
        lab.build(&["-t", "x", "--root", &root])
            .ends(125)
            .says(&format!("store `{root}` cannot be used"))
            .says("help: name a directory that you may write with `--root` or LBUILD_ROOT");
    }
}

/// Root of a user namespace that may make no further ones: what a sysctl or AppArmor restriction looks like.
#[test]
fn userns_a_machine_without_user_namespaces_is_explained() {
    let lab = Lab::with("FROM busybox\nRUN true\n");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]).arg(binary());
    command.args(["build", "-t", "x", &busybox(), "."]).current_dir(lab.path(""));
    command.env("LBUILD_ROOT", lab.store()).env("BUILDKIT_PROGRESS", "plain");
    fed(command, "").ends(125).says("Dockerfile:2:").says("help: as root: `sysctl -w user.max_user_namespaces=");
    lab.lbuild(&["images", "-q"]).ok().prints("");
    lab.fsck();
}

/// As a user with ranges whose newuidmap is not setuid: the command fails, and the cure is the tool's, not a range.
#[test]
fn userns_a_user_without_newuidmap_is_told() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let lab = Lab::with("FROM busybox\nRUN touch /f && chown 1000:1000 /f\n");
    let script = r#"
        mount -t tmpfs -o mode=0755 lbuild-test /srv
        mkdir /srv/base /srv/lab
        touch /srv/lbuild /srv/newuidmap
        mount --bind "$1" /srv/lbuild
        mount --bind "$2" /srv/base
        mount --bind "$3" /srv/lab
        echo nobody:600000:65536 > /srv/ranges
        mount --bind /srv/ranges /etc/subuid
        mount --bind /srv/ranges /etc/subgid
        mount --bind /srv/newuidmap /usr/bin/newuidmap
        chown -R 65534:65534 /srv/lab
        cd /srv/lab/context
        exec setpriv --reuid=65534 --regid=65534 --clear-groups \
            /srv/lbuild build --root /srv/lab/store --build-context busybox=oci-layout:///srv/base -t x .
    "#;
    let mut command = with_mounts(&lab, script);
    command.arg(base("busybox")).arg(lab.home());
    fed(command, "").ends(1).says("neither the setuid bit nor a file capability").says("chmod u+s /usr/bin/newuidmap");
}

#[test]
fn userns_a_full_disk_is_named_and_leaves_a_clean_store() {
    for dockerfile in ["FROM scratch\nCOPY big /\n", "FROM busybox\nCOPY big /\nRUN cp /big /more\n"] {
        let lab = Lab::with(dockerfile);
        lab.file("big", vec![7u8; 8 << 20]);
        fs::create_dir(lab.home().join("disk")).expect("a directory");
        let script = r#"
            mount -t tmpfs -o size=4m lbuild-test "$2/disk"
            status=0
            "$1" build --root "$2/disk/store" "$3" -t x . || status=$?
            "$1" --root "$2/disk/store" fsck
            "$1" --root "$2/disk/store" images -q
            exit $status
        "#;
        let mut command = with_mounts(&lab, script);
        command.arg(lab.home()).arg(busybox());
        let run = fed(command, "");
        run.ends(125).prints("clean\n").says("Dockerfile:2:").says("No space left on device").says("free some space");
    }
}

/// A socket of the context is an empty file, as BuildKit has it (1.6-10), which is said once and not of those that
/// `.dockerignore` names.
#[test]
fn row_1_6_10_sockets_of_a_context_are_empty_files() {
    let lab = Lab::with("FROM scratch\nCOPY . /\nCOPY d /again\n");
    lab.file("d/f", "x").file(".dockerignore", "ignored*\nDockerfile\n");
    let sockets: Vec<_> = ["a", "b", "c", "d/s", "ignored"]
        .iter()
        .map(|name| std::os::unix::net::UnixListener::bind(lab.path(name)).expect("a socket"))
        .collect();
    let told = "WARN: no layer can hold sockets: those of the build context are empty files in it: `/a`, `/b`, `/c`, and 1 more\n";
    for _ in 0..2 {
        let run = lab.build(&["-t", "x"]);
        run.ok();
        assert_eq!((run.stderr.matches(told).count(), run.stderr.matches("sockets").count()), (1, 1), "{}", run.stderr);
    }
    assert_eq!(lab.layer("x", 0), [".dockerignore", "a", "b", "c", "d", "d/f", "d/s"]);
    drop(sockets);
    let mode = std::fs::Permissions::from_mode(0o4750);
    std::fs::set_permissions(lab.path("d/s"), mode).expect("a mode");
    lab.file("Dockerfile", "FROM busybox\nCOPY d/s /s\nRUN stat -c '%F %a %u:%g %s' /s > /what\n");
    lab.build(&["-t", "y"]).ok().says("`/d/s`");
    assert_eq!(lab.shell("y", "cat /what"), "regular empty file 4750 0:0 0\n");
}

/// A destination that ends in `/.` is a directory, as one that ends in `/`; without either it is a file's name.
#[test]
fn a_destination_that_ends_in_a_dot_is_a_directory() {
    let lab = Lab::with("FROM scratch\nCOPY a /x/.\nCOPY a /y/\nCOPY a /z\nWORKDIR /w\nCOPY a .\nCOPY a v/./\n");
    lab.file("a", "x");
    lab.build(&["-t", "x"]).ok();
    for (number, wanted) in
        [(0, &["x", "x/a"][..]), (1, &["y", "y/a"]), (2, &["z"]), (4, &["w", "w/a"]), (5, &["w", "w/v", "w/v/a"])]
    {
        assert_eq!(lab.layer("x", number), wanted, "layer {number}");
    }
}
