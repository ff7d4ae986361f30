//! The same digests everywhere and for ever (FEATURES 4-14): whoever builds, when, in which store, with how many jobs, by
//! which mounter (save for a lower hardlink that is written through one name, on which the two do not agree). No byte of
//! this machine is in these images: the commands come from a mount.

use crate::harness::{Identity, Lab, Run, identity, output};
use serde_json::Value;
use std::process::Command;

const DOCKERFILE: &str = r#"
FROM busybox AS tools
FROM scratch AS files
COPY --chmod=640 one two /copied/
RUN --mount=from=tools,target=/tools ["/tools/bin/busybox", "sh", "-c", "/tools/bin/mkdir -p /made/a/b && echo made > /made/a/f && /tools/bin/ln /made/a/f /made/a/g && /tools/bin/ln -s a/f /made/l && /tools/bin/chmod 4751 /made/a/f && /tools/bin/chmod 1777 /made/a/b"]
RUN --mount=from=tools,target=/tools ["/tools/bin/busybox", "sh", "-c", "/tools/bin/rm /copied/two && /tools/bin/rm -r /made/a/b && /tools/bin/mkdir /made/a/b && echo more >> /copied/one && /tools/bin/mv /made/l /moved"]
FROM scratch AS beside
RUN --mount=from=tools,target=/tools ["/tools/bin/busybox", "sh", "-c", "n=0; while [ $n -lt 300 ]; do echo $n > /file$n; n=$((n+1)); done"]
FROM files
COPY --from=beside / /all/
WORKDIR /work
LABEL made=again
CMD ["/none"]
"#;

/// The manifests, for ever: a change of one of them is a change of what everybody's builds come to, and is *Breaking*.
const GOLDEN: [(&str, &str); 2] = [
    ("uncompressed", "sha256:398ac9846938793c62a70969109fb3183facbf4ba7d6dcb087d65ba80742a870"),
    ("gzip", "sha256:980d3eabe19f0a2a90182cf75a29a99cc2e6cb4bd0ea7b0a1528e98c97ea4a82"),
];

/// What is mounted for a store, so that layers are copied. The first is what a container without a volume has.
const OTHERS: [&str; 2] =
    ["mount -t overlay -o lowerdir=$HOME/lower,upperdir=$HOME/upper,workdir=$HOME/work o", "mount -t ramfs r"];

/// Builds in a store of its own; returns the manifests' digests.
fn digests(jobs: &str, mount: Option<&str>) -> Vec<String> {
    let lab = Lab::with(DOCKERFILE);
    lab.file("one", "one").file("two", "two".repeat(100_000));
    let arguments = ["--jobs", jobs, "--no-cache"].into_iter().map(str::to_owned);
    let outputs = GOLDEN.iter().flat_map(|(form, _)| {
        ["-o".to_owned(), format!("type=oci,dest={form}.tar,compression={form},rewrite-timestamp=true")]
    });
    let arguments: Vec<String> = arguments.chain(outputs).collect();
    let build = lab.building(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut command = match mount {
        Some(mount) => elsewhere(&lab, &build, mount),
        None => build,
    };
    Run::within(command.env("SOURCE_DATE_EPOCH", "1600000000"), 120).ok();
    GOLDEN.iter().map(|(form, _)| manifest(&lab, &format!("{form}.tar"))).collect()
}

/// Returns a command whose store is on a file system where no overlay can be: on another overlay, or without xattrs.
fn elsewhere(lab: &Lab, command: &Command, mount: &str) -> Command {
    for name in ["store", "lower", "upper", "work"] {
        std::fs::create_dir(lab.home().join(name)).expect("a directory");
    }
    let mut inside = Command::new("unshare");
    let script = format!("{mount} \"$LBUILD_ROOT\" && exec \"$@\"");
    inside.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    inside.arg(command.get_program()).args(command.get_args()).env_clear();
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside.current_dir(command.get_current_dir().expect("the context"));
    inside
}

fn manifest(lab: &Lab, archive: &str) -> String {
    let index = output("tar", &["-xOf", &lab.path(archive).to_string_lossy(), "index.json"]);
    let index: Value = serde_json::from_str(&index).expect("JSON");
    index["manifests"][0]["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn userns_manifests_are_the_same_for_ever() {
    let golden: Vec<&str> = GOLDEN.iter().map(|(_, digest)| *digest).collect();
    // Only root may mount what a worker sees, too.
    let others = OTHERS.iter().filter(|_| identity() == Identity::Root).map(|mount| Some(*mount));
    for mount in [None].into_iter().chain(others) {
        for jobs in ["1", "8"] {
            assert_eq!(digests(jobs, mount), golden, "{jobs} jobs, {mount:?}");
        }
    }
}
