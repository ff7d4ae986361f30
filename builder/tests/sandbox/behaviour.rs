//! What a command sees.

use crate::Test;
use crate::fixture::{Fixture, shell};
use builder::plan::op::{Network, Script, Sharing};
use builder::sandbox::spec::{MountSource, MountSpec, RunSpec};
use builder::worker::protocol::Exit;
use layerfs::path::TreePath;
use std::io::{Seek, Write};
use std::os::fd::AsFd;

pub const TESTS: &[Test] = &[
    ("userns_process_is_dockers", process),
    ("userns_environment_is_dockers", environment),
    ("userns_dev_is_dockers", devices),
    ("userns_mounts_are_dockers", mounts),
    ("userns_masked_paths_show_nothing", masked),
    ("userns_readonly_paths_refuse", readonly),
    ("userns_no_network_is_loopback_only", no_network),
    ("userns_streams_are_the_users", streams),
    ("userns_programs_are_found", programs),
    ("userns_hosts_and_resolver", names),
    ("userns_script_runs", script),
    ("userns_tmpfs_and_secret", tmpfs_and_secret),
    ("userns_cache_mounts_last", cache_mounts),
    ("userns_trees_are_bound", trees),
    ("subid_user_and_groups", users),
    ("subid_setuid_programs_work", setuid),
    ("userns_unknown_user", unknown_user),
    ("userns_one_id_names_what_is_missing", one_id),
];

/// Rows 7-1, 7-2, 7-3, 7-11, 7-19, 7-26.
fn process(fixture: &Fixture) {
    let status = fixture.output(
        "umask; hostname; \
         echo $$; readlink /proc/self/cwd; ls -l /proc/1/fd | grep -c '/dev/null$'; ls /proc/1/fd; true",
    );
    let own = fixture.run(RunSpec {
        arguments: ["grep", "-E", "^(Cap|NoNewPrivs|Seccomp:|SigBlk|SigIgn|SigCgt|NSpid)", "/proc/self/status"]
            .map(str::to_owned)
            .into(),
        ..shell("")
    });
    let own = own.expect("runs").output.replace('\t', " ");
    let status = format!("{own}{status}");
    let lines: Vec<&str> = status.lines().collect();
    assert_eq!(
        lines,
        [
            "NSpid: 1",
            "SigBlk: 0000000000000000",
            "SigIgn: 0000000000000000",
            "SigCgt: 0000000000000000",
            "CapInh: 0000000000000000",
            "CapPrm: 00000000a80425fb",
            "CapEff: 00000000a80425fb",
            "CapBnd: 00000000a80425fb",
            "CapAmb: 0000000000000000",
            "NoNewPrivs: 0",
            "Seccomp: 2",
            "0022",
            "buildkitsandbox",
            "1",
            "/",
            "1",
            "0",
            "1",
            "2",
        ]
    );
}

/// Row 7-12.
fn environment(fixture: &Fixture) {
    let spec = RunSpec {
        arguments: vec!["env".to_owned()],
        environment: vec![("PATH".to_owned(), "/bin".to_owned()), ("A".to_owned(), "b c".to_owned())],
        ..shell("")
    };
    assert_eq!(fixture.run(spec).expect("runs").output, "PATH=/bin\nA=b c\nHOME=/root\n");
}

/// Row 7-7.
fn devices(fixture: &Fixture) {
    let listed = fixture.output("cd /dev; for f in $(ls -A); do stat -c '%n %F %a' $f; done; for f in core fd stdin stdout stderr ptmx; do readlink $f; done");
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        [
            "core symbolic link 777",
            "fd symbolic link 777",
            "full character special file 666",
            "mqueue directory 1777",
            "null character special file 666",
            "ptmx symbolic link 777",
            "pts directory 755",
            "random character special file 666",
            "shm directory 1777",
            "stderr symbolic link 777",
            "stdin symbolic link 777",
            "stdout symbolic link 777",
            "tty character special file 666",
            "urandom character special file 666",
            "zero character special file 666",
            "/proc/kcore",
            "/proc/self/fd",
            "/proc/self/fd/0",
            "/proc/self/fd/1",
            "/proc/self/fd/2",
            "pts/ptmx",
        ]
    );
    assert_eq!(
        fixture.output("echo x > /dev/null; head -c 3 /dev/zero | wc -c; test -c /dev/ptmx && echo y"),
        "3\ny\n"
    );
}

