//! Tests of keys: golden values, one mutation of every field, framing.

use super::*;
use crate::plan::op::{CopyOp, ExtraHost, From, MountKind, MountOp, Network, RunOp, Script, Sharing, WorkdirOp};
use layerfs::digest::DiffId;
use layerfs::path::TreePath;
use layerfs::platform::Platform;
use proptest::prelude::*;

fn platform() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

fn parent() -> CacheKey {
    scratch_key(&platform()).0
}

fn mounts() -> Vec<MountOp> {
    let at = |target: &str, kind| MountOp { target: TreePath::from(target), kind };
    vec![
        at("/b", MountKind::Bind { from: From::Context, source: TreePath::from("src"), writable: false }),
        at(
            "/c",
            MountKind::Cache {
                id: "id".to_owned(),
                sharing: Sharing::Shared,
                readonly: false,
                seed: None,
                mode: 0o755,
                uid: 1,
                gid: 2,
            },
        ),
        at("/t", MountKind::Tmpfs { size: Some(5) }),
        at(
            "/s",
            MountKind::Secret {
                id: "s".to_owned(),
                environment: None,
                file: true,
                required: false,
                mode: 0o400,
                uid: 3,
                gid: 4,
            },
        ),
    ]
}

fn run_op() -> RunOp {
    RunOp {
        arguments: vec!["/bin/sh".to_owned(), "-c".to_owned(), "make".to_owned()],
        environment: vec![("PATH".to_owned(), "/bin".to_owned()), ("A".to_owned(), "1".to_owned())],
        proxies: vec![("HTTP_PROXY".to_owned(), "http://p".to_owned())],
        working_directory: TreePath::from("/w"),
        user: "me".to_owned(),
        insecure: false,
        network: Network::Host,
        host_name: "h".to_owned(),
        extra_hosts: Vec::new(),
        mounts: mounts(),
        script: Some(Script { name: "EOF".to_owned(), body: "#!x".to_owned() }),
    }
}

fn copy_op() -> CopyOp {
    CopyOp {
        from: From::Context,
        sources: vec!["a".to_owned(), "b".to_owned()],
        source_spans: Vec::new(),
        exclude: Vec::new(),
        parents: false,
        heredocs: vec![Script { name: "EOF".to_owned(), body: "text".to_owned() }],
        destination: TreePath::from("/d"),
        destination_is_directory: true,
        chown: Some("1:2".to_owned()),
        chmod: None,
        link: false,
        unpack_archives: false,
        unpack_remote: false,
        remotes: std::collections::BTreeMap::new(),
    }
}

fn key_of_run(op: &RunOp) -> CacheKey {
    run_key(parent(), op, &RunInputs { tier: "ranges", platform: &platform(), bind_digests: &[Digest::of("f")] }).0
}

fn key_of_copy(op: &CopyOp) -> CacheKey {
    copy_key(parent(), op, Digest::of("content"), None).0
}

