//! Kills, full disks, lost objects, and builds beside a prune.

use crate::harness::{Lab, Run, has_ranges, output};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const BUILD: &str = "\
FROM busybox AS a
COPY data /data
RUN cat /data/* | sha256sum > /sum && sleep 0.02
FROM busybox AS b
RUN echo b > /b && sleep 0.02
FROM a
COPY --from=b /b /b
RUN cat /sum /b > /all && rm -r /data
";

fn lab() -> Lab {
    let lab = Lab::with(BUILD);
    for n in 0..20 {
        lab.file(&format!("data/f{n:02}"), format!("{n}\n").repeat(2000));
    }
    lab
}

/// Asserts that the store is clean and the next build right.
#[track_caller]
fn right(lab: &Lab, what: &str) {
    let checked = lab.lbuild(&["fsck"]);
    assert!(checked.status == 0, "{what}: {}{}", checked.stdout, checked.stderr);
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /all"), wanted(lab), "{what}");
    assert_eq!(lab.lbuild(&["run", "x", "ls", "/data"]).status, 1, "{what}");
}

/// Returns what `/all` must hold.
fn wanted(lab: &Lab) -> String {
    let sum = output("sh", &["-c", &format!("cat {}/* | sha256sum", lab.path("data").display())]);
    format!("{sum}b\n")
}

/// Numbers that are the same in every run (SplitMix64).
fn random(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// How many seeds are tried: few in `make test`, 100 in `make soak`.
fn rounds(usual: u64) -> u64 {
    std::env::var("LBUILD_TEST_SOAK").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// Who is killed; the rest of the build must end by itself.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// The process that the user started.
    Front,
    /// It and everything in its process group, as a terminal or a supervisor would.
    Group,
    /// A random one of its descendants: the worker, a sandbox, a command. The front may well finish without it.
    Descendant,
}

#[test]
fn userns_kills_lose_nothing() {
    let lab = lab();
    // How long a build takes here decides where the kills fall: some before its start, a few past its end.
    let start = Instant::now();
    lab.build(&["-t", "x"]).ok();
    let whole = u64::try_from(start.elapsed().as_micros()).expect("short");
    for seed in 0..rounds(12) {
        let victim = [Victim::Front, Victim::Group, Victim::Descendant][(seed % 3) as usize];
        let mut command = lab.building(&["-t", "x", "--no-cache"]);
        let mut child = command.stderr(Stdio::null()).process_group(0).spawn().expect("starts");
        std::thread::sleep(Duration::from_micros(random(seed) % (whole * 11 / 10)));
        let front = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let below = descendants(front);
        let killed = match victim {
            Victim::Front => kill(front, Signal::SIGKILL),
            Victim::Group => killpg(front, Signal::SIGKILL),
            Victim::Descendant if below.is_empty() => Ok(()),
            Victim::Descendant => kill(below[(random(!seed) % below.len() as u64) as usize], Signal::SIGKILL),
        };
        // Whoever is gone already needs no killing; one who belongs to another id cannot be killed by this user.
        assert!(matches!(killed, Ok(()) | Err(Errno::ESRCH | Errno::EPERM)), "seed {seed}: {killed:?}");
        child.wait().expect("ends");
        gone(&below, &format!("seed {seed}, {victim:?}"));
        right(&lab, &format!("seed {seed}, {victim:?}"));
    }
}

/// While a command runs, the sandbox of the next one waits; the next command does not hang on it.
#[test]
fn userns_a_sandbox_that_is_killed_while_it_waits_is_replaced() {
    let lab = Lab::with("FROM busybox\nRUN sleep 1\nRUN echo after > /after\n");
    let mut child = lab.building(&["-t", "x"]).stderr(Stdio::null()).spawn().expect("starts");
    let front = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let called = |id: &Pid, name: &str| {
        fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default().split('\0').next() == Some(name)
    };
    let start = Instant::now();
    let waiting = loop {
        let below = descendants(front);
        let helper = below.iter().find(|id| called(id, "lbuild-sandbox") && descendants(**id).is_empty());
        match helper.filter(|_| below.iter().any(|id| called(id, "sleep") || called(id, "/bin/sh"))) {
            Some(helper) => break *helper,
            None => assert!(start.elapsed() < Duration::from_secs(10), "no sandbox waits"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    kill(waiting, Signal::SIGKILL).expect("killed");
    assert!(child.wait().expect("ends").success());
    assert_eq!(lab.shell("x", "cat /after"), "after\n");
}

/// Returns the processes below `top`, as they are now.
fn descendants(top: Pid) -> Vec<Pid> {
    let parents: Vec<(Pid, Pid)> = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
            Some((Pid::from_raw(id), Pid::from_raw(parent)))
        })
        .collect();
    let mut found = vec![top];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, other)| *other == parent).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

/// Asserts that processes end within a second.
#[track_caller]
fn gone(processes: &[Pid], what: &str) {
    let lives = |id: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // One that nobody has waited for yet is a zombie.
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let start = Instant::now();
    while let Some(left) = processes.iter().find(|id| lives(id)) {
        assert!(start.elapsed() < Duration::from_secs(1), "{what}: process {left} is left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns what a store is made of: its files, and each layer's directory as a whole.
fn objects(store: &Path, dir: &Path) -> Vec<PathBuf> {
    let is_layer = dir.parent().and_then(Path::parent) == Some(&store.join("layers")) && !dir.ends_with("names");
    if is_layer {
        return vec![dir.to_owned()];
    }
    let entries: Vec<_> = fs::read_dir(dir).map(|entries| entries.flatten().collect()).unwrap_or_default();
    let mut found: Vec<PathBuf> = entries
        .iter()
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => objects(store, &entry.path()),
            _ => vec![entry.path()],
        })
        .collect();
    found.sort();
    found
}

/// Deletes an object; layers may belong to other ids.
fn delete(object: &Path) {
    if !object.is_dir() {
        fs::remove_file(object).expect("removed");
    } else {
        inside("rm", &["-rf", &object.to_string_lossy()]);
    }
}

/// Every kind of object in turn, oci-layout (a constant) aside: what is lost is found, made again or done without.
#[test]
fn userns_any_one_object_may_be_lost() {
    let lab = lab();
    lab.build(&["-t", "x"]).ok();
    let store = lab.store();
    let all = objects(&store, &store);
    let step = (all.len() as u64 / rounds(25)).max(1) as usize;
    let mut kinds = BTreeSet::new();
    for object in all.iter().step_by(step).filter(|object| !object.ends_with("oci-layout")) {
        // An earlier loss may have had it replaced.
        if object.symlink_metadata().is_err() {
            continue;
        }
        let name = object.strip_prefix(&store).expect("below").display().to_string();
        kinds.insert(name.split('/').next().map(str::to_owned));
        delete(object);
        lab.build(&["-t", "x"]).ok();
        let wanted = wanted(&lab);
        assert_eq!(lab.shell("x", "cat /all"), wanted, "{name}");
        // One more step has to mount everything below it.
        lab.file("Dockerfile", format!("{BUILD}RUN cat /all > /copy && echo '{name}' >> /copy\n"));
        lab.build(&["-t", "y"]).ok();
        assert_eq!(lab.shell("y", "cat /copy"), format!("{wanted}{name}\n"));
        lab.file("Dockerfile", BUILD);
    }
    assert!(kinds.len() >= 4, "{kinds:?}");
    lab.lbuild(&["rmi", "y"]).ok();
    lab.lbuild(&["prune", "-a"]).ok();
    right(&lab, "after a prune");
}

/// Returns the files in directories of layers, below `layers/<id map>/<name>`.
fn files_of_layers(store: &Path) -> Vec<PathBuf> {
    let layers = store.join("layers").to_string_lossy().into_owned();
    // Some directories can be read inside the user namespace only.
    let found = inside("find", &[&layers, "-path", "*/names", "-prune", "-o", "-type", "f", "-print"]);
    found.lines().map(PathBuf::from).collect()
}

