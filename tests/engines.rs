//! Docker and containerd, where this machine has them: what they load is the image, and only what they lack is sent
//! (FEATURES 3.1-9, 4-20).

use crate::harness::{Identity, Lab, Run, identity, output, skip, succeeds};
use crate::tree::{Field, Tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What an engine adds to every container.
const ADDED: [&str; 8] =
    ["dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/mtab", ".dockerenv"];

/// A Docker of the test's own, with a containerd of its own.
struct Docker {
    place: tempfile::TempDir,
    daemon: Child,
}

impl Docker {
    /// Starts it, where this is root and Docker is installed.
    fn start() -> Option<Self> {
        if identity() != Identity::Root {
            return None;
        }
        if !succeeds("dockerd", &["--version"]) || !succeeds("docker", &["--version"]) {
            skip("docker");
            return None;
        }
        // The path of a socket is short.
        let place = tempfile::Builder::new().prefix("lb.").tempdir_in("/tmp").expect("a directory");
        let at = |name: &str| place.path().join(name).to_string_lossy().into_owned();
        let log = fs::File::create(at("log")).expect("a log");
        let daemon = Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "-p", &at("pid")])
            .args(["-H", &format!("unix://{}", at("sock")), "--storage-driver", "vfs", "--bridge", "none"])
            .args(["--iptables=false", "--ip6tables=false", "--userland-proxy=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("dockerd");
        let docker = Self { place, daemon };
        let began = Instant::now();
        while !docker.command(&["version"]).output().expect("docker").status.success() {
            let log = || fs::read_to_string(docker.at("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(60), "dockerd does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(docker)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.at("sock").display())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.address()]).args(arguments).env("DOCKER_CONFIG", self.at("config"));
        command
    }

    /// Runs Docker's client, which must succeed, and returns what it prints.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let run = Run::within(&mut self.command(arguments), 120);
        run.ok();
        run.stdout.trim().to_owned()
    }

    /// Runs containerd's client, which must succeed, and returns what it prints.
    #[track_caller]
    fn ctr(&self, arguments: &[&str]) -> String {
        let socket = text(&self.at("exec/containerd/containerd.sock"));
        output("ctr", &[&["-a", &socket, "-n", "lbuild-test"], arguments].concat())
    }

    /// Builds with `--load`.
    #[track_caller]
    fn load(&self, lab: &Lab, arguments: &[&str]) -> Run {
        let mut build = lab.building(&[&["--load", "--iidfile", "id"], arguments].concat());
        let run = Run::within(build.env("DOCKER_HOST", self.address()), 120);
        run.ok().says("loading into Docker at `");
        run
    }

    /// Returns the files of an image as its containers have them.
    fn files(&self, lab: &Lab, image: &str) -> Tree {
        let container = self.ok(&["create", image, "true"]);
        let archive = text(&lab.home().join("export.tar"));
        self.ok(&["export", "-o", &archive, &container]);
        self.ok(&["rm", &container]);
        unpacked(lab, &archive)
    }
}

impl Drop for Docker {
    /// Asks it to end, which ends its containerd, too.
    fn drop(&mut self) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.daemon.id()).expect("a pid"));
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("dockerd was there");
        self.daemon.wait().expect("dockerd ends");
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Returns the tree of a tar, as it is compared.
fn unpacked(lab: &Lab, archive: &str) -> Tree {
    let to = lab.home().join("unpacked");
    fs::create_dir(&to).expect("a directory");
    let how = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", &text(&to), "-xpf", archive];
    output("tar", &how);
    let tree = compared(Tree::at(&to));
    fs::remove_dir_all(&to).expect("removed");
    tree
}

/// Leaves out what engines add, the times of the directories that they add it to, and fractions of seconds, which Docker
/// does not export.
fn compared(tree: Tree) -> Tree {
    let mut tree = tree.without(&ADDED).without_field(Field::Mtime, |path, _| path.is_empty() || path == "etc");
    for (_, fields) in tree.fields_mut() {
        let time = &mut fields[Field::Mtime as usize];
        let seconds = time.len().saturating_sub(9);
        time.truncate(seconds);
    }
    tree
}

fn lab() -> Lab {
    let lab = Lab::with(
        "FROM busybox\nCOPY big /big\nCOPY small /small\n\
         RUN mkdir /d && echo x > /d/f && ln /d/f /d/g && chown 7:8 /d && chmod 4751 /d/f && rm /bin/vi && ln -s f /d/l\n\
         HEALTHCHECK CMD true\nCMD [\"cat\", \"/small\"]\n",
    );
    lab.file("big", "big".repeat(1 << 20)).file("small", "one");
    lab
}

