use super::*;
use proptest::prelude::*;

/// The variables of the tests.
fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "NAME" => "value",
        "EMPTY" => "",
        "PORTS" => "80 443",
        "PATHS" => "/a/b/a/c.tar.gz",
        "STARS" => "x**y",
        "LINES" => "one\ntwo",
        "WORD" => "cl\u{e9}",
        "PATTERN" => "a/",
        _ => return None,
    };
    Some(value.to_owned())
}

fn expand(word: &str) -> Result<String, String> {
    Expander::new('\\', &lookup).expand(word).map(|expanded| expanded.text).map_err(|error| error.to_string())
}

fn check(row: &str, table: &[(&str, Result<&str, &str>)]) {
    for (word, expected) in table {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(expand(word), expected, "{row}: {word}");
    }
}

#[test]
fn row_1_2_3_plain_references() {
    check(
        "1.2-3",
        &[
            ("$NAME", Ok("value")),
            ("${NAME}", Ok("value")),
            ("$NAME.x${NAME}y", Ok("value.xvaluey")),
            ("$UNSET|${UNSET}", Ok("|")),
            ("$1a${1}b$@c$*d$#e$?f$-g$$h$!i$0j", Ok("abcdefghij")),
            ("$999aaa", Ok("aaa")),
            ("$.", Ok("$.")),
            ("$", Ok("$")),
            ("a$ b", Ok("a$ b")),
            ("$WORD", Ok("cl\u{e9}")),
            ("${}", Err("syntax error: bad substitution")),
            ("${{x}", Err("syntax error: bad substitution")),
            ("${:x}", Err("syntax error: bad substitution")),
            ("${NAME", Err("syntax error: missing '}'")),
            ("${", Err("syntax error: missing '}'")),
            ("${NAME:", Err("syntax error: missing '}'")),
        ],
    );
}

#[test]
fn row_1_2_4_quotes_and_escapes() {
    let double = "unexpected end of statement while looking for matching double-quote";
    let single = "unexpected end of statement while looking for matching single-quote";
    check(
        "1.2-4",
        &[
            ("'$NAME \\'", Ok("$NAME \\")),
            ("\"$NAME \\$x \\\" \\\\ \\n\"", Ok("value $x \" \\ \\n")),
            ("\\$NAME \\x \\\\", Ok("$NAME x \\")),
            ("end\\", Ok("end")),
            ("a'b c'\"d e\"", Ok("ab cd e")),
            ("\"it's\"", Ok("it's")),
            ("\"it\\'s\"", Ok("it\\'s")),
            ("''", Ok("")),
            ("'open", Err(single)),
            ("\"open", Err(double)),
            ("\"open\\", Err(double)),
            ("\"${NAME\"", Err("unsupported modifier (\") in substitution")),
        ],
    );
}

#[test]
fn row_1_2_5_defaults_and_demands() {
    check(
        "1.2-5",
        &[
            ("${UNSET-d}|${EMPTY-d}|${NAME-d}", Ok("d||value")),
            ("${UNSET:-d}|${EMPTY:-d}|${NAME:-d}", Ok("d|d|value")),
            ("${UNSET+a}|${EMPTY+a}|${NAME+a}", Ok("|a|a")),
            ("${UNSET:+a}|${EMPTY:+a}|${NAME:+a}", Ok("||a")),
            ("${NAME?m}|${NAME:?m}|${EMPTY?m}", Ok("value|value|")),
            ("${UNSET:-${OTHER:-'a b'$NAME}}", Ok("a bvalue")),
            ("${UNSET:-\\}}", Ok("}")),
            ("${UNSET?}", Err("UNSET: is not allowed to be unset")),
            ("${EMPTY:?}", Err("EMPTY: is not allowed to be empty")),
            ("${UNSET:?say $NAME}", Err("UNSET: say value")),
            ("${NAME:=x}", Err("unsupported modifier (:=) in substitution")),
            ("${NAME=x}", Err("unsupported modifier (=) in substitution")),
            ("${UNSET:-'}", Err("syntax error: missing '}'")),
        ],
    );
}

#[test]
fn row_1_2_6_trimming() {
    check(
        "1.2-6",
        &[
            ("${PATHS#*/}|${PATHS##*/}", Ok("a/b/a/c.tar.gz|c.tar.gz")),
            ("${PATHS%.*}|${PATHS%%.*}", Ok("/a/b/a/c.tar|/a/b/a/c")),
            ("${NAME#va?}|${NAME%?e}|${NAME#x}|${NAME#}", Ok("ue|val|value|value")),
            ("${STARS#x\\*}|${STARS%%\\**}|${STARS%\\**}", Ok("*y|x|x*")),
            ("${WORD%?}|${WORD#??}", Ok("cl|\u{e9}")),
            ("${LINES#*}|${LINES##*}|${LINES##*t}", Ok("one\ntwo|\ntwo|one\ntwo")),
            ("${UNSET#x}", Ok("")),
            ("${NAME#[v]}", Ok("value")),
            ("${NAME:#v}", Err("unsupported modifier (:#) in substitution")),
            ("${NAME#\\v}", Err("invalid pattern (\\v) in substitution: invalid escape '\\v'")),
        ],
    );
}

