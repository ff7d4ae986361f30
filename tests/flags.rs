//! Flags of builds, flags of other builders, and what the user set once.

use crate::harness::Lab;
use std::fs;

/// FEATURES 3.1-14, 3.1-24.
#[test]
fn userns_a_run_has_the_hosts_memory_and_limits_that_were_asked_for() {
    let lab = Lab::with(
        "FROM busybox\nRUN grep -q '^10.0.0.7.*db$' /etc/hosts && grep -q '^127.0.0.1.*gate$' /etc/hosts && \
         df -k /dev/shm | grep -q ' 2048 ' && test \"$(ulimit -Sn):$(ulimit -Hn)\" = 100:200\n",
    );
    let flags = ["--add-host=db:10.0.0.7,gate:host-gateway", "--shm-size=2m", "--ulimit=nofile=100:200"];
    lab.build(&flags).ok();
    lab.build(&["--add-host=db:10.0.0.8", "--add-host=gate=1.2.3.4"]).ok().says("CACHED");
    lab.build(&["--add-host=db:10.0.0.7"]).ends(1);
    lab.build(&["--add-host=x"]).ends(125).says("`--add-host x`: write `NAME:IP`");
    let most = "99999999999";
    lab.build(&["--no-cache", "--ulimit", &format!("nofile={most}")]).ends(125).says("limit `nofile`").says("help: ");
}

/// FEATURES 3.1-11.
#[test]
fn userns_named_stages_run_again() {
    let lab = Lab::with(
        "FROM busybox AS one\nRUN cat /proc/sys/kernel/random/uuid > /one\nFROM busybox AS two\nRUN cat /proc/sys/kernel/random/uuid > /two\n\
         FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
    );
    let contents = |flags: &[&str]| {
        lab.build(&[flags, &["-t", "x"]].concat()).ok();
        [lab.shell("x", "cat /one"), lab.shell("x", "cat /two")]
    };
    let first = contents(&[]);
    assert_eq!(contents(&[]), first);
    let second = contents(&["--no-cache-filter=ONE"]);
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1], first[1]);
    assert_eq!(contents(&[]), second);
    let third = contents(&["--no-cache-filter", "one,two"]);
    assert!(third[0] != second[0] && third[1] != second[1]);
    lab.build(&["--no-cache-filter=tow"]).ok().says("no stage is called that, did you mean `two`?");
}

/// FEATURES 3.1-5, 3.1-2, 3.2.
#[test]
fn arguments_and_rules_come_from_files() {
    let lab = Lab::with("FROM scratch\nARG NAME=none\nLABEL name=$NAME\nCOPY . /\n");
    lab.file("a", "").file("b", "").file(".dockerignore", "Dockerfile\na\n");
    lab.file("../args", "# names\nNAME=file\n").file("../rules", "Dockerfile\n.dockerignore\nb\n");
    lab.build(&["-t", "x", "--build-arg-file=../args", "--ignorefile=../rules"]).ok();
    assert_eq!(lab.inspect("x")["Config"]["Labels"]["name"], "file");
    assert_eq!(lab.layer("x", 0), ["a"]);
    lab.build(&["-t", "x", "--build-arg-file=../args", "--build-arg=NAME=typed"]).ok();
    assert_eq!(lab.inspect("x")["Config"]["Labels"]["name"], "typed");
    lab.build(&["--ignorefile=../none"]).ends(125).says("read ignore file `../none`");
    lab.build(&["--build-arg-file=../none"]).ends(125).says("read build arguments from `../none`");
}

