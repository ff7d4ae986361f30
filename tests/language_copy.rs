//! COPY and ADD of files, as BuildKit means them (FEATURES 1.6).

use crate::harness::{Lab, Run, output};
use std::fs;

/// Returns the paths and modes that a script prints of an image.
fn listing(lab: &Lab, image: &str, top: &str) -> String {
    lab.shell(image, &format!("cd {top} && find . -mindepth 1 | sort | while read f; do stat -c '%a %n' $f; done"))
}

fn context(lab: &Lab) {
    for name in ["a/b/c/f.txt", "a/b/g.md", "a/x.txt", "d/x.txt"] {
        lab.file(name, name);
    }
    output("chmod", &["-R", "u=rwX,go=rX", &lab.path("").to_string_lossy()]);
    output("chmod", &["0700", &lab.path("a/b").to_string_lossy()]);
}

/// Rows 1.6-15 and 1.6-16; the directories on the way have the source's mode.
#[test]
fn userns_copy_takes_parents_and_leaves_out_what_is_excluded() {
    let lab = Lab::with(
        "FROM busybox AS s\nCOPY a /src/a\nFROM busybox\n\
         COPY --parents a/b/g.md ./d/*.txt /p/\n\
         COPY --parents --exclude=*.md a/./b /q\n\
         COPY --exclude=b --exclude=!b/c a /r/\n\
         COPY --from=s --parents /src/./a/**/*.txt /t/\n\
         ADD --exclude=*.md a/b /u/\n",
    );
    context(&lab);
    lab.build(&["-t", "x"]).ok();
    for (top, wanted) in [
        ("/p", "755 ./a\n700 ./a/b\n644 ./a/b/g.md\n755 ./d\n644 ./d/x.txt\n"),
        ("/q", "700 ./b\n755 ./b/c\n644 ./b/c/f.txt\n644 ./b/g.md\n"),
        ("/r", "700 ./b\n755 ./b/c\n644 ./b/c/f.txt\n644 ./x.txt\n"),
        ("/t", "755 ./a\n700 ./a/b\n755 ./a/b/c\n644 ./a/b/c/f.txt\n644 ./a/x.txt\n"),
        ("/u", "755 ./c\n644 ./c/f.txt\n"),
    ] {
        assert_eq!(listing(&lab, "x", top), wanted, "{top}");
    }
    let history = lab.inspect("x")["History"].to_string();
    assert!(history.contains("COPY --parents a/b/g.md ./d/*.txt /p/ # buildkit"), "{history}");
    lab.fsck();
}

/// Row 1.6-16: what is excluded is not part of the key; what is not excluded is.
#[test]
fn what_is_excluded_changes_nothing() {
    let lab = Lab::with("FROM busybox\nCOPY --exclude=*.md a/b /u/\n");
    context(&lab);
    let first = lab.id(&[]);
    lab.file("a/b/g.md", "changed");
    lab.build(&[]).ok().says("CACHED");
    assert_eq!(lab.id(&[]), first);
    lab.file("a/b/c/f.txt", "changed");
    lab.build(&[]).ok().does_not_say("CACHED");
    lab.file("Dockerfile", "FROM busybox\nCOPY a/b /u/\n");
    lab.build(&[]).ok().does_not_say("CACHED");
}

/// Rows 1.6-13 and 1.6-19: symbolic modes; archives by content whatever their name; `--unpack=false`.
#[test]
fn userns_add_unpacks_archives_by_content() {
    let lab = Lab::with(
        "FROM busybox\nCOPY --chmod=u=rwX,go=rX tree /modes/\n\
         ADD plain gz bz2 xz zst.txt /out/\nADD --unpack=false gz /kept/\nADD not.tar.gz /kept/\nADD --chown=7:8 --chmod=0600 plain /owned/\n",
    );
    lab.file("tree/run", "x").file("tree/d/f", "y").file("not.tar.gz", "no archive");
    for (mode, name) in [("0700", "tree"), ("0711", "tree/run"), ("0700", "tree/d"), ("0600", "tree/d/f")] {
        output("chmod", &[mode, &lab.path(name).to_string_lossy()]);
    }
    for (how, name) in [("", "plain"), ("z", "gz"), ("j", "bz2"), ("J", "xz"), ("-zstd", "zst.txt")] {
        let (from, to) = (lab.home().join("from"), lab.path(name));
        fs::create_dir_all(from.join("dir")).expect("a directory");
        fs::write(from.join("dir").join(format!("of-{name}")), name).expect("a file");
        let flag = if how.starts_with('-') { format!("-{how}") } else { format!("-{how}p") };
        let to = to.to_string_lossy().into_owned();
        let from = from.to_string_lossy().into_owned();
        output("tar", &[&flag, "-C", &from, "--owner=1", "--group=2", "--mode=u=rwX,go=", "-cf", &to, "."]);
        fs::remove_dir_all(from).expect("gone");
    }
    let built: Run = lab.build(&["-t", "x"]);
    if !crate::harness::has_ranges() {
        // With one id the image is built, and its owners cannot be seen from inside.
        built.ok();
        return;
    }
    built.ok();
    assert_eq!(listing(&lab, "x", "/modes"), "755 ./d\n644 ./d/f\n755 ./run\n");
    let names = lab.shell("x", "ls -d /out; cd /out; for f in dir/*; do stat -c '%a %u:%g %n' $f; cat $f; echo; done");
    assert_eq!(
        names,
        "/out\n600 1:2 dir/of-bz2\nbz2\n600 1:2 dir/of-gz\ngz\n600 1:2 dir/of-plain\nplain\n600 1:2 dir/of-xz\nxz\n600 1:2 dir/of-zst.txt\nzst.txt\n"
    );
    assert_eq!(lab.shell("x", "stat -c '%a %n' /out /kept/*"), "755 /out\n644 /kept/gz\n644 /kept/not.tar.gz\n");
    assert_eq!(lab.shell("x", "stat -c '%a %u:%g' /owned/dir/of-plain"), "600 7:8\n");
    lab.fsck();
}

#[test]
fn a_copy_of_what_is_not_there_says_so() {
    for (line, said) in [
        ("COPY --parents a/nine.txt /p/", "copy `a/nine.txt`: not found"),
        (
            "COPY --exclude=[ a /p/",
            "invalid --exclude `[`: a `[` is never closed, or closed before it names a character",
        ),
        ("COPY --chmod=u+q a /p/", "invalid --chmod `u+q`"),
    ] {
        let lab = Lab::with(&format!("FROM busybox\n{line}\n"));
        context(&lab);
        lab.build(&[]).ends(125).says(said).says("Dockerfile:2");
    }
}