/// Rows 7-5 to 7-7: mount points, types and the options that matter; nothing of the host is left.
fn mounts(fixture: &Fixture) {
    let script = "while read -r id parent device root at options rest; do \
        case $at in /sys/*) ;; *) echo \"$at ${rest#*- }\" | sed 's/^\\([^ ]* [^ ]*\\).*/\\1/';; esac; done < /proc/self/mountinfo";
    let listed = fixture.output(script);
    let wanted = [
        "/ overlay",
        "/proc proc",
        "/sys sysfs",
        "/dev tmpfs",
        "/dev/null devtmpfs",
        "/dev/zero devtmpfs",
        "/dev/full devtmpfs",
        "/dev/random devtmpfs",
        "/dev/urandom devtmpfs",
        "/dev/tty devtmpfs",
        "/dev/pts devpts",
        "/dev/shm tmpfs",
        "/dev/mqueue mqueue",
        "/etc/hosts tmpfs",
        "/etc/resolv.conf tmpfs",
    ];
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines[..wanted.len()], wanted);
    assert!(lines[wanted.len()..].iter().all(|line| line.starts_with("/proc/")), "{lines:?}");
    let refused = fixture.shell("mount -t tmpfs x /tmp || umount /proc || echo refused");
    assert_eq!(refused.output, "refused\n");
}

/// Row 7-5.
fn masked(fixture: &Fixture) {
    let script = "cat /proc/keys /proc/kcore /proc/timer_list 2>/dev/null | wc -c; for d in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do test -d $d && ls -A $d; done | wc -l";
    assert!(fixture.shell(script).output.starts_with("0\n0\n"), "{:?}", fixture.shell(script));
}

/// Row 7-6.
fn readonly(fixture: &Fixture) {
    for path in ["/proc/sys/kernel/hostname", "/sys/kernel/mm/x", "/etc/hosts", "/etc/resolv.conf"] {
        let outcome = fixture.shell(&format!("echo x > {path}"));
        assert_eq!(outcome.exit, Exit::Status(1), "{path}: {outcome:?}");
        assert!(outcome.errors.contains("Read-only file system"), "{path}: {outcome:?}");
    }
}

/// Rows 1.7-11, 7-16.
fn no_network(fixture: &Fixture) {
    let script = "sed 1,2d /proc/net/dev | sed 's/:.*//; s/ //g'; cat /sys/class/net/lo/operstate; ip -o -4 addr show lo | grep -o 127.0.0.1/8; ls /sys/class/net";
    let outcome = fixture.run(RunSpec { network: Network::None, ..shell(script) }).expect("runs");
    assert_eq!(outcome.output, "lo\nunknown\n127.0.0.1/8\nlo\n", "{outcome:?}");
}

/// Row 7-17.
fn streams(fixture: &Fixture) {
    assert_eq!(fixture.output("cat; echo a > /dev/stdout; echo b > /dev/stderr; echo c"), "a\nc\n");
    // SIGPIPE has its default disposition: the writer ends quietly.
    let outcome = fixture.shell("yes | head -n 1");
    assert_eq!((outcome.output.as_str(), outcome.errors.as_str()), ("y\n", ""));
    let big = fixture.shell("dd if=/dev/zero bs=1024 count=3000 2>/dev/null; echo end >&2");
    assert_eq!((big.output.len(), big.errors.as_str()), (3_072_000, "end\n"));
}

