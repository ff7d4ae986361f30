//! The worker and its sandboxes, on a busybox root: what a command sees, and what becomes of what it does.
//!
//! Every test needs user namespaces (`userns_`), some need ranges of ids (`subid_`). A test whose needs are not met is
//! reported as skipped.

mod behaviour;
mod fixture;
mod lifecycle;

use builder::worker::reexec_entry;
use fixture::Fixture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A test: its name, and what it does.
type Test = (&'static str, fn(&Fixture));

fn main() -> ExitCode {
    if let Some(entry) = reexec_entry() {
        entry();
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let tests: Vec<Test> = behaviour::TESTS.iter().chain(lifecycle::TESTS).copied().collect();
    let chosen = tests.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|part| name.contains(part)));
    let fixture = Fixture::new();
    let mut failed = Vec::new();
    for (name, test) in chosen {
        if name.starts_with("subid_") && fixture.is_single() {
            println!("test {name} ... skipped: only one id is mapped");
            continue;
        }
        match catch_unwind(AssertUnwindSafe(|| test(&fixture))) {
            Ok(()) => println!("test {name} ... ok"),
            Err(_) => failed.push(*name),
        }
    }
    println!("{} failed: {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
