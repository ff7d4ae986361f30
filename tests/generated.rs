//! Generated COPY, ADD, WORKDIR and ignore files: another builder makes the same trees of them, file by file.
//!
//! A batch is one context and twenty cases, each below a directory of its own. A case that one of the two refuses, the
//! other has to refuse, too; the rest is built together by both and compared. What is otherwise has a rule with a name
//! ([`rules`]), or fails the test.
//!
//! Buildah is what Debian has. `LBUILD_TEST_BUILDKIT=unix:///SOCKET` of a Docker with a BuildKit asks that, as well.
//! `LBUILD_TEST_SOAK=2000` tries so many cases, and `LBUILD_TEST_FIRST=17` begins with that batch.

mod case;
mod context;
mod peer;
mod random;
mod rules;

use crate::harness::{Identity, Lab, Run, identity, is_left_to_a_plain_user};
use crate::tree::{Difference, Tree};
use case::Case;
use context::Context;
use peer::Peer;
use random::Random;
use rules::Rules;
use std::fmt::Write;

/// Cases of a batch.
const BATCH: usize = 20;

/// How many cases are tried: few in `make test`, 2,000 in `make soak`.
fn cases() -> usize {
    number("LBUILD_TEST_SOAK").unwrap_or(40)
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

/// A context, and cases that are built in it.
struct Batch {
    seed: usize,
    lab: Lab,
    context: Context,
    /// Whether there is a stage that has the context.
    stage: bool,
    cases: Vec<Case>,
}

impl Batch {
    fn generate(seed: usize, peer: &Peer) -> Self {
        let mut random = Random::of(seed as u64);
        let lab = Lab::new();
        let context = Context::generate(&mut random, &lab, peer.knows_zstd());
        let stage = random.percent(40);
        let cases = (0..BATCH).map(|number| Case::generate(&mut random, number, &context, &lab, stage)).collect();
        Self { seed, lab, context, stage, cases }
    }

    /// Writes a Dockerfile beside the context and returns its path.
    fn write(&self, cases: &[&Case]) -> String {
        let stage = if self.stage { "FROM scratch AS s\nCOPY --chown=3:4 . /s\n" } else { "" };
        let cases: String = cases.iter().map(|case| format!("# {}\n{case}", case.number)).collect();
        let path = self.lab.home().join("Dockerfile");
        std::fs::write(&path, format!("{stage}FROM scratch\nCOPY first /\n{cases}")).expect("a Dockerfile");
        path.to_string_lossy().into_owned()
    }

    fn build(&self, file: &str, to: &str) -> Run {
        self.lab.lbuild(&["build", "-q", "-f", file, "-o", to, "."])
    }
}

/// What came of the comparison.
#[derive(Default)]
struct Tally {
    cases: usize,
    /// Cases that both built.
    built: usize,
    /// Cases that both refused.
    refused: usize,
    /// Cases that one built, for a reason with a name.
    explained: usize,
    /// Cases that one built, for no known reason.
    unlike: usize,
    /// Cases about which the other says nothing: alone, and tried twice, it fails by a fault of its own.
    no_reference: usize,
    /// How often the other failed by a fault of its own and was asked again.
    repeated: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn unlike(&mut self, batch: &Batch, case: &Case, what: &str) {
        self.unlike += 1;
        self.wrong(batch, case, what);
    }

    fn wrong(&mut self, batch: &Batch, case: &Case, what: &str) {
        let mut text = format!("== batch {}, case {}: {what}\n{case}", batch.seed, case.number);
        if let Some(ignore) = &batch.context.ignore {
            write!(text, ".dockerignore: {ignore:?}").expect("a text");
        }
        // At once, since a long run may be stopped.
        eprintln!("{text}");
        self.wrong.push(text);
    }
}

/// Builds cases together with the other; one that fails by a fault of its own is asked once more.
fn reference(batch: &Batch, cases: &[&Case], peer: &Peer, tally: &mut Tally) -> Result<Tree, String> {
    let file = batch.write(cases);
    let built = peer.build(&batch.lab, &file);
    let Some(fault) = built.as_ref().err().and_then(|error| peer.own_fault(error)) else { return built };
    tally.repeated += 1;
    eprintln!("batch {}, {} cases: {} fails with `{fault}` and is asked again", batch.seed, cases.len(), peer.name());
    peer.build(&batch.lab, &file)
}

/// Says that the other builder has nothing to say about a case.
fn without_reference(batch: &Batch, case: &Case, error: &str, tally: &mut Tally) {
    eprintln!("== batch {}, case {}: no reference, alone and twice: {error}\n{case}", batch.seed, case.number);
    tally.no_reference += 1;
}

/// Takes out the cases that lbuild refuses, one after another; the other builder has to refuse each of them, too.
fn refused<'a>(batch: &'a Batch, peer: &Peer, rules: &mut Rules, tally: &mut Tally) -> Vec<&'a Case> {
    let mut good: Vec<&Case> = batch.cases.iter().filter(|case| !rules.unknown(case)).collect();
    tally.explained += batch.cases.len() - good.len();
    loop {
        let file = batch.write(&good);
        let ours = batch.build(&file, "type=cacheonly");
        if ours.status == 0 {
            return good;
        }
        let (at, step) = blamed(&ours, &file);
        let case = good.remove(at);
        match reference(batch, &[case], peer, tally) {
            Err(error) if peer.own_fault(&error).is_some() => without_reference(batch, case, &error, tally),
            Err(_) => tally.refused += 1,
            Ok(theirs) if explained(batch, (case, step), &ours, &theirs, peer, rules, tally) => tally.explained += 1,
            Ok(_) => tally.unlike(batch, case, &format!("only lbuild fails: {}", ours.stderr)),
        }
    }
}

