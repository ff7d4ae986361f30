//! The same Dockerfiles, built by Buildah and by lbuild, give the same trees, differences that have a name apart.

use crate::containers::Containers;
use crate::harness::{Identity, Lab, base, identity, output};
use crate::tree::{Field, Tree};
use std::time::{SystemTime, UNIX_EPOCH};

/// A Dockerfile that both build, on a base that both have, from the context of [`context`].
struct Case {
    name: &'static str,
    dockerfile: &'static str,
    /// What is not the same, and why.
    differences: &'static [Difference],
}

/// One field of one path that Buildah has otherwise.
struct Difference {
    path: &'static str,
    field: Field,
    ours: &'static str,
    theirs: &'static str,
}

const fn difference(path: &'static str, field: Field, ours: &'static str, theirs: &'static str) -> Difference {
    Difference { path, field, ours, theirs }
}

// Buildah 1.28 takes these bits off what comes from the context; BuildKit keeps them (1.6-10).
const BITS: [Difference; 3] = [
    difference("modes/closed", Field::Mode, "2710", "0710"),
    difference("modes/setuid", Field::Mode, "4755", "0755"),
    difference("setuid", Field::Mode, "4755", "0755"),
];
const ALL_BITS: [Difference; 2] = [
    difference("all/modes/closed", Field::Mode, "2710", "0710"),
    difference("all/modes/setuid", Field::Mode, "4755", "0755"),
];
// Buildah leaves out the directory itself; BuildKit gives the mode to every entry (1.6-13).
const CHMOD: [Difference; 1] = [difference("z", Field::Mode, "0750", "0755")];
// As with `t1`.
const THROUGH: [Difference; 2] =
    [difference("deep/er/z", Field::Owner, "0:0", "21:22"), difference("deep/er/z", Field::Mtime, "now", "77")];
// In BuildKit an archive's entry for `.` says nothing of the destination, and one for a directory that is there gives it
// its mode (1.6-19).
const ARCHIVES: [Difference; 9] = [
    difference("t1", Field::Owner, "0:0", "21:22"),
    difference("t1", Field::Mtime, "now", "77"),
    difference("t2", Field::Owner, "0:0", "21:22"),
    difference("t2", Field::Mtime, "now", "77"),
    difference("t3", Field::Owner, "0:0", "21:22"),
    difference("t3", Field::Mtime, "now", "77"),
    difference("t4", Field::Owner, "0:0", "21:22"),
    difference("t4", Field::Mtime, "now", "77"),
    difference("t4/x", Field::Mode, "0700", "0755"),
];

const fn case(name: &'static str, dockerfile: &'static str) -> Case {
    Case { name, dockerfile, differences: &[] }
}

const fn differing(name: &'static str, dockerfile: &'static str, differences: &'static [Difference]) -> Case {
    Case { name, dockerfile, differences }
}