#[test]
fn golden_keys() {
    let workdir = WorkdirOp { path: TreePath::from("/w"), user: "me".to_owned() };
    let base = base_key(&[DiffId(Digest::of("1")), DiffId(Digest::of("2"))], &platform()).0;
    let keys = [
        ("scratch", parent()),
        ("base", base),
        ("run", key_of_run(&run_op())),
        ("copy", key_of_copy(&copy_op())),
        ("workdir", workdir_key(parent(), &workdir, Some(7)).0),
    ];
    let found: Vec<String> = keys.iter().map(|(name, key)| format!("{name} {key}")).collect();
    // A change here makes every record of every user useless: change the version in the domain with it.
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn components_tell_what_a_key_is_made_of() {
    let (_, components) =
        run_key(parent(), &run_op(), &RunInputs { tier: "ranges", platform: &platform(), bind_digests: &[] });
    let shown: Vec<String> = components.iter().map(|part| format!("{}: {}", part.name, part.value)).collect();
    insta::assert_snapshot!(shown.join("\n"));
    let (_, long) = KeyBuilder::new("d").part("x", vec![b'y'; 2000]).finish();
    assert_eq!(long[0].value, Digest::of(vec![b'y'; 2000]).to_string());
}

/// Changes one thing of an op.
type Change<T> = fn(&mut T);

fn secret(op: &mut RunOp, change: fn(&mut String, &mut Option<String>, &mut bool, &mut bool, &mut u32)) {
    if let MountKind::Secret { id, environment, file, required, mode, .. } = &mut op.mounts[3].kind {
        change(id, environment, file, required, mode);
    }
}

/// Changes one field of a cache mount.
type CacheChange = fn(&mut String, &mut Sharing, &mut bool, &mut u32, &mut Option<(From, TreePath)>);

fn cache(op: &mut RunOp, change: CacheChange) {
    if let MountKind::Cache { id, sharing, readonly, mode, seed, .. } = &mut op.mounts[1].kind {
        change(id, sharing, readonly, mode, seed);
    }
}

#[test]
fn every_field_of_a_run_that_counts_changes_its_key_5_3() {
    let changes: [Change<RunOp>; 28] = [
        |op| op.arguments[2].push('x'),
        |op| op.arguments.push(String::new()),
        |op| op.environment[1].1.push('x'),
        |op| op.environment[1].0.push('x'),
        |op| op.environment.swap(0, 1),
        |op| drop(op.environment.pop()),
        |op| op.working_directory = TreePath::root(),
        |op| op.user.clear(),
        |op| op.network = Network::None,
        |op| op.host_name.push('x'),
        |op| op.mounts.swap(0, 2),
        |op| drop(op.mounts.pop()),
        |op| op.mounts[0].target = TreePath::from("/x"),
        |op| {
            op.mounts[0].kind = MountKind::Bind { from: From::Context, source: TreePath::from("src"), writable: true };
        },
        |op| cache(op, |_, _, readonly, _, _| *readonly = true),
        |op| cache(op, |_, _, _, mode, _| *mode = 0o700),
        |op| cache(op, |_, _, _, _, seed| *seed = Some((From::Scratch, TreePath::from("x")))),
        |op| op.mounts[2].kind = MountKind::Tmpfs { size: None },
        |op| op.mounts[2].kind = MountKind::Tmpfs { size: Some(6) },
        |op| secret(op, |id, _, _, _, _| id.push('x')),
        |op| secret(op, |_, environment, _, _, _| *environment = Some("X".to_owned())),
        |op| secret(op, |_, _, file, _, _| *file = false),
        |op| secret(op, |_, _, _, required, _| *required = true),
        |op| secret(op, |_, _, _, _, mode| *mode = 0o444),
        |op| op.script = None,
        |op| op.script = Some(Script { name: "E".to_owned(), body: "#!x".to_owned() }),
        |op| op.script = Some(Script { name: "EOF".to_owned(), body: "#!y".to_owned() }),
        |op| op.environment.push(("B".to_owned(), String::new())),
    ];
    let mut seen = vec![key_of_run(&run_op())];
    for (number, change) in changes.iter().enumerate() {
        let mut op = run_op();
        change(&mut op);
        let key = key_of_run(&op);
        assert!(!seen.contains(&key), "change {number}");
        seen.push(key);
    }
}

#[test]
fn what_does_not_count_leaves_the_key_of_a_run_5_3() {
    let changes: [Change<RunOp>; 4] = [
        |op| op.proxies.clear(),
        |op| cache(op, |id, _, _, _, _| id.push('x')),
        |op| cache(op, |_, sharing, _, _, _| *sharing = Sharing::Locked),
        |op| {
            op.mounts[0].kind = MountKind::Bind { from: From::Stage(1), source: TreePath::root(), writable: false };
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut op = run_op();
        change(&mut op);
        assert_eq!(key_of_run(&op), key_of_run(&run_op()), "change {number}");
    }
}

/// FEATURES 3.1-14.
#[test]
fn of_extra_hosts_the_names_count() {
    let with = |hosts: &[(&str, u8)]| {
        let host =
            |(name, last): &(&str, u8)| ExtraHost { name: (*name).to_owned(), address: [10, 0, 0, *last].into() };
        key_of_run(&RunOp { extra_hosts: hosts.iter().map(host).collect(), ..run_op() })
    };
    assert_eq!(with(&[("a", 1)]), with(&[("a", 2)]));
    let keys = [with(&[]), with(&[("a", 1)]), with(&[("b", 1)]), with(&[("a", 1), ("b", 1)])];
    for (number, key) in keys.iter().enumerate() {
        assert!(!keys[..number].contains(key), "key {number}");
    }
}

#[test]
fn every_input_of_a_run_changes_its_key_5_3() {
    let (op, amd64) = (run_op(), platform());
    let arm64: Platform = "linux/arm64".parse().expect("a platform");
    let digests = [Digest::of("f")];
    let inputs = RunInputs { tier: "ranges", platform: &amd64, bind_digests: &digests };
    let key = |inputs: RunInputs<'_>| run_key(parent(), &op, &inputs).0;
    let same = key(inputs);
    assert_ne!(key(RunInputs { tier: "one id", ..inputs }), same);
    assert_ne!(key(RunInputs { platform: &arm64, ..inputs }), same);
    assert_ne!(key(RunInputs { bind_digests: &[], ..inputs }), same);
    assert_ne!(key(RunInputs { bind_digests: &[Digest::of("g")], ..inputs }), same);
    assert_ne!(run_key(same, &op, &inputs).0, same);
}

#[test]
fn every_field_of_a_copy_changes_its_key_5_4() {
    let changes: [Change<CopyOp>; 16] = [
        |op| op.unpack_remote = true,
        |op| op.sources[0].push('x'),
        |op| drop(op.sources.pop()),
        |op| op.sources = vec!["ab".to_owned()],
        |op| op.exclude.push("x".to_owned()),
        |op| op.exclude.extend(["x".to_owned(), "y".to_owned()]),
        |op| op.exclude.push("xy".to_owned()),
        |op| op.parents = true,
        |op| op.heredocs[0].name.push('x'),
        |op| op.heredocs[0].body.push('x'),
        |op| op.destination = TreePath::root(),
        |op| op.destination_is_directory = false,
        |op| op.chown = None,
        |op| op.chmod = Some("1:2".to_owned()),
        |op| op.link = true,
        |op| op.unpack_archives = true,
    ];
    let mut seen = vec![key_of_copy(&copy_op())];
    for (number, change) in changes.iter().enumerate() {
        let mut op = copy_op();
        change(&mut op);
        let key = key_of_copy(&op);
        assert!(!seen.contains(&key), "change {number}");
        seen.push(key);
    }
    let op = copy_op();
    assert_ne!(copy_key(parent(), &op, Digest::of("other"), None).0, seen[0]);
    assert_ne!(copy_key(parent(), &op, Digest::of("content"), Some(0)).0, seen[0]);
    assert_ne!(copy_key(seen[0], &op, Digest::of("content"), None).0, seen[0]);
}

#[test]
fn the_source_stage_of_a_copy_is_told_by_its_content_alone() {
    let other = CopyOp { from: From::Stage(3), ..copy_op() };
    assert_eq!(key_of_copy(&other), key_of_copy(&copy_op()));
}

#[test]
fn every_input_of_a_workdir_changes_its_key() {
    let op = |path: &str, user: &str| WorkdirOp { path: TreePath::from(path), user: user.to_owned() };
    let key = |op: &WorkdirOp, epoch| workdir_key(parent(), op, epoch).0;
    let same = key(&op("/a", ""), None);
    assert_ne!(key(&op("/b", ""), None), same);
    assert_ne!(key(&op("/a", "x"), None), same);
    assert_ne!(key(&op("/a", ""), Some(0)), same);
    assert_ne!(workdir_key(same, &op("/a", ""), None).0, same);
}

#[test]
fn bases_are_told_by_layers_and_platform_5_2() {
    let one = DiffId(Digest::of("1"));
    let two = DiffId(Digest::of("2"));
    let arm64: Platform = "linux/arm64".parse().expect("a platform");
    let key = |layers: &[DiffId]| base_key(layers, &platform()).0;
    assert_ne!(key(&[one, two]), key(&[two, one]));
    assert_ne!(key(&[one]), base_key(&[one], &arm64).0);
    assert_eq!(key(&[]), scratch_key(&platform()).0);
}

#[test]
fn parts_are_framed() {
    let key = |parts: &[(&str, &str)]| {
        parts.iter().fold(KeyBuilder::new("d"), |builder, (name, value)| builder.part(name, value)).finish().0
    };
    let same = key(&[("a", "1"), ("b", "2")]);
    for other in [&[("a", "1b2")][..], &[("a1", "b2")], &[("a", "1b"), ("2", "")], &[("", "a1b2")], &[("a1b", "2")]] {
        assert_ne!(key(other), same, "{other:?}");
    }
    assert_ne!(KeyBuilder::new("da").part("1", "b2").finish().0, key(&[("a1", "b2")]));
}

proptest! {
    #[test]
    fn no_byte_moves_between_parts(one in ".{0,8}", other in ".{0,8}", cut in 0_usize..8) {
        let whole = format!("{one}{other}");
        let cut = (0..=whole.len()).rev().find(|at| *at <= cut && whole.is_char_boundary(*at)).unwrap_or(0);
        let key = |a: &str, b: &str| KeyBuilder::new("d").part("a", a).part("b", b).finish().0;
        let same = whole[..cut] == *one;
        prop_assert_eq!(key(&whole[..cut], &whole[cut..]) == key(&one, &other), same);
    }

    #[test]
    fn lists_are_told_from_their_concatenation(items in proptest::collection::vec(".{0,4}", 2..5)) {
        let list = |items: &[String]| KeyBuilder::new("d").list("x", items.iter()).finish().0;
        let mut joined = items.clone();
        let last = joined.pop().expect("two items or more");
        joined.last_mut().expect("one item or more").push_str(&last);
        prop_assert_ne!(list(&items), list(&joined));
    }
}