/// Reports whether there is a reason that only lbuild refuses the instruction `step` of a case, of which the other makes
/// `theirs`.
fn explained(
    batch: &Batch,
    (case, step): (&Case, usize),
    ours: &Run,
    theirs: &Tree,
    peer: &Peer,
    rules: &mut Rules,
    tally: &mut Tally,
) -> bool {
    rules.refusal(case, &ours.stderr, |path, directory| {
        // What a pattern matches may be in the way of what else it matches: one of them is there.
        if case.has_pattern(step) && theirs.is_directory(path).is_some() {
            return true;
        }
        case.before(step).iter().any(|part| {
            let tree = reference(batch, &[part], peer, tally);
            tree.is_ok_and(|tree| tree.is_directory(path).is_some_and(|found| found == directory))
        })
    })
}

/// Returns which of the cases in a Dockerfile an error of lbuild is about, and which of its instructions.
fn blamed(run: &Run, file: &str) -> (usize, usize) {
    let place = run.stderr.split(&format!("{file}:")).nth(1).unwrap_or_else(|| panic!("no place: {}", run.stderr));
    let line = place.split(':').next().and_then(|number| number.parse().ok()).expect("a line");
    let text = std::fs::read_to_string(file).expect("the Dockerfile");
    let before: Vec<&str> = text.lines().take(line).collect();
    let begun = before.iter().filter(|line| line.starts_with("# ")).count();
    let at = begun.checked_sub(1).unwrap_or_else(|| panic!("not of a case: {}", run.stderr));
    let step = before.iter().rev().take_while(|line| !line.starts_with("# ")).count();
    (at, step.checked_sub(1).unwrap_or_else(|| panic!("not of an instruction: {}", run.stderr)))
}

/// Cases, each with the other's tree of it alone.
type Apart<'a> = Vec<(&'a Case, Tree)>;