const CASES: &[Case] = &[
    case(
        "files and destinations (1.6-1, 1.6-2)",
        "COPY a /x\nCOPY a /d1/\nCOPY a b /d2/\nCOPY ./b /d3/new/name\nCOPY /../../a /escaped\nWORKDIR /w\nCOPY a .\nCOPY a rel\nCOPY a sub/dir/\n",
    ),
    differing(
        "directories give their contents (1.6-3)",
        "COPY dir /dest\nCOPY dir/ /with-slash/\nCOPY dir/. /dot\nCOPY dir other /both/\nCOPY . /all\n",
        &ALL_BITS,
    ),
    case(
        "existing directories",
        "RUN mkdir -p /dest/sub && chown 5:6 /dest /dest/sub && chmod 0700 /dest /dest/sub && echo old > /dest/sub/f && echo old > /dest/kept\nCOPY dir /dest\nCOPY dir/sub /dest/sub\n",
    ),
    case(
        "wildcards (1.6-4, 1.6-6)",
        "COPY *.txt /t/\nCOPY d?r /one/\nCOPY dir/*b /two/\nCOPY [ab] /three/\nCOPY dir/* /four/\nCOPY dir/s*/f* /five/\n",
    ),
    case(
        "links in the source (1.6-8)",
        "COPY link-to-a /l\nCOPY link-to-dir /ld\nCOPY links /links\nCOPY link-to-dir/sub /ls\n",
    ),
    case(
        "links in the destination (1.6-9)",
        "RUN mkdir -p /real/in && ln -s /real /absolute && ln -s real/in /relative && ln -s /not-there /dangling\nCOPY a /absolute/\nCOPY a /relative/b\nCOPY dir /relative\nCOPY a /dangling/x\n",
    ),
    differing(
        "modes and metadata are kept (1.6-10)",
        "COPY modes /modes\nCOPY hard /hard\nCOPY modes/setuid /setuid\n",
        &BITS,
    ),
    case("USER has no effect on COPY (1.6-11)", "USER 1000:1000\nCOPY a /x\nCOPY dir /y\nADD a /z/\n"),
    case(
        "chown (1.6-12)",
        "RUN echo 'web:x:33:44::/:/bin/sh' >> /etc/passwd && echo 'team:x:55:' >> /etc/group\nCOPY --chown=7:8 dir /a\nCOPY --chown=web a /b\nCOPY --chown=web:team a /c\nCOPY --chown=:team a /d\nCOPY --chown=9 a /e\nCOPY --chown=root:55 links /f\n",
    ),
    differing("chmod (1.6-13)", "COPY --chmod=0711 a /x\nCOPY --chmod=4755 a /y\nCOPY --chmod=750 dir /z\n", &CHMOD),
    case(
        "COPY --from a stage (1.6-10)",
        "RUN mkdir -p /s/in && echo x > /s/f && ln /s/f /s/in/g && ln -s f /s/l && chown 3:4 /s/f /s/in && chmod 4711 /s/f && touch -d @1234 /s/f /s/in && mkfifo /s/p\nFROM busybox\nCOPY --from=0 /s /t\nCOPY --from=0 /s/f /u\nCOPY --from=0 /s/l /v\nCOPY --chown=9:9 --from=0 /s/in /w\n",
    ),
    differing(
        "ADD unpacks archives (1.6-19)",
        "ADD tree.tar /t1\nADD tree.tar.gz /t2/\nADD tree.tar.bz2 tree.tar.xz /t3/\nADD not-a-tar.tar.gz /n/\nADD a /plain\nADD dir /dir\nRUN mkdir -p /t4/x && echo old > /t4/x/old && ln -s /t4/x /through\nADD tree.tar /t4\nADD tree.tar /through\n",
        &ARCHIVES,
    ),
    case(
        "WORKDIR (1.5)",
        "WORKDIR /a/b\nWORKDIR c\nRUN pwd > here\nENV D=/from/env\nWORKDIR $D/x\nRUN pwd > here\nRUN chown 5:6 /a/b\nWORKDIR /a/b\nWORKDIR ../..\nRUN pwd > here\n",
    ),
    case(
        "ENV, ARG and SHELL (1.2, 1.3)",
        "ARG A=arg\nENV B=\"b $A\" C=${D:-none}\nENV A2=${A:+set} \nRUN echo \"$A $B $C $A2\" > /one\nSHELL [\"/bin/sh\", \"-exc\"]\nRUN echo $B > /two\nRUN [\"/bin/sh\", \"-c\", \"echo $B > /three\"]\nCOPY a /${A}/$B\n",
    ),
    case(
        "USER and RUN",
        "RUN mkdir /w && chmod 1777 /w\nUSER 1000:1001\nRUN id -u > /w/u; id -g > /w/g; touch /w/f\nUSER nobody\nRUN touch /w/n\nUSER 0\nRUN touch /w/root\n",
    ),
    case(
        "RUN takes away and replaces",
        "RUN mkdir -p /x/y/z && echo 1 > /x/y/f && echo 1 > /x/y/z/g && ln -s y /x/l && echo 1 > /x/only\nRUN rm -r /x/y && mkdir /x/y && echo 2 > /x/y/f && rm /x/l && mkdir /x/l && rm /x/only /bin/vi\nRUN mv /x /moved && mkdir /x && ln /moved/y/f /x/f\nRUN rm -rf /home && ln -s /var /home && rm -r /moved/y && echo file > /moved/y && chmod 4700 /moved/y && chown 65534 /moved/y\nCOPY dir /moved/l\n",
    ),
    case(
        "heredocs and links between layers",
        "RUN echo a > /1 && ln /1 /2 && ln -s 1 /3\nRUN echo b >> /2 && rm /1\nRUN ln /2 /4 && mkdir -m 2750 /g && chown 0:12 /g && touch /g/f\nCOPY links /g/links\n",
    ),
    case(
        "what stands at the destination",
        "RUN mkdir -p /d /e /real && ln -s /etc/passwd /d/h && ln -s /real/new /l && ln -s loop /loop && echo old > /f && chmod 0600 /f && chown 3:4 /f && touch /e/ab && ln /e/ab /e/second\nCOPY dir /d\nCOPY a /d\nCOPY a /f\nCOPY dir /e\nCOPY [\"a\", \"/with space/and more\"]\nCOPY b /e\nCOPY dir/../a /up\n",
    ),
    differing(
        "links on the way",
        "RUN mkdir -p /var/run/in /deep/er && ln -s ../deep/er /var/up && ln -s /var/up /var/again && ln -s ../../../../../deep /var/out && mkdir /sub && ln -s .. /sub/back\nCOPY a /var/again/x\nCOPY dir /var/out/er/\nCOPY a /sub/back/sub/y\nWORKDIR /var/again/work\nCOPY b .\nADD tree.tar ../z\n",
        &THROUGH,
    ),
    case("ignored files (2)", "COPY . /all\nCOPY *.txt /t/\nCOPY dir /d\n"),
];

