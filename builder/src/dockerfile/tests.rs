mod any;
mod instructions;
mod rules;

use super::instruction::{CommandLine, Copy, Healthcheck, Instruction, Run};
use super::*;
use crate::diagnostic::{Diagnose, Diagnostic};
use std::fmt::Write as _;
use std::path::Path;

fn outcome(text: &str) -> ParseOutcome {
    parse(Source::new("Dockerfile", text))
}

fn good(text: &str) -> Dockerfile {
    let outcome = outcome(text);
    assert_eq!(outcome.errors, [], "{text}");
    outcome.dockerfile.expect("no errors, so a Dockerfile")
}

/// Returns the only instruction after `FROM a`.
fn one(text: &str) -> Parsed {
    let mut dockerfile = good(&format!("FROM a\n{text}"));
    let instructions = &mut dockerfile.stages[0].instructions;
    assert_eq!(instructions.len(), 1, "{text}");
    instructions.remove(0)
}

fn run(text: &str) -> Run {
    match one(text).instruction {
        Instruction::Run(run) => run,
        other => panic!("{text}: {other:?}"),
    }
}

fn copy(text: &str) -> Copy {
    match one(text).instruction {
        Instruction::Copy(copy) => copy,
        other => panic!("{text}: {other:?}"),
    }
}

/// Returns messages and the text that each points at.
fn errors(text: &str) -> Vec<(String, String)> {
    let errors = outcome(text).errors;
    errors.iter().map(|error| (error.to_string(), text[error.span().range()].to_owned())).collect()
}

/// Checks the one error of each text: message, and the place that it points at.
fn check_errors(row: &str, table: &[(&str, &str, &str)]) {
    for (text, message, place) in table {
        assert_eq!(errors(text), [((*message).to_owned(), (*place).to_owned())], "{row}: {text:?}");
    }
}

fn help(text: &str) -> Option<String> {
    outcome(text).errors[0].diagnose().help
}

#[test]
fn row_1_1_1_what_a_dockerfile_must_hold() {
    let before = "no build stage in current context: `RUN` stands before the first `FROM`";
    check_errors(
        "1.1-1",
        &[
            ("", "the Dockerfile cannot be empty", ""),
            ("# only\n\n", "file with no instructions", ""),
            ("ARG a\n", "the Dockerfile has no stage to build", "ARG"),
            ("RUN a\nRUN b\nFROM c\n", before, "RUN"),
            ("FORM a\nRUN b\n", "unknown instruction: `FORM`", "FORM"),
        ],
    );
    let fits = format!("FROM a\nRUN {}\n", "x".repeat(65_531));
    assert_eq!(outcome(&fits).errors, []);
    let long = format!("FROM a\nRUN {}\nFOO\n", "x".repeat(65_532));
    let found: Vec<String> = outcome(&long).errors.iter().map(ToString::to_string).collect();
    let too_long = "dockerfile line greater than max allowed size of 65535: it has 65536 bytes";
    assert_eq!(found, [too_long, "unknown instruction: `FOO`"]);
}

#[test]
fn row_1_1_1_instructions_are_counted() {
    let text = |count: usize| format!("FROM a\n{}", "ENV a=b\n".repeat(count));
    assert_eq!(outcome(&text(49_999)).errors, []);
    let found = errors(&text(1_000_000));
    assert_eq!(found, [("a Dockerfile has at most 50000 instructions".to_owned(), "ENV a=b".to_owned())]);
}

#[test]
fn row_1_1_1_byte_order_mark_and_line_ends() {
    let dockerfile = good("\u{feff}FROM a\r\nRUN b \\\r\n  c\r\n");
    assert_eq!(dockerfile.stages[0].from.span, Span::new(3, 9));
    assert_eq!(dockerfile.stages[0].instructions[0].original, "RUN b   c");
}

#[test]
fn rows_1_1_2_to_1_1_4_joined_lines() {
    let table = [
        ("RUN a \\\n  b\n", "RUN a   b"),
        ("RUN a \\  \t\nb", "RUN a b"),
        ("RUN a \\\n# comment\n   # another\nb", "RUN a b"),
        ("RUN a # no comment", "RUN a # no comment"),
        ("  \tRUN a  ", "RUN a"),
        ("RUN a \\", "RUN a"),
        ("RUN a\\\nb", "RUN ab"),
        ("RUN a \\\\\n", "RUN a \\\\"),
        ("RUN a \\\n\\\nb", "RUN a b"),
        ("RUN a\0b", "RUN a\0b"),
        ("\\\nRUN a", "RUN a"),
        ("R\\\nUN a", "RUN a"),
    ];
    for (text, original) in table {
        assert_eq!(one(text).original, original, "{text:?}");
    }
}

