//! Real Dockerfiles (`testdata/real`), built, changed, built again and run as a plain user: issue 5, "It ends when" 4.
//!
//! What they install comes from loopback, told from outside as behind a mirror. With one mapped id a Debian root cannot
//! be unpacked: the error that says what to add is shown in its place.

use crate::harness::{Lab, Run, Server, base, has_ranges, is_left_to_a_plain_user, output, repository};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Who may fetch Debian's packages: a secret of the build.
const USER: &str = "reader:open-sesame";

/// A copy of a directory of `testdata/real`, and a server of all that its Dockerfile fetches.
struct Project {
    lab: Lab,
    server: Server,
    contexts: Vec<String>,
}

impl Project {
    fn new(name: &str) -> Self {
        let lab = Lab::new();
        let from = repository().join("testdata/real").join(name).join(".");
        output("cp", &["-R", &from.to_string_lossy(), &lab.path("").to_string_lossy()]);
        let apt = repository().join("target/apt");
        assert!(apt.join("packages").exists(), "run `tests/apt-repository`");
        let mut command = Command::new(repository().join("tests/package-server"));
        let server = Server::started(command.arg(lab.home().join("asked")).arg(apt).arg(USER));
        let address = &server.address;
        let sources =
            format!("deb [trusted=yes] {}/apt bookworm main\n", address.replace("://", &format!("://{USER}@")));
        let cargo = format!(
            "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\nregistry = \"sparse+{address}/cargo/\"\n"
        );
        let secrets = [("sources", sources), ("cargo", cargo), ("npmrc", format!("registry={address}/npm/\n"))];
        for (name, text) in secrets {
            std::fs::write(lab.home().join(name), text).expect("a secret");
        }
        let context = |name: &str, layout| format!("--build-context={name}=oci-layout://{}", base(layout).display());
        let names =
            [("debian:bookworm-slim", "debian"), ("node:bookworm-slim", "node"), ("rust:slim-bookworm", "rust")];
        let contexts = names.map(|(name, layout)| context(name, layout)).to_vec();
        Self { lab, server, contexts }
    }