/// Fills the context.
fn context(lab: &Lab) {
    lab.file("a", "a").file("b", "bb").file("one.txt", "1").file("two.txt", "2");
    lab.file("dir/sub/f", "f").file("dir/sub/deep/g", "g").file("dir/ab", "ab").file("dir/h", "h").file("other/o", "o");
    lab.file("modes/setuid", "s").file("modes/private", "p").file("modes/closed/f", "f").file("hard/one", "1");
    lab.file("not-a-tar.tar.gz", "no archive").file("packed/x/y", "y").file("packed/z", "z");
    let script = "ln -s a link-to-a; ln -s dir link-to-dir; mkdir links; ln -s ../a links/up; ln -s nowhere links/dangling; \
        ln -s /etc/passwd links/absolute; chmod 4755 modes/setuid; chmod 0600 modes/private; chmod 2710 modes/closed; \
        chmod 1777 modes; ln hard/one hard/two; mkdir hard/in; ln hard/one hard/in/three; chmod 0750 dir/sub; \
        find . -exec touch -h -d @1650000000.25 {} +; touch -d @1600000000.123456789 a dir/sub/f; touch -d @1500000000.5 dir/sub/deep dir/sub links hard/in modes/closed dir other; \
        ln packed/z packed/x/link; ln -s ../z packed/x/soft; chmod 0700 packed/x; mkfifo packed/fifo; \
        for how in '' z:.gz j:.bz2 J:.xz; do tar -C packed --owner=u:21 --group=g:22 --mtime=@77 --format=gnu -c${how%%:*}f tree.tar${how#*:} .; done";
    output("sh", &["-ec", &format!("cd '{}' && {script}", lab.path("").display())]);
}