/// FEATURES 3.1-7, 3.3-6.
#[test]
fn an_image_for_another_machine_needs_no_run() {
    let lab = Lab::with("FROM scratch AS files\nCOPY f /\nFROM files AS runs\nRUN [\"/f\"]\n");
    lab.file("f", "x");
    lab.build(&["-t", "x", "--platform=linux/s390x", "--target=files"]).ok();
    assert_eq!(lab.inspect("x")["Architecture"], "s390x");
    let mut by_variable = lab.building(&["-t", "y", "--target=files"]);
    assert!(by_variable.env("DOCKER_DEFAULT_PLATFORM", "linux/arm/v6").output().expect("runs").status.success());
    assert_eq!((&lab.inspect("y")["Architecture"], &lab.inspect("y")["Variant"]), (&"arm".into(), &"v6".into()));
    let refused = lab.build(&["--platform=linux/s390x"]);
    refused.ends(125).says("this RUN is for linux/s390x, and this machine is linux/").says("Dockerfile:4");
    refused.says("FROM --platform=$BUILDPLATFORM");
    lab.build(&["--platform=linux/s390x,linux/arm64"])
        .ends(125)
        .says("the store cannot take an image for several platforms");
}

/// FEATURES 3.1-26, 3.1-27.
#[test]
fn flags_of_other_builders_are_taken_or_refused_with_a_cure() {
    let lab = Lab::with("FROM scratch\nCOPY Dockerfile /\n");
    let taken = ["--rm", "--force-rm=true", "--memory", "2g", "--provenance=false", "--builder=x", "--layers"];
    let run = lab.build(&taken);
    run.ok().says("WARN: `--force-rm`, `--rm` have no effect here: there are no intermediate containers\n");
    // One of the words is a value, and two flags have one reason.
    assert_eq!(run.stderr.matches("WARN: ").count(), taken.len() - 2, "{}", run.stderr);
    assert_eq!(lab.build(&["-q", "--rm"]).ok().stderr, "");
    let refused = lab.build(&["-v", "/a:/b"]);
    refused.ends(125).says("error: `--volume /a:/b` is of `podman build`, and lbuild does not do it\n");
    refused.says("help: `RUN --mount=type=bind`");
    assert!(lab.lbuild(&["images", "-q"]).ok().stdout.is_empty() || !lab.store().exists());
}

/// FEATURES 3.3-10.
#[test]
fn userns_a_run_has_the_proxies_of_dockers_configuration() {
    let lab = Lab::with("FROM busybox\nARG A\nRUN test \"$HTTP_PROXY $http_proxy $A\" = 'http://p:1 http://p:1 '\n");
    fs::create_dir(lab.home().join(".docker")).expect("a directory");
    let config = r#"{"proxies": {"default": {"httpProxy": "http://p:1"}}}"#;
    fs::write(lab.home().join(".docker/config.json"), config).expect("written");
    lab.build(&["-t", "x"]).ok().does_not_say("WARN");
    assert!(!lab.inspect("x")["Config"].to_string().contains("p:1"), "a proxy is no part of the image");
    lab.build(&["--no-cache", "--build-arg=http_proxy=http://q:1"]).ends(1);
}

#[test]
fn what_is_set_once_counts_where_nothing_was_typed() {
    let lab = Lab::with("FROM scratch\nARG A\nLABEL a=$A\n");
    let file = lab.home().join(".config/lbuild/config.toml");
    fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
    let set = |text: &str| fs::write(&file, text).expect("written");
    set("[build]\nlabels = { who = \"me\", b = \"set\" }\nbuild-args = { A = \"set\" }\n");
    lab.build(&["-t", "x", "--label=b=typed"]).ok();
    assert_eq!(lab.inspect("x")["Config"]["Labels"], serde_json::json!({"who": "me", "b": "typed", "a": "set"}));
    set("[build]\n\nlabel = {}\n");
    let refused = lab.build(&[]);
    refused
        .ends(125)
        .says("config.toml`, line 3: no key is called `label` in `[build]`")
        .says("did you mean `labels`?");
    set("root = \"elsewhere\"\n");
    let mut by_file = lab.building(&["-t", "x"]);
    assert!(by_file.env_remove("LBUILD_ROOT").output().expect("runs").status.success());
    assert!(lab.path("elsewhere/oci-layout").exists());
}