#[test]
fn row_1_2_7_replacing() {
    check(
        "1.2-7",
        &[
            ("${PATHS/a/X}|${PATHS//a/X}", Ok("/X/b/a/c.tar.gz|/X/b/X/c.tXr.gz")),
            ("${PATHS/\\//-}|${PATHS//\\//-}", Ok("-a/b/a/c.tar.gz|-a-b-a-c.tar.gz")),
            ("${PATHS//$PATTERN/}", Ok("/b/c.tar.gz")),
            ("${NAME/l*/-}|${NAME//?/x}|${NAME/z/x}", Ok("va-|xxxxx|value")),
            ("${NAME//a/[$$0]}", Ok("v[0]lue")),
            ("${NAME//a/'<$1>'}|${NAME/a/'<$1>'}", Ok("v<>lue|v<$1>lue")),
            ("${NAME//a/'<$0>'}", Ok("v<a>lue")),
            ("${NAME//*/x}|${NAME/$EMPTY/x}|${NAME//$EMPTY/x}", Ok("x|xvalue|xvxaxlxuxex")),
            ("${UNSET/a/b}", Ok("")),
            ("${NAME/a}", Err("syntax error: missing '/' in ${}")),
            ("${NAME/a/b", Err("syntax error: missing '}'")),
        ],
    );
}

#[test]
fn row_1_2_8_words_split_after_expansion() {
    let table: [(&str, &[&str]); 6] = [
        ("$PORTS", &["80", "443"]),
        ("\"$PORTS\" 1", &["80 443", "1"]),
        ("a$PORTS'b c'", &["a80", "443b c"]),
        ("  a\\ b   c ", &["a b", "c"]),
        ("'' \"\"", &[]),
        ("$EMPTY x", &["x"]),
    ];
    for (text, words) in table {
        assert_eq!(Expander::new('\\', &lookup).expand_words(text).expect(text).words, words, "{text}");
    }
}

#[test]
fn row_1_2_9_heredocs_leave_quotes_alone() {
    let expander = Expander::new('`', &lookup);
    let expanded = expander.expand_heredoc("it's \"$NAME\" \\$NAME `x\n").expect("a body");
    assert_eq!(expanded.text, "it's \"value\" $NAME `x\n");
}

#[test]
fn row_1_2_10_unset_and_used_names_are_told() {
    let expanded = Expander::new('\\', &lookup).expand("$B $NAME ${A:-$EMPTY} $B").expect("a word");
    assert_eq!(expanded.unset, ["B"], "A has a default");
    assert_eq!(expanded.used.into_iter().collect::<Vec<_>>(), ["EMPTY", "NAME"]);
}

#[test]
fn row_1_1_7_the_escape_directive_changes_words() {
    let expander = Expander::new('`', &lookup);
    assert_eq!(expander.expand("C:\\$NAME `$NAME").expect("a word").text, "C:\\value $NAME");
}

#[test]
fn display_replaces_only_what_is_set() {
    let expander = Expander::new('\\', &lookup);
    let typed = "RUN echo \"$NAME $UNSET ${UNSET:-d} ${UNSET#x}\" '\\n' \\a";
    let shown = "RUN echo \"value $UNSET ${UNSET:-d} ${UNSET#x}\" '\\n' \\a";
    assert_eq!(expander.expand_display(typed).expect("a word").text, shown);
}

#[test]
fn errors_know_their_offset() {
    for (word, offset) in [("ab${}", 2), ("a'", 1), ("x${NAME:-${UNSET?}}", 9), ("\u{e9}${NAME=}", 2)] {
        let error = Expander::new('\\', &lookup).expand(word).expect_err(word);
        assert_eq!(error.offset(), offset, "{word}");
    }
}

#[test]
fn hostile_words_are_bounded() {
    let long = |name: &str| (name == "L").then(|| "a".repeat(1 << 19));
    let expander = Expander::new('\\', &long);
    let deep = ["${x:-".repeat(50_000), "}".repeat(50_000)].concat();
    assert!(matches!(expander.expand(&deep), Err(ExpandError::TooDeep { .. })));
    assert!(matches!(expander.expand("$L$L$L"), Err(ExpandError::TooLong { .. })));
    assert!(matches!(expander.expand(&"${L:+}".repeat(10_000)), Err(ExpandError::TooMuchWork { .. })));
    let pattern = ["${L##", &"*b".repeat(5_000), "}"].concat();
    assert!(matches!(expander.expand(&pattern), Err(ExpandError::TooMuchWork { .. })));
}

proptest! {
    #[test]
    fn expansion_never_panics(word in "[$\\{\\}:\\-+?#%/*'\"\\\\ aNAME\u{e9}]{0,40}") {
        let expander = Expander::new('\\', &lookup);
        if let Err(error) = expander.expand(&word) {
            prop_assert!(word.is_char_boundary(error.offset()));
        }
        if let Err(error) = expander.expand_words(&word) {
            prop_assert!(word.is_char_boundary(error.offset()));
        }
        if let Err(error) = expander.expand_heredoc(&word) {
            prop_assert!(word.is_char_boundary(error.offset()));
        }
        if let Err(error) = expander.expand_display(&word) {
            prop_assert!(word.is_char_boundary(error.offset()));
        }
    }

    #[test]
    fn text_without_special_characters_stays(word in "[a-z0-9 ./=,\u{e9}]{0,40}") {
        prop_assert_eq!(expand(&word), Ok(word));
    }
}