/// Fills the store of Buildah with the base, by the name that the Dockerfiles have for it.
fn prepare(containers: &Containers) {
    let pulled =
        containers.buildah(&["pull", "-q", &format!("docker-archive:{}", base("others/busybox.docker.tar").display())]);
    containers.buildah(&["tag", pulled.trim(), "localhost/busybox"]);
}

fn buildah(containers: &Containers, lab: &Lab, file: &str) -> Tree {
    let context = lab.path("").to_string_lossy().into_owned();
    let how =
        ["--isolation", "chroot", "--network", "host", "--pull-never", "-q", "-t", "theirs", "-f", file, &context];
    containers.buildah(&[&["build"], &how[..]].concat());
    let layout = lab.home().join("theirs");
    containers.buildah(&["push", "-q", "theirs", &format!("oci:{}:latest", layout.display())]);
    let tree = Tree::umoci(lab, &layout, "latest");
    std::fs::remove_dir_all(layout).expect("removed");
    tree
}

/// Makes times comparable: Buildah's are whole seconds, the nearest ones, and what a RUN made has two times.
///
/// Directories that COPY, ADD and WORKDIR make, or copy into, have the time of the build in Buildah; in lbuild, as in
/// BuildKit, the source's (FEATURES 1.6-3, 1.6-10). The root that a RUN changed keeps the base's in Buildah.
fn times(ours: &mut Tree, theirs: &mut Tree, began: i64) {
    let seconds = |fields: &[String]| {
        let nanoseconds: i64 = fields[Field::Mtime as usize].parse().expect("a time");
        (nanoseconds + 500_000_000).div_euclid(1_000_000_000)
    };
    let known: Vec<(String, i64)> = theirs.fields_mut().map(|(path, fields)| (path.clone(), seconds(fields))).collect();
    let known: std::collections::HashMap<String, i64> = known.into_iter().collect();
    let shown = |time: i64| if time >= began { "now".to_owned() } else { time.to_string() };
    for (path, fields) in ours.fields_mut() {
        let other = known.get(path).copied().unwrap_or_default();
        let made = fields[Field::Kind as usize] == "directory" && other >= began;
        let root = path == "''" && seconds(fields) >= began;
        fields[Field::Mtime as usize] = match (made, root) {
            (true, _) => "now".to_owned(),
            (false, true) => other.to_string(),
            (false, false) => shown(seconds(fields)),
        };
    }
    for (_, fields) in theirs.fields_mut() {
        fields[Field::Mtime as usize] = shown(seconds(fields));
    }
}

#[test]
fn subid_buildah_builds_the_same_trees() {
    if identity() == Identity::OneId {
        return;
    }
    let containers = Containers::new();
    prepare(&containers);
    let mut wrong = Vec::new();
    let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs().cast_signed();
    for Case { name, dockerfile, differences } in CASES {
        let lab = Lab::with(&format!("FROM busybox\n{dockerfile}"));
        context(&lab);
        if name.starts_with("ignored") {
            lab.file(".dockerignore", "# comment\n*.txt\n!two.txt\n**/deep\nmodes\n/links/\ntree.*\nothe?\n");
        }
        let run = lab.build(&["-t", "x"]);
        if run.status != 0 {
            wrong.push(format!("== {name}: lbuild fails\n{}", run.stderr));
            continue;
        }
        let mut ours = Tree::umoci(&lab, &lab.store(), "x:latest");
        let mut theirs = buildah(&containers, &lab, &lab.path("Dockerfile").to_string_lossy());
        times(&mut ours, &mut theirs, began);
        for Difference { path, field, ours: mine, theirs: other } in *differences {
            let found = (ours.replace(path, *field, "*"), theirs.replace(path, *field, "*"));
            if found != ((*mine).to_owned(), (*other).to_owned()) {
                wrong.push(format!("== {name}: {path} {field:?} is {found:?}"));
            }
        }
        wrong.extend(ours.difference(&theirs).map(|difference| format!("== {name}: {difference}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
