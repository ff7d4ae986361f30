//! images, inspect, rmi, fsck, prune, and what is printed where.

use crate::harness::Lab;
use serde_json::Value;
use std::fs;

const PLAIN: &str = "FROM scratch\nCOPY f /f\nLABEL a=1\nCMD [\"/f\"]\n";

fn built(tags: &[&str]) -> Lab {
    let lab = Lab::with(PLAIN);
    lab.file("f", "x");
    let flags: Vec<&str> = tags.iter().flat_map(|tag| ["-t", *tag]).collect();
    lab.build(&flags).ok();
    lab
}

#[test]
fn images_are_listed() {
    let lab = built(&["one", "example.com/two:2"]);
    let table = lab.lbuild(&["images"]);
    let lines: Vec<Vec<&str>> = table
        .ok()
        .stdout
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    let mut names: Vec<(&str, &str)> = lines[1..].iter().map(|row| (row[0], row[1])).collect();
    names.sort_unstable();
    assert_eq!(names, [("example.com/two", "2"), ("one", "latest")]);
    let list: Value = serde_json::from_str(&lab.lbuild(&["images", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    let id = list[0]["Id"].as_str().expect("an id");
    lab.lbuild(&["images", "-q"]).ok().prints(&format!("{}\n", &id[7..19]));
}

#[test]
fn an_image_is_found_by_name_by_id_and_by_the_beginning_of_one() {
    let lab = built(&["one:1"]);
    let image = lab.inspect("one:1");
    let id = image["Id"].as_str().expect("an id").to_owned();
    for name in [id.as_str(), &id[7..], &id[7..19], "docker.io/library/one:1"] {
        assert_eq!(lab.inspect(name), image, "{name}");
    }
    lab.lbuild(&["inspect", "one"]).ends(125).says("one");
    assert_eq!((&image["Architecture"], &image["Os"]), (&Value::from(arch()), &Value::from("linux")));
    assert_eq!(image["Config"]["Labels"], serde_json::json!({"a": "1"}));
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[test]
fn names_are_taken_away_one_by_one() {
    let lab = built(&["one", "two"]);
    lab.lbuild(&["rmi", "one"]).ok().prints("Untagged: one:latest\n");
    let id = lab.inspect("two")["Id"].as_str().expect("an id").to_owned();
    assert!(lab.lbuild(&["rmi", "two"]).ok().stdout.starts_with("Untagged: two:latest\n"));
    lab.lbuild(&["rmi", "two", "one"]).ends(125).says("two").says("one");
    lab.lbuild(&["inspect", &id]).ends(125);
    lab.fsck();
}

/// FEATURES 3.5-8.
#[test]
fn an_image_is_given_further_names() {
    let lab = built(&["one"]);
    lab.lbuild(&["tag", "one", "two:2", "example.com/three"]).ok().prints("");
    let id = lab.inspect("one")["Id"].as_str().expect("an id").to_owned();
    lab.lbuild(&["image", "tag", &id[7..19], "four"]).ok();
    for name in ["two:2", "example.com/three", "four"] {
        assert_eq!(lab.inspect(name)["Id"], id.as_str(), "{name}");
    }
    lab.lbuild(&["tag", "one", "good", "Not/A/Name"]).ends(125).says("invalid tag `Not/A/Name`");
    lab.lbuild(&["tag", "one", &format!("x@{id}")]).ends(125).says("refusing to create a tag with a digest reference");
    lab.lbuild(&["tag", "missing", "x"]).ends(125).says("the store has no image `missing`");
    lab.lbuild(&["inspect", "good"]).ends(125);
}

/// FEATURES 3.5-7: what Docker's users type.
#[test]
fn dockers_groups_of_commands_are_understood() {
    let lab = Lab::with(PLAIN);
    lab.file("f", "x");
    // Its age must be the same a moment later.
    lab.lbuild(&["buildx", "build", "--build-arg", "SOURCE_DATE_EPOCH=1", "-t", "one", "."]).ok();
    let all = lab.lbuild(&["images"]).ok().stdout.clone();
    lab.lbuild(&["image", "ls"]).ok().prints(&all);
    lab.lbuild(&["image", "prune", "-f"]).ok();
    lab.lbuild(&["image", "rm", "one"]).ok();
    lab.lbuild(&["image", "inspect", "one"]).ends(125);
}

#[test]
fn prune_takes_what_nothing_needs() {
    let lab = built(&["one"]);
    let first = lab.inspect("one")["Id"].clone();
    lab.file("f", "y");
    lab.build(&["-t", "one"]).ok();
    let second = lab.inspect("one")["Id"].clone();
    assert_ne!(first, second);
    lab.lbuild(&["prune", "-a"]).ok();
    assert_eq!(lab.inspect("one")["Id"], second);
    lab.lbuild(&["inspect", first.as_str().expect("an id")]).ends(125);
    lab.fsck();
    lab.lbuild(&["rmi", "one"]).ok();
    lab.lbuild(&["prune", "-a"]).ok();
    let blobs = fs::read_dir(lab.store().join("blobs/sha256")).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(blobs, 0);
}

#[test]
fn fsck_finds_damage() {
    let lab = built(&["one"]);
    let digest = lab.inspect("one")["Layers"][0]["digest"].as_str().expect("a layer").replace("sha256:", "");
    let blob = lab.store().join("blobs/sha256").join(&digest);
    let mut bytes = fs::read(&blob).expect("the blob");
    bytes[600] ^= 1;
    let mut mode = fs::metadata(&blob).expect("the blob").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o644);
    fs::set_permissions(&blob, mode).expect("a mode");
    fs::write(&blob, bytes).expect("damage");
    let run = lab.lbuild(&["fsck"]);
    run.ends(125);
    assert!(run.stdout.contains(&digest), "{}", run.stdout);
}

/// FEATURES 3.1-21, 3.1-23.
#[test]
fn the_image_id_goes_where_it_was_asked_for() {
    let lab = Lab::with(PLAIN);
    lab.file("f", "x");
    let quiet = lab.build(&["-q", "-t", "x", "--iidfile", "id"]);
    quiet.ok();
    assert_eq!(quiet.stderr, "");
    let id = lab.inspect("x")["Id"].as_str().expect("an id").to_owned();
    assert_eq!(quiet.stdout, format!("{id}\n"));
    assert_eq!(fs::read_to_string(lab.path("id")).expect("the file"), id);
    lab.build(&["-t", "x"]).ok().prints("").says("#1 ");
    lab.build(&["--iidfile", "/no/such/id"]).ends(125).says("/no/such/id");
}

#[test]
fn build_is_the_default_command() {
    let lab = Lab::with(PLAIN);
    lab.file("f", "x");
    lab.lbuild(&["-t", "x", "."]).ok();
    lab.lbuild(&["."]).ok();
    lab.inspect("x");
}

#[test]
fn the_store_is_where_it_was_said_to_be_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::with(PLAIN);
    lab.file("f", "x");
    lab.build(&["-t", "x", "--root", "elsewhere"]).ok();
    let mode = fs::metadata(lab.path("elsewhere")).expect("the store").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(!lab.store().exists());
    let mut by_home = lab.building(&["-t", "x"]);
    by_home.env_remove("LBUILD_ROOT").env("XDG_DATA_HOME", lab.home().join("data"));
    assert!(by_home.output().expect("runs").status.success());
    assert!(lab.home().join("data/lbuild/oci-layout").exists());
}

#[test]
fn warnings_have_their_line() {
    let lab = Lab::with("FROM scratch\n# a comment\nCOPY Dockerfile /\nCMD x\n");
    lab.build(&[]).ok().says("WARN: JSONArgsRecommended: ").says("(Dockerfile:4)\n");
    lab.build(&["-q"]).ok().does_not_say("WARN");
}

/// As with a program outside, whose SIGPIPE the shell tells as 141.
#[test]
fn userns_a_run_ends_when_nobody_reads() {
    let lab = Lab::with("FROM busybox\n");
    lab.build(&["-t", "x"]).ok();
    let mut run = lab.command(&["run", "x", "yes"]);
    let mut child = run.stdout(std::process::Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ends").code(), Some(141));
}

/// What people type who come from Docker, and what they are told where lbuild has no such thing.
#[test]
fn habits_from_docker_are_met() {
    let lab = built(&["one", "two"]);
    for (typed, printed) in [
        (&["help"][..], "Usage: lbuild"),
        (&["help", "build"], "Usage: lbuild build"),
        (&["plan", "--format", "dot", "."], "digraph"),
        (&["plan", "--format=json", "."], "\"stages\""),
        (&["inspect", "-s", "--format", "{{index .RepoTags 0}}", "one"], "one:latest"),
        (&["rmi", "--no-prune", "two"], "Untagged: two:latest"),
    ] {
        let run = lab.lbuild(typed);
        assert!(run.ok().stdout.contains(printed), "{typed:?}\n{}", run.stdout);
    }
    for (typed, said) in [
        (&["exec", "one", "sh"][..], "lbuild has no command `exec`"),
        (&["puhs"], "did you mean the command `push`?"),
        (&["ps"], "`lbuild --help` lists the commands"),
        (&["compose"], "`lbuild --help` lists the commands"),
        (&["run", "-it", "one", "sh"], "`lbuild save one | docker load`"),
        (&["-o", "type=oci,dest=x.tar,compression-level=3", "."], "say which"),
    ] {
        lab.lbuild(typed).ends(125).says(said);
    }
}