/// Runs a program with the right to whatever lies in the store.
fn inside(program: &str, arguments: &[&str]) -> String {
    if has_ranges() && !nix::unistd::geteuid().is_root() {
        let all: Vec<&str> =
            ["--user", "--map-root-user", "--map-auto", program].iter().chain(arguments).copied().collect();
        output("unshare", &all)
    } else {
        output(program, arguments)
    }
}

/// Layers that were changed behind lbuild's back: a check names what is wrong, a repair removes the layer, the next build
/// makes it again.
#[test]
fn userns_a_changed_layer_is_mended() {
    let lab = lab();
    let wanted = wanted(&lab);
    lab.build(&["-t", "x"]).ok();
    let file_called = |name: &str| {
        let files = files_of_layers(&lab.store());
        files.into_iter().find(|path| path.ends_with(name)).expect("a layer has it").to_string_lossy().into_owned()
    };
    for (script, said) in [
        ("rm \"$1\"", "`/sum` is missing\n"),
        ("cp /etc/passwd \"$2\"", "`/b` is a file of "),
        ("touch \"${2%b}new\"", "`/new` is not in its index\n"),
    ] {
        inside("sh", &["-c", script, "sh", &file_called("sum"), &file_called("b")]);
        let found = lab.lbuild(&["fsck"]);
        found.ends(125);
        assert!(found.stdout.contains(said) && found.stdout.contains("fsck --repair"), "{}", found.stdout);
        let mended = lab.lbuild(&["fsck", "--repair"]);
        mended.ok();
        assert!(mended.stdout.starts_with("mended: layer ") && mended.stdout.contains(said), "{}", mended.stdout);
        right(&lab, said);
        // What stands on that layer has to be mounted with it.
        lab.file("Dockerfile", format!("{BUILD}RUN ls / && cat /all > /copy && echo again >> /copy\n"));
        lab.build(&["-t", "y"]).ok();
        assert_eq!(lab.shell("y", "cat /copy; ls /new 2>/dev/null || true"), format!("{wanted}again\n"));
        lab.file("Dockerfile", BUILD);
    }
}

