//! What a RUN sees of itself and of the machine, beside goldens in testdata/sandbox.
//!
//! `LBUILD_UPDATE_GOLDENS=1` writes them anew, but for what this machine lacks.

use crate::harness::{Lab, repository};
use std::fs;
use std::path::Path;

const DOCKERFILE: &str = "\
FROM busybox
ENV A=\"1 2\" PATH=/bin:/usr/bin
ARG B=3
ARG HTTP_PROXY
WORKDIR /w
RUN mkdir /view && cat /proc/self/mountinfo > /view/mountinfo && cat /proc/self/status > /view/status; true
RUN env | sort > /view/environment && find /dev -exec stat -c '%N|%F|%a|%u:%g|%t,%T' {} + > /view/dev
RUN (readlink /proc/self/fd/0; hostname; umask; cat /etc/hosts) > /view/rest
RUN --network=none cat /proc/self/mountinfo > /view/mountinfo-none && cat /proc/net/dev | sed -n 's/:.*//p' > /view/interfaces
";

#[test]
fn userns_what_a_command_sees_is_what_docker_shows() {
    let lab = Lab::with(DOCKERFILE);
    lab.build(&["-t", "x", "--build-arg", "HTTP_PROXY=http://proxy:1"]).ok();
    let view = |name: &str| lab.shell("x", &format!("cat /view/{name}"));
    golden("mountinfo-host", &mounts(&view("mountinfo")));
    golden("mountinfo-none", &mounts(&view("mountinfo-none")));
    golden("status", &status(&view("status")));
    golden("environment", &view("environment"));
    golden("dev", &devices(&view("dev")));
    golden("rest", &view("rest"));
    golden("interfaces", &view("interfaces"));
}

#[track_caller]
fn golden(name: &str, seen: &str) {
    let path = repository().join("testdata/sandbox").join(name);
    if std::env::var_os("LBUILD_UPDATE_GOLDENS").is_some() {
        fs::write(&path, seen).expect("written");
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Of what is hidden or read-only, a machine may lack some.
    let lacking = |line: &str| {
        let target = line.split(' ').next().unwrap_or_default();
        (line.contains(" hidden ") || line.contains(" kept ")) && !Path::new(target).exists()
    };
    let wanted: String =
        text.split_inclusive('\n').filter(|line| !name.starts_with("mountinfo") || !lacking(line)).collect();
    assert_eq!(seen, wanted, "{name}");
}

/// Returns one line for each mount: where, what, what it refuses, type and the options that lbuild sets. Numbers and
/// places of this machine, and what the machine has mounted below /sys, are left out.
fn mounts(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let (mount, filesystem) = line.split_once(" - ").expect("a dash");
        let fields: Vec<&str> = mount.split(' ').collect();
        let filesystem: Vec<&str> = filesystem.split(' ').collect();
        let (root, target, options) = (fields[3], fields[4], fields[5]);
        let of_the_machine = target.starts_with("/sys/") && filesystem[1] != "none";
        if of_the_machine {
            assert!(options.split(',').any(|option| option == "ro"), "{line}");
            continue;
        }
        let is_below = ["/proc/", "/sys/firmware", "/sys/devices"].iter().any(|top| target.starts_with(top));
        let what = match (is_below, root) {
            (true, "/" | "/null") => "hidden",
            (true, _) => "kept",
            (false, "/") => "new",
            (false, _) if filesystem[0] == "devtmpfs" => "device",
            (false, _) => "file",
        };
        let ours = |option: &&str| ["size=", "mode=", "ptmxmode="].iter().any(|name| option.starts_with(name));
        let own = if what == "new" { filesystem[2].split(',').filter(ours).collect() } else { Vec::new() };
        let kind = if what == "device" || root == "/null" { "" } else { filesystem[0] };
        lines.push(format!("{target} {what} {options} {kind} {}", own.join(",")).trim_end().to_owned() + "\n");
    }
    lines.concat()
}

/// Returns the lines of /proc/self/status that say what a process may do and who it is.
fn status(text: &str) -> String {
    let names = [
        "Umask",
        "TracerPid",
        "PPid",
        "Uid",
        "Gid",
        "Groups",
        "NSpgid",
        "NSsid",
        "SigPnd",
        "ShdPnd",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ];
    let wanted = |line: &&str| line.split_once(':').is_some_and(|(name, _)| names.contains(&name));
    text.lines().filter(wanted).map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Device files are the machine's: their owner is root, which has no number in a namespace that does not map it.
fn devices(text: &str) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| match line.contains("character special file") && !line.contains("/pts/") {
            true => line.replace("|65534:65534|", "|root|").replace("|0:0|", "|root|"),
            false => line.to_owned(),
        })
        .map(|line| line + "\n")
        .collect();
    lines.sort();
    lines.concat()
}
