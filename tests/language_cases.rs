//! The cases of `testdata/language`: Dockerfiles, each with what BuildKit makes of it.
//!
//! A file holds cases, each of which begins with `=== ROW… what it shows` and has sections that begin with `--- `:
//!
//! ```text
//! origin     where the expected values come from (one or more lines, before the first section)
//! buildah    `same`: Buildah 1.28 gives the same; `differs: why`: it does not; `unknown: why`: it is not asked
//! needs      `ids`: more than one id, which one of the users that test has not
//! Dockerfile the Dockerfile
//! file NAME  a file of the context          prepare    a shell script, run in the context
//! flags      a flag of `build` on each line says       what must be said, a line each
//! fails N    the exit status, and what must be said; for Buildah any failure is the same
//! config     `path JSON` of the image config, the path's parts joined by `.`, or a JSON pointer; `null`: not there
//! history    what the image config says of each instruction
//! files      the image's files: kind and mode, owner, path, `-> target` or what it holds
//! layers     the paths of each layer, sorted; `-` for one without
//! ```
//!
//! A Dockerfile may also test itself, with RUN in the base `busybox`: then that it builds is what is expected.

use crate::containers::Containers;
use crate::harness::{Identity, Lab, base, has_ranges, identity, is_left_to_a_plain_user, output, repository};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What Buildah makes of a case.
#[derive(Debug, PartialEq, Eq)]
enum Other {
    Same,
    Differs,
    Unknown,
}

/// One case.
#[derive(Debug, Default)]
pub struct Case {
    /// The file that holds it, without its extension.
    pub file: String,
    /// Rows and what it shows, as the case's first line has them.
    pub title: String,
    origin: String,
    buildah: String,
    needs_ids: bool,
    sections: Vec<(String, String)>,
}

