//! A step that failed: a shell in it, and a bundle of it.

use crate::harness::{Lab, binary, has_ranges};
use crate::language_run::Agent;
use nix::pty::{Winsize, openpty};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

const FAILS: &str = "FROM busybox\nENV COLOUR=blue\nWORKDIR /work\nCOPY f /work/f\n\
    RUN --mount=type=bind,source=shown,target=/shown --mount=type=secret,id=token --mount=type=cache,target=/cache \
    --mount=type=tmpfs,target=/memory echo half > half && echo cached > /cache/c && cat /run/secrets/token && exit 7\n";

fn lab() -> Lab {
    let lab = Lab::with(FAILS);
    lab.file("f", "copied\n").file("shown/g", "bound\n");
    fs::write(lab.home().join("token"), "correct horse\n").expect("written");
    lab
}

fn secret(lab: &Lab) -> String {
    format!("--secret=id=token,src={}", lab.home().join("token").display())
}

#[test]
fn userns_a_bundle_is_entered_elsewhere() {
    let (lab, elsewhere) = (lab(), Lab::new());
    let directory = lab.home().join("bundle");
    let on_fail = format!("--on-fail=bundle:{}", directory.display());
    let run = lab.build(&[&secret(&lab), &on_fail]);
    run.ends(7).says("wrote the failed step to `").says("left out: the secret at `/run/secrets/token`\n");
    run.says("left out: what the cache mount `/cache` at `/cache` holds\n").says("exit code: 7");
    let path = directory.to_string_lossy().into_owned();
    let in_it = |script: &str| elsewhere.lbuild(&["shell", &path, "/bin/sh", "-c", script]);
    in_it("pwd; cat f half /shown/g; echo $COLOUR; test -z $(ls -A /cache)$(ls -A /memory) && test ! -e /run/secrets/token")
        .ok()
        .prints("/work\ncopied\nhalf\nbound\nblue\n");
    in_it("exit 9").ends(9);
    let found = Command::new("grep").args(["-rl", "correct horse", &path]).output().expect("grep");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "a secret is in the bundle");
    lab.build(&[&secret(&lab), &on_fail]).ends(7).says("the bundle cannot be written: write a bundle to `");
    lab.lbuild(&["shell", "/no/such"]).ends(125).says("open bundle `/no/such/bundle.json`");
    fs::write(directory.join("bundle.json"), "{}").expect("written");
    in_it("true").ends(125).says("is no bundle of a failed step: missing field `version`");
    lab.fsck();
}

#[test]
fn a_shell_needs_a_terminal() {
    let lab = lab();
    lab.build(&["--on-fail=shell"]).ends(125).says("`--on-fail shell`: there is no terminal here: use `bundle:DIR`");
    lab.build(&["--on-fail=x"]).ends(125).says("write `shell` or `bundle:DIR`");
}

#[test]
fn userns_a_shell_is_opened_where_the_step_failed() {
    let lab = lab();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a terminal");
    let given = lab.building(&[&secret(&lab), "--on-fail=shell"]);
    let mut command = Command::new(binary());
    command.args(given.get_args()).current_dir(lab.path("")).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", lab.home()).env("LBUILD_ROOT", lab.store());
    let end = || pty.slave.try_clone().expect("a copy");
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("starts");
    drop(command);
    let mut typed = File::from(pty.master.try_clone().expect("a copy"));
    let mut master = File::from(pty.master);
    drop(pty.slave);
    let (sender, shown) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    let mut screen = String::new();
    let mut until = |wanted: &str| {
        while !screen.contains(wanted) {
            match shown.recv_timeout(Duration::from_secs(30)) {
                Ok(text) => screen.push_str(&text),
                Err(error) => panic!("`{wanted}` is not shown: {error}\n{screen}"),
            }
        }
    };
    until("`exit` ends lbuild.");
    let script = "echo \"[$(pwd) $(cat half) $(cat /shown/g) $(cat /run/secrets/token) $(cat /cache/c) $COLOUR]\"; tty; stty size\n";
    typed.write_all(script.as_bytes()).expect("typed");
    until("[/work half bound correct horse cached blue]");
    until("24 80");
    // The interrupt is the shell's, not lbuild's.
    typed.write_all(b"sleep 60\n").expect("typed");
    std::thread::sleep(Duration::from_millis(300));
    typed.write_all(&[3]).expect("typed");
    typed.write_all(b"echo still $((40 + 2))\nexit 3\n").expect("typed");
    until("still 42");
    until("exit code: 7");
    assert_eq!(child.wait().expect("ends").code(), Some(7));
    if has_ranges() {
        lab.fsck();
    }
}

/// What a bundle lacks is said where it is made; rights come back only with leave.
#[test]
fn userns_a_bundle_of_an_insecure_step_asks_for_leave() {
    let lab = Lab::with("FROM busybox\nRUN --security=insecure echo half > /half && exit 7\n");
    let directory = lab.home().join("bundle").to_string_lossy().into_owned();
    let run = lab.build(&["--allow=security.insecure", &format!("--on-fail=bundle:{directory}")]);
    run.ends(7)
        .says("left out: the rights of `--security=insecure`, which `lbuild shell --allow security.insecure` gives");
    let seccomp = |allow: &[&str]| {
        let mut arguments = vec!["shell"];
        arguments.extend(allow);
        arguments.extend([&directory, "grep", "Seccomp:", "/proc/self/status"]);
        lab.lbuild(&arguments)
    };
    seccomp(&[]).ok().prints("Seccomp:\t2\n");
    seccomp(&["--allow=security.insecure"]).ok().prints("Seccomp:\t0\n");
    seccomp(&["--allow=all"]).ends(125).says("write `security.insecure` or `network.host`");
}

#[test]
fn userns_a_bundle_says_that_it_has_no_agent() {
    let agent = Agent::new();
    let lab = Lab::with("FROM busybox\nRUN --mount=type=ssh,target=/agent test -S /agent && exit 7\n");
    let directory = lab.home().join("bundle").to_string_lossy().into_owned();
    let ssh = format!("--ssh=default={}", agent.path("socket"));
    let run = lab.build(&[&ssh, &format!("--on-fail=bundle:{directory}")]);
    run.ends(7).says("left out: the SSH agent at `/agent`\n");
    lab.lbuild(&["shell", &directory, "/bin/sh", "-c", "test ! -e /agent"]).ok();
}
