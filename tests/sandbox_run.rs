//! What a RUN sees, and how it ends.

use crate::harness::{Lab, Run, has_ranges};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn userns_exit_statuses_are_passed_on() {
    for (command, status) in [
        ("exit 42", 42),
        ("false", 1),
        // The command itself is pid 1, which no signal from inside can end; what it starts can be ended.
        ("sh -c 'kill -9 $$'; exit $?", 137),
        ("sh -c 'kill -TERM $$'; exit $?", 143),
        ("no-such-command", 127),
        ("[\"/no/such\"]", 127),
        ("[\"/etc/passwd\"]", 126),
    ] {
        let lab = Lab::with(&format!("FROM busybox\nRUN {command}\n"));
        lab.build(&["-t", "x"]).ends(status);
    }
    let lab = Lab::with("FROM busybox\n");
    lab.build(&["-t", "x"]).ok();
    lab.lbuild(&["run", "x", "sh", "-c", "exit 7"]).ends(7);
    lab.lbuild(&["run", "x", "/no/such"]).ends(127).says("exec /no/such: no such file or directory");
    lab.lbuild(&["run", "x", "no-such"]).ends(127).says("\"no-such\": executable file not found in $PATH");
    lab.lbuild(&["run", "x", "/etc/passwd"]).ends(126).says("exec /etc/passwd: permission denied");
    lab.lbuild(&["run", "nothing", "true"]).ends(125).says("nothing");
}

/// FEATURES 3.3-3.
#[test]
fn userns_a_failing_step_ends_with_its_output_its_place_and_its_status() {
    let lab = Lab::with("FROM busybox\nENV A=1\nRUN echo almost && \\\n    echo not-quite >&2 && exit 3\nRUN true\n");
    let run = lab.build(&[]);
    run.ends(3).says("not-quite\n------\nDockerfile:3\n").says("   3 | >>> RUN echo almost && \\\n");
    run.says("   4 | >>>     echo not-quite").says("   2 |     ENV A=1").says("exit code: 3");
}

#[test]
fn userns_output_streams_as_it_comes() {
    let lab = Lab::with("FROM busybox\nRUN echo first; sleep 3; echo second\n");
    let mut child = lab.building(&[]).stderr(Stdio::piped()).spawn().expect("starts");
    let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut first = None;
    for line in lines.map_while(Result::ok) {
        if line.ends_with(" first") {
            first = Some(Instant::now());
        }
        if line.ends_with(" second") && !line.contains("RUN") {
            assert!(first.expect("the first line").elapsed() > Duration::from_secs(2));
        }
    }
    assert!(child.wait().expect("ends").success() && first.is_some());
}

#[test]
fn userns_interrupts_end_everything_that_was_started() {
    for signal in [nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGTERM] {
        let lab = Lab::with(
            "FROM busybox\nRUN echo started; (trap '' INT TERM; sleep 4321) & trap '' INT TERM; sleep 4321\n",
        );
        let mut child = lab.building(&[]).stderr(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with(" started")));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).expect("kill");
        let sent = Instant::now();
        lines.for_each(drop);
        assert_eq!(child.wait().expect("ends").code(), Some(130), "{signal}");
        // Nobody waits for a command that ignores signals.
        assert!(sent.elapsed() < Duration::from_secs(1), "{signal}: {:?}", sent.elapsed());
        assert!(!running("sleep\u{0}4321"), "{signal} left a process behind");
        lab.fsck();
    }
}

/// Reports whether a process has this command line.
fn running(line: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|bytes| bytes.windows(line.len()).any(|window| window == line.as_bytes()))
}

#[test]
fn userns_nothing_of_the_sandbox_is_left_in_a_layer() {
    let lab = Lab::with(
        "FROM busybox\nRUN --mount=type=bind,target=/in --mount=type=cache,target=/cache --mount=type=tmpfs,target=/tmp/t \\\n  --mount=type=secret,id=s,target=/etc/secret cat /etc/secret /in/f && cat /etc/resolv.conf /etc/hosts; echo x > /cache/y; echo x > /tmp/t/z; touch /done\n",
    );
    lab.file("f", "file").file("secret", "sesame");
    lab.build(&["-t", "x", "--secret", "id=s,src=secret"]).ok().says("sesamefile");
    // `touch` changed the root itself, too, as the shell's own redirections would.
    assert_eq!(lab.layer("x", 1), ["", "done"], "FEATURES 1.7-4: mount points and stubs are taken away");
    lab.fsck();
}