/// Returns the image ID that the last build wrote.
fn id(lab: &Lab) -> String {
    fs::read_to_string(lab.path("id")).expect("an id")
}

/// An archive loaded into a store of its own has this image ID, which every layer agrees with.
#[track_caller]
fn comes_back(archive: &Path, wanted: &str) {
    let other = Lab::new();
    other.lbuild(&["load", "-i", &text(archive)]).ok();
    assert_eq!(other.inspect(&wanted[7..19])["Id"], wanted);
    other.fsck();
}

#[test]
fn docker_gets_the_layers_that_it_lacks() {
    let Some(docker) = Docker::start() else { return };
    let lab = lab();
    docker.load(&lab, &["-t", "one:1", "-t", "example.com:5000/one"]).does_not_say("there already");
    let first = id(&lab);
    let named = |name: &str| docker.ok(&["image", "inspect", "--format", "{{.Id}}", name]);
    assert_eq!((named("one:1"), named("example.com:5000/one:latest")), (first.clone(), first.clone()));
    docker.load(&lab, &["-t", "two"]).says("the image is there already");
    assert_eq!(named("two"), first, "a name more");
    lab.file("small", "two");
    docker.load(&lab, &["-t", "one:1"]).says("2 of 4 layers sent, the others are there already");
    let second = id(&lab);
    assert_eq!((named("one:1"), named("two")), (second.clone(), first));
    // What Docker has is the image, and it gives it back.
    lab.build(&["-t", "one:1", "-o", "type=tar,dest=files.tar", "-o", "type=image"]).ok();
    docker.files(&lab, "one:1").equals(&unpacked(&lab, &text(&lab.path("files.tar"))), "Docker and lbuild");
    docker.ok(&["save", "-o", &text(&lab.path("back.tar")), "one:1"]);
    comes_back(&lab.path("back.tar"), &second);
    assert_eq!(docker.ok(&["inspect", "--format", "{{.Config.Healthcheck.Test}}", "one:1"]), "[CMD-SHELL true]");
}

#[test]
fn docker_and_containerd_take_archives() {
    let Some(docker) = Docker::start() else { return };
    let lab = lab();
    let forms = ["uncompressed", "gzip"];
    let kinds =
        |form: &&str| ["oci", "docker"].map(|kind| format!("type={kind},dest={kind}-{form}.tar,compression={form}"));
    let outputs: Vec<String> = forms.iter().flat_map(kinds).collect();
    let outputs = outputs.iter().flat_map(|output| ["-o", output]);
    let flags = ["-t", "example.com/one:1", "--iidfile", "id", "-o", "type=tar,dest=files.tar", "-o", "type=image"];
    lab.build(&flags.into_iter().chain(outputs).collect::<Vec<_>>()).ok();
    lab.lbuild(&["save", "-o", "docker-saved.tar", "example.com/one:1"]).ok();
    let (wanted, name) = (unpacked(&lab, &text(&lab.path("files.tar"))), "example.com/one:1");
    for form in ["uncompressed", "gzip", "saved"] {
        docker.ok(&["load", "-i", &text(&lab.path(&format!("docker-{form}.tar")))]);
        assert_eq!(docker.ok(&["image", "inspect", "--format", "{{.Id}}", name]), id(&lab), "{form}");
        docker.files(&lab, name).equals(&wanted, form);
        docker.ok(&["rmi", name]);
    }
    for (number, archive) in ["oci-uncompressed", "oci-gzip", "docker-uncompressed", "docker-gzip"].iter().enumerate() {
        docker.ctr(&["images", "import", &text(&lab.path(&format!("{archive}.tar")))]);
        let (back, there) = (lab.path(&format!("back{number}.tar")), lab.home().join("mounted"));
        docker.ctr(&["images", "export", &text(&back), name]);
        comes_back(&back, &id(&lab));
        fs::create_dir(&there).expect("a directory");
        docker.ctr(&["images", "mount", name, &text(&there)]);
        let files = compared(Tree::at(&there));
        docker.ctr(&["images", "unmount", "--rm", &text(&there)]);
        fs::remove_dir(&there).expect("removed");
        files.equals(&wanted, archive);
        docker.ctr(&["images", "rm", name]);
    }
}
