//! Input that is made to take for ever, or all memory: answered soon, in little memory, with its place.

use crate::harness::{Lab, Run, base, binary};
use std::fs::{self, File};
use std::process::Command;

/// Seconds that any of these may take, on a machine that does other things, too.
const SECONDS: u64 = 120;
/// KiB of addresses that lbuild may have meanwhile.
const MEMORY: &str = "2000000";

/// Builds the lab's context with bounds on time and memory.
#[track_caller]
fn bounded(lab: &Lab, arguments: &[&str]) -> Run {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v \"$1\" && shift && exec \"$@\"", "sh", MEMORY]).arg(binary());
    command
        .args(["build", "-t", "x"])
        .arg(format!("--build-context=busybox=oci-layout://{}", base("busybox").display()));
    command.args(arguments).arg(".").current_dir(lab.path(""));
    command.env("HOME", lab.home()).env("LBUILD_ROOT", lab.store()).env("BUILDKIT_PROGRESS", "plain");
    Run::within(&mut command, SECONDS)
}

/// Writes the lab's Dockerfile, builds it, and asserts that it is refused, at a line, with a text.
#[track_caller]
fn refused(dockerfile: &str, line: usize, text: &str) {
    let lab = Lab::with(dockerfile);
    let run = bounded(&lab, &[]);
    run.ends(125).says(text);
    assert!(run.stderr.len() < 100_000, "{} bytes are said", run.stderr.len());
    if line > 0 {
        run.says(&format!("Dockerfile:{line}:"));
    }
}

/// FEATURES 1.1-1, 1.1-4, 1.1-14.
#[test]
fn texts_without_end_are_refused() {
    refused(&format!("FROM scratch\nENV a={}\n", "x".repeat(10 << 20)), 2, "greater than max allowed size of 65535");
    refused(&"x".repeat(100 << 20), 0, "`Dockerfile` is longer than 16777216 bytes");
    refused(&format!("FROM scratch\nCOPY <<EOF /f\n{}", "0123456789\n".repeat(1_000_000)), 2, "unterminated heredoc");
    let heredocs: String = (0..2000).map(|number| format!("<<E{number} ")).collect();
    refused(&format!("FROM busybox\nRUN {heredocs}\n"), 2, "unterminated heredoc");
    refused(&format!("FROM scratch\n{}", "LABEL a=b\n".repeat(1_000_000)), 50_001, "at most 50000 instructions");
    refused(&"FROM scratch\n".repeat(1_000_000), 50_001, "at most 50000 instructions");
    refused(&format!("FROM scratch\n{}", "COPY f /\n".repeat(40_000)), 1002, "more than 1000 steps");
    refused(&format!("FROM scratch\n{}", "FOO\n".repeat(40_000)), 2, "unknown instruction");
    let lab = Lab::with(&format!("FROM scratch\nENV a=1 \\\n{}  c=d\n", "  b=2 \\\n# comment\n\n".repeat(50_000)));
    bounded(&lab, &[]).ok();
}

/// FEATURES 1.2-5, 1.2-6, 1.2-7: values that grow, references without end, patterns that match in many ways.
#[test]
fn variables_without_end_are_refused() {
    let doubled = "ENV a=$a$a\n".repeat(40);
    refused(&format!("FROM scratch\nENV a=0123456789\n{doubled}"), 16, "bytes long after expansion");
    refused(&format!("FROM scratch\nENV a={}{}\n", "${x:-".repeat(9000), "}".repeat(9000)), 2, "nested");
    let value = "a".repeat(60_000);
    let pattern = "*a".repeat(10_000);
    refused(&format!("FROM scratch\nENV v={value}\nENV w=${{v##{pattern}b}}\n"), 3, "takes too much work");
    refused(&format!("FROM scratch\nENV v={value}\nENV w=${{v//{pattern}b/x}}\n"), 3, "takes too much work");
}

/// FEATURES 1.6-6, 1.6-16, 2-4: patterns that a matcher which tries one way after another would never end with.
#[test]
fn patterns_that_match_in_many_ways_end() {
    let pattern = format!("{}b", "*a".repeat(2000));
    let lab = Lab::with(&format!("FROM scratch\nCOPY {pattern} /one/\nCOPY --exclude={pattern} . /two/\n"));
    lab.file(&"a".repeat(200), "").file(".dockerignore", format!("{pattern}\n**/{pattern}\n"));
    bounded(&lab, &[]).ok();
    assert_eq!(lab.layer("x", 1).len(), 4, "the file, the Dockerfile, the ignore file, and where they are");
}

/// FEATURES 1.6-22: an address is no option, setting or transport of git.
#[test]
fn addresses_of_repositories_reach_git_as_addresses_only() {
    for (address, text) in [
        ("https://example.invalid/--upload-pack=touch${IFS}owned.git", "Dockerfile:2"),
        ("https://example.invalid/a.git#--upload-pack=touch owned", "Dockerfile:2"),
        ("git@-oProxyCommand=touch:owned/a.git", "Dockerfile:2"),
        ("ssh://-oProxyCommand=touch/a.git", "Dockerfile:2"),
        ("ext::sh -c touch% owned.git", "Dockerfile:2"),
        ("https://example.invalid/a.git?ref=--output=owned", "Dockerfile:2"),
    ] {
        let lab = Lab::with(&format!("FROM scratch\nADD [\"{address}\", \"/\"]\n"));
        let run = bounded(&lab, &[]);
        run.ends(125).says(text);
        let found: Vec<_> =
            fs::read_dir(lab.path("")).expect("the context").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(found, ["Dockerfile"], "{address}");
    }
}