#[test]
fn userns_a_step_that_changes_nothing_has_an_empty_layer() {
    let lab = Lab::with("FROM busybox\nRUN true\nRUN cat /etc/passwd > /dev/null && sh -c ': >> /etc/passwd'\n");
    lab.build(&["-t", "x"]).ok();
    assert_eq!((lab.layer("x", 1), lab.layer("x", 2)), (Vec::new(), Vec::new()));
}

#[test]
fn userns_the_environment_is_dockers() {
    let lab = Lab::with(
        "FROM busybox\nENV A=\"1 2\"\nARG B=3\nWORKDIR /w\nRUN env | sort > /env && pwd >> /env && hostname >> /env && umask >> /env\n",
    );
    lab.build(&["-t", "x"]).ok();
    let wanted = "A=1 2\nB=3\nHOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/w\nSHLVL=1\n/w\nbuildkitsandbox\n0022\n";
    assert_eq!(lab.shell("x", "cat /env"), wanted);
}

#[test]
fn userns_devices_are_dockers() {
    let lab = Lab::with(
        "FROM busybox\nRUN ls /dev | sort > /dev-list && echo out > /dev/stdout && head -c1 /dev/zero | wc -c && echo x > /dev/null\n",
    );
    lab.build(&["-t", "x"]).ok().says(" out");
    let wanted = "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert_eq!(lab.shell("x", "grep -v console /dev-list"), wanted);
}

#[test]
fn userns_capabilities_and_seccomp_are_dockers() {
    let lab = Lab::with(
        "FROM busybox\nRUN grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status > /status\n",
    );
    lab.build(&["-t", "x"]).ok();
    let wanted = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n";
    assert_eq!(lab.shell("x", "cat /status"), wanted);
}

#[test]
fn userns_masked_and_read_only_paths_are_dockers() {
    let script = "for p in /proc/kcore /proc/keys /proc/timer_list; do [ ! -s $p ] || echo $p; done; for p in /proc/sys /proc/bus /proc/fs /proc/irq; do touch $p/x 2>/dev/null && echo $p; done; ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v :; true";
    let lab = Lab::with(&format!("FROM busybox\nRUN ({script}) > /open\n"));
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /open").trim(), "");
}

#[test]
fn userns_no_network_is_loopback_only() {
    let lab =
        Lab::with("FROM busybox\nRUN --network=none ls /sys/class/net > /none && ping -c1 -w2 127.0.0.1 > /dev/null\n");
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /none"), "lo\n");
    let all = lab.lbuild(&["run", "--network", "none", "x", "ls", "/sys/class/net"]);
    all.ok().prints("lo\n");
}

#[test]
fn subid_users_are_looked_up_in_the_image() {
    if !has_ranges() {
        return;
    }
    let lab = Lab::with(
        "FROM busybox\nRUN echo app:x:1000:1001::/home/app:/bin/sh >> /etc/passwd && mkdir -p /home/app && chown 1000:1001 /home/app\nUSER app\nRUN id -u > /home/app/id && id -g >> /home/app/id && echo $HOME >> /home/app/id\n",
    );
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /home/app/id; id -u"), "1000\n1001\n/home/app\n1000\n");
    lab.lbuild(&["run", "-u", "0", "x", "id", "-u"]).ok().prints("0\n");
    lab.lbuild(&["run", "-u", "nobody-known", "x", "id"]).ends(125).says("nobody-known");
}

#[test]
fn userns_run_throws_changes_away_and_hands_flags_on() {
    let lab = Lab::with("FROM busybox\nENV A=1\nENTRYPOINT [\"/bin/echo\", \"entry\"]\nCMD [\"cmd\"]\n");
    lab.build(&["-t", "x"]).ok();
    let run = |arguments: &[&str]| -> Run { lab.lbuild(&[&["run"], arguments].concat()) };
    run(&["x"]).ok().prints("entry cmd\n");
    run(&["x", "a", "-b"]).ok().prints("entry a -b\n");
    run(&["--entrypoint", "/bin/sh", "-e", "A=2", "-w", "/etc", "x", "-c", "echo $A $PWD; touch /gone"])
        .ok()
        .prints("2 /etc\n");
    run(&["--entrypoint", "/bin/ls", "x", "/gone"]).ends(1);
    run(&["--entrypoint", "/bin/sh", "x", "-c", "echo err >&2"]).ok().prints("").says("err");
}
