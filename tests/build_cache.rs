//! The cache: what hits, what does not, and that no two executions of a step are ever mixed.

use crate::harness::{Lab, fed, output};
use std::fs;
use std::process::{Command, Stdio};

const STEPS: &str = "FROM busybox\nARG A=1\nRUN echo $A > /a\nCOPY f /f\nRUN date +%N > /n && cat /f > /g\n";

#[test]
fn userns_a_cached_build_is_the_same_image_and_starts_no_worker() {
    let lab = Lab::with(STEPS);
    lab.file("f", "one");
    let first = lab.id(&["-t", "x"]);
    assert_eq!(lab.id(&["-t", "x"]), first);
    lab.build(&["-t", "x"]).ok().says("CACHED").does_not_say("DONE 0.1s\n#9");

    let trace = lab.home().join("trace").to_string_lossy().into_owned();
    let build = lab.building(&["-q", "-t", "x"]);
    let mut traced = std::process::Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=unshare,mount,setns,pivot_root,execve,execveat,openat", "-o", &trace]);
    traced.arg(build.get_program()).args(build.get_args()).current_dir(lab.path("")).env_clear();
    traced.envs(build.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(traced.stdout(Stdio::null()).status().expect("strace").success());
    let calls = fs::read_to_string(&trace).expect("a trace");
    for call in ["unshare(", "mount(", "setns(", "pivot_root(", "/layers/"] {
        assert!(!calls.contains(call), "`{call}` in a cached build:\n{calls}");
    }
    assert_eq!(calls.matches("execve(").count() + calls.matches("execveat(").count(), 1, "{calls}");
}

#[test]
fn userns_what_a_step_reads_is_what_it_is_keyed_by() {
    let lab = Lab::with(STEPS);
    lab.file("f", "one");
    let first = lab.id(&["-t", "x"]);
    lab.file("unrelated", "x");
    assert_eq!(lab.id(&["-t", "x"]), first, "a file that no step copies");
    lab.file("f", "one");
    assert_eq!(lab.id(&["-t", "x"]), first, "a new mtime");
    lab.file("f", "two");
    let second = lab.id(&["-t", "x"]);
    assert_ne!(second, first);
    assert_eq!(lab.shell("x", "cat /g"), "two");
    lab.file("f", "one");
    assert_eq!(lab.id(&["-t", "x"]), first, "the old record is still there");
    assert_ne!(lab.id(&["-t", "x", "--build-arg", "A=2"]), first);
    assert_eq!(lab.shell("x", "cat /a"), "2\n");
    lab.fsck();
}

#[test]
fn userns_no_cache_runs_every_step_again() {
    let lab = Lab::with(STEPS);
    lab.file("f", "one");
    let first = lab.id(&["-t", "x"]);
    let second = lab.id(&["-t", "x", "--no-cache"]);
    assert_ne!(first, second);
    assert_eq!(lab.id(&["-t", "x"]), second, "the new records are the ones that count");
}

#[test]
fn userns_no_cache_that_fails_half_way_does_not_bring_the_old_result_back() {
    let lab = Lab::with(
        "FROM busybox\nRUN date +%N > /n\nRUN --mount=type=secret,id=s,required=false test ! -e /run/secrets/s\n",
    );
    let first = lab.id(&["-t", "x"]);
    lab.file("secret", "x");
    lab.build(&["--no-cache", "--secret", "id=s,src=secret"]).ends(1);
    let third = lab.id(&["-t", "x"]);
    assert_ne!(first, third);
    lab.fsck();
}

const MIXED: &str = "\
FROM busybox AS r
RUN head -c 16 /dev/urandom | hexdump > /one && cp /one /two
FROM r AS grown
RUN cat /one > /three
FROM busybox
COPY --from=r /one /one
COPY --from=r /two /two
COPY --from=grown /three /three
";

/// Asserts that all three files come from one execution.
#[track_caller]
fn unmixed(lab: &Lab) -> String {
    lab.build(&["-t", "x"]).ok();
    let files = lab.shell("x", "cat /one; echo; cat /two; echo; cat /three");
    let parts: Vec<&str> = files.split("\n\n").map(str::trim).collect();
    assert_eq!(parts.len(), 3, "{files}");
    assert!(parts.iter().all(|part| *part == parts[0]), "two executions are mixed:\n{files}");
    parts[0].to_owned()
}

#[test]
fn userns_executions_are_never_mixed() {
    let lab = Lab::with(MIXED);
    let first = unmixed(&lab);
    assert_eq!(unmixed(&lab), first);
    let blobs = lab.store().join("blobs/sha256");
    let layers: Vec<_> = fs::read_dir(&blobs).expect("blobs").flatten().map(|entry| entry.path()).collect();
    for layer in layers {
        // Whatever is gone, the next build is right: the same image, or a new execution read by all.
        if layer.exists() {
            fs::remove_file(&layer).expect("removed");
            unmixed(&lab);
        }
    }
    lab.fsck();
}

#[test]
fn userns_two_processes_never_mix_executions() {
    let lab = Lab::with(MIXED);
    for round in 0..3 {
        let mut children: Vec<_> = (0..2)
            .map(|_| lab.building(&["--no-cache", "-t", "x"]).stderr(Stdio::null()).spawn().expect("starts"))
            .collect();
        assert!(children.iter_mut().all(|child| child.wait().expect("ends").success()), "round {round}");
        unmixed(&lab);
    }
    lab.fsck();
}

#[test]
fn userns_a_file_edited_while_copied_is_never_a_stale_record() {
    let lab = Lab::with("FROM busybox\nCOPY big /big\nRUN sha256sum /big > /sum\n");
    for round in 0..4u8 {
        lab.file("big", vec![round; 24 << 20]);
        let mut child = lab.building(&["-t", "x"]).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(std::time::Duration::from_millis(10 + 15 * u64::from(round)));
        lab.file("big", vec![round + 100; 24 << 20]);
        child.wait().expect("ends");
        lab.build(&["-t", "x"]).ok();
        let wanted = output("sha256sum", &[&lab.path("big").to_string_lossy()]);
        let told = lab.shell("x", "cat /sum");
        assert_eq!(told.split(' ').next(), wanted.split(' ').next(), "round {round}");
    }
    lab.fsck();
}

#[test]
fn userns_unreachable_stages_are_neither_built_nor_resolved() {
    let lab = Lab::with(
        "FROM registry.invalid/nowhere AS lost\nRUN false\nFROM busybox AS failing\nRUN exit 3\nFROM busybox\nRUN true\n",
    );
    lab.build(&["-t", "x"]).ok().does_not_say("nowhere").does_not_say("exit 3");
}

#[test]
fn userns_secrets_and_proxies_do_not_enter_keys_or_images() {
    let lab = Lab::with("FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s | wc -c > /n; env > /env\n");
    lab.file("secret", "sesame-1");
    let first = lab.id(&["-t", "x", "--secret", "id=s,src=secret"]);
    lab.file("secret", "sesame-2");
    assert_eq!(lab.id(&["-t", "x", "--secret", "id=s,src=secret"]), first);
    let mut with_proxy = lab.building(&["-q", "-t", "x", "--secret", "id=s,src=secret"]);
    let run = with_proxy.env("http_proxy", "http://user:swordfish-7@proxy.invalid").output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), first);
    let found = output(
        "sh",
        &["-c", &format!("grep -r -l -e sesame- -e swordfish-7 '{}' 2>/dev/null || true", lab.store().display())],
    );
    assert_eq!(found, "", "a secret is in the store");
}

