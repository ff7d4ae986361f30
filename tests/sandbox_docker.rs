//! The sandbox beside Docker's: the same system calls, asked inside a RUN and inside runc, Docker's runtime, with the
//! profile that Docker's sources ship.

use crate::harness::{Lab, base, output, repository, skip, succeeds};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Docker's capabilities, row 7-1.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Answers that may differ, because lbuild has the profile of a later Docker than distributions package: the call, what
/// lbuild answers, why. Where the packaged profile has caught up, the answers are equal.
const LATER: &[(&str, &str, &str)] = &[
    ("io_uring_setup", "EPERM", "no longer allowed: a way around filters"),
    ("process_vm_readv", "0", "allowed since kernels check it as they do ptrace"),
    ("name_to_handle_at", "ENOENT", "allowed: only opening by handle is dangerous"),
    ("socket vsock", "EPERM", "no longer allowed: it reaches past the sandbox"),
    ("socket alg", "EPERM", "no longer allowed: the kernel's crypto"),
    ("32-bit socket alg", "EPERM", "no longer allowed: the kernel's crypto"),
    ("socket family 12", "EPERM", "no longer allowed: DECnet"),
    ("socket family 19", "EPERM", "no longer allowed: Econet"),
    ("socket family 20", "EPERM", "no longer allowed: ATM SVCs"),
    ("socket family 23", "EPERM", "no longer allowed: IrDA"),
    ("socket family 25", "EPERM", "no longer allowed: WAN routers"),
    ("socket family 34", "EPERM", "no longer allowed: phonet's neighbour"),
    ("socket family 37", "EPERM", "no longer allowed: CAIF"),
    ("socket family 38", "EPERM", "no longer allowed: the kernel's crypto"),
    ("socket family 40", "EPERM", "no longer allowed: VSOCK"),
    ("socket family 46", "EPERM", "no longer allowed: families to come"),
    ("socket family 47", "EPERM", "no longer allowed: families to come"),
    ("socket family 48", "EPERM", "no longer allowed: families to come"),
    ("statmount", "EFAULT", "younger than the packaged profile"),
    ("mseal", "0", "younger than the packaged profile"),
    ("lsm_list_modules", "EPERM", "younger than the packaged profile, which leaves it unknown"),
];

#[test]
fn userns_system_calls_answer_as_in_docker() {
    let lab = Lab::with(
        "FROM busybox\nCOPY probe /probe\nWORKDIR /tmp\nRUN /probe > /answers && cat /proc/self/uid_map > /users && cat /proc/self/gid_map > /groups\n",
    );
    let source = repository().join("testdata/syscalls/probe.c");
    let probe = lab.path("probe");
    output("cc", &["-static", "-O1", "-o", &probe.to_string_lossy(), &source.to_string_lossy()]);
    lab.build(&["-t", "x"]).ok();
    let ours = answers(&lab.shell("x", "cat /answers"));
    assert!(ours.len() >= 60, "{ours:?}");
    let maps = ["/users", "/groups"].map(|file| lab.shell("x", &format!("cat {file}")));
    let Some(theirs) = in_runc(&lab, &probe, &maps) else { return };
    let theirs = answers(&theirs);
    assert!(ours.keys().eq(theirs.keys()));
    let unexplained: Vec<String> = ours
        .iter()
        .filter(|(name, answer)| theirs[*name] != **answer && !is_later(name, answer))
        .map(|(name, answer)| format!("{name}: {answer} here, {} in Docker", theirs[name]))
        .collect();
    assert_eq!(unexplained, Vec::<String>::new());
}

fn is_later(name: &str, answer: &str) -> bool {
    LATER.iter().any(|(known, here, _)| (*known, *here) == (name, answer))
}

fn answers(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| line.split_once('=').map(|(name, answer)| (name.to_owned(), answer.to_owned()));
    text.lines().map(|line| pair(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

/// Runs the probe in runc with id maps as a RUN has them.
fn in_runc(lab: &Lab, probe: &Path, maps: &[String; 2]) -> Option<String> {
    let bundle = lab.home().join("bundle");
    for directory in ["proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(bundle.join("rootfs").join(directory)).expect("made");
    }
    fs::copy(probe, bundle.join("rootfs/probe")).expect("copied");
    let config = config(maps);
    fs::write(bundle.join("config.json"), config.to_string()).expect("written");
    let bundle = bundle.to_string_lossy().into_owned();
    let state = lab.home().join("state").to_string_lossy().into_owned();
    if !succeeds("runc", &["--version"]) {
        skip("runc");
        return None;
    }
    let name = format!("probe-{}", std::process::id());
    Some(output("runc", &["--root", &state, "run", "--bundle", &bundle, &name]))
}

fn config(maps: &[String; 2]) -> Value {
    let mount = |to: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": source, "options": options});
    let namespaces: Vec<Value> =
        ["user", "mount", "pid", "ipc", "uts", "cgroup"].iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/probe"],
            "env": ["PATH=/bin"],
            "cwd": "/tmp",
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
            "noNewPrivileges": false,
        },
        "root": {"path": "rootfs"},
        "hostname": "buildkitsandbox",
        "mounts": [
            mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "none", "/sys", &["rbind", "ro"]),
        ],
        "linux": {
            "uidMappings": mappings(&maps[0]),
            "gidMappings": mappings(&maps[1]),
            "namespaces": namespaces,
            "seccomp": seccomp(),
        },
    })
}

fn mappings(map: &str) -> Vec<Value> {
    let numbers = |line: &str| line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let lines = map.lines().map(numbers);
    lines.map(|line: Vec<u64>| json!({"containerID": line[0], "hostID": line[1], "size": line[2]})).collect()
}

/// Returns Docker's profile as Docker hands it to its runtime: rules for other capabilities and processors left out.
fn seccomp() -> Value {
    let text = fs::read(base("docker-seccomp.json")).expect("read");
    let mut profile: Value = serde_json::from_slice(&text).expect("JSON");
    let rules: Vec<Value> =
        profile["syscalls"].as_array().expect("rules").iter().filter(|rule| applies(rule)).cloned().collect();
    let fields = profile.as_object_mut().expect("an object");
    fields.remove("archMap");
    let architectures = match std::env::consts::ARCH {
        "x86_64" => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        _ => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
    };
    fields.insert("architectures".into(), architectures);
    fields.insert("syscalls".into(), Value::Array(rules));
    profile
}

/// Reports whether a rule is for Docker's capabilities and this processor; kernels are new enough for all of them.
fn applies(rule: &Value) -> bool {
    let architecture = if std::env::consts::ARCH == "x86_64" { "amd64" } else { "arm64" };
    let names = |when: &str, what: &str| -> Vec<String> {
        let names = rule[when][what].as_array().cloned().unwrap_or_default();
        names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let has = |name: &String| CAPABILITIES.contains(&name.as_str());
    let here = |name: &String| name == architecture;
    let (included, excluded) = (names("includes", "arches"), names("excludes", "arches"));
    (included.is_empty() || included.iter().any(here))
        && !excluded.iter().any(here)
        && names("includes", "caps").iter().all(has)
        && !names("excludes", "caps").iter().any(has)
}
