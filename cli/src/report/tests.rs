use super::*;

fn source() -> Source {
    Source::new("Dockerfile", "FROM busybox AS a\nRUN make\nCOPY x /\nCMD [\"sh\"]\n")
}

#[test]
fn a_diagnostic_has_its_place_and_its_cure() {
    let diagnostic =
        Diagnostic::error("`x` is not in the build context").at(Span::new(32, 33), "copied here").help("add it");
    let wanted = "\
error: `x` is not in the build context
 --> Dockerfile:3:6
  |
3 | COPY x /
  |      ^ copied here
  |
  = help: add it";
    assert_eq!(rendered(&diagnostic, Some(&source()), false), wanted);
}

#[test]
fn a_diagnostic_without_a_place_is_one_line() {
    let diagnostic = Diagnostic::error("no place\x1b[2J for the store\u{7}");
    assert_eq!(rendered(&diagnostic, None, false), "error: no place for the store\\u{7}");
}

/// FEATURES 3.3-3.
#[test]
fn a_failing_command_ends_as_with_buildkit() {
    let log = FailedLog { name: "[a 2/3] RUN make".into(), lines: vec!["0.100 cc: not found".into()], more: None };
    let diagnostic = Diagnostic::error("process `/bin/sh -c make` did not complete successfully: exit code: 2")
        .at(Span::new(18, 26), "");
    let wanted = "\
------
 > [a 2/3] RUN make:
0.100 cc: not found
------
Dockerfile:2
--------------------
   1 |     FROM busybox AS a
   2 | >>> RUN make
   3 |     COPY x /
   4 |     CMD [\"sh\"]
--------------------
error: process `/bin/sh -c make` did not complete successfully: exit code: 2";
    assert_eq!(failed_command(&diagnostic, &source(), &log), wanted);
    let log = FailedLog { more: Some("0.1".into()), ..log };
    let more = format!("{wanted}\nhelp: all that it wrote is in `lbuild logs 0.1`");
    assert_eq!(failed_command(&diagnostic, &source(), &log), more);
}

#[test]
fn hostile_spans_and_texts_do_no_harm() {
    let source = Source::new("D\u{1b}[2J", "RUN é\u{1b}[2J\n");
    for (start, end) in [(0, 0), (5, 5), (5, 6), (0, 1000), (999, 1000)] {
        let text = rendered(&Diagnostic::error("x").at(Span { start, end }, ""), Some(&source), false);
        assert!(!text.contains("\u{1b}[2J") || text.contains("D\u{1b}"), "{text:?}");
        assert!(!excerpt(&source, Span { start, end }).contains('\u{1b}'));
    }
}
