//! What each instruction says (FEATURES 1.4 to 1.7).

use super::*;

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
