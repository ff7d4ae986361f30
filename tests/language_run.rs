//! RUN's agents, entitlements and devices (FEATURES 1.7-10, 1.7-12, 1.7-13).

use crate::harness::{Lab, has_ranges, output};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// An SSH agent of this machine that holds one key.
pub struct Agent {
    child: Child,
    directory: tempfile::TempDir,
}

impl Agent {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let key = directory.path().join("key").to_string_lossy().into_owned();
        output("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "a key", "-f", &key]);
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a", &directory.path().join("socket").to_string_lossy()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("ssh-agent");
        let agent = Self { child, directory };
        // The socket is there a moment before anybody listens.
        while UnixStream::connect(agent.path("socket")).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut add = Command::new("ssh-add");
        let added = add.args(["-q", &key]).env("SSH_AUTH_SOCK", agent.path("socket")).status();
        assert!(added.expect("ssh-add").success());
        agent
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("the agent ends");
    }
}

/// Asks the agent for its keys, then to forget them, in the agent's own protocol (draft-miller-ssh-agent).
const PERL: &str = "use Socket; socket(S,PF_UNIX,SOCK_STREAM,0); connect(S,pack_sockaddr_un($ENV{SSH_AUTH_SOCK})) or die \"connect: $!\"; sub ask { syswrite S,pack('NC',1,$_[0]); my($l,$b); sysread S,$l,4; sysread S,$b,unpack('N',$l); return $b } my $b=ask(11); print ord($b),' ',unpack('N',substr($b,1,4)),' ',(index($b,'a key')>0?'named':'unnamed'),' ',ord(ask(19)),' ',unpack('N',substr(ask(11),1,4)),\"\\n\"";

/// Row 1.7-10: keys can be listed, and not removed; the socket is the user's that it is said to be.
#[test]
fn subid_a_command_may_ask_the_callers_agent() {
    if !has_ranges() {
        return;
    }
    let agent = Agent::new();
    let lab = Lab::with(
        "FROM debian\nCOPY ask.pl /\n\
         RUN --mount=type=ssh perl /ask.pl > /one && stat -c '%a %u:%g %F' $SSH_AUTH_SOCK >> /one\n\
         USER 1000:1000\nWORKDIR /w\n\
         RUN --mount=type=ssh,id=keys,uid=1000,gid=1000,target=/w/agent,required perl /ask.pl > /w/two\n\
         RUN --mount=type=ssh,id=none ls -d /run/buildkit > /w/three 2>&1; true\n",
    );
    lab.file("ask.pl", PERL);
    let (socket, key) = (agent.path("socket"), format!("--ssh=keys={}", agent.path("key")));
    let mut command = lab.building(&["-t", "x", "--ssh=default", &key]);
    let built = command.env("SSH_AUTH_SOCK", &socket).output().expect("lbuild runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // 12 is the list, 5 a refusal.
    assert_eq!(lab.shell("x", "cat /one"), "12 1 named 5 1\n600 0:0 socket\n");
    assert_eq!(lab.shell("x", "cat /w/two"), "12 1 named 5 1\n");
    assert_eq!(
        lab.shell("x", "grep -c No /w/three; ls -A /w; ls -d /run/buildkit 2>&1 | wc -l; ls -A /run"),
        "1\nthree\ntwo\n1\nlock\n",
        "no trace of the sockets"
    );
    lab.fsck();
}

#[test]
fn userns_an_agent_that_is_required_must_be_given() {
    let lab = Lab::with("FROM busybox\nRUN --mount=type=ssh,required true\n");
    lab.build(&[]).ends(125).says("ssh agent `default` is required and was not given").says("--ssh default");
    lab.build(&["--ssh=default"]).ends(125).says("`SSH_AUTH_SOCK` is not set");
    lab.build(&["--ssh=default=/none"]).ends(125).says("/none");
    lab.file("no-key", "x");
    let run = lab.build(&["--ssh=default=no-key"]);
    run.ends(125).says("ssh agent `default`: add key").says("help: ");
}

/// Row 1.7-12: without leave the build stops before anything runs; with it no limit but the user namespace's is left.
#[test]
fn userns_insecure_needs_leave() {
    let lab = Lab::with(
        "FROM busybox\nRUN grep -E 'CapEff|Seccomp:' /proc/self/status > /sandbox\n\
         RUN --security=insecure grep -E 'CapEff|Seccomp:' /proc/self/status > /insecure && mkdir /m && mount -t tmpfs t /m && umount /m\n",
    );
    lab.build(&[]).ends(125).says("needs the entitlement `security.insecure`").says("--allow security.insecure");
    lab.build(&["--allow=everything"]).ends(125).says("--allow");
    lab.build(&["-t", "x", "--allow=security.insecure"]).ok();
    assert!(lab.shell("x", "cat /sandbox").contains("CapEff:\t00000000a80425fb\nSeccomp:\t2"));
    let insecure = lab.shell("x", "cat /insecure");
    assert!(insecure.contains("CapEff:\t000001ffffffffff") && !insecure.contains("a80425fb"), "{insecure}");
}

/// Row 1.7-13: no device is registered; one that is not required is left out and said so.
#[test]
fn userns_devices_are_left_out_or_refused() {
    let lab = Lab::with("FROM busybox\nRUN --device=vendor.com/gpu=all true\n");
    lab.build(&[]).ok().says("device `vendor.com/gpu=all` is left out");
    lab.file("Dockerfile", "FROM busybox\nRUN --device=vendor.com/gpu=all,required true\n");
    lab.build(&[]).ends(125).says("required CDI device `vendor.com/gpu=all` is not registered").says("Dockerfile:2");
}