/// Rows 1.7-1, 1.7-3.
fn programs(fixture: &Fixture) {
    let run = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        fixture.run(RunSpec { arguments, ..shell("") })
    };
    for (arguments, wanted, status) in [
        (&["/no/such"][..], "exec /no/such: no such file or directory", Some(127)),
        (&["nosuch"][..], "exec: \"nosuch\": executable file not found in $PATH", Some(127)),
        (&["/bin/denied"][..], "exec /bin/denied: permission denied", Some(126)),
        (&["denied"][..], "exec denied: permission denied", Some(126)),
        (&["/bin/nonsense"][..], "exec /bin/nonsense: exec format error", Some(126)),
    ] {
        let error = run(arguments).expect_err("it cannot run");
        assert_eq!((error.to_string().as_str(), error.exit_status()), (wanted, status));
    }
    for (script, wanted) in [("exit 0", Exit::Status(0)), ("exit 3", Exit::Status(3)), ("exit 127", Exit::Status(127))]
    {
        assert_eq!(fixture.shell(script).exit, wanted, "{script}");
    }
}

/// Rows 7-8, 7-9.
fn names(fixture: &Fixture) {
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let wanted = format!("127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n{host}");
    assert_eq!(fixture.output("cat /etc/hosts /etc/resolv.conf"), wanted);
}

/// Row 1.7-2.
fn script(fixture: &Fixture) {
    let script = Script { name: "EOF".to_owned(), body: "#!/bin/sh\necho $0; stat -c %a $0\n".to_owned() };
    let spec = RunSpec { arguments: vec!["/dev/pipes/EOF".to_owned()], script: Some(script), ..shell("") };
    assert_eq!(fixture.run(spec).expect("runs").output, "/dev/pipes/EOF\n755\n");
}

fn mount(target: &str, kind: MountSource) -> MountSpec {
    MountSpec { target: TreePath::from(target), kind }
}

/// Rows 1.7-8, 1.7-9.
fn tmpfs_and_secret(fixture: &Fixture) {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"hush").expect("written");
    file.rewind().expect("rewound");
    let mounts = vec![
        mount("cache/t", MountSource::Tmpfs { size: Some(65536) }),
        mount("run/secrets/s", MountSource::Secret { descriptor: 0, mode: 0o400, uid: 0, gid: 0 }),
    ];
    let script = "cat /run/secrets/s; echo; stat -c '%a %u' /run/secrets/s; grep ' /run/secrets/s ' /proc/self/mountinfo | \
        grep -o 'ro,nosuid,nodev,noexec'; dd if=/dev/zero of=/cache/t/x bs=1024 count=100 2>/dev/null || echo full";
    let outcome = fixture.run_with(RunSpec { mounts, ..shell(script) }, &[file.as_fd()]).expect("runs");
    assert_eq!(outcome.output, "hush\n400 0\nro,nosuid,nodev,noexec\nfull\n", "{outcome:?}");
}

/// Row 1.7-7.
fn cache_mounts(fixture: &Fixture) {
    let run = |id: &str, sharing, script: &str| {
        let kind =
            MountSource::Cache { id: id.to_owned(), sharing, readonly: false, seed: None, mode: 0o750, uid: 0, gid: 0 };
        fixture.run(RunSpec { mounts: vec![mount("c", kind)], ..shell(script) }).expect("runs").output
    };
    assert_eq!(run("one", Sharing::Shared, "stat -c %a /c; echo x > /c/file"), "750\n");
    assert_eq!(run("one", Sharing::Locked, "cat /c/file"), "x\n");
    assert_eq!(run("two", Sharing::Locked, "ls /c"), "");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run("three", Sharing::Private, "echo 1 > /c/mine; sleep 0.3; cat /c/mine"));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(run("three", Sharing::Private, "ls /c; echo 2 > /c/mine"), "");
        assert_eq!(first.join().expect("joined"), "1\n");
    });
    let seed = Some((vec![crate::fixture::BASE], TreePath::from("etc")));
    let kind = MountSource::Cache {
        id: "seeded".to_owned(),
        sharing: Sharing::Shared,
        readonly: true,
        seed,
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let outcome = fixture.run(RunSpec { mounts: vec![mount("c", kind)], ..shell("ls /c; touch /c/x") }).expect("runs");
    assert!(outcome.output == "group\npasswd\n" && outcome.errors.contains("Read-only"), "{outcome:?}");
}

