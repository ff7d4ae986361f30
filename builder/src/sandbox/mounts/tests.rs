use super::*;
use crate::plan::op::Script;
use crate::sandbox::message::{TierFacts, UserMount};
use layerfs::mount::MountInstructions;

fn instructions(network: Network, tty_group: bool) -> Instructions {
    Instructions {
        root: MountInstructions::Directory { path: "/r".into() },
        hidden: "/h".into(),
        arguments: vec!["true".to_owned()],
        environment: Vec::new(),
        working_directory: TreePath::root(),
        user: String::new(),
        network,
        insecure: false,
        host_name: "buildkitsandbox".to_owned(),
        extra_hosts: Vec::new(),
        limits: crate::sandbox::limits::RunLimits::default(),
        mounts: Vec::new(),
        script: None,
        tier: TierFacts { tty_group, set_groups: true },
        terminal: false,
        timed: false,
    }
}

fn printed(instructions: &Instructions) -> String {
    MountPlan::new(instructions).0.iter().map(|mount| format!("{mount}\n")).collect()
}

/// Rows 7-5 to 7-9: the plan of a RUN without mounts.
#[test]
fn a_plain_run() {
    insta::assert_snapshot!(printed(&instructions(Network::Host, true)), @r"
    /proc proc nosuid,nodev,noexec
    /sys host:/sys/** ro
    /sys/fs/cgroup cgroup2? ro,nosuid,nodev,noexec
    /dev tmpfs mode=0755 size=65536k nosuid,strictatime
    /dev/null host:/dev/null -
    /dev/zero host:/dev/zero -
    /dev/full host:/dev/full -
    /dev/random host:/dev/random -
    /dev/urandom host:/dev/urandom -
    /dev/tty host:/dev/tty -
    /dev/fd -> /proc/self/fd
    /dev/stdin -> /proc/self/fd/0
    /dev/stdout -> /proc/self/fd/1
    /dev/stderr -> /proc/self/fd/2
    /dev/core -> /proc/kcore
    /dev/ptmx -> pts/ptmx
    /dev/pts devpts newinstance= ptmxmode=0666 mode=0620 gid=5 nosuid,noexec
    /dev/shm tmpfs mode=1777 size=65536k nosuid,nodev,noexec
    /dev/mqueue mqueue nosuid,nodev,noexec
    /etc/hosts supply:0 ro
    /etc/resolv.conf supply:1 ro
    /proc/acpi masked ro
    /proc/asound masked ro
    /proc/kcore masked ro
    /proc/keys masked ro
    /proc/latency_stats masked ro
    /proc/timer_list masked ro
    /proc/timer_stats masked ro
    /proc/sched_debug masked ro
    /proc/scsi masked ro
    /sys/firmware masked ro
    /sys/devices/virtual/powercap masked ro
    /proc/bus itself ro
    /proc/fs itself ro
    /proc/irq itself ro
    /proc/sys itself ro
    /proc/sysrq-trigger itself ro
    ");
}

/// Rows 1.7-5 to 1.7-9: the user's mounts come last, in order, and supplies are numbered as they are made.
#[test]
fn mounts_of_the_user_come_last() {
    let mut given = instructions(Network::None, false);
    let secret = |mode| UserMountSource::Secret { descriptor: 0, mode, uid: 0, gid: 0 };
    given.script = Some(Script { name: "EOF".to_owned(), body: "#!/bin/sh\n".to_owned() });
    given.mounts = [
        ("cache", UserMountSource::Directory { path: "/c".into(), readonly: false }),
        ("run/secrets/a", secret(0o400)),
        ("tmp", UserMountSource::Tmpfs { size: Some(4096) }),
        ("run/secrets/b", secret(0o500)),
        (
            "src",
            UserMountSource::Tree { instructions: given.root.clone(), source: TreePath::from("x"), writable: false },
        ),
    ]
    .map(|(target, source)| UserMount { target: TreePath::from(target), source })
    .into();
    let printed = printed(&given);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[1], "/sys sysfs ro,nosuid,nodev,noexec");
    assert_eq!(lines[16], "/dev/pts devpts newinstance= ptmxmode=0666 mode=0620 nosuid,noexec");
    assert_eq!(lines[21], "/dev/pipes/EOF supply:2 ro");
    assert_eq!(
        lines[lines.len() - 5..],
        [
            "/cache mount:0 -",
            "/run/secrets/a supply:3 ro,nosuid,nodev,noexec",
            "/tmp tmpfs mode=1777 size=4096 nosuid",
            "/run/secrets/b supply:4 ro,nosuid,nodev",
            "/src mount:4 ro",
        ]
    );
}
