//! Any `.dockerignore` and any path: no panic, and the walker's answer is the one of the whole path.
#![no_main]

use builder::context::ignore::IgnoreRules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (text, path) = input;
    let Ok(rules) = IgnoreRules::parse(".dockerignore", text) else { return };
    let decision = rules.decide(path, false);
    let parent = path.iter().rposition(|&b| b == b'/').map_or(&path[..0], |at| &path[..at]);
    let skipped = rules.decide(parent, true).ignored && !rules.may_hold_exceptions(parent);
    assert!(!skipped || decision.ignored || parent.is_empty(), "a skipped directory held a visible file");
});
