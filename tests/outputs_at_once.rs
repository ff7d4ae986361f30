//! Several outputs of one build: side by side, each with its own end.

use crate::harness::{Lab, Run, output};
use crate::registry::{Registry, layout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

fn lab() -> Lab {
    let lab = Lab::with("FROM busybox\nCOPY f /f\n");
    // More than a pipe takes, and worth comparing with earlier layers.
    let text: String = (0..900_000u32).map(|number| format!("{number}\n")).collect();
    lab.file("f", text);
    lab
}

fn entries(archive: &[u8]) -> usize {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), archive).expect("written");
    output("tar", &["-tf", &file.path().to_string_lossy()]).lines().count()
}

/// Two pipes, of which the first is read only once the second has ended: one after another they would wait for ever.
#[test]
fn outputs_are_written_side_by_side() {
    let lab = lab();
    let pipes: Vec<PathBuf> = ["one", "two"].map(|name| lab.path(name)).to_vec();
    pipes.iter().for_each(|pipe| drop(output("mkfifo", &[&pipe.to_string_lossy()])));
    let (sender, read) = channel();
    let readers = pipes.clone();
    std::thread::spawn(move || {
        readers.iter().rev().for_each(|pipe| sender.send(fs::read(pipe).expect("read")).expect("sent"));
    });
    let to = |kind: &str, pipe: &PathBuf| format!("type={kind},dest={}", pipe.display());
    let outputs = [to("oci", &pipes[0]), to("tar", &pipes[1])];
    Run::within(&mut lab.building(&["-o", &outputs[0], "-o", &outputs[1], "-o", "type=local,dest=files"]), 120).ok();
    let files = entries(&read.recv_timeout(Duration::from_secs(10)).expect("the tar was written"));
    assert!(files > 100, "the files of the image: {files}");
    assert!(entries(&read.recv_timeout(Duration::from_secs(10)).expect("the archive was written")) >= 6);
    assert_eq!(fs::read(lab.path("files/f")).expect("there"), fs::read(lab.path("f")).expect("there"));
}

/// What fails is told, all of it, and nothing that fails keeps another output from its place.
#[test]
fn an_output_that_fails_leaves_the_others_alone() {
    let lab = lab();
    let (good, id) = (lab.home().join("good.tar"), lab.home().join("id"));
    let arguments = [
        "-o",
        "type=oci,dest=/dev/full",
        "-o",
        &format!("type=docker,dest={}", good.display()),
        "-o",
        "type=tar,dest=/dev/full",
        "-o",
        "type=local,dest=files",
        "-o",
        "type=image,name=kept:1",
        "--iidfile",
        &id.to_string_lossy(),
    ];
    let run = Run::within(&mut lab.building(&arguments), 120);
    run.ends(125).says("/dev/full").says("No space left on device");
    let errors = run.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert!((1..=2).contains(&errors), "what both failed with, once if it is the same: {}", run.stderr);
    assert!(entries(&fs::read(&good).expect("the archive is there")) >= 7);
    assert!(lab.path("files/f").is_file());
    lab.inspect("kept:1");
    assert!(!id.exists(), "what failed has no ID to tell");
    lab.fsck();
}

/// What several outputs want compressed is compressed once.
#[test]
fn layers_are_compressed_once_for_all_outputs() {
    let registry = Registry::plain();
    registry.fill("base:1", &layout("busybox"));
    let lab = lab();
    let trace = lab.home().join("trace.json");
    let mut arguments = vec!["-t".to_owned(), registry.name("to:1"), "--push".to_owned()];
    arguments.push(format!("--trace={}", trace.display()));
    for name in ["one.tar", "two.tar", "three.tar"] {
        arguments
            .extend(["-o".to_owned(), format!("type=oci,dest={},compression=gzip", lab.home().join(name).display())]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Run::within(&mut lab.building(&arguments), 120).ok();
    let read = |name: &str| fs::read(lab.home().join(name)).expect("an archive");
    assert!(read("one.tar") == read("two.tar") && read("one.tar") == read("three.tar"));
    let trace: Value = serde_json::from_slice(&fs::read(&trace).expect("a trace")).expect("JSON");
    let mut compressed: BTreeMap<&str, usize> = BTreeMap::new();
    for event in trace["traceEvents"].as_array().expect("events").iter().filter(|event| event["cat"] == "compressing") {
        *compressed.entry(event["name"].as_str().expect("a name")).or_default() += 1;
    }
    assert!(!compressed.is_empty());
    assert!(compressed.values().all(|times| *times == 1), "{compressed:?}");
}
