//! Tests of the graph: rows of FEATURES 1.3, 1.4 and 1.6.

use super::{ContextKind, Origin};
use crate::diagnostic::Diagnose;
use crate::plan::testing::{Case, case};
use std::collections::BTreeMap;

/// Returns the graph in one line: each stage with its base, then the images.
fn shape(case: &Case) -> String {
    let graph = case.graph().map_err(|error| error.diagnose()).expect("a graph");
    let stages: Vec<String> = graph
        .stages
        .iter()
        .map(|stage| {
            let base = match &stage.base {
                Origin::Scratch => "scratch".to_owned(),
                Origin::Stage(index) => format!("stage {index}"),
                Origin::Image(index) => format!("image {index}"),
                Origin::Directory(name) => format!("directory {name}"),
            };
            format!("{}:{base}{}", stage.number, if stage.replaced { " replaced" } else { "" })
        })
        .collect();
    let images: Vec<&str> = graph.images.iter().map(|image| image.name.as_str()).collect();
    format!("{} -> {}; {}", stages.join(", "), graph.target, images.join(" "))
}

/// Returns message, help, and the texts of all places of the error.
fn error(case: &Case) -> (String, Option<String>, Vec<String>) {
    let diagnostic = case.graph().expect_err(&case.text).diagnose();
    let places = diagnostic.labels.iter().map(|label| case.text[label.span.range()].to_owned()).collect();
    (diagnostic.message, diagnostic.help, places)
}

fn context(mut case: Case, name: &str, kind: ContextKind) -> Case {
    case.graph.named_contexts.insert(name.to_owned(), kind);
    case
}

#[test]
fn bases_resolve_in_the_order_of_1_4_2() {
    let table = [
        (case("FROM scratch"), "0:scratch -> 0; "),
        (case("FROM debian"), "0:image 0 -> 0; debian"),
        (case("FROM debian AS a\nFROM A"), "0:image 0, 1:stage 0 -> 1; debian"),
        // A stage of that name that comes later is an image.
        (case("FROM b AS a\nFROM a AS b"), "0:image 0, 1:stage 0 -> 1; b"),
        (case("FROM debian AS debian\nFROM debian"), "0:image 0, 1:stage 0 -> 1; debian"),
        // Of duplicate names the last before it counts (1.4-3).
        (case("FROM a AS x\nFROM b AS x\nFROM x"), "1:image 0, 2:stage 0 -> 1; b"),
        (context(case("FROM alpine:latest"), "docker.io/library/alpine", ContextKind::Image), "0:image 0 -> 0; alpine"),
        (context(case("FROM alpine"), "alpine", ContextKind::Directory), "0:directory alpine -> 0; "),
        (context(case("FROM scratch"), "scratch", ContextKind::Directory), "0:scratch -> 0; "),
        (
            context(case("FROM debian AS a\nRUN x\nFROM a"), "a", ContextKind::Directory),
            "0:directory a replaced, 1:stage 0 -> 1; ",
        ),
        (
            context(case("FROM alpine"), "alpine::linux/amd64", ContextKind::Directory),
            "0:directory alpine::linux/amd64 -> 0; ",
        ),
    ];
    for (case, wanted) in table {
        assert_eq!(shape(&case), wanted, "{}", case.text);
    }
}

#[test]
fn only_what_the_target_reaches_is_left_1_4_6() {
    let text = "FROM a AS one\nFROM b AS two\nRUN --mount=from=one,target=/x x\nFROM c AS three\n\
                FROM d AS four\nCOPY --from=two x x\nCOPY --from=e y y\nCOPY --from=e z z\nCOPY --from=scratch w w\n";
    for (target, wanted) in [
        ("four", "0:image 0, 1:image 1, 3:image 2 -> 2; a b d e"),
        ("TWO", "0:image 0, 1:image 1 -> 1; a b"),
        ("three", "2:image 0 -> 0; c"),
        ("0", "0:image 0 -> 0; a"),
    ] {
        assert_eq!(shape(&case(text).target(target)), wanted, "{target}");
    }
}