/// Takes out the cases that the other refuses, and returns its tree of the rest; and those that it builds alone only,
/// each with its tree.
fn accepted<'a>(
    batch: &Batch,
    good: &mut Vec<&'a Case>,
    peer: &Peer,
    rules: &mut Rules,
    tally: &mut Tally,
) -> Result<(Tree, Apart<'a>), String> {
    let mut apart = Vec::new();
    loop {
        let error = match reference(batch, good, peer, tally) {
            Ok(tree) => return Ok((tree, apart)),
            Err(error) if good.is_empty() => return Err(error),
            Err(error) => error,
        };
        let blamed: Vec<usize> = (0..good.len()).filter(|at| good[*at].failed(&error)).collect();
        let (at, verdict) = match blamed[..] {
            [at] if peer.own_fault(&error).is_none() => (at, Err(error)),
            // Together it may fail by a fault of its own: what it says of the case alone counts.
            [at] => (at, reference(batch, &[good[at]], peer, tally)),
            _ => {
                let mut alone = |at: usize| Some((at, Err(reference(batch, &[good[at]], peer, tally).err()?)));
                (0..good.len()).find_map(&mut alone).ok_or(error)?
            }
        };
        let case = good.remove(at);
        match verdict {
            Ok(tree) => apart.push((case, tree)),
            Err(error) if rules.acceptance(case, &error) => tally.explained += 1,
            Err(error) if peer.own_fault(&error).is_some() => without_reference(batch, case, &error, tally),
            Err(error) => tally.unlike(batch, case, &format!("only the other fails: {error}")),
        }
    }
}

/// Builds cases with both and compares the trees.
fn together(batch: &Batch, mut good: Vec<&Case>, peer: &Peer, rules: &mut Rules, tally: &mut Tally) {
    match accepted(batch, &mut good, peer, rules, tally) {
        Ok((tree, apart)) => {
            compare_trees(batch, &good, &tree, rules, tally);
            for (case, tree) in apart {
                compare_trees(batch, &[case], &tree, rules, tally);
            }
        }
        Err(error) => tally.wrong.push(format!("== batch {}: {error}", batch.seed)),
    }
}

/// Compares what lbuild makes of cases with the other's tree of them.
fn compare_trees(batch: &Batch, cases: &[&Case], theirs: &Tree, rules: &mut Rules, tally: &mut Tally) {
    let archive = batch.lab.home().join("ours.tar");
    let file = batch.write(cases);
    batch.build(&file, &format!("type=tar,dest={}", archive.display())).ok();
    let ours = Tree::archive(&batch.lab, &archive);
    tally.built += cases.len();
    let differences = ours.differences(theirs);
    let of = |case: Option<&Case>| -> Vec<&Difference> {
        let holder = |it: &Difference| cases.iter().find(|case| case.holds(&it.path)).map(|case| case.number);
        differences.iter().filter(|it| holder(it) == case.map(|case| case.number)).collect()
    };
    for case in cases {
        for why in rules.unexplained(Some(case), &of(Some(case))) {
            tally.wrong(batch, case, &why);
        }
    }
    for why in rules.unexplained(None, &of(None)) {
        tally.wrong.push(format!("== batch {}: {why}", batch.seed));
    }
}

fn compare(peer: &Peer) {
    let mut tally = Tally::default();
    let mut rules = Rules::of(peer);
    let first = number("LBUILD_TEST_FIRST").unwrap_or(0);
    for seed in first..first + cases().div_ceil(BATCH) {
        let batch = Batch::generate(seed, peer);
        tally.cases += batch.cases.len();
        let good = refused(&batch, peer, &mut rules, &mut tally);
        together(&batch, good, peer, &mut rules, &mut tally);
        eprintln!("batch {seed}: {} cases, {} wrong", tally.cases, tally.wrong.len());
    }
    let Tally { cases, built, refused, explained, unlike, no_reference, repeated, wrong } = tally;
    eprintln!("{cases} cases: {built} built by both, {refused} refused by both, {explained} by one for a known reason");
    eprintln!("{no_reference} without a reference; {} was asked again {repeated} times", peer.name());
    rules.report();
    assert!(wrong.is_empty(), "{} differences, {unlike} of them built by one\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(built + refused + explained + no_reference, cases, "every case is counted once");
}

#[test]
fn subid_generated_dockerfiles_build_as_with_buildah() {
    if identity() != Identity::OneId && !is_left_to_a_plain_user() {
        compare(&Peer::buildah());
    }
}

#[test]
fn generated_dockerfiles_build_as_with_buildkit() {
    if let Ok(socket) = std::env::var("LBUILD_TEST_BUILDKIT") {
        compare(&Peer::BuildKit { socket });
    }
}