    /// Returns the build of the project, given where packages come from.
    fn build(&self) -> Run {
        let mut arguments: Vec<String> = ["build", "-t", "app"].map(str::to_owned).to_vec();
        arguments.extend(self.contexts.iter().cloned());
        for name in ["sources", "cargo", "npmrc"] {
            arguments.push(format!("--secret=id={name},src={}", self.lab.home().join(name).display()));
        }
        let address = &self.server.address;
        arguments.push(format!("--build-arg=PIP_INDEX_URL={address}/simple"));
        // Of plain http pip keeps in its cache only what comes from a host that it trusts.
        arguments.push(format!("--build-arg=PIP_TRUSTED_HOST={}", address.trim_start_matches("http://")));
        arguments.push(".".to_owned());
        self.lab.lbuild(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Builds for the first time, and reports whether there is an image: with one id the error is looked at instead.
    #[track_caller]
    fn is_built(&self) -> bool {
        let run = self.build();
        if has_ranges() {
            run.ok().does_not_say("warning: ");
            return true;
        }
        run.ends(125).says("/etc/subuid").says("usermod --add-subuids");
        false
    }

    /// Returns how often each path that begins with `prefix` was handed out.
    fn asked(&self, prefix: &str) -> Vec<(String, usize)> {
        let log = std::fs::read_to_string(self.lab.home().join("asked")).unwrap_or_default();
        let mut counts = std::collections::BTreeMap::new();
        for path in log.lines().filter_map(|line| line.strip_prefix("200 ")).filter(|path| path.starts_with(prefix)) {
            *counts.entry(path.rsplit('/').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    /// Replaces `old` by `new` in a file of the project.
    fn change(&self, file: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.lab.path(file)).expect(file);
        assert!(text.contains(old), "{file} has no {old}");
        self.lab.file(file, text.replace(old, new));
    }

    /// Asserts that no blob of the image holds what only a secret has.
    fn keeps_the_secret(&self) {
        let (store, word) = (self.lab.store(), USER.rsplit(':').next().expect("a password"));
        let store = store.to_string_lossy();
        let places = ["blobs", "cache", "index"].map(|name| format!("{store}/{name}"));
        let found = Command::new("grep").args(["-rl", word]).args(places).output().expect("grep");
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    }
}

fn counted(counts: &[(&str, usize)]) -> Vec<(String, usize)> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// A service that `lbuild run` started.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(lab: &Lab) -> Self {
        let mut command = lab.command(&["run", "app"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("lbuild");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://").expect("an address").to_owned();
        Self { child, address }
    }

    fn answer(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text.split_once("\r\n\r\n").expect("a head").1.to_owned()
    }

    /// Ends it as Ctrl-C does, and returns the exit status.
    fn stop(mut self) -> Option<i32> {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).expect("a signal");
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn subid_a_python_service() {
    if is_left_to_a_plain_user() {
        return;
    }
    let project = Project::new("python");
    if !project.is_built() {
        return;
    }
    let service = Service::start(&project.lab);
    assert_eq!(service.answer("/world"), "hello world from 10001\n");
    assert_eq!(service.stop(), Some(130));
    assert_eq!(project.asked("/files"), counted(&[("lbuild_greeting-1.0-py3-none-any.whl", 1)]));

    let more = "lbuild-shouting==1.0 --hash=sha256:ed5f7e5096693ee34cc1b255fe8f9a284ee7247b10b5c096d7bdb7f225ca884a\n";
    let first = std::fs::read_to_string(project.lab.path("requirements.txt")).expect("requirements");
    project.lab.file("requirements.txt", first + more);
    project.change("service.py", "import greet\n", "import greet\nfrom lbuild_shouting import shout\n");
    project.change("service.py", "{greet(self.path.strip('/'))}", "{shout(greet(self.path.strip('/')))}");
    let run = project.build();
    run.ok().says("Using cached http").does_not_say("apt-get update &&\n");
    // What pip kept in the cache mount is not fetched again, and apt is not even started.
    let wheels = [("lbuild_greeting-1.0-py3-none-any.whl", 1), ("lbuild_shouting-1.0-py3-none-any.whl", 1)];
    assert_eq!(project.asked("/files"), counted(&wheels));
    assert_eq!(project.asked("/apt/dists").iter().map(|(_, count)| count).max(), Some(&1));
    let service = Service::start(&project.lab);
    assert_eq!(service.answer("/world"), "HELLO WORLD! from 10001\n");
    assert_eq!(service.stop(), Some(130));
    project.lab.fsck();
}

#[test]
fn subid_a_node_service() {
    if is_left_to_a_plain_user() {
        return;
    }
    let project = Project::new("node");
    if !project.is_built() {
        return;
    }
    let service = Service::start(&project.lab);
    assert_eq!(service.answer("/world"), "hello world from 10001\n");
    assert_eq!(service.stop(), Some(130));
    assert_eq!(project.asked("/npm"), counted(&[("lbuild-greeting-1.0.0.tgz", 1)]));

    let integrity = "sha512-WsIq8Sg2hA3HSKuWYMsp5cJ98js+Ss8TDiTGiXBIEAXQUI/P0GIzIyObWjl6NkItPwQtrtLFO4sPpfGUiHQOnw==";
    let both = "\"lbuild-greeting\": \"^1.0.0\",\n    \"lbuild-shouting\": \"^1.0.0\"";
    project.change("package.json", "\"lbuild-greeting\": \"^1.0.0\"", both);
    project.change("package-lock.json", "\"lbuild-greeting\": \"^1.0.0\"", both);
    let locked = format!(
        "    }},\n    \"node_modules/lbuild-shouting\": {{\n      \"version\": \"1.0.0\",\n      \"resolved\": \
         \"https://registry.npmjs.org/lbuild-shouting/-/lbuild-shouting-1.0.0.tgz\",\n      \"integrity\": \"{integrity}\"\n    }}\n  }}\n}}\n"
    );
    project.change("package-lock.json", "    }\n  }\n}\n", &locked);
    project.change(
        "service.js",
        "greet(request.url.slice(1))",
        "require(\"lbuild-shouting\")(greet(request.url.slice(1)))",
    );
    project.build().ok();
    let tarballs = [("lbuild-greeting-1.0.0.tgz", 1), ("lbuild-shouting-1.0.0.tgz", 1)];
    assert_eq!(project.asked("/npm"), counted(&tarballs), "the first comes from the cache mount");
    let service = Service::start(&project.lab);
    assert_eq!(service.answer("/world"), "HELLO WORLD! from 10001\n");
    assert_eq!(service.stop(), Some(130));
    project.lab.fsck();
}

#[test]
fn subid_a_rust_program() {
    if is_left_to_a_plain_user() {
        return;
    }
    let project = Project::new("rust");
    if !project.is_built() {
        return;
    }
    project.lab.lbuild(&["run", "app"]).ok().prints("hello world\n");
    project.lab.lbuild(&["run", "app", "rust"]).ok().prints("hello rust\n");
    assert_eq!(project.lab.inspect("app")["Layers"].as_array().map(Vec::len), Some(2), "the base and the program");

    project.change("src/main.rs", "\"{}\"", "\"{}, once more\"");
    let run = project.build();
    run.ok().says("Compiling greeter").does_not_say("Compiling lbuild-greeting").does_not_say("Downloading");
    assert_eq!(project.asked("/cargo/files"), counted(&[("lbuild-greeting.crate", 1)]));
    project.lab.lbuild(&["run", "app"]).ok().prints("hello world, once more\n");
    project.lab.fsck();
}

#[test]
fn subid_a_c_program_in_an_image_of_its_own() {
    if is_left_to_a_plain_user() {
        return;
    }
    let project = Project::new("c");
    if !project.is_built() {
        return;
    }
    project.lab.lbuild(&["run", "app"]).ok().prints("hello world from 65534\n");
    project.lab.lbuild(&["run", "app", "a", "b"]).ends(1).prints("hello b from 65534\n");
    assert_eq!(project.lab.layer("app", 0), ["bin", "bin/greeter"]);
    project.keeps_the_secret();

    project.change("greeting.c", "hello %s", "good morning %s");
    // The object file of the other source is in the cache mount.
    project.build().ok().says("-o build/greeting.o").does_not_say("-o build/main.o");
    project.lab.lbuild(&["run", "app"]).ok().prints("good morning world from 65534\n");
    project.lab.fsck();
}

#[test]
fn subid_a_debian_package_with_a_secret() {
    if is_left_to_a_plain_user() {
        return;
    }
    let project = Project::new("package");
    if !project.is_built() {
        return;
    }
    project.lab.lbuild(&["run", "app"]).ok().prints("hello from a package\n");
    assert_eq!(project.lab.shell("app", "dpkg-query -W -f '${Status} ${Version}' greeter"), "install ok installed 1.0");
    project.keeps_the_secret();

    project.change("main.c", "from a package", "from a newer package");
    project.change("debian/changelog", "greeter (1.0)", "greeter (1.1)");
    let before = project.asked("/apt");
    project.build().ok().says("building package 'greeter' in '../greeter_1.1_");
    assert_eq!(project.asked("/apt"), before, "apt's step is cached");
    project.lab.lbuild(&["run", "app"]).ok().prints("hello from a newer package\n");

    // Without the secret, the step that needs it says so.
    let mut arguments = vec!["build", "--no-cache"];
    arguments.extend(project.contexts.iter().map(String::as_str));
    arguments.push(".");
    project.lab.lbuild(&arguments).ends(125).says("sources").says("Dockerfile:3:");
    project.lab.fsck();
}