#[test]
fn sources_mean_what_1_4_8_says() {
    let text = "FROM a AS one\nFROM b\nCOPY --from=0 x x\nCOPY --from=ONE x x\nCOPY --from=img x x\n\
                COPY --from=scratch x x\nCOPY --from=ctx x x\nRUN --mount=from=one,target=/a --mount=from=0,target=/b x";
    let graph = context(case(text), "ctx", ContextKind::Directory).graph().expect("a graph");
    let stage = &graph.stages[1];
    for (name, wanted) in [
        ("0", Origin::Stage(0)),
        ("ONE", Origin::Stage(0)),
        ("img", Origin::Image(2)),
        ("scratch", Origin::Scratch),
        ("ctx", Origin::Directory("ctx".to_owned())),
    ] {
        assert_eq!(stage.copy_source(name), Some(&wanted), "{name}");
    }
    assert_eq!(stage.mount_source("one"), Some(&Origin::Stage(0)));
    // Mounts take no number: `0` is an image.
    assert_eq!(stage.mount_source("0"), Some(&Origin::Image(3)));
    assert_eq!(stage.copy_source("one"), None);
}

#[test]
fn bad_names_are_refused_with_their_place_1_4_8() {
    let table: [(&str, &str, &[&str]); 6] = [
        ("FROM a\nCOPY --from=3 x x", "invalid stage index 3: the Dockerfile has one stage, number 0", &["3"]),
        ("FROM a\nCOPY --from=$x x x", "variables are not expanded in `COPY --from`: `$x`", &["$x"]),
        ("FROM a AS b\nCOPY --from=b x x", "circular dependency on stage `b`", &["b"]),
        (
            "FROM a\nCOPY --from=b x x\nFROM a AS b",
            "cannot copy from stage `b`: it needs to be defined before stage `0`",
            &["b", "FROM a AS b"],
        ),
        ("FROM $x", "base name `$x` is blank after expansion", &["$x"]),
        ("FROM ${x", "expand `${x`: syntax error: missing '}'", &["${x"]),
    ];
    for (text, message, places) in table {
        let (found, _, found_places) = error(&case(text));
        assert_eq!(
            (found.as_str(), found_places),
            (message, places.iter().map(|p| (*p).to_owned()).collect()),
            "{text}"
        );
    }
}

#[test]
fn a_circle_names_both_places() {
    let text = "FROM a AS one\nRUN --mount=from=two,target=/x x\nFROM a AS two\nCOPY --from=one x x\nFROM scratch";
    let case = case(text);
    let diagnostic = case.graph().expect_err("a circle").diagnose();
    let labels: Vec<&str> = diagnostic.labels.iter().map(|label| label.text.as_str()).collect();
    assert_eq!(labels, ["stage `one` needs stage `two`", "stage `two` needs stage `one`"]);
    assert!(text[diagnostic.labels[0].span.range()].contains("from=two"));
    assert_eq!(&text[diagnostic.labels[1].span.range()], "one");
}

#[test]
fn an_unknown_target_gets_a_suggestion_1_4_7() {
    let (message, help, places) = error(&case("FROM a AS build\nFROM b AS run").target("buidl"));
    assert_eq!(message, "target stage `buidl` could not be found");
    assert_eq!(help.as_deref(), Some("did you mean `build`?"));
    assert!(places.is_empty());
    for (text, wanted) in [
        ("FROM a", "no stage has a name: give it one with `FROM … AS NAME`"),
        ("FROM a AS build\nFROM b\nFROM c AS run", "stages are: `build`, `run`"),
    ] {
        assert_eq!(error(&case(text).target("7")).1.as_deref(), Some(wanted));
    }
}

#[test]
fn unset_variables_of_from_are_named_1_4_1() {
    let unset = "give `TAG` a default with ARG before the first FROM, or pass --build-arg TAG=…";
    for (text, message, cure) in [
        (
            "ARG TAG\nFROM a:$TGA",
            "expand base name `a:$TGA`: `a:` is not an image name: the tag after `:` is empty",
            "`TGA` is not set: did you mean `TAG`?",
        ),
        (
            "ARG TAG\nFROM a:$TAG",
            "expand base name `a:$TAG`: `a:` is not an image name: the tag after `:` is empty",
            unset,
        ),
        ("FROM $TAG", "base name `$TAG` is blank after expansion", unset),
        (
            "FROM --platform=$BUILDPLATFROM a",
            "platform `$BUILDPLATFROM` is blank after expansion",
            "`BUILDPLATFROM` is not set: did you mean `BUILDPLATFORM`?",
        ),
    ] {
        let (found, help, places) = error(&case(text));
        assert_eq!((found.as_str(), help.as_deref(), places.len()), (message, Some(cure), 1), "{text}");
    }
}

