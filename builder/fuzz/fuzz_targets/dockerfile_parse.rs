//! No text makes the parser panic, and every place that it names lies in the text.
//!
//! Seeds: `cargo fuzz run dockerfile_parse corpus/dockerfile_parse ../../testdata/dockerfile`.

#![no_main]

use builder::diagnostic::{Diagnose, Diagnostic};
use builder::dockerfile::{lint, parse, parse_instruction};
use builder::source::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let outcome = parse(Source::new("Dockerfile", text));
    assert_eq!(outcome.dockerfile.is_some(), outcome.errors.is_empty());
    outcome.errors.iter().for_each(|error| check(text, &error.diagnose()));
    outcome.warnings.iter().for_each(|warning| check(text, warning));
    if let Some(dockerfile) = &outcome.dockerfile {
        lint(dockerfile).iter().for_each(|warning| check(text, warning));
        for stage in &dockerfile.stages {
            assert!(text.get(stage.from.span.range()).is_some());
            for parsed in &stage.instructions {
                assert!(text.get(parsed.span.range()).is_some());
                assert!(text.get(parsed.name_span.range()).is_some());
            }
        }
    }
    if let Err(errors) = parse_instruction(&Source::new("trigger", text)) {
        errors.iter().for_each(|error| check(text, &error.diagnose()));
    }
});

fn check(text: &str, diagnostic: &Diagnostic) {
    for label in &diagnostic.labels {
        assert!(text.get(label.span.range()).is_some(), "{diagnostic:?}");
    }
}
