use super::instruction::{CommandLine, Copy, Healthcheck, Instruction, Run};
use super::*;
use crate::diagnostic::{Diagnose, Diagnostic};
use proptest::prelude::*;
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
    let expected = Diagnostic::warning("NoEmptyContinuation", "empty continuation line", Span::new(15, 15));
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

#[test]
fn row_1_4_1_from() {
    let dockerfile = good("FROM --platform=$P a:1 as Build-1.x_y\n");
    let from = &dockerfile.stages[0].from.value;
    assert_eq!(from.name.as_ref().map(|name| name.value.as_str()), Some("build-1.x_y"));
    assert_eq!(from.platform.as_ref().map(|platform| platform.value.as_str()), Some("$P"));
    let number = "FROM requires either one or three arguments";
    let name = "invalid name for build stage: `1x`, name can't start with a number or contain symbols";
    check_errors(
        "1.4-1",
        &[
            ("FROM", number, "FROM"),
            ("FROM a b", number, "FROM a b"),
            ("FROM a is b", number, "FROM a is b"),
            ("FROM a AS 1x", name, "1x"),
        ],
    );
}

#[test]
fn row_1_4_11_onbuild() {
    let Instruction::Onbuild(onbuild) = one("ONBUILD RUN <<-A\n\tx\n\tA\n").instruction else { panic!("an ONBUILD") };
    assert_eq!(onbuild.text, "RUN <<-A\n\tx\nA");
    let again = parse_instruction(&Source::new("trigger", onbuild.text)).expect("a trigger");
    let (Instruction::Run(again), Instruction::Run(first)) = (again.instruction, *onbuild.trigger) else {
        panic!("two RUNs")
    };
    assert_eq!(again.heredocs[0].body.value, first.heredocs[0].body.value);
    check_errors(
        "1.4-11",
        &[
            ("FROM a\nONBUILD onbuild RUN b", "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "onbuild"),
            ("FROM a\nONBUILD FROM b", "FROM isn't allowed as an ONBUILD trigger", "FROM"),
            ("FROM a\nONBUILD MAINTAINER b", "MAINTAINER isn't allowed as an ONBUILD trigger", "MAINTAINER"),
            ("FROM a\nONBUILD", "ONBUILD requires at least one argument", "ONBUILD"),
            ("FROM a\nONBUILD RNU b", "unknown instruction: `RNU`", "RNU"),
        ],
    );
}

#[test]
fn a_trigger_is_one_instruction() {
    let parse = |text: &str| parse_instruction(&Source::new("trigger", text)).map_err(|errors| errors[0].to_string());
    assert_eq!(parse("ENV a=b").map(|parsed| parsed.original), Ok("ENV a=b".to_owned()));
    for text in ["", "RUN a\nRUN b", "# x"] {
        let error = parse(text).expect_err(text);
        assert_eq!(error, "an ONBUILD trigger must be a single instruction", "{text:?}");
    }
    assert!(parse("FROM a").is_err() && parse("ONBUILD RUN a").is_err() && parse("FOO").is_err());
}

#[test]
fn rows_1_5_1_and_1_5_14_names_and_values() {
    check_errors(
        "1.5-1",
        &[
            ("FROM a\nENV k", "ENV must have two arguments", "ENV k"),
            ("FROM a\nENV a=1 b", "syntax error: can't find `=` in `b`, must be of the form `name=value`", "b"),
            ("FROM a\nENV =x", "ENV names can not be blank", ""),
            ("FROM a\nLABEL =x", "LABEL names can not be blank", ""),
            ("FROM a\nARG =x", "ARG names can not be blank", ""),
        ],
    );
}

#[test]
fn rows_1_5_8_and_1_5_13_shell_and_volume() {
    check_errors(
        "1.5-8",
        &[
            ("FROM a\nSHELL /bin/sh", "SHELL requires the arguments to be in JSON form", "/bin/sh"),
            ("FROM a\nSHELL []", "SHELL requires at least one argument", "SHELL []"),
            ("FROM a\nVOLUME [\" \"]", "VOLUME specified can not be an empty string", "\" \""),
        ],
    );
}

#[test]
fn row_1_5_11_healthcheck() {
    let text = "HEALTHCHECK --interval=1m30s --timeout=0s --retries=3 cmd curl  x";
    let expected = Healthcheck::Command {
        command: CommandLine::Shell("curl  x".into()),
        interval: Some(90_000_000_000),
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: Some(3),
    };
    assert_eq!(one(text).instruction, Instruction::Healthcheck(expected));
    assert_eq!(one("HEALTHCHECK none").instruction, Instruction::Healthcheck(Healthcheck::None));
    check_errors(
        "1.5-11",
        &[
            ("FROM a\nHEALTHCHECK FOO x", "unknown type `FOO` in HEALTHCHECK (try CMD)", "FOO"),
            ("FROM a\nHEALTHCHECK CMD", "missing command after HEALTHCHECK CMD", "HEALTHCHECK CMD"),
            ("FROM a\nHEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", "x"),
            ("FROM a\nHEALTHCHECK --timeout=1us CMD x", "interval `timeout` cannot be less than 1ms", "1us"),
            ("FROM a\nHEALTHCHECK --timeout=1 CMD x", "invalid duration `1` of flag `--timeout`", "1"),
            (
                "FROM a\nHEALTHCHECK --retries=-1 CMD x",
                "`--retries` must be a whole number of at least 0, not `-1`",
                "-1",
            ),
        ],
    );
}

#[test]
fn row_1_5_15_argument_counts() {
    for name in ["MAINTAINER", "WORKDIR", "USER", "STOPSIGNAL"] {
        let message = format!("{name} requires exactly one argument");
        check_errors("1.5-15", &[(&format!("FROM a\n{name}"), &message, name)]);
    }
    for name in ["ENV", "LABEL", "EXPOSE", "VOLUME", "ONBUILD", "HEALTHCHECK", "ARG", "SHELL"] {
        let message = format!("{name} requires at least one argument");
        check_errors("1.5-15", &[(&format!("FROM a\n{name}"), &message, name)]);
    }
    let message = "requires at least two arguments, but only one was provided; destination could not be determined";
    check_errors("1.5-15", &[("FROM a\nCOPY x", &format!("COPY {message}"), "COPY x")]);
    check_errors("1.5-15", &[("FROM a\nADD [\"x\"]", &format!("ADD {message}"), "ADD [\"x\"]")]);
    assert_eq!(one("WORKDIR a b").instruction, Instruction::Workdir(Spanned::new("a b".into(), Span::new(15, 18))));
}

#[test]
fn row_1_6_17_heredocs_as_sources() {
    let copied = copy("COPY f <<'a b' <<-c /d/\n$x\na b\n\ty\n\tc\n");
    assert_eq!(copied.sources.paths.iter().map(|path| path.value.as_str()).collect::<Vec<_>>(), ["f"]);
    let bodies: Vec<_> =
        copied.sources.heredocs.iter().map(|one| (one.name.as_str(), one.body.value.as_str(), one.expand)).collect();
    assert_eq!(bodies, [("a b", "$x\n", false), ("c", "y\n", true)]);
    assert_eq!(copied.sources.destination.value, "/d/");
    let message = "COPY cannot accept a heredoc as a destination";
    check_errors("1.6-17", &[("FROM a\nCOPY x <<E\nE\n", message, "<<E")]);
}

/// Found by fuzzing: the blank is part of the word, and not of the trimmed line.
#[test]
fn a_heredoc_word_may_end_in_an_escaped_blank() {
    for blank in ["\u{b}", "\u{c}", "\u{a0}"] {
        let text = format!("FROM a\nCOPY a <<EOF\\{blank}\n");
        let found = errors(&text);
        assert!(found.iter().any(|(message, _)| message.contains("destination")), "{found:?}");
    }
}

#[test]
fn row_1_7_5_mounts() {
    let mounts = run("RUN --mount=TYPE=Cache,dst=/c,RO --mount='\"src=a,b\",target=$t,from=x' true").mounts;
    let field = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    assert_eq!(mounts[0].value.kind.as_deref(), Some("cache"));
    assert_eq!(mounts[0].value.fields, [field("target", Some("/c")), field("readonly", None)]);
    assert_eq!(mounts[1].value.kind, None);
    let fields = [field("source", Some("a,b")), field("target", Some("$t")), field("from", Some("x"))];
    assert_eq!(mounts[1].value.fields, fields);
    let table = [
        ("typ=tmpfs", "unexpected key `typ` in `typ=tmpfs`", Some("did you mean `type`?")),
        ("type=tmp", "unsupported mount type `tmp`", None),
        ("type=tmpf", "unsupported mount type `tmpf`", Some("did you mean `tmpfs`?")),
        ("foo", "invalid field `foo` must be a key=value pair", None),
        ("target", "invalid field `target` must be a key=value pair", None),
        ("from=$x,target=/a", "`from` doesn't support variable expansion, found `$x`", None),
        ("mode=1,target=/a", "`mode` not allowed for `bind` type mounts", None),
        ("type=cache,size=1,target=/a", "`size` not allowed for `cache` type mounts", None),
        ("type=cache,sharing=all,target=/a", "invalid value `all` for `sharing`", None),
        ("type=cache,mode=9,target=/a", "invalid value `9` for `mode`", None),
        ("type=secret,required=maybe", "invalid value `maybe` for `required`", None),
        ("'\"a'", "a quote in `--mount` is not closed or does not enclose a whole field", None),
    ];
    for (mount, message, cure) in table {
        let text = format!("FROM a\nRUN --mount={mount} true");
        assert_eq!(errors(&text), [(message.to_owned(), mount.to_owned())]);
        if cure.is_some() {
            assert_eq!(help(&text).as_deref(), cure, "{mount}");
        }
    }
    let variables = "RUN --mount=type=$t,sharing=$s,mode=$m,size=1,from=x$,target=/a true";
    assert_eq!(run(variables).mounts[0].value.kind.as_deref(), Some("$t"));
    let warnings = outcome("FROM a\nRUN --mount=target=/a,dst=/b true").warnings;
    assert_eq!(warnings[0].message, "mount key `target` is given more than once; the last one counts");
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
