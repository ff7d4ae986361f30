//! ONBUILD (FEATURES 1.4-11, 1.4-12).

use crate::harness::Lab;

/// The triggers of a base that lbuild itself made: in the config, and set off in the next build only.
#[test]
fn userns_triggers_of_an_image_are_set_off_once() {
    let lab = Lab::with(
        "FROM busybox\nONBUILD COPY app /app\nONBUILD RUN --mount=from=tools,target=/t cat /t/tool /app > /made\nONBUILD ENV MADE=yes\n",
    );
    lab.build(&["-t", "base"]).ok();
    let triggers = lab.inspect("base")["Config"]["OnBuild"].clone();
    let wanted = ["COPY app /app", "RUN --mount=from=tools,target=/t cat /t/tool /app > /made", "ENV MADE=yes"];
    assert_eq!(triggers, serde_json::json!(wanted));

    lab.file("app", "app\n").file("tool", "tool\n");
    lab.file(
        "Dockerfile",
        "FROM scratch AS tools\nCOPY tool /\nFROM base AS one\nRUN echo $MADE >> /made\nFROM one\nRUN echo again >> /made\n",
    );
    lab.build(&["-t", "x"]).ok().says("ONBUILD COPY app /app");
    assert_eq!(lab.shell("x", "cat /made"), "tool\napp\nyes\nagain\n");
    let image = lab.inspect("x");
    assert_eq!(image["Config"]["OnBuild"], serde_json::Value::Null);
    let history = image["History"].to_string();
    assert!(history.contains("COPY app /app # buildkit") && history.contains("ENV MADE=yes"), "{history}");
    lab.build(&["-t", "x"]).ok().says("CACHED");
    lab.fsck();
}

/// A trigger that fails is shown at the FROM that set it off; one of the same file at its own line.
#[test]
fn userns_a_trigger_that_fails_is_shown_at_its_place() {
    let lab = Lab::with("FROM busybox\nONBUILD RUN exit 7\n");
    lab.build(&["-t", "base"]).ok();
    lab.file("Dockerfile", "# a comment\nFROM base\nRUN true\n");
    lab.build(&[]).ends(7).says("Dockerfile:2").says("ONBUILD RUN exit 7");
    lab.file("Dockerfile", "FROM busybox AS b\nONBUILD RUN exit 8\nFROM b\n");
    lab.build(&[]).ends(8).says("Dockerfile:2");
    lab.file("Dockerfile", "FROM busybox AS b\nONBUILD COPY --from=c /x /x\nFROM b AS c\n");
    lab.build(&[]).ends(125).says("circular dependency on stage `c`").says("help: a stage cannot read itself");
}