#[test]
fn from_sees_global_and_platform_arguments_1_3_1_1_3_7() {
    for (text, wanted) in [
        ("ARG a=x\nFROM $a", "x"),
        ("ARG a=x\nARG b=${a}y\nFROM $b", "xy"),
        ("FROM i$given:$TARGETARCH", "i:amd64"),
        ("ARG given\nFROM i:$given", "i:g"),
        ("ARG given=default\nFROM i:$given", "i:g"),
        ("FROM $BUILDPLATFORM/$TARGETOS$TARGETVARIANT", "linux/amd64/linux"),
        ("FROM i-$TARGETSTAGE", "i-default"),
        ("ARG TARGETOS\nFROM i-$TARGETOS", "i-linux"),
    ] {
        let graph = case(text).build_arg("given", "g").graph().expect(text);
        assert_eq!(graph.images[0].name, wanted, "{text}");
    }
    let graph = case("FROM i-$TARGETARCH").build_arg("TARGETARCH", "mine").graph().expect("a graph");
    assert_eq!(graph.images[0].name, "i-mine");
    let graph = case("FROM i-$TARGETSTAGE AS a").target("a").graph().expect("a graph");
    assert_eq!(graph.images[0].name, "i-a");
}

#[test]
fn platforms_of_1_4_4() {
    for (text, message) in [
        ("FROM --platform=$p a", "platform `$p` is blank after expansion"),
        (
            "FROM --platform=a/b/c/d a",
            "parse platform of `a/b/c/d`: `a/b/c/d` is not a platform of the form `os[/arch[/variant]]`",
        ),
    ] {
        assert_eq!(error(&case(text)).0, message, "{text}");
    }
    // Whether a stage can run is for those who run it.
    assert_eq!(shape(&case("FROM --platform=linux/arm64 a")), "0:image 0 -> 0; a");
    assert_eq!(shape(&case("FROM --platform=linux/arm64 a AS x\nFROM b")), "1:image 0 -> 0; b");
    assert_eq!(shape(&case("FROM --platform=$BUILDPLATFORM a")), "0:image 0 -> 0; a");
    let text = "FROM --platform=linux/arm64 a AS x\nFROM x AS y\nFROM --platform=linux/s390x y AS z\nFROM b\nCOPY --from=z / /";
    let stages = case(text).graph().expect("a graph").stages;
    let platforms: Vec<String> = stages.iter().map(|stage| stage.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/arm64", "linux/arm64", "linux/arm64", "linux/amd64"], "that of the first base");
}

#[test]
fn lints_of_from() {
    for (text, wanted) in [
        // 1.8-9
        ("ARG version=1\nFROM a:1$verson", "UndefinedArgInFrom: FROM argument `verson` is not declared"),
        // 1.8-17
        (
            "ARG tag\nFROM a:$tag",
            "InvalidDefaultArgInFrom: default values leave `a:$tag` without a valid base image name",
        ),
        // 1.8-15
        (
            "FROM --platform=$TARGETPLATFORM a",
            "RedundantTargetPlatform: platform `$TARGETPLATFORM` in FROM is redundant: it is the default",
        ),
        // 1.8-18
        (
            "FROM --platform=linux/amd64 a",
            "FromPlatformFlagConstDisallowed: FROM --platform should not use the constant value `linux/amd64`",
        ),
        ("FROM --platform=linux/amd64 a AS a-amd64", ""),
        ("FROM --platform=$BUILDPLATFORM a", ""),
        ("ARG tag=1\nFROM a:$tag", ""),
    ] {
        let case = if text.contains("ARG tag\n") { case(text).build_arg("tag", "3") } else { case(text) };
        assert_eq!(case.warnings().join("; "), wanted, "{text}");
    }
}

#[test]
fn many_stages_need_no_stack() {
    let mut text = "FROM scratch AS s0\n".to_owned();
    for number in 1..3_000 {
        text.push_str(&format!("FROM s{} AS s{number}\n", number - 1));
    }
    assert_eq!(case(&text).graph().expect("a graph").stages.len(), 3_000);
}

#[test]
fn build_arguments_without_value_count_as_absent_1_3_10() {
    let mut case = case("ARG a=x\nFROM $a");
    case.graph.build_args = BTreeMap::from([("a".to_owned(), None)]);
    assert_eq!(shape(&case), "0:image 0 -> 0; x");
}