/// Row 1.7-6.
fn trees(fixture: &Fixture) {
    let tree = |source: &str, writable| MountSource::Tree {
        stack: vec![crate::fixture::BASE],
        source: TreePath::from(source),
        writable,
    };
    let mounts =
        vec![mount("ro", tree("etc", false)), mount("rw", tree("etc", true)), mount("f", tree("etc/group", false))];
    let script = "touch /ro/x 2>&1 | grep -o Read-only; touch /rw/x && ls /rw; ls /ro; wc -l < /f";
    let outcome = fixture.run(RunSpec { mounts: mounts.clone(), ..shell(script) }).expect("runs");
    assert_eq!(outcome.output, "Read-only\ngroup\npasswd\nx\ngroup\npasswd\n3\n", "{outcome:?}");
    let again = fixture.run(RunSpec { mounts, ..shell("ls /rw") }).expect("runs");
    assert_eq!(again.output, "group\npasswd\n");
    let missing = fixture.run(RunSpec { mounts: vec![mount("x", tree("etc/none", false))], ..shell("") });
    assert_eq!(missing.expect_err("fails").to_string(), "mount `/x`: no `/etc/none` in what is mounted");
}

/// Row 1.5-6.
fn users(fixture: &Fixture) {
    let script = "id -u; id -g; id -G; echo $HOME; grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status | sed 's/\t/ /'; echo x > /dev/stdout";
    for (user, wanted) in [
        ("ann", "1000\n1000\n1000 10\n/home/ann\n"),
        ("ann:wheel", "1000\n10\n10\n/home/ann\n"),
        ("4242", "4242\n0\n0\n/\n"),
    ] {
        let outcome = fixture.run(RunSpec { user: user.to_owned(), ..shell(script) }).expect("runs");
        let caps = "CapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 00000000a80425fb\nx\n";
        assert_eq!(outcome.output, format!("{wanted}{caps}"), "{user}: {outcome:?}");
    }
}

/// Row 7-2: a setuid program gives its owner's id, which only works without `no_new_privs`. busybox's su checks that
/// before it asks for a password.
fn setuid(fixture: &Fixture) {
    let spec = |script: &str| RunSpec { user: "ann".to_owned(), ..shell(script) };
    let works = fixture.run(spec("/bin/su root -c true < /dev/null")).expect("runs");
    assert!(!works.errors.contains("must be suid"), "{works:?}");
    let without = fixture.run(spec("/bin/busybox su root -c true < /dev/null"));
    assert!(without.expect("runs").errors.contains("must be suid"));
}

/// Row 1.5-6.
fn unknown_user(fixture: &Fixture) {
    let error = fixture.run(RunSpec { user: "bob".to_owned(), ..shell("true") }).expect_err("fails");
    assert_eq!(error.to_string(), "unable to find user bob: no matching entries in passwd file");
}

/// Row 7-21: with one id, what needs another is refused by name.
fn one_id(fixture: &Fixture) {
    if !fixture.is_single() {
        return;
    }
    for working_directory in ["", "made"] {
        let spec =
            RunSpec { user: "ann".to_owned(), working_directory: TreePath::from(working_directory), ..shell("true") };
        let error = fixture.run(spec).expect_err("fails");
        assert_eq!(error.to_string(), "user 1000 is not mapped into the user namespace");
    }
    assert_eq!(fixture.output("id -u; id -g"), "0\n0\n");
}