#[test]
fn row_10_14_three_escapes_do_not_continue() {
    assert_eq!(one("RUN a \\\\\\\n").original, "RUN a \\\\\\");
}

#[test]
fn row_1_1_5_empty_continuation_lines_are_warned_about() {
    let text = "FROM a\nRUN b \\\n\n  \n  c\n";
    let warnings = outcome(text).warnings;
    let expected = Diagnostic::of_rule("NoEmptyContinuation", "empty continuation line", Span::new(15, 15));
    assert_eq!(warnings, [expected]);
    assert_eq!(one("RUN b \\\n\nc").original, "RUN b c");
}

#[test]
fn row_1_1_6_directives() {
    let directives = |text: &str| good(text).directives;
    let all = directives("# Syntax = docker/dockerfile:1 x\n#escape=`\n# check=skip=all;error=true\nFROM a\n");
    assert_eq!(all.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(all.escape(), '`');
    assert_eq!(all.check.as_deref(), Some("skip=all;error=true"));
    for ended in ["# comment\n", "\n", "# unknown=x\n", "FROM b\n"] {
        assert_eq!(directives(&format!("{ended}# escape=`\nFROM a\n")).escape, None, "{ended:?}");
    }
    check_errors(
        "1.1-6",
        &[("# escape=`\n# escape=`\nFROM a\n", "only one `escape` parser directive can be used", "# escape=`")],
    );
}

#[test]
fn row_1_1_7_escape_directive() {
    check_errors("1.1-7", &[("# escape=x\nFROM a", "invalid escape token `x` does not match `` ` `` or `\\`", "x")]);
    let dockerfile = good("# escape=`\nFROM a\nRUN dir C:\\ `\n  b\n");
    assert_eq!(dockerfile.stages[0].instructions[0].original, "RUN dir C:\\   b");
}

#[test]
fn row_1_1_8_syntax_is_found_in_every_form() {
    let table = [
        ("#!/bin/sh\n# syntax=x\nFROM a", Some("x")),
        ("// syntax=x\n", Some("x")),
        ("{\"syntax\":\"x\"}", Some("x")),
        ("FROM a\n# syntax=x\n", None),
    ];
    for (text, syntax) in table {
        assert_eq!(directives::parse(text, &mut Vec::new()).syntax.as_deref(), syntax, "{text:?}");
    }
}

#[test]
fn row_1_1_9_check_options_are_checked() {
    check_errors(
        "1.1-9",
        &[
            ("# check=skp=a\nFROM a", "invalid check option `skp=a`", "skp=a"),
            ("# check=error=maybe\nFROM a", "invalid check option `error=maybe`", "error=maybe"),
        ],
    );
}

#[test]
fn row_1_1_10_instructions_and_flags_are_split() {
    let run = run("rUn --network=\"no\"ne -- --not-a-flag");
    assert_eq!(run.network.map(|word| word.value).as_deref(), Some("none"));
    assert_eq!(run.command, CommandLine::Shell("--not-a-flag".into()));
    assert_eq!(copy("COPY --chown='a b'\\ c x y").chown.map(|word| word.value).as_deref(), Some("a b c"));
    assert_eq!(help("FROM a\nCOPPY a b").as_deref(), Some("did you mean `COPY`?"));
    let forgotten =
        "commands are run with `RUN XYZZY …`; what belongs to the line above needs a `\\` at the end of that one";
    assert_eq!(help("FROM a\nXYZZY a b").as_deref(), Some(forgotten));
}

#[test]
fn row_1_1_11_flags_are_checked() {
    check_errors(
        "1.1-11",
        &[
            ("FROM a\nCOPY --link= a b", "missing a value on flag: `--link`", "--link="),
            ("FROM a\nCOPY --link=x a b", "expecting boolean value for flag `--link`, not: `x`", "x"),
            ("FROM a\nCOPY --link --link a b", "duplicate flag specified: `--link`", "--link"),
            ("FROM a\nCOPY --frm=x a b", "unknown flag: `--frm`", "--frm=x"),
            ("FROM a\nCOPY --from a b", "missing a value on flag: `--from`", "--from"),
            ("FROM a\nENV --x a=b", "unknown flag: `--x`", "--x"),
            ("FROM a\nRUN --network=hots b", "invalid network mode `hots`", "hots"),
            ("FROM a\nRUN --security=x b", "security `x` is not valid", "x"),
        ],
    );
    assert!(copy("COPY --link=TRUE a b").link);
    assert!(!copy("COPY --link=false a b").link);
    assert_eq!(help("FROM a\nCOPY --frm=x a b").as_deref(), Some("did you mean `--from`?"));
    assert_eq!(help("FROM a\nENV --x a=b").as_deref(), Some("ENV takes no flags"));
}

#[test]
fn row_1_1_12_json_or_shell_form() {
    let shell = |text: &str| CommandLine::Shell(text.to_owned());
    let table = [
        ("[\"a\", \"b \\\" \\u00e9\"]", CommandLine::Exec(vec!["a".into(), "b \" \u{e9}".into()])),
        ("[]", CommandLine::Exec(Vec::new())),
        ("['a']", shell("['a']")),
        ("[\"a\"", shell("[\"a\"")),
        ("[\"a\"] b", shell("[\"a\"] b")),
        ("[ -f x ]", shell("[ -f x ]")),
        ("", shell("")),
    ];
    for (text, command) in table {
        assert_eq!(run(&format!("RUN {text}")).command, command, "{text}");
    }
    let message = "when using JSON array syntax, arrays must be comprised of strings only";
    check_errors(
        "1.1-12",
        &[
            ("FROM a\nRUN [\"a\", 1]", message, "[\"a\", 1]"),
            ("FROM a\nCOPY [[\"a\"], \"b\"]", message, "[[\"a\"], \"b\"]"),
        ],
    );
    let copied = copy("COPY [\"a \\\" b\", \"c\"]");
    assert_eq!(copied.sources.paths[0].value, "a \" b");
    assert_eq!(copied.sources.paths[0].span, Span::new(13, 21));
}

#[test]
fn row_1_1_13_words_keep_quotes() {
    let pairs = |text: &str| match one(text).instruction {
        Instruction::Env(pairs) => {
            pairs.into_iter().map(|pair| (pair.key.value, pair.value.value, pair.legacy)).collect::<Vec<_>>()
        }
        other => panic!("{text}: {other:?}"),
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned(), false);
    let table = [
        ("ENV a='b c' d=\"e \\\" f\"", vec![pair("a", "'b c'"), pair("d", "\"e \\\" f\"")]),
        ("ENV a=b\\ c d=''", vec![pair("a", "b\\ c"), pair("d", "''")]),
        ("ENV a=\u{e9}=\u{e9} b=", vec![pair("a", "\u{e9}=\u{e9}"), pair("b", "")]),
        ("ENV a=b\\\n c=d", vec![pair("a", "b"), pair("c", "d")]),
        ("ENV a  b 'c  d", vec![("a".into(), "b 'c  d".into(), true)]),
    ];
    for (text, expected) in table {
        assert_eq!(pairs(text), expected, "{text}");
    }
}

#[test]
fn row_1_1_14_heredocs() {
    let table = [
        ("RUN cat <<EOF\nx\nEOF\n", vec![("EOF", "x\n", true, false, 0)]),
        ("RUN <<-'E O'\n\t\tx\n\t y\n\tE O\n", vec![("E O", "x\n y\n", false, true, 0)]),
        ("RUN 3<<A cat <<\"B\" >f\na\nA\n$b\nB\n", vec![("A", "a\n", true, false, 3), ("B", "$b\n", false, false, 0)]),
        ("RUN <<EOF\r\nx\r\nEOF\r\n", vec![("EOF", "x\r\n", true, false, 0)]),
        ("RUN <<EOF\n EOF\nEOF \nEOF", vec![("EOF", " EOF\nEOF \n", true, false, 0)]),
        ("RUN <<E\\OF\nEOF", vec![("EOF", "", false, false, 0)]),
        ("RUN cat <<<EOF", vec![]),
        ("RUN cat << EOF", vec![]),
        ("RUN echo 'a <<EOF'", vec![]),
        ("RUN echo ' <<EOF", vec![]),
        ("RUN [\"<<EOF\"]", vec![]),
    ];
    for (text, expected) in table {
        let heredocs = run(text).heredocs;
        let found: Vec<_> = heredocs
            .iter()
            .map(|one| (one.name.as_str(), one.body.value.as_str(), one.expand, one.chomp, one.descriptor))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }
    let message = "unterminated heredoc: no line reads `EOF`";
    check_errors("1.1-14", &[("FROM a\nRUN cat <<EOF\nx\nEOF \n", message, "<<EOF")]);
    assert_eq!(one("CMD cat <<EOF").original, "CMD cat <<EOF");
}

#[test]
fn row_1_1_15_comments_describe_stages() {
    let dockerfile =
        good("# base the first\nFROM a AS base\n# gone\n#\n# other\nFROM b AS Next\n# next it\nFROM c AS next");
    let comments: Vec<_> = dockerfile.stages.iter().map(|stage| stage.comment.as_deref()).collect();
    assert_eq!(comments, [Some("the first"), None, Some("it")]);
}

/// What was meant to be JSON and goes to the shell is told; what a shell's own test begins with is not.
#[test]
fn row_1_1_12_broken_json_is_told() {
    for (instruction, why) in [
        ("RUN [\"a\", \"b\"", Some("EOF while parsing a list at character 9")),
        ("CMD [\"a\" \"b\"]", Some("expected `,` or `]` at character 6")),
        ("ENTRYPOINT [\"a\",]", Some("trailing comma at character 6")),
        ("CMD ['a']", Some("expected value at character 2")),
        ("RUN [ 'a', 'b' ]", Some("expected value at character 3")),
        ("COPY [\"a\", \"b\"", Some("EOF while parsing a list at character 9")),
        ("VOLUME [\"/a\"", Some("EOF while parsing a list at character 5")),
        ("RUN [\"a\"] b", Some("trailing characters at character 7")),
        ("RUN [\"a\", \"b\"]", None),
        ("RUN [ \"$a\" = \"b\" ] && echo \"c\", d", None),
        ("RUN [[ 'a' = b ]]", None),
        ("COPY [ab] [c]* /", None),
    ] {
        let told: Vec<String> = lint(&good(&format!("FROM x\n{instruction}\n")))
            .into_iter()
            .filter(|warning| warning.rule.is_none())
            .map(|warning| warning.message)
            .collect();
        let wanted = why.map(|why| format!("this looks like a JSON array and is none ({why}): "));
        assert_eq!(told.len(), usize::from(why.is_some()), "{instruction}: {told:?}");
        assert!(wanted.is_none_or(|wanted| told[0].starts_with(&wanted)), "{instruction}: {told:?}");
    }
}

/// A heredoc without end is one error, not also a destination that is missing.
#[test]
fn row_1_1_14_a_heredoc_without_end_is_one_error() {
    let errors = outcome("FROM a\nCOPY <<END /x\nb\n").errors;
    assert!(matches!(errors[..], [ParseError::UnterminatedHeredoc { .. }]), "{errors:?}");
}

#[test]
fn every_error_is_reported_in_order() {
    let text = "FROM a AS 1\nRUNN b\nENV k\nCOPY --x --y a b\nRUNN <<EOF\nFOO\nEOF\nWORKDIR\n";
    let found: Vec<String> = errors(text).into_iter().map(|(_, place)| place).collect();
    assert_eq!(found, ["1", "RUNN", "ENV k", "--x", "--y", "RUNN", "WORKDIR"]);
    assert!(outcome(text).dockerfile.is_none());
}

#[test]
fn global_arguments_stand_apart() {
    let dockerfile = good("ARG a=1 b\nFROM $a\nARG b\n");
    let names: Vec<_> = dockerfile.global_args.iter().map(|one| (one.value.name.value.as_str(), one.span)).collect();
    assert_eq!(names, [("a", Span::new(4, 7)), ("b", Span::new(8, 9))]);
    assert_eq!(dockerfile.stages[0].instructions.len(), 1);
}

#[test]
fn ten_thousand_lines_parse() {
    let mut text = "FROM a\n".to_owned();
    for number in 0..2_500 {
        write!(text, "RUN a{number} && \\\n   b <<EOF\nbody $x\nEOF\n").expect("a string takes any text");
    }
    assert_eq!(good(&text).stages[0].instructions.len(), 2_500);
    let one_instruction = format!("FROM a\nENV {}\n", "a=b \\\n".repeat(10_000));
    assert!(
        matches!(&good(&one_instruction).stages[0].instructions[0].instruction, Instruction::Env(pairs) if pairs.len() == 10_000)
    );
}
