//! diff: which files differ, and how.

use crate::harness::Lab;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn lab() -> Lab {
    let lab = Lab::with("FROM busybox\nCOPY tree /\n");
    lab.file("tree/same", "x").file("tree/changed", "one").file("tree/gone", "x").file("tree/mode", "x");
    lab.build(&["-t", "one"]).ok();
    fs::remove_file(lab.path("tree/gone")).expect("removed");
    lab.file("tree/changed", "other").file("tree/new", "x");
    fs::set_permissions(lab.path("tree/mode"), fs::Permissions::from_mode(0o755)).expect("a mode");
    lab.file("Dockerfile", "FROM busybox\nCOPY tree /\nCOPY --chown=3:4 tree/same /same\n");
    lab.build(&["-t", "two"]).ok();
    lab
}

const WANTED: &str = "\
C /changed   size 3 -> 5, content
D /gone
C /mode   mode 0644 -> 0755
A /new
C /same   owner 0:0 -> 3:4
";

#[test]
fn files_of_two_images_are_compared() {
    let lab = lab();
    lab.lbuild(&["diff", "one", "two"]).ok().prints(WANTED);
    lab.lbuild(&["diff", "one", "one"]).ok().prints("");
    lab.lbuild(&["diff", "--exit-code", "one", "two"]).ends(1);
    lab.lbuild(&["diff", "--exit-code", "one", "one"]).ends(0);
    let run = lab.lbuild(&["diff", "--format", "json", "two", "one"]);
    let json: Value = serde_json::from_str(&run.ok().stdout).expect("JSON");
    let mode = serde_json::json!({"what": "mode", "from": "0755", "to": "0644"});
    assert_eq!(json[2], serde_json::json!({"path": "/mode", "kind": "changed", "how": [mode]}));
    lab.lbuild(&["diff", "--format", "{{.Kind}}{{.Path}}", "one", "two"])
        .ok()
        .prints("C/changed\nD/gone\nC/mode\nA/new\nC/same\n");
    let times = lab.lbuild(&["diff", "--times", "one", "two"]);
    assert!(times.ok().stdout.contains("time "), "{}", times.stdout);
    lab.lbuild(&["diff", "one", "missing"]).ends(125).says("neither an image nor a layer `missing`");
}

#[test]
fn layers_are_compared_by_their_digests() {
    let lab = lab();
    let (one, two) = (lab.inspect("one"), lab.inspect("two"));
    let layer = |image: &Value, from_top: usize| {
        let layers = image["RootFS"]["Layers"].as_array().expect("layers");
        layers[layers.len() - from_top].as_str().expect("a diff ID").to_owned()
    };
    lab.lbuild(&["diff", &layer(&one, 1), &layer(&two, 2)])
        .ok()
        .prints("C /changed   size 3 -> 5, content\nD /gone\nC /mode   mode 0644 -> 0755\nA /new\n");
    let short = layer(&two, 1)[7..19].to_owned();
    let run = lab.lbuild(&["diff", &layer(&two, 2), &short]);
    run.ok().prints("D /changed\nD /mode\nD /new\nC /same   owner 0:0 -> 3:4\n");
}