/// Blobs are made or fetched again too; until then their images are told of by name, and no name is lost.
#[test]
fn userns_a_damaged_blob_is_mended() {
    let lab = lab();
    lab.build(&["-t", "x", "-t", "z:2"]).ok();
    let image = lab.inspect("x");
    let digests: Vec<String> = image["Layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| layer["digest"].as_str().expect("a digest").replace("sha256:", ""))
        .collect();
    for digest in &digests {
        let blob = lab.store().join("blobs/sha256").join(digest);
        fs::remove_file(&blob).expect("removed");
        fs::write(&blob, b"damaged").expect("written");
        let run = lab.lbuild(&["fsck", "--repair"]);
        run.ends(125);
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("mended: "), "{}", run.stdout);
        let image = format!("left: image `x:latest`, `z:2`: layer sha256:{digest} of ");
        assert!(lines[1].starts_with(&image) && lines[1].contains("`lbuild -t x:latest -t z:2 …`"), "{}", run.stdout);
        assert!(!blob.exists());
        lab.build(&["-t", "x", "-t", "z:2"]).ok();
        right(&lab, digest);
    }
    // A manifest that is gone leaves a name that can be given up.
    let manifest = image["Digest"].as_str().map(|digest| digest.replace("sha256:", "")).expect("a manifest");
    fs::remove_file(lab.store().join("blobs/sha256").join(manifest)).expect("removed");
    lab.lbuild(&["fsck", "--repair"]).ends(125);
    lab.lbuild(&["rmi", "x", "z:2"]).ok().prints("Untagged: x:latest\nUntagged: z:2\n");
    right(&lab, "after rmi");
}

/// One prune after the other, from the builds' beginning to their end.
#[test]
fn userns_two_builds_beside_a_prune() {
    let lab = lab();
    for round in 0..rounds(8) {
        let start = |arguments: &[&str]| lab.building(arguments).stderr(Stdio::piped()).spawn().expect("starts");
        let mut builds = [start(&["-t", "x"]), start(&["-t", "y", "--no-cache"])];
        let mut pause = round;
        while builds.iter_mut().any(|build| build.try_wait().expect("waited").is_none()) {
            std::thread::sleep(Duration::from_micros(random(pause) % 30_000));
            pause += 1000;
            lab.lbuild(&["prune", "-a"]).ok();
        }
        for build in builds {
            Run::from_output(build.wait_with_output().expect("ends"), format!("round {round}")).ok();
        }
        right(&lab, &format!("round {round}"));
    }
}

/// A small ext4 on a loop device: a build that does not fit fails by name, and leaves a store that is clean.
#[test]
fn userns_a_full_disk_is_survived() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let lab = lab();
    let disk = lab.home().join("disk").to_string_lossy().into_owned();
    for size in ["3M", "5M", "7M", "9M"] {
        // An image of its own: the kernel lets go of a loop device some time after umount, and may still write to it.
        let image = lab.home().join(size).to_string_lossy().into_owned();
        output("truncate", &["-s", size, &image]);
        output("mke2fs", &["-q", "-F", "-t", "ext4", &image]);
        fs::create_dir_all(&disk).expect("a directory");
        if !crate::harness::succeeds("mount", &["-o", "loop", &image, &disk]) {
            crate::harness::skip("a loop mount");
            return;
        }
        let root = format!("{disk}/store");
        let run = lab.build(&["-t", "x", "--root", &root]);
        let checked = lab.lbuild(&["--root", &root, "fsck"]);
        output("umount", &[&disk]);
        let last = run.stderr.split("error: ").last().unwrap_or_default();
        let full = last.to_lowercase().contains("no space left") && last.contains("lbuild prune");
        assert!(run.status == 0 || run.status == 125 && full, "{size}: {}", run.stderr);
        assert_eq!((checked.status, checked.stdout.as_str()), (0, "clean\n"), "{size}: {}", checked.stderr);
    }
}
