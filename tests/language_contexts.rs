//! Build contexts of every kind (FEATURES 2-1, 2-11, 3.1-1; named contexts 1.4-2).

use crate::harness::{Lab, Run, output};
use crate::language_add::{Repositories, Web};
use std::io::Write;
use std::process::Stdio;

/// Runs `lbuild build` with these arguments and bytes on standard input.
fn fed(lab: &Lab, arguments: &[&str], input: &[u8]) -> Run {
    let mut command = lab.building(&[]);
    let bases: Vec<String> = command.get_args().map(|text| text.to_string_lossy().into_owned()).collect();
    let given = bases[..bases.len() - 1].iter().map(String::as_str).chain(arguments.iter().copied());
    command = lab.command(&given.collect::<Vec<_>>());
    let line = format!("{command:?}");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("lbuild starts");
    // One that ends before it reads says why.
    child.stdin.take().expect("a pipe").write_all(input).ok();
    Run::from_output(child.wait_with_output().expect("lbuild ends"), line)
}

/// Returns a gzipped archive of files, each with its text.
fn archive(lab: &Lab, files: &[(&str, &str)]) -> Vec<u8> {
    for (name, text) in files {
        lab.file(&format!("packed/{name}"), text);
    }
    let (from, to) = (lab.path("packed"), lab.path("packed.tar.gz"));
    output("tar", &["-C", &from.to_string_lossy(), "-czf", &to.to_string_lossy(), "."]);
    std::fs::read(to).expect("an archive")
}

const COPIES: &str = "FROM busybox\nCOPY . /c/\nRUN ls -A /c > /list\n";

/// The context's own ignore file counts for nothing here (2-11), as in BuildKit.
#[test]
fn userns_an_archive_on_standard_input_is_a_context() {
    let lab = Lab::new();
    let files =
        [("Dockerfile", COPIES), ("other", "FROM busybox\nCOPY f /other\n"), ("f", "text"), (".dockerignore", "f\n")];
    let packed = archive(&lab, &files);
    fed(&lab, &["-t", "x", "-"], &packed).ok();
    assert_eq!(lab.shell("x", "cat /list /c/f"), ".dockerignore\nDockerfile\nf\nother\ntext");
    fed(&lab, &["-t", "x", "-f", "other", "-"], &packed).ok();
    assert_eq!(lab.shell("x", "cat /other"), "text");
    fed(&lab, &["-f", "none", "-"], &packed).ends(125).says("`none` is not in the build context `<stdin>`");
    fed(&lab, &["-"], b"").ends(125).says("`<stdin>` is empty");
    fed(&lab, &["-f", "-", "-"], &packed).ends(125).says("standard input is the build context already");
    fed(&lab, &["-"], &packed[..packed.len() / 2]).ends(125);
    lab.fsck();
}

#[test]
fn userns_a_dockerfile_on_standard_input_has_no_files() {
    let lab = Lab::new();
    fed(&lab, &["-t", "x", "-"], b"FROM busybox\nRUN echo hi > /hi\n").ok();
    assert_eq!(lab.shell("x", "cat /hi"), "hi\n");
    fed(&lab, &["-"], b"FROM busybox\nCOPY f /\n").ends(125).says("copy `f`: not found").says("<stdin>:2");
}

#[test]
fn userns_contexts_of_the_web_are_archives_or_dockerfiles() {
    let web = Web::new();
    let lab = Lab::new();
    web.file("context.tgz", archive(&lab, &[("Dockerfile", COPIES), ("f", "text")]));
    web.file("Dockerfile", "FROM busybox\nCOPY --from=files f /named\n");
    let at = |name: &str| format!("{}/{name}", web.address);
    fed(&lab, &["-t", "x", &at("context.tgz")], b"").ok();
    assert_eq!(lab.shell("x", "cat /list /c/f"), "Dockerfile\nf\ntext");
    // A Dockerfile alone, and a named context of the web beside it.
    fed(&lab, &["-t", "y", "--build-context", &format!("files={}", at("context.tgz")), &at("Dockerfile")], b"").ok();
    assert_eq!(lab.shell("y", "cat /named"), "text");
    fed(&lab, &[&at("none")], b"").ends(125).says("404 Not Found");
    fed(&lab, &["--build-context=a=target:b", &at("Dockerfile")], b"").ends(125).says("bake");
    let named = format!("--build-context=files={}", at("Dockerfile"));
    fed(&lab, &[&named, &at("Dockerfile")], b"").ends(125).says("is no archive");
}

#[test]
fn userns_git_repositories_are_contexts() {
    let repositories = Repositories::new();
    let url = format!("{}/app", repositories.address);
    let lab = Lab::with("FROM busybox\nCOPY --from=app f /named\nCOPY . /c/\n");
    lab.build(&["-t", "x", &format!("--build-context=app={url}#v1")]).ok();
    assert_eq!(lab.shell("x", "cat /named"), "first");
    // The Dockerfile from standard input, the files from the repository, whose ignore file hides nothing.
    fed(&lab, &["-t", "y", "-f", "-", &url], COPIES.as_bytes()).ok();
    assert_eq!(lab.shell("y", "cat /list"), ".dockerignore\n.gitmodules\nd\nf\nrun\nsub\n");
    fed(&lab, &["-t", "z", "-f", "-", &format!("{url}#main:d")], COPIES.as_bytes()).ok();
    assert_eq!(lab.shell("z", "cat /list"), "g\n");
    let keep = "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1";
    fed(&lab, &["-t", "k", "-f", "-", keep, &url], COPIES.as_bytes()).ok();
    assert!(lab.shell("k", "cat /list").starts_with(".dockerignore\n.git\n"));
    fed(&lab, &[&url], b"").ends(125).says("`Dockerfile` is not in the build context");
    fed(&lab, &[&format!("{url}#none")], b"").ends(125).says("does not contain `none`");
}