/// However many files a stage has, few are open at once where few may be.
#[test]
fn userns_a_stages_files_are_copied_within_the_limit_of_open_files() {
    let lab = Lab::with(
        "FROM busybox AS build\nRUN mkdir /d; for i in $(seq 500); do echo $i > /d/$i; done\n\
         FROM busybox\nCOPY --from=build /d /d\n",
    );
    let build = lab.building(&["-t", "x"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]).arg(build.get_program()).args(build.get_args());
    limited.current_dir(lab.path("")).env_clear().env("RAYON_NUM_THREADS", "2");
    limited.envs(build.get_envs().filter_map(|(name, value)| Some((name, value?))));
    fed(limited, "").ok();
    assert_eq!(
        lab.shell("x", "cat /d/* | sort -n | md5sum; ls /d | wc -l"),
        lab.shell("x", "seq 500 | md5sum; echo 500")
    );
}

/// Two commands that change nothing make one layer, which then stands twice in the image.
#[test]
fn userns_a_layer_may_stand_twice_in_an_image() {
    let lab = Lab::with("FROM busybox\nRUN true\nRUN true && true\nRUN echo x > /x\n");
    lab.build(&["-t", "twice"]).ok();
    assert_eq!(lab.shell("twice", "cat /x"), "x\n");
    lab.file("Dockerfile", "FROM twice\nRUN cat /x > /y\n");
    lab.build(&["-t", "more"]).ok();
    assert_eq!(lab.shell("more", "cat /y"), "x\n");
    lab.fsck();
}

/// Puts another digest in the place of one in what is remembered of a context's files, and seals that anew.
fn mislead(lab: &Lab, from: &[u8], to: &[u8]) {
    use sha2::{Digest, Sha256};
    let memos = lab.store().join("cache/contexts");
    let memo = fs::read_dir(memos).expect("memos").flatten().map(|entry| entry.path()).next().expect("a memo");
    let mut content = fs::read(&memo).expect("a memo")["sha256:\n".len() + 64..].to_vec();
    let (from, to) = (Sha256::digest(from), Sha256::digest(to));
    let at: Vec<usize> = (0..content.len()).filter(|at| content[*at..].starts_with(&from)).collect();
    assert_eq!(at.len(), 1, "the file's digest is remembered once");
    content[at[0]..at[0] + to.len()].copy_from_slice(&to);
    let name = memo.file_name().expect("a name").to_string_lossy().into_owned();
    let seal = Sha256::new().chain_update(name).chain_update([0]).chain_update(&content).finalize();
    let seal: String = seal.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&memo, [format!("sha256:{seal}\n").as_bytes(), &content].concat()).expect("written");
}

/// Row 5-9: what is remembered of a context's files spares reading them, and `--no-cache` reads them all the same.
#[test]
fn userns_no_cache_believes_nothing_that_is_remembered_of_files() {
    let lab = Lab::with("FROM busybox\nCOPY f /f\n");
    let made = |flags: &[&str]| {
        lab.build(&[&["-q", "-t", "x"], flags].concat()).ok();
        lab.shell("x", "cat /f")
    };
    for text in ["one", "two"] {
        lab.file("f", text);
        // What was written just now is not remembered.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        assert_eq!(made(&[]), text);
    }
    mislead(&lab, b"two", b"one");
    assert_eq!(made(&[]), "one", "what is remembered is believed");
    assert_eq!(made(&["--no-cache"]), "two");
    // It was noted anew.
    assert_eq!(made(&[]), "two");
}
