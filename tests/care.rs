//! plan, doctor, completions and manual pages.

use crate::harness::{Identity, Lab, identity};
use serde_json::Value;

const STAGES: &str = "FROM busybox AS build\nARG WHERE=/src\nWORKDIR $WHERE\nCOPY f ./g\nRUN --mount=type=secret,id=t make\n\
    FROM busybox AS unused\nRUN false\nFROM scratch\nCOPY --from=build /src/g /out\n";

#[test]
fn a_plan_shows_what_would_be_done_and_runs_nothing() {
    let lab = Lab::with(STAGES);
    lab.file("f", "x");
    let plan = |flags: &[&str]| {
        let mut command = lab.building(flags);
        let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        command = lab.command(&["plan"]);
        command.args(&arguments[1..]);
        crate::harness::Run::within(&mut command, 30)
    };
    let tree = plan(&["--build-arg=WHERE=/elsewhere"]);
    let lines: Vec<&str> =
        tree.ok().stdout.lines().map(|line| line.split(" (oci-layout:").next().expect("one")).collect();
    let host = layerfs_host();
    assert_eq!(
        lines,
        [
            format!("stage-2 for {host}").as_str(),
            "├─ build: from busybox",
            "│  ├─ 0.0 WORKDIR /elsewhere",
            "│  ├─ 0.1 COPY f /elsewhere/g",
            "│  │       from the build context",
            "│  └─ 0.2 RUN /bin/sh -c make",
            "│          in /elsewhere as root",
            "│          with the secret `t` at /run/secrets/t",
            "└─ stage-2: from scratch, the image",
            "   └─ 2.0 COPY /src/g /out",
            "           from build",
        ]
    );
    let object: Value = serde_json::from_str(&plan(&["--show=json"]).ok().stdout).expect("JSON");
    assert_eq!(object["stages"][1]["steps"][0]["after"], serde_json::json!(["0.2"]));
    assert_eq!(object["stages"][0]["steps"][2]["does"]["run"], serde_json::json!(["/bin/sh", "-c", "make"]));
    assert!(plan(&["--show=dot"]).ok().stdout.contains("  \"0.2\" -> \"2.0\";\n"));
    plan(&["--target=nowhere"]).ends(125).says("nowhere");
    plan(&["--load"]).ends(125).says("help: ");
    lab.lbuild(&["logs"]).ends(125);
}

fn layerfs_host() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
}

#[test]
fn userns_the_doctor_says_what_is_lacking_and_the_cure() {
    let lab = Lab::new();
    let run = lab.lbuild(&["doctor"]);
    let text = &run.ok().stdout;
    assert!(text.contains("good     sandbox: namespaces, mounts, seccomp and capabilities work\n"), "{text}");
    let lacks_ids =
        text.contains("limited  user and group ids: one") && text.contains("cure: `/etc/subuid` has no range");
    assert_eq!(lacks_ids, identity() == Identity::OneId, "{text}");
    let findings: Value = serde_json::from_str(&lab.lbuild(&["doctor", "--format=json"]).ok().stdout).expect("JSON");
    let names: Vec<&str> = findings.as_array().expect("a list").iter().filter_map(|one| one["what"].as_str()).collect();
    let wanted = ["user and group ids", "kernel", "store", "sandbox", "room on disk", "platforms of RUN", "settings"];
    assert_eq!(names, wanted);
}

#[test]
fn completions_and_manual_pages_need_no_home() {
    let lab = Lab::new();
    let without_home = |arguments: &[&str]| {
        let mut command = lab.command(arguments);
        command.env_remove("HOME").env_remove("LBUILD_ROOT");
        crate::harness::Run::within(&mut command, 30)
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(without_home(&["completions", shell]).ok().stdout.contains("no-cache-filter"), "{shell}");
    }
    without_home(&["completions", "cmd"]).ends(125).says("possible values");
    without_home(&["man", "pages"]).ok().prints("");
    let page = std::fs::read_to_string(lab.path("pages/lbuild-build.1")).expect("a page");
    assert!(page.contains(".SH OPTIONS"), "{page}");
}
