//! Seeded runs through a proxy that breaks things: each ends in a right image or in a clear error, never in a hang, and
//! never with a wrong blob in the store.

use crate::harness::{Lab, Run};
use crate::registry::{Fault, Faults, Proxy, Registry, digest_of, layout, random, sent};
use std::fs;

/// How many seeds are tried: few in `make test`, 200 in `make soak`.
fn rounds(usual: u64) -> u64 {
    std::env::var("LBUILD_TEST_SOAK").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// Bytes of a chunk of an upload.
const CHUNK: u64 = 8 << 20;
/// Past the deadline of any retry that a run with so few faults makes.
const DEADLINE: u64 = 120;

/// A run that failed says why, and in no one's bytes.
#[track_caller]
fn clear(run: &Run, what: &str) {
    let last = run.stderr.split("error: ").nth(1).unwrap_or_default();
    let clear = run.status == 125 && !last.is_empty() && !run.stderr.contains("panicked");
    assert!(clear, "{what}: status {}\n{}", run.status, run.stderr);
}

/// Every blob of the store is what its name says; lbuild's own check agrees.
#[track_caller]
fn sound(lab: &Lab, what: &str) {
    for blob in fs::read_dir(lab.store().join("blobs/sha256")).into_iter().flatten().flatten() {
        let digest = digest_of(&fs::read(blob.path()).expect("a blob"));
        assert_eq!(digest, format!("sha256:{}", blob.file_name().to_string_lossy()), "{what}");
    }
    let checked = lab.lbuild(&["fsck"]);
    assert_eq!((checked.status, checked.stdout.as_str()), (0, "clean\n"), "{what}: {}", checked.stderr);
}

/// Returns a registry with a base of two layers: busybox, and some MiB of noise.
fn registry() -> Registry {
    let registry = Registry::plain();
    registry.fill("base:0", &layout("busybox"));
    registry
}

fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| random(&mut state).to_le_bytes()).flatten().take(size).collect()
}

#[test]
fn pulls_end_well_or_clearly() {
    let registry = registry();
    let first = Lab::with(&format!("FROM {}\nCOPY noise /noise\n", registry.name("base:0")));
    first.file("noise", noise(7, 5 << 20));
    first.lbuild_within(60, &["-t", &registry.name("base:1"), "--push", "."]).ok();
    let config = registry.manifest("base", "1")["config"]["digest"].clone();
    let (mut right, mut all) = (0, 0);
    for seed in 0..rounds(12) {
        let proxy = Proxy::to(&registry, Faults::seeded(seed, 6));
        let (lab, name) = (Lab::new(), proxy.name("base:1"));
        let run = lab.lbuild_within(DEADLINE, &["pull", &name]);
        let seen: Vec<Fault> =
            proxy.take().into_iter().map(|one| one.fault).filter(|fault| *fault != Fault::None).collect();
        let what = format!("seed {seed}, {seen:?}");
        sound(&lab, &what);
        all += 1;
        if run.status != 0 {
            clear(&run, &what);
            // The next run goes on with what arrived.
            proxy.change(Faults::none());
            lab.lbuild_within(DEADLINE, &["pull", &name]).ok();
        } else {
            right += 1;
        }
        assert_eq!(lab.inspect(&name)["Id"], config, "{what}");
        sound(&lab, &what);
    }
    assert!(right * 2 > all, "{right} of {all} ended well: too few for what can be tried again");
}

#[test]
fn pushes_end_well_or_clearly() {
    let registry = registry();
    let (mut right, mut all) = (0, 0);
    for seed in 0..rounds(12) {
        let lab = Lab::with(&format!("FROM {}\nCOPY noise /noise\nCOPY f /f\n", registry.name("base:0")));
        lab.file("noise", noise(seed, 17 << 20)).file("f", "f");
        let proxy = Proxy::to(&registry, Faults::none());
        let name = proxy.name(&format!("x{seed}:1"));
        lab.lbuild_within(60, &["-t", &name, "."]).ok();
        proxy.change(Faults::seeded(seed, 6));
        let run = lab.lbuild_within(DEADLINE, &["push", &name]);
        let seen = proxy.take();
        let faults: Vec<&Fault> = seen.iter().map(|one| &one.fault).filter(|fault| **fault != Fault::None).collect();
        let what = format!("seed {seed}, {faults:?}");
        all += 1;
        if run.status != 0 {
            clear(&run, &what);
            proxy.change(Faults::none());
            lab.lbuild_within(DEADLINE, &["push", &name]).ok();
        } else {
            right += 1;
        }
        sound(&lab, &what);
        let repository = format!("x{seed}");
        assert_eq!(registry.manifest(&repository, "1")["config"]["digest"], lab.inspect(&name)["Id"], "{what}");
        let mut whole = 0;
        for layer in registry.layers(&repository, "1") {
            let bytes = fs::read(registry.blob(&layer)).expect("a layer");
            assert_eq!(digest_of(&bytes), layer, "{what}");
            whole += bytes.len() as u64;
        }
        let cost: u64 = faults.iter().map(|fault| fault.cost(CHUNK, whole)).sum();
        assert!(sent(&seen) <= whole + cost + 10_000, "{what}: {} sent for {whole} and {cost}", sent(&seen));
    }
    assert!(right * 2 > all, "{right} of {all} ended well: too few for what can be tried again");
}

/// A server that says nothing more: the wait has an end. A minute is the default, so this takes part in `make soak` only.
#[test]
fn a_stall_has_an_end() {
    if std::env::var_os("LBUILD_TEST_SOAK").is_none() {
        return;
    }
    let registry = registry();
    let stall = Fault::Stall(1000, std::time::Duration::from_secs(600));
    let proxy = Proxy::to(&registry, Faults::times(1, "GET", crate::registry::Class::Blob, stall));
    let lab = Lab::new();
    lab.lbuild_within(180, &["pull", &proxy.name("base:0")]).ok();
    sound(&lab, "after a stall");
}

/// Ctrl-C stops at once, and the next run goes on with what arrived.
#[test]
fn an_interrupt_ends_a_pull_at_once() {
    use nix::sys::signal::{Signal, kill};
    let registry = registry();
    let slow = |asking: &crate::registry::Asking| match asking.class {
        crate::registry::Class::Blob => Fault::Drip(256),
        _ => Fault::None,
    };
    let proxy = Proxy::to(&registry, Faults::chosen(slow));
    let (lab, name) = (Lab::new(), proxy.name("base:0"));
    let mut command = lab.command(&["pull", &name]);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("starts");
    // The layer is under way.
    while !proxy.seen().iter().any(|one| one.received > 10_000) {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(child.try_wait().expect("waited").is_none(), "it ended before the layer came");
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGINT).expect("a signal");
    let start = std::time::Instant::now();
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
    sound(&lab, "after an interrupt");
    proxy.change(Faults::none());
    lab.lbuild_within(60, &["pull", &name]).ok();
    sound(&lab, "after the next pull");
}
