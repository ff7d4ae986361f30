//! The build checks (FEATURES 1.8).

use super::*;

/// Checks rules of 1.8: the names found, and the places they point at.
#[test]
fn rows_1_8_lint() {
    let table: [(&str, &str, &[&str]); 14] = [
        ("StageNameCasing", "FROM a AS Build\n", &["Build"]),
        ("FromAsCasing", "From a aS b\n", &[]),
        ("ConsistentInstructionCasing", "arg x\narg y\nFROM a\nRUN b\nrun c\n", &["run"]),
        ("FromAsCasing", "FROM a as b\nFROM a AS c\n", &["as"]),
        ("ConsistentInstructionCasing", "FROM a\nrun b\nRun c\nRUN d\n", &["run", "Run"]),
        ("ConsistentInstructionCasing", "from a\nrun b\nRUN c\n", &["RUN"]),
        ("DuplicateStageName", "FROM a AS b\nFROM a AS B\n", &["B"]),
        ("ReservedStageName", "FROM a AS scratch\nFROM b AS context\n", &["scratch", "context"]),
        ("JSONArgsRecommended", "FROM a AS b\nCMD x\nENTRYPOINT [\"y\"]\n", &["CMD x"]),
        ("JSONArgsRecommended", "FROM a AS b\nSHELL [\"s\"]\nFROM b\nCMD x\n", &[]),
        ("MaintainerDeprecated", "FROM a\nMAINTAINER me\n", &["MAINTAINER me"]),
        ("MultipleInstructionsDisallowed", "FROM a\nCMD [\"x\"]\nCMD [\"y\"]\nFROM b\nCMD []\n", &["CMD [\"x\"]"]),
        ("LegacyKeyValueFormat", "FROM a\nENV b c\nLABEL d=e\n", &["ENV b c"]),
        ("NoEmptyContinuation", "FROM a\nRUN b\\\n \nc\n", &[" "]),
    ];
    for (rule, text, places) in table {
        let mut warnings = lint(&good(text));
        warnings.extend(outcome(text).warnings);
        let of_rule = warnings.iter().filter(|warning| warning.rule == Some(rule));
        let found: Vec<&str> = of_rule.map(|warning| &text[warning.labels[0].span.range()]).collect();
        assert_eq!(found, places, "{rule}: {text:?}");
    }
    assert_eq!(lint(&good("ARG x\nFROM a AS b\nRUN c\nCMD [\"d\"]\n")), []);
}

/// Rows 1.8-1, 1.8-7 and 1.8-13.
#[test]
fn rules_of_stages_are_for_stages_that_are_needed() {
    let dockerfile = good("FROM a AS X\nCMD a\nFROM b\nENV c d\nFROM e\nCMD f\n");
    let rules = |reached: &[usize]| {
        let left = lint::of_reached(lint(&dockerfile), &dockerfile, reached.iter().copied());
        left.iter().map(|warning| (warning.rule.expect("a rule"), warning.labels[0].span.start)).collect::<Vec<_>>()
    };
    let (casing, command, legacy) = (("StageNameCasing", 10), "JSONArgsRecommended", ("LegacyKeyValueFormat", 25));
    assert_eq!(rules(&[0, 1, 2]), [casing, (command, 12), legacy, (command, 40)]);
    assert_eq!(rules(&[2]), [casing, (command, 40)]);
}