/// Row 2-1: the Dockerfile's own ignore file goes before the context's, also for one outside the context.
#[test]
fn userns_a_dockerfile_has_an_ignore_file_of_its_own() {
    let lab = Lab::new();
    lab.file("a", "a").file("b", "b").file(".dockerignore", "a\n").file("Dockerfile", COPIES);
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /list"), ".dockerignore\nDockerfile\nb\n");
    let outside = lab.home().join("build.Dockerfile");
    std::fs::write(&outside, COPIES).expect("written");
    std::fs::write(lab.home().join("build.Dockerfile.dockerignore"), "*\n!b\n").expect("written");
    lab.build(&["-t", "x", "-f", &outside.to_string_lossy()]).ok();
    assert_eq!(lab.shell("x", "cat /list"), "b\n");
}

/// `-f URL`: the Dockerfile alone comes from there, the files from the context, whatever that is.
#[test]
fn userns_a_dockerfile_may_be_at_a_url() {
    let web = Web::new();
    let lab = Lab::new();
    lab.file("f", "local").file(".dockerignore", "hidden\n").file("hidden", "").file("token", "t0k");
    web.file("Dockerfile", COPIES);
    web.file("secret", "FROM scratch\nCOPY none /\n");
    web.file("long", vec![b'#'; (16 << 20) + 1]);
    web.file("context.tgz", archive(&Lab::new(), &[("g", "packed")]));
    let at = |name: &str| format!("{}/{name}", web.address);
    let run = lab.build(&["-t", "x", "-f", &format!("{}?token=1", at("Dockerfile"))]);
    run.ok().says(&format!("load Dockerfile {}\n", at("Dockerfile"))).does_not_say("token=1");
    assert_eq!(lab.shell("x", "cat /list"), ".dockerignore\nf\ntoken\n");
    fed(&lab, &["-t", "y", "-f", &at("Dockerfile"), &at("context.tgz")], b"").ok();
    assert_eq!(lab.shell("y", "cat /list /c/g"), "g\npacked");
    lab.build(&["-f", &at("none")]).ends(125).says("404 Not Found");
    lab.build(&["-f", &at("long")]).ends(125).says("/long` has more than 16777216 bytes").does_not_say("--limit");
    lab.build(&["-f", &at("secret")]).ends(125).says("401");
    // Errors in it are told with their place.
    let host = web.address.replace("http://", "");
    let run = lab.build(&["-f", &at("secret"), &format!("--secret=id=HTTP_AUTH_TOKEN_{host},src=token")]);
    run.ends(125).says(&format!("{}:2", at("secret"))).says("copy `none`: not found");
    let planned =
        lab.lbuild(&["plan", "-f", &at("secret"), &format!("--secret=id=HTTP_AUTH_TOKEN_{host},src=token"), "."]);
    assert!(planned.ok().stdout.contains("COPY none /"), "{}", planned.stdout);
}

/// What no stage of the target uses is not fetched; what is, is shown as a step, and comes once for all platforms.
#[test]
fn userns_named_contexts_are_fetched_when_they_are_used() {
    let web = Web::new();
    let lab = Lab::with("FROM scratch AS one\nCOPY --from=files f /\nFROM scratch AS other\nCOPY local /\n");
    lab.file("local", "x");
    web.file("files.tgz", archive(&Lab::new(), &[("f", "text")]));
    let named = format!("--build-context=files={}/files.tgz", web.address);
    let none = "--build-context=none=http://127.0.0.1:1/none.tgz";
    lab.build(&[&named, none]).ok().does_not_say("load build context");
    lab.build(&["--check", &named, none]).ok();
    assert_eq!(web.asked(), [""; 0]);
    let both = "--platform=linux/amd64,linux/arm64";
    let run = lab.build(&["--target=one", &named, none, both, "-o", "type=oci,dest=../out.tar"]);
    run.ok().says(&format!("load build context files from {}/files.tgz\n", web.address));
    assert_eq!(web.asked(), ["/files.tgz - 200"]);
    let run = lab.build(&["--target=one", &format!("--build-context=files={}/gone.tgz", web.address)]);
    run.ends(125).says("404 Not Found").says("Dockerfile:2");
    let raw = lab.build(&["--progress=rawjson", "--target=one", "--no-cache", &named]);
    raw.ok().says("\"step\":\"context.5\"");
}

#[test]
fn contexts_have_limits() {
    let web = Web::new();
    let lab = Lab::new();
    let packed = archive(&lab, &[("Dockerfile", "FROM scratch\nCOPY . /\n"), ("f", "text")]);
    web.file("a.tgz", &packed);
    let limit = format!("--limit=download={}", packed.len() - 1);
    let run = fed(&lab, &[&limit, "-"], &packed);
    run.ends(125).says(&format!("`<stdin>` has more than {} bytes", packed.len() - 1)).says("--limit download=SIZE");
    let url = format!("{}/a.tgz", web.address);
    fed(&lab, &[&limit, &url], b"").ends(125).says("/a.tgz` has more than").says("--limit download=SIZE");
    let run = fed(&lab, &["--limit=archive-entries=2", "-"], &packed);
    run.ends(125).says("unpack `<stdin>`: it has more than 2 entries").says("--limit archive-entries=NUMBER");
    fed(&lab, &["--limit=archive-entries=3", &url], b"").ok().says(&format!("load build context {url}\n"));
}
