//! Rows 1.4-11 and 1.4-12: what triggers do, seen in plans.

use crate::plan::Plan;
use crate::plan::op::{From, Op};
use crate::plan::testing::{case, history};

fn names(plan: &Plan, stage: usize) -> Vec<&str> {
    plan.stages[stage].steps.iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn triggers_of_an_image_run_first_and_are_cleared_1_4_12() {
    let base = r#"{"OnBuild":["ARG v=1","COPY a /a","RUN <<E\ncat /a\nE","ENV W=$v"]}"#;
    let plan = case("FROM b AS one\nRUN x\nONBUILD RUN y\nFROM one\nRUN z").base(base).good();
    assert_eq!(
        names(&plan, 0),
        ["[one 2/4] ONBUILD COPY a /a", "[one 3/4] ONBUILD RUN <<E (cat /a)", "[one 4/4] RUN x"]
    );
    // The triggers of the image are gone from the stage, its own come after it alone.
    assert_eq!(names(&plan, 1), ["[stage-1 1/2] ONBUILD RUN y", "[stage-1 2/2] RUN z"]);
    let triggers = |stage: usize| plan.stages[stage].config.config.on_build.clone();
    assert_eq!(triggers(0), Some(vec!["RUN y".to_owned()]));
    assert_eq!(triggers(1), None);
    assert_eq!(history(&plan, 0)[0..2], ["ARG v=1", "COPY a /a # buildkit"]);
    assert!(plan.stages[0].config.config.env.as_ref().is_some_and(|all| all.contains(&"W=1".to_owned())));
    // A trigger is told at the FROM that set it off, one of the same file at its own line.
    assert_eq!(plan.stages[0].steps[0].span, plan.stages[0].steps[1].span);
    let text = "FROM b AS one\nRUN x\nONBUILD RUN y\nFROM one\nRUN z";
    assert_eq!(&text[plan.stages[0].steps[0].span.range()], "b");
    assert_eq!(&text[plan.stages[1].steps[0].span.range()], "ONBUILD RUN y");
}

#[test]
fn triggers_may_need_more_1_4_12() {
    let base = r#"{"OnBuild":["COPY --from=tools /t /t","RUN --mount=type=bind,from=other/image,target=/o x"]}"#;
    let plan = case("FROM scratch AS tools\nCOPY t /t\nFROM b").base(base).good();
    assert_eq!(plan.stages.len(), 2, "the stage that only a trigger reads is built");
    let Op::Copy(copy) = &plan.stages[1].steps[0].op else { panic!("a copy") };
    assert_eq!(copy.from, From::Stage(0));
    let Op::Run(run) = &plan.stages[1].steps[1].op else { panic!("a command") };
    assert!(format!("{:?}", run.mounts).contains("from: Image(1)"), "{:?}", run.mounts);
}

#[test]
fn triggers_that_go_round_or_mean_nothing_are_refused() {
    for (text, base, message, place) in [
        (
            "FROM b AS a\nONBUILD COPY --from=two /x /x\nFROM a AS two",
            "{}",
            "circular dependency on stage `two`",
            "two",
        ),
        ("FROM b AS two", r#"{"OnBuild":["COPY --from=two /x /x"]}"#, "circular dependency on stage `two`", "b"),
        (
            "FROM b",
            r#"{"OnBuild":["RNU x"]}"#,
            "ONBUILD trigger `RNU x` of the base image `b`: unknown instruction: `RNU`",
            "b",
        ),
        (
            "FROM b",
            r#"{"OnBuild":["ONBUILD RUN x"]}"#,
            "ONBUILD trigger `ONBUILD RUN x` of the base image `b`: chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
            "b",
        ),
        (
            "FROM b",
            r#"{"OnBuild":["RUN x\nRUN y"]}"#,
            "ONBUILD trigger `RUN x\nRUN y` of the base image `b`: an ONBUILD trigger must be a single instruction",
            "b",
        ),
    ] {
        let found = case(text).base(base).bad();
        assert_eq!(found, (message.to_owned(), place.to_owned()), "{text}");
    }
}

/// A COPY from such an image, or a stage that a context replaces, runs no trigger.
#[test]
fn only_from_sets_triggers_off() {
    let base = r#"{"OnBuild":["RUN x"]}"#;
    let plan = case("FROM scratch\nCOPY --from=b a a").base(base).good();
    assert_eq!(names(&plan, 0).len(), 1);
    let mut replaced = case("FROM debian AS two\nRUN y\nFROM two\nRUN z").base(base);
    replaced.graph.named_contexts.insert("two".to_owned(), crate::graph::ContextKind::Image);
    let plan = replaced.good();
    assert_eq!(names(&plan, 0), [""; 0]);
    assert_eq!(names(&plan, 1), ["[stage-1 1/2] ONBUILD RUN x", "[stage-1 2/2] RUN z"]);
}
