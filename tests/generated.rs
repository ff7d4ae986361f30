//! Generated COPY, ADD, WORKDIR and ignore files: another builder makes the same trees of them, file by file.
//!
//! A batch is one context and twenty cases, each below a directory of its own. The cases that lbuild builds one by one are
//! then built together by both, and the others by the other builder alone, which has to fail, too. What is otherwise has
//! a rule with a name ([`rules`]), or fails the test.
//!
//! Buildah is what Debian has. `LBUILD_TEST_BUILDKIT=unix:///SOCKET` of a Docker with a BuildKit asks that, as well.
//! `LBUILD_TEST_SOAK=2000` tries so many cases, and `LBUILD_TEST_FIRST=17` begins with that batch.

mod case;
mod context;
mod peer;
mod random;
mod rules;

use crate::harness::{Identity, Lab, Run, identity};
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
    fn generate(seed: usize) -> Self {
        let mut random = Random::of(seed as u64);
        let lab = Lab::new();
        let context = Context::generate(&mut random, &lab);
        let stage = random.percent(40);
        let cases = (0..BATCH).map(|number| Case::generate(&mut random, number, &context, &lab, stage)).collect();
        Self { seed, lab, context, stage, cases }
    }

    fn dockerfile<'a>(&self, cases: impl IntoIterator<Item = &'a Case>) -> String {
        let stage = if self.stage { "FROM scratch AS s\nCOPY --chown=3:4 . /s\n" } else { "" };
        cases.into_iter().fold(format!("{stage}FROM scratch\nCOPY first /\n"), |text, case| format!("{text}{case}"))
    }

    /// Writes a Dockerfile beside the context and returns its path.
    fn write<'a>(&self, cases: impl IntoIterator<Item = &'a Case>) -> String {
        let path = self.lab.home().join("Dockerfile");
        std::fs::write(&path, self.dockerfile(cases)).expect("a Dockerfile");
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
    wrong: Vec<String>,
}

impl Tally {
    fn wrong(&mut self, batch: &Batch, case: &Case, what: &str) {
        let mut text = format!("== batch {}, case {}: {what}\n{case}", batch.seed, case.number);
        if let Some(ignore) = &batch.context.ignore {
            write!(text, ".dockerignore: {ignore:?}").expect("a text");
        }
        self.wrong.push(text);
    }
}

/// Builds every case alone with lbuild; what both refuse is done with.
fn one_by_one<'a>(batch: &'a Batch, peer: &Peer, rules: &mut Rules, tally: &mut Tally) -> Vec<&'a Case> {
    let mut good = Vec::new();
    for case in &batch.cases {
        let ours = batch.build(&batch.write([case]), "type=cacheonly");
        if ours.status == 0 {
            good.push(case);
            continue;
        }
        match peer.build(&batch.lab, &batch.write([case])) {
            Err(_) => tally.refused += 1,
            Ok(_) if rules.refusal(case, &ours.stderr) => tally.explained += 1,
            Ok(_) => tally.wrong(batch, case, &format!("only lbuild fails: {}", ours.stderr)),
        }
    }
    good
}

/// Builds cases together with both; those that the other refuses are taken out first if it does not build them all.
fn together(batch: &Batch, mut good: Vec<&Case>, peer: &Peer, rules: &mut Rules, tally: &mut Tally) {
    let mut theirs = peer.build(&batch.lab, &batch.write(good.iter().copied()));
    if theirs.is_err() {
        good.retain(|case| match peer.build(&batch.lab, &batch.write([*case])) {
            Ok(_) => true,
            Err(error) if rules.acceptance(case, &error) => {
                tally.explained += 1;
                false
            }
            Err(error) => {
                tally.wrong(batch, case, &format!("only the other fails: {error}"));
                false
            }
        });
        theirs = peer.build(&batch.lab, &batch.write(good.iter().copied()));
    }
    let theirs = match theirs {
        Ok(tree) => tree,
        Err(error) => return tally.wrong.push(format!("== batch {}: {error}", batch.seed)),
    };
    let archive = batch.lab.home().join("ours.tar");
    let file = batch.write(good.iter().copied());
    batch.build(&file, &format!("type=tar,dest={}", archive.display())).ok();
    let ours = Tree::archive(&batch.lab, &archive);
    tally.built += good.len();
    let differences = ours.differences(&theirs);
    let of = |case: Option<&Case>| -> Vec<&Difference> {
        let holder = |it: &Difference| good.iter().find(|case| case.holds(&it.path)).map(|case| case.number);
        differences.iter().filter(|it| holder(it) == case.map(|case| case.number)).collect()
    };
    for case in good.iter().copied() {
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
        let batch = Batch::generate(seed);
        tally.cases += batch.cases.len();
        let good = one_by_one(&batch, peer, &mut rules, &mut tally);
        together(&batch, good, peer, &mut rules, &mut tally);
    }
    let Tally { cases, built, refused, explained, wrong } = tally;
    eprintln!("{cases} cases: {built} built by both, {refused} refused by both, {explained} by one for a known reason");
    rules.report();
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn subid_generated_dockerfiles_build_as_with_buildah() {
    if identity() != Identity::OneId {
        compare(&Peer::buildah());
    }
}

#[test]
fn generated_dockerfiles_build_as_with_buildkit() {
    if let Ok(socket) = std::env::var("LBUILD_TEST_BUILDKIT") {
        compare(&Peer::BuildKit { socket });
    }
}
