//! What the parts of a build cost: `cargo bench -p builder [-- NAME]`. Numbers of two machines do not compare; those of
//! two commits on one machine do.
//!
//! Names: parse, plan, key, walk, hash, tar, compress, unpack, index, diff. The trees are made here, in `$TMPDIR`.

mod clock;
mod trees;

use builder::bases::Bases;
use builder::context::local::BuildContext;
use builder::context::memo::Memo;
use builder::copy::digest::content_digest;
use builder::copy::owner::Owner;
use builder::copy::plan::{CopyPlan, Target, plan};
use builder::copy::select::{Choice, Selection, select};
use builder::copy::write::write_layer;
use builder::dockerfile::{Dockerfile, parse};
use builder::graph::{GraphOptions, StageGraph};
use builder::key::{RunInputs, run_key, scratch_key};
use builder::plan::op::{Op, RunOp};
use builder::plan::{Plan, PlanOptions};
use builder::source::Source;
use clock::{Amount, Clock};
use layerfs::compress::{CompressOptions, Compression, compress_layer};
use layerfs::diff::normalize;
use layerfs::digest::{Digest, HashWriter};
use layerfs::index::LayerIndex;
use layerfs::meta::Timestamp;
use layerfs::path::TreePath;
use layerfs::platform::Platform;
use layerfs::rootdir::RootDir;
use layerfs::stack::Stack;
use layerfs::unpack::unpack;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Lines of the Dockerfile that is parsed, planned and keyed.
const LINES: usize = 10_000;
/// Files of the tree of small ones.
const FILES: usize = 20_000;
/// Bytes of the tree of large files.
const BYTES: u64 = 256 << 20;

fn main() {
    let clock = Clock::from_arguments();
    language(&clock);
    let place = tempfile::tempdir().expect("a directory");
    let small = place.path().join("small");
    trees::small(&small, FILES);
    files(&clock, &small);
    bytes(&clock);
}

/// From text to keys.
fn language(clock: &Clock) {
    let text = trees::dockerfile(LINES);
    let amount = Amount::Things(LINES, "lines");
    let source = || Source::new("Dockerfile", text.clone());
    clock.time("parse", amount, source, parse);
    let dockerfile = parse(source()).dockerfile.expect("a Dockerfile without errors");
    clock.time("plan", amount, || (), |()| planned(&dockerfile));
    let plan = planned(&dockerfile);
    let runs: Vec<&RunOp> = plan.stages[0].steps.iter().filter_map(|step| run(&step.op)).collect();
    clock.time("key", Amount::Things(runs.len(), "steps"), || (), |()| keys(&runs));
}

fn planned(dockerfile: &Dockerfile) -> Plan {
    let options = GraphOptions {
        target: None,
        build_args: BTreeMap::new(),
        named_contexts: BTreeMap::new(),
        target_platform: Platform::host(),
        build_platform: Platform::host(),
    };
    let graph = StageGraph::new(dockerfile, &options).expect("a graph");
    Plan::new(dockerfile, &graph, &Bases::default(), &PlanOptions::default()).expect("a plan").0
}

fn run(op: &Op) -> Option<&RunOp> {
    match op {
        Op::Run(run) => Some(run),
        _ => None,
    }
}

fn keys(runs: &[&RunOp]) -> builder::key::CacheKey {
    let platform = Platform::host();
    let inputs = RunInputs { tier: "ranges", platform: &platform, bind_digests: &[] };
    runs.iter().fold(scratch_key(&platform).0, |key, run| run_key(key, run, &inputs).0)
}

/// A tree of small files on its way into a layer, and out of one.
fn files(clock: &Clock, tree: &Path) {
    let amount = Amount::Things(FILES, "files");
    let context = BuildContext::open(tree, None).expect("a context");
    clock.time("walk", amount, || (), |()| selected(&context));
    clock.time("hash 20,000 files", amount, || selected(&context), |selection| digested(selection, &context));
    let tar = || planned_copy(digested(selected(&context), &context));
    clock.time("tar 20,000 files", amount, tar, |plan| {
        write_layer(&plan, &context, HashWriter::new(io::sink()), &mut |_| Ok(())).expect("a layer").0.finish()
    });
    let layer = write_layer(&tar(), &context, Vec::new(), &mut |_| Ok(())).expect("a layer").0;
    let fresh = || tempfile::tempdir().expect("a directory");
    clock.time("unpack 20,000 files", amount, fresh, |place| {
        let root = RootDir::open(place.path()).expect("open");
        unpack(&mut layer.as_slice(), &root).expect("a sound layer");
        place
    });
    let upper = fresh();
    let root = RootDir::open(upper.path()).expect("open");
    let index = unpack(&mut layer.as_slice(), &root).expect("a sound layer").index;
    let (bytes, path) = (index.encode(), index.changes[index.changes.len() / 2].path.clone());
    clock.time(
        "index, read for one path",
        amount,
        || bytes.clone(),
        |bytes| LayerIndex::decode(bytes).expect("an index").get(&path).is_some(),
    );
    let never = |_: usize, path: &TreePath| panic!("{path} is not below");
    clock.time("diff 20,000 files", amount, || (), |()| normalize(&root, &Stack::default(), &never).expect("a diff"));
}

fn selected(context: &BuildContext) -> Selection {
    let sources = [".".to_owned()];
    select(&Choice::of(&sources), context).expect("a selection")
}

fn digested(mut selection: Selection, context: &BuildContext) -> Selection {
    content_digest(&mut selection, None, context, &Memo::default(), &|_| {}).expect("digests");
    selection
}

fn planned_copy(selection: Selection) -> CopyPlan {
    // The caller's own ids: unpacking gives files their owners.
    let owner = Owner { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
    let destination = TreePath::from("/data");
    let target = Target {
        destination: &destination,
        is_directory: true,
        owner: Some(owner),
        mode: None,
        epoch: Some(Timestamp::from_seconds(0)),
        now: Timestamp::from_seconds(0),
    };
    plan(selection, &[], BTreeMap::new(), &target, &Stack::default()).expect("a plan")
}

/// Bytes in memory, half of them random, half of them text.
fn bytes(clock: &Clock) {
    let content = trees::content(BYTES);
    let amount = Amount::Bytes(BYTES);
    clock.time("hash one stream", amount, || (), |()| Digest::of(&content));
    let tar = trees::tar_of(&content);
    for (name, form) in [("compress gzip", Compression::Gzip), ("compress zstd", Compression::Zstd)] {
        clock.time(
            name,
            amount,
            || (),
            |()| {
                compress_layer(&mut tar.as_slice(), &mut io::sink(), &CompressOptions::new(form), &Default::default())
                    .expect("compressed")
            },
        );
    }
}