/// Returns every case, in the order of the files' names.
pub fn cases() -> Vec<Case> {
    let mut files: Vec<_> = fs::read_dir(repository().join("testdata/language")).expect("cases").flatten().collect();
    files.sort_by_key(fs::DirEntry::file_name);
    let cases = files.iter().map(fs::DirEntry::path).filter(|path| path.extension().is_some_and(|end| end == "cases"));
    cases.flat_map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Vec<Case> {
    let text = fs::read_to_string(path).expect("cases");
    let file = path.file_stem().expect("a name").to_string_lossy();
    let parts = text.split("\n=== ").skip(1);
    let cases: Vec<Case> = parts.map(|part| parse(&file, part)).collect();
    assert_eq!(
        cases.len(),
        text.lines().filter(|line| line.starts_with("=== ")).count(),
        "{file}: begin with a comment"
    );
    cases
}

fn parse(file: &str, text: &str) -> Case {
    let mut case = Case { file: file.to_owned(), ..Case::default() };
    let mut lines = text.lines();
    lines.next().expect("a title").clone_into(&mut case.title);
    for line in lines {
        if let Some(name) = line.strip_prefix("--- ") {
            case.sections.push((name.to_owned(), String::new()));
        } else if let Some((_, body)) = case.sections.last_mut() {
            body.extend([line, "\n"]);
        } else if line == "needs: ids" {
            case.needs_ids = true;
        } else if let Some(how) = line.strip_prefix("buildah: ") {
            how.clone_into(&mut case.buildah);
        } else {
            case.origin.extend([line.trim_start_matches("origin: "), " "]);
        }
    }
    // The empty line between two cases belongs to neither.
    if let Some((_, body)) = case.sections.last_mut() {
        body.truncate(body.trim_end().len() + 1);
    }
    assert!(!case.origin.trim().is_empty(), "{file}: `{}` says no origin", case.title);
    case
}

impl Case {
    fn section(&self, name: &str) -> Option<&str> {
        self.sections.iter().find(|(other, _)| other == name).map(|(_, body)| body.as_str())
    }

    fn lines(&self, name: &str) -> Vec<&str> {
        self.section(name).unwrap_or_default().lines().filter(|line| !line.is_empty()).collect()
    }

    /// Returns the status that must end the build, if it must fail, and what must be said then.
    fn failure(&self) -> Option<(i32, Vec<&str>)> {
        let (name, body) = self.sections.iter().find(|(name, _)| name.starts_with("fails "))?;
        Some((name["fails ".len()..].parse().expect("a status"), body.lines().collect()))
    }

    fn other(&self) -> Other {
        match self.buildah.split(':').next() {
            Some("same") => Other::Same,
            Some("differs") => Other::Differs,
            Some("unknown") => Other::Unknown,
            found => panic!("{}: `{}`: buildah: {found:?}", self.file, self.title),
        }
    }

    /// Returns a lab with the context.
    fn lab(&self) -> Lab {
        let lab = Lab::new();
        for (name, body) in &self.sections {
            if let Some(path) = name.strip_prefix("file ") {
                lab.file(path, body);
            }
        }
        lab.file("Dockerfile", self.section("Dockerfile").expect("a Dockerfile"));
        if let Some(script) = self.section("prepare") {
            output("sh", &["-ec", &format!("cd '{}'\n{script}", lab.path("").display())]);
        }
        lab
    }

    /// Builds with lbuild; returns what is wrong.
    fn check(&self) -> Vec<String> {
        let lab = self.lab();
        let flags = [&["-t", "x"], &self.lines("flags")[..]].concat();
        let run = lab.build(&flags);
        let wanted = self.failure();
        let (status, said) = wanted.as_ref().map_or((0, &[][..]), |(status, said)| (*status, said.as_slice()));
        if run.status != status {
            return vec![format!("ends with {} and not {status}\n{}", run.status, run.stderr)];
        }
        let said = said
            .iter()
            .chain(&self.lines("says"))
            .filter(|text| !run.stderr.contains(**text))
            .map(|text| format!("`{text}` is not said:\n{}", run.stderr))
            .collect();
        if wanted.is_some() { said } else { [said, self.differences(&lab, &lab.store(), "x")].concat() }
    }

    /// Returns what an image of a layout has otherwise than the case says.
    fn differences(&self, lab: &Lab, layout: &Path, name: &str) -> Vec<String> {
        let image = Image::read(layout, name);
        let mut wrong: Vec<String> = Vec::new();
        for line in self.lines("config") {
            let (path, wanted) = line.split_once(' ').expect("a path and JSON");
            let wanted: Value = serde_json::from_str(wanted).unwrap_or_else(|error| panic!("{line}: {error}"));
            let whole = path.is_empty() || path.starts_with('/');
            let pointer = if whole { path.to_owned() } else { format!("/{}", path.replace('.', "/")) };
            let found = image.config.pointer(&pointer).unwrap_or(&Value::Null);
            wrong.extend((*found != wanted).then(|| format!("{path} is {found}, not {wanted}")));
        }
        let mut compare = |section: &str, found: &dyn Fn() -> Vec<String>| {
            if self.section(section).is_some() {
                let (wanted, found) = (self.lines(section), found());
                wrong.extend(
                    (wanted != found)
                        .then(|| format!("{section}:\n{}\nand not\n{}", found.join("\n"), wanted.join("\n"))),
                );
            }
        };
        compare("history", &|| image.history());
        compare("layers", &|| image.layers());
        compare("files", &|| files(lab, layout, name));
        wrong
    }

    /// Builds with Buildah; returns whether it gives what the case says, and else what it gives.
    fn with_buildah(&self, containers: &Containers) -> Result<(), String> {
        let lab = self.lab();
        let layout = lab.home().join("theirs");
        let (context, to) = (lab.path("").to_string_lossy().into_owned(), format!("oci:{}:latest", layout.display()));
        let how = [
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--pull-never",
            "--format",
            "docker",
            "--identity-label=false",
            "-t",
            "theirs",
        ];
        let built = containers.try_buildah(&[&["build"], &how[..], &self.lines("flags"), &[&context]].concat());
        match (built.status, self.failure()) {
            (0, None) => {}
            (0, Some(_)) => return Err("it builds".to_owned()),
            (_, Some(_)) => return Ok(()),
            (_, None) => return Err(built.stderr),
        }
        containers.buildah(&["push", "-q", "--format", "docker", "theirs", &to]);
        let wrong = self.differences(&lab, &layout, "latest");
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

/// An image's config, and where its layers are.
struct Image {
    config: Value,
    layers: Vec<String>,
}

impl Image {
    fn read(layout: &Path, name: &str) -> Self {
        let json = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON") };
        let blob = |digest: &Value| layout.join("blobs").join(digest.as_str().expect("a digest").replace(':', "/"));
        let index = json(&layout.join("index.json"));
        let all = index["manifests"].as_array().expect("a list");
        let named = all.iter().find(|one| {
            let names = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
            names.iter().any(|key| {
                one["annotations"][key]
                    .as_str()
                    .is_some_and(|found| found == name || found.ends_with(&format!("/{name}:latest")))
            })
        });
        let manifest = json(&blob(&named.unwrap_or_else(|| panic!("no `{name}` in {index}"))["digest"]));
        let layers = manifest["layers"].as_array().expect("a list").iter();
        let layers = layers.map(|layer| blob(&layer["digest"]).to_string_lossy().into_owned()).collect();
        Self { config: json(&blob(&manifest["config"]["digest"])), layers }
    }

    /// Returns the lines of history that are not the base's.
    fn history(&self) -> Vec<String> {
        let lines = self.config["history"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let own = lines.filter(|line| line["comment"].as_str().is_some_and(|text| text.starts_with("buildkit.")));
        own.map(|line| line["created_by"].as_str().unwrap_or_default().replace('\n', "\\n")).collect()
    }

    /// Returns the paths of the layers that are not the base's.
    fn layers(&self) -> Vec<String> {
        let listed = |blob: &String| {
            let names = output("tar", &["-tf", blob]);
            let mut names: Vec<&str> =
                names.lines().map(|name| name.trim_start_matches("./").trim_end_matches('/')).collect();
            names.sort_unstable();
            if names.is_empty() { "-".to_owned() } else { names.join(" ") }
        };
        let lines = self.config["history"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let bases = lines.filter(|line| line["created_by"] == "tests/bases").count();
        self.layers.iter().skip(bases).map(listed).collect()
    }
}

/// Returns the files of an image, a line each, as `-rw-r--r-- 0/0 name text`.
fn files(lab: &Lab, layout: &Path, name: &str) -> Vec<String> {
    let archive = lab.home().join("flat.tar").to_string_lossy().into_owned();
    let context = format!("--build-context=image=oci-layout://{}:{}", layout.display(), name);
    let flat = lab.home().join("flat");
    fs::create_dir_all(&flat).expect("a directory");
    fs::write(flat.join("Dockerfile"), "FROM image\n").expect("a Dockerfile");
    lab.lbuild(&["build", &context, "-o", &format!("type=tar,dest={archive}"), &flat.to_string_lossy()]).ok();
    let listing = output("tar", &["--numeric-owner", "-tvf", &archive]);
    listing.lines().map(|line| described(&archive, line)).collect()
}

fn described(archive: &str, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (mode, owner, name) = (words[0], words[1], words[5..].join(" "));
    let content = if mode.starts_with('-') {
        output("tar", &["-xOf", archive, &name]).replace('\n', "\\n")
    } else {
        String::new()
    };
    format!("{mode} {owner} {} {content}", name.trim_end_matches('/')).trim_end().to_owned()
}

/// Replays the cases of a file.
#[track_caller]
fn replay(file: &str) {
    let wrong: Vec<String> = cases()
        .iter()
        .filter(|case| case.file == file && (has_ranges() || !case.needs_ids))
        .flat_map(|case| case.check().into_iter().map(|text| format!("== {}: {text}", case.title)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! replays {
    ($($name:ident $file:literal),+ $(,)?) => {
        /// The files that are replayed: one that no test replays would show nothing.
        const REPLAYED: &[&str] = &[$($file),+];
        $(#[test]
        fn $name() {
            replay($file);
        })+
    };
}

replays! {
    userns_lines_and_words "lines",
    userns_variables "variables",
    userns_stages "stages",
    userns_settings "settings",
    userns_copies "copies",
    userns_commands "commands",
    userns_ignored "ignored",
    userns_images "images",
}

#[test]
fn every_file_of_cases_is_replayed() {
    let mut files: Vec<String> = cases().into_iter().map(|case| case.file).collect();
    files.dedup();
    let mut wanted = REPLAYED.to_vec();
    wanted.sort_unstable();
    assert_eq!(files, wanted);
}

/// Buildah makes the same of a case, or not, as the case says. `LBUILD_TEST_CASE` names one by a part of its title.
#[test]
fn subid_buildah_agrees_where_a_case_says_so() {
    if identity() == Identity::OneId || is_left_to_a_plain_user() {
        return;
    }
    let containers = Containers::new();
    let busybox = format!("docker-archive:{}", base("others/busybox.docker.tar").display());
    let pulled = containers.buildah(&["pull", "-q", &busybox]);
    containers.buildah(&["tag", pulled.trim(), "localhost/busybox"]);
    let only = std::env::var("LBUILD_TEST_CASE").unwrap_or_default();
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.title.contains(&only)) {
        match (case.other(), || case.with_buildah(&containers)) {
            (Other::Unknown, _) => {}
            (Other::Same, with) => wrong.extend(with().err().map(|how| format!("== {}: differs: {how}", case.title))),
            (Other::Differs, with) => wrong.extend(with().ok().map(|()| format!("== {}: is the same", case.title))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a case expects can be missed: the comparison sees a wrong config, history, layer, file, status and word.
#[test]
fn userns_a_case_can_fail() {
    let right = "0.0-0 t\norigin: o\nbuildah: same\n--- Dockerfile\nFROM scratch\nENV a=1\nCOPY f /f\n--- file f\nx\n";
    for (section, wrong) in [
        ("config\nconfig.Env [\"a=1\"]\n", "config.Env is "),
        ("history\nENV a=1\n", "history:"),
        ("layers\n-\n", "layers:"),
        ("files\n-rw-r--r-- 0/0 f y\\n\n", "files:"),
        ("fails 125\n", "ends with 0"),
        ("says\nnothing\n", "is not said"),
    ] {
        let found = parse("none", &format!("{right}--- {section}")).check();
        assert!(found.len() == 1 && found[0].contains(wrong), "{section}: {found:?}");
    }
    let good = "config\nconfig.Env.1 \"a=1\"\nconfig.User null\n--- history\nENV a=1\nCOPY f /f # buildkit\n--- layers\nf\n--- files\n-rw-r--r-- 0/0 f x\\n\n";
    assert_eq!(parse("none", &format!("{right}--- {good}")).check(), Vec::<String>::new());
}
