//! Tests of image configs: times, counts, inheritance (FEATURES 9).

use super::*;
use crate::plan::testing::{Case, case, image_config as base_config};
use layerfs::digest::Digest;

fn layer(name: &str, seconds: i64) -> AssembledLayer {
    AssembledLayer { diff_id: DiffId(Digest::of(name)), created: Timestamp::from_seconds(seconds) }
}

/// Returns the config of the last stage of a case with these layers.
fn assembled(case: &Case, base: Option<&ImageConfig>, layers: &[AssembledLayer]) -> Result<ImageConfig, AssembleError> {
    let plan = case.good();
    image_config(&plan, plan.target, base, layers)
}

/// Returns each history line as `text @ time`, `-` before those without a layer.
fn lines(config: &ImageConfig) -> Vec<String> {
    let line = |line: &History| {
        let mark = if line.empty_layer == Some(true) { "- " } else { "" };
        let text = line.created_by.as_deref().unwrap_or("?");
        format!("{mark}{text} @ {}", line.created.as_deref().unwrap_or("?"))
    };
    config.history.iter().map(line).collect()
}

#[test]
fn lines_have_the_times_of_their_steps_9_2() {
    let case = case("FROM b AS one\nENV a=1\nWORKDIR /x\nLABEL l=1\nFROM one\nUSER u\nWORKDIR y\nCMD [\"z\"]");
    let base = base_config("{}");
    let config = assembled(&case, Some(&base), &[layer("x", 60), layer("y", 120)]).expect("a config");
    assert_eq!(
        lines(&config),
        [
            "base @ 2020-01-01T00:00:00Z",
            "- ENV a=1 @ 2020-01-01T00:00:00Z",
            "WORKDIR /x @ 1970-01-01T00:01:00Z",
            "- LABEL l=1 @ 1970-01-01T00:01:00Z",
            "- USER u @ 1970-01-01T00:01:00Z",
            "WORKDIR /x/y @ 1970-01-01T00:02:00Z",
            "- CMD [\"z\"] @ 1970-01-01T00:02:00Z",
        ]
    );
    assert_eq!(config.created.as_deref(), Some("1970-01-01T00:02:00Z"));
    let ids: Vec<DiffId> = ["base", "x", "y"].iter().map(|name| DiffId(Digest::of(name))).collect();
    assert_eq!(config.rootfs.diff_ids, ids);
}

#[test]
fn nothing_known_gives_no_time() {
    let config = assembled(&case("FROM scratch\nENV a=1"), None, &[]).expect("a config");
    assert_eq!((config.created.as_deref(), lines(&config)), (None, vec!["- ENV a=1 @ ?".to_owned()]));
    let config = assembled(&case("FROM b"), Some(&base_config("{}")), &[]).expect("a config");
    assert_eq!(config.created.as_deref(), Some("2020-01-01T00:00:00Z"));
}

#[test]
fn the_epoch_is_the_time_of_every_line_of_this_build() {
    let mut case = case("FROM b\nENV a=1\nWORKDIR /x");
    case.plan.source_date_epoch = Some(0);
    let config = assembled(&case, Some(&base_config("{}")), &[layer("x", 60)]).expect("a config");
    assert_eq!(
        lines(&config),
        ["base @ 2020-01-01T00:00:00Z", "- ENV a=1 @ 1970-01-01T00:00:00Z", "WORKDIR /x @ 1970-01-01T00:00:00Z"]
    );
}

#[test]
fn histories_that_do_not_fit_their_layers_are_mended_9_2() {
    let case = case("FROM b\nWORKDIR /x");
    let mut few = base_config("{}");
    few.rootfs.diff_ids.push(DiffId(Digest::of("second")));
    let mut many = base_config("{}");
    many.history.push(History { created_by: Some("ghost".to_owned()), ..History::default() });
    for base in [few, many] {
        let config = assembled(&case, Some(&base), &[layer("x", 60)]).expect("a config");
        let with_layer = config.history.iter().filter(|line| line.empty_layer != Some(true)).count();
        assert_eq!(with_layer, config.rootfs.diff_ids.len());
    }
}

#[test]
fn what_does_not_fit_the_plan_is_refused() {
    let wrong = |count| Err(AssembleError::LayerCount { stage: 0, steps: 1, layers: count });
    let base = base_config("{}");
    assert_eq!(assembled(&case("FROM b\nWORKDIR /x"), Some(&base), &[]), wrong(0));
    assert_eq!(assembled(&case("FROM b\nWORKDIR /x"), Some(&base), &[layer("x", 1), layer("y", 1)]), wrong(2));
    let unfit = Err(AssembleError::Base { stage: 0 });
    assert_eq!(assembled(&case("FROM b"), None, &[]), unfit);
    assert_eq!(assembled(&case("FROM scratch"), Some(&base), &[]), unfit);
}

/// Row 9-1.
#[test]
fn what_is_empty_is_left_out() {
    let empty = r#"{"ExposedPorts":{},"Env":["PATH=/"],"Cmd":[],"ArgsEscaped":false,"Volumes":{},"Entrypoint":[],"Labels":{},"StopSignal":"","Shell":[]}"#;
    let base = base_config(empty);
    let config = assembled(&case("FROM b\nEXPOSE $none").base(empty), Some(&base), &[]).expect("a config");
    assert_eq!(serde_json::to_string(&config.config).expect("JSON"), r#"{"Env":["PATH=/"]}"#);
}

#[test]
fn the_same_facts_give_the_same_bytes() {
    let config = r#"{"OnBuild":[],"Labels":{"k":"v"},"Odd":true}"#;
    let mut case = case("FROM b\nLABEL z=1 a=2\nEXPOSE 2 1\nVOLUME /z /a\nWORKDIR /x").base(config);
    case.plan.labels = vec![("m".to_owned(), "3".to_owned())];
    let base = base_config(config);
    let bytes = || {
        let config = assembled(&case, Some(&base), &[layer("x", 60)]).expect("a config");
        serde_json::to_string(&config).expect("JSON")
    };
    assert_eq!(bytes(), bytes());
    assert!(!bytes().contains("OnBuild"), "triggers are cleared (1.4-9)");
    for unknown in ["unknown", "Odd"] {
        assert!(!bytes().contains(unknown), "unknown keys of the base are dropped (1.4-9)");
    }
    assert!(bytes().contains(r#""Labels":{"a":"2","k":"v","m":"3","z":"1"}"#), "{}", bytes());
}
