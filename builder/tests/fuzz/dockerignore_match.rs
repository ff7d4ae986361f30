//! Any `.dockerignore` and any path: no panic, and the walker's answer is the one of the whole path.

use builder::context::ignore::IgnoreRules;

/// Runs one input: a path, and after the first zero byte an ignore file.
pub fn run(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (path, text) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let Ok(rules) = IgnoreRules::parse(".dockerignore", text) else { return };
    let (decision, _) = rules.decide(path);
    let parent = path.iter().rposition(|&b| b == b'/').map_or(&path[..0], |at| &path[..at]);
    let (above, trail) = rules.decide(parent);
    let skipped = above.ignored && !rules.may_hold_exceptions(&trail);
    assert!(!skipped || decision.ignored || parent.is_empty(), "a skipped directory held a visible file");
}
