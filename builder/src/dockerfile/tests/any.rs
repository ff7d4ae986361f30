//! Any text: goldens, and texts that nobody wrote.

use super::*;
use proptest::prelude::*;

/// Writes `Span { start: 1, end: 2 }` as `@1..2`.
fn short_spans(debug: &str) -> String {
    let mut short = String::new();
    let mut pieces = debug.split("Span { start: ");
    short.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (span, rest) = piece.split_once(" }").expect("a span ends");
        short.push('@');
        short.push_str(&span.replace(", end: ", ".."));
        short.push_str(rest);
    }
    short
}

fn describe(source: &Source, diagnostic: &Diagnostic) -> String {
    let span = diagnostic.labels[0].span;
    let place = format!("{}:{}", source.line_of(span.start), source.column_of(span.start));
    let rule = diagnostic.rule.map(|rule| format!(" [{rule}]")).unwrap_or_default();
    let marked = &source.text[span.range()];
    let help = diagnostic.help.as_deref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
    format!("{place}{rule} {}\n  at: {marked:?}{help}\n", diagnostic.message)
}

fn dump(source: &Source, outcome: &ParseOutcome) -> String {
    let mut text = String::new();
    let mut warnings = outcome.warnings.clone();
    if let Some(dockerfile) = &outcome.dockerfile {
        text.push_str(&format!("{:?}\n", dockerfile.directives));
        for argument in &dockerfile.global_args {
            text.push_str(&format!("global {argument:?}\n"));
        }
        for stage in &dockerfile.stages {
            text.push_str(&format!("\n{:?}\n  comment: {:?}\n", stage.from, stage.comment));
            for parsed in &stage.instructions {
                let Parsed { instruction, span, original, .. } = parsed;
                text.push_str(&format!("{span:?} {original:?}\n  {instruction:?}\n"));
            }
        }
        warnings.extend(lint(dockerfile));
    }
    let errors = outcome.errors.iter().map(|error| describe(source, &error.diagnose()));
    let warnings = warnings.iter().map(|warning| describe(source, warning));
    short_spans(&text) + &errors.chain(warnings).map(|one| format!("\n{one}")).collect::<String>()
}

#[test]
fn goldens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dockerfile");
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of goldens")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 25, "only {} goldens", cases.len());
    for case in cases {
        let text = std::fs::read_to_string(case.join("Dockerfile")).expect("a Dockerfile");
        let source = Source::new("Dockerfile", text);
        let outcome = parse(source.clone());
        let (name, other) = if outcome.errors.is_empty() { ("ast", "error") } else { ("error", "ast") };
        assert!(!case.join(other).with_extension("snap").exists(), "{}: stale {other}.snap", case.display());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, dump(&source, &outcome)));
    }
}

/// Checks that a span is a place in the text.
fn in_text(text: &str, span: Span) -> bool {
    text.get(span.range()).is_some()
}

fn check_any(text: &str) -> Result<(), TestCaseError> {
    let outcome = outcome(text);
    prop_assert_eq!(outcome.dockerfile.is_some(), outcome.errors.is_empty());
    for error in &outcome.errors {
        prop_assert!(in_text(text, error.span()), "{:?}", error);
        prop_assert!(!error.diagnose().message.is_empty());
    }
    if let Some(dockerfile) = &outcome.dockerfile {
        let labels = lint(dockerfile).into_iter().chain(outcome.warnings).flat_map(|warning| warning.labels);
        prop_assert!(labels.into_iter().all(|label| in_text(text, label.span)));
        // Every span of the tree, wherever it stands, appears in its debug form.
        let debug =
            short_spans(&format!("{:?}{:?}{:?}", dockerfile.global_args, dockerfile.stages, dockerfile.keywords));
        for span in debug.split('@').skip(1) {
            let numbers = span.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next().unwrap_or("");
            if let Some((start, end)) = numbers.split_once("..")
                && let (Ok(start), Ok(end)) = (start.parse::<usize>(), end.parse::<usize>())
            {
                prop_assert!(text.get(start..end).is_some(), "{start}..{end}");
            }
        }
    }
    let trigger = parse_instruction(&Source::new("trigger", text));
    for error in trigger.err().into_iter().flatten() {
        prop_assert!(in_text(text, error.span()), "{:?}", error);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_parses_without_panic(text in any::<String>()) {
        check_any(&text)?;
    }

    #[test]
    fn pieces_of_dockerfiles_parse_without_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        check_any(&pieces.concat())?;
        check_any(&format!("FROM a\n{}", pieces.concat()))?;
    }
}

const PIECES: &[&str] = &[
    "FROM ",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "ARG ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "SHELL ",
    "VOLUME ",
    "CMD ",
    "LABEL ",
    "EXPOSE ",
    "x",
    "a b",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\\\n",
    "\\",
    "`",
    "# escape=`\n",
    "# check=",
    "#",
    "<<EOF",
    "<<-'E'",
    "3<<X",
    "\nEOF\n",
    "\tE\n",
    "\"",
    "'",
    "[",
    "]",
    "[\"a\", \"b\"]",
    "--mount=",
    "type=cache,",
    "--from=b",
    "--link",
    "=",
    "\u{e9}",
    "\u{feff}",
    "\u{a0}",
    "\u{b}",
    "\u{2003}",
    "\0",
    "$x",
    "${",
    "AS",
    "NONE",
    "--interval=1s ",
    "1",
    ",",
];