/// FEATURES 1.6-8, 1.6-1: links of a context lead inside it, however they point.
#[test]
fn links_of_a_context_never_lead_outside() {
    let lab = Lab::new();
    fs::write(lab.home().join("outside"), "secret").expect("a file");
    fs::create_dir(lab.home().join("dir")).expect("a directory");
    fs::write(lab.home().join("dir/f"), "secret").expect("a file");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, lab.path(name)).expect("a link");
    let outside = lab.home().to_string_lossy().into_owned();
    link("../outside", "file");
    link(&format!("{outside}/outside"), "absolute");
    link("../dir", "directory");
    link("loop", "loop");
    for source in ["file", "absolute", "directory", "directory/f", "directory/../../outside", "loop"] {
        lab.file("Dockerfile", format!("FROM busybox\nCOPY {source} /to/\n"));
        bounded(&lab, &[]).ends(125).says("Dockerfile:2:");
        lab.file("Dockerfile", format!("FROM busybox\nRUN --mount=source={source},target=/m cat /m /m/f\n"));
        let run = bounded(&lab, &[]);
        assert_ne!(run.status, 0);
        run.does_not_say("secret");
    }
    lab.file("Dockerfile", "FROM scratch\nCOPY . /all/\n");
    bounded(&lab, &[]).ok();
    let found = crate::harness::succeeds("grep", &["-rqF", "secret", &lab.store().to_string_lossy()]);
    assert!(!found, "what is outside is not in the store");
}

/// FEATURES 1.6-18: what unpacks to more than two hundred times its own size is refused while it is unpacked.
#[test]
fn archives_that_unpack_to_too_much_are_refused() {
    let lab = Lab::with("FROM scratch\nADD bomb.tgz /\n");
    // A header that announces 4 GiB, and 1.2 GiB of zeros in a megabyte.
    let script = "truncate -s 4G z; tar -cf - z | head -c 512 | gzip > bomb.tgz; rm z; \
        head -c 1M /dev/zero | gzip -9 > zeros; for i in $(seq 1200); do cat zeros; done >> bomb.tgz; rm zeros";
    crate::harness::output("sh", &["-ec", &format!("cd '{}'; {script}", lab.path("").display())]);
    let run = bounded(&lab, &[]);
    run.ends(125).says("unpack `/bomb.tgz`: it unpacks to more than 200 times its own size").says("Dockerfile:2:");
    run.says("--limit archive-ratio=NUMBER");
    assert_eq!(fs::read_dir(lab.store().join("tmp")).expect("a directory").count(), 0, "nothing of it is left");
}

/// FEATURES 1.7-9: a secret has at most 500 KiB, wherever it is from, and is read no further.
#[test]
fn userns_secrets_that_are_too_big_are_refused() {
    let lab = Lab::with("FROM busybox\nRUN --mount=type=secret,id=x,required=true true\n");
    lab.file("big", "");
    File::options().write(true).open(lab.path("big")).and_then(|file| file.set_len(1 << 40)).expect("a size");
    for (from, text) in [("src=big", "512000 are allowed"), ("src=/dev/zero", "is larger than 500 KiB")] {
        let run = bounded(&lab, &["--secret", &format!("id=x,{from}")]);
        run.ends(125).says("secret `x`").says(text);
    }
}

/// FEATURES 1.4-9, 1.4-12: configs that no tool writes.
#[test]
fn malformed_configs_of_bases_are_refused() {
    for (config, text) in [
        ("", "config"),
        ("[]", "config"),
        ("{}", "config"),
        ("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:0\"]}}", "config"),
        ("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"config\":{\"Env\":7}}", "config"),
        ("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"config\":{\"OnBuild\":[\"FROM x\"]}}", "FROM"),
        ("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"config\":{\"OnBuild\":[\"RUN <<E\\nx\"]}}", "RUN <<E"),
        ("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"config\":{\"OnBuild\":[\"\"]}}", "ONBUILD"),
    ] {
        let lab = Lab::with("FROM hostile\n");
        let context = layout(&lab, config);
        let run = bounded(&lab, &[&context]);
        run.ends(125).says(text).says("Dockerfile:1:");
    }
    // A base that asks for itself again is taken in once.
    let lab = Lab::with("FROM hostile AS x\nFROM hostile\n");
    let trigger = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"config\":{\"OnBuild\":[\"COPY --from=hostile / /\",\"LABEL a=b\"]}}";
    let context = layout(&lab, trigger);
    bounded(&lab, &[&context]).ok();
    assert_eq!(lab.inspect("x")["Config"]["Labels"], serde_json::json!({"a": "b"}));
}

/// Writes a layout of an image without layers that has this config.
fn layout(lab: &Lab, config: &str) -> String {
    let directory = lab.home().join("hostile");
    fs::create_dir_all(directory.join("blobs/sha256")).expect("directories");
    let blob = |text: &str| {
        let digest = crate::harness::output("sh", &["-c", "printf %s \"$1\" | sha256sum | cut -c1-64", "sh", text]);
        fs::write(directory.join("blobs/sha256").join(digest.trim()), text).expect("a blob");
        format!("sha256:{}", digest.trim())
    };
    let config = serde_json::json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": blob(config), "size": config.len()});
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
    let entry = serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": blob(&manifest), "size": manifest.len()});
    fs::write(directory.join("index.json"), serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string())
        .expect("an index");
    fs::write(directory.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").expect("a layout");
    format!("--build-context=hostile=oci-layout://{}", directory.display())
}
