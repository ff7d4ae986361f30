//! Kills, full disks, lost objects, and builds beside a prune.

use crate::harness::{Lab, output};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

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
    let wanted = output("sh", &["-c", &format!("cat {}/* | sha256sum", lab.path("data").display())]);
    assert_eq!(lab.shell("x", "cat /all"), format!("{wanted}b\n"), "{what}");
    assert_eq!(lab.lbuild(&["run", "x", "ls", "/data"]).status, 1, "{what}");
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

#[test]
fn userns_kills_lose_nothing() {
    let lab = lab();
    for seed in 0..rounds(12) {
        let mut child = lab.building(&["-t", "x", "--no-cache"]).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_micros(random(seed) % 150_000));
        child.kill().expect("kill");
        child.wait().expect("ends");
        right(&lab, &format!("seed {seed}"));
    }
}

/// Returns the regular files below a directory that the caller may read.
fn objects(dir: &Path) -> Vec<PathBuf> {
    let entries: Vec<_> = fs::read_dir(dir).map(|entries| entries.flatten().collect()).unwrap_or_default();
    let mut found: Vec<PathBuf> = entries
        .iter()
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => objects(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect();
    found.sort();
    found
}

#[test]
fn userns_any_one_object_may_be_lost() {
    let lab = lab();
    lab.build(&["-t", "x"]).ok();
    let kept = lab.home().join("kept").to_string_lossy().into_owned();
    let store = lab.store().to_string_lossy().into_owned();
    if !nix::unistd::geteuid().is_root() {
        // Layer directories belong to other ids here; root tries them all.
        for part in ["blobs", "cache", "index"] {
            lose_each(&lab, &lab.store().join(part));
        }
        return;
    }
    output("cp", &["-a", &store, &kept]);
    lose_each(&lab, &lab.store());
}

fn lose_each(lab: &Lab, below: &Path) {
    let all = objects(below);
    assert!(!all.is_empty(), "{}", below.display());
    let step = (all.len() as u64 / rounds(25)).max(1) as usize;
    for object in all.iter().step_by(step).filter(|object| !object.ends_with("oci-layout")) {
        if !object.exists() {
            continue;
        }
        fs::remove_file(object).expect("removed");
        // fsck may well find the loss; the next build must still be right.
        lab.lbuild(&["fsck"]);
        lab.build(&["-t", "x"]).ok();
        assert!(lab.shell("x", "cat /all").ends_with("  -\nb\n"), "{}", object.display());
    }
}

#[test]
fn userns_two_builds_beside_a_prune() {
    let lab = lab();
    for round in 0..rounds(5) {
        let start = |arguments: &[&str]| lab.building(arguments).stderr(Stdio::null()).spawn().expect("starts");
        let mut builds = [start(&["-t", "x"]), start(&["-t", "y", "--no-cache"])];
        let pruned = lab.lbuild(&["prune", "-a"]);
        pruned.ok();
        assert!(builds.iter_mut().all(|build| build.wait().expect("ends").success()), "round {round}");
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
    let (image, disk) = (lab.home().join("image"), lab.home().join("disk"));
    let (image, disk) = (image.to_string_lossy().into_owned(), disk.to_string_lossy().into_owned());
    for size in ["3M", "5M", "7M", "9M"] {
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
        let full = run.status == 125 && run.stderr.to_lowercase().contains("error: no space left")
            || run.stderr.contains(": No space left on device (os error 28)");
        assert!(run.status == 0 || full && run.stderr.contains("lbuild prune"), "{size}: {}", run.stderr);
        assert_eq!((checked.status, checked.stdout.as_str()), (0, "clean\n"), "{size}: {}", checked.stderr);
    }
}
