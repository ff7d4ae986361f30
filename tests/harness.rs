//! [`Lab`]: a home, a store and a build context for one test; [`Run`]: what a command did.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A home, a store and a build context of their own.
pub struct Lab {
    home: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    /// Exit status; 128 and the number if a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    line: String,
}

/// Who the tests run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Real root.
    Root,
    /// A plain user with ranges in /etc/subuid and /etc/subgid.
    Ranges,
    /// A plain user without.
    OneId,
}

/// Returns the repository.
pub fn repository() -> PathBuf {
    std::env::var_os("LBUILD_TEST_SOURCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), PathBuf::from)
}

/// Returns the binary.
pub fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_lbuild"));
    match std::env::var_os("LBUILD_TEST_TARGET") {
        // `target/debug/lbuild`, whatever stands before it.
        Some(target) => {
            let names: Vec<_> = built.components().rev().take(2).collect();
            Path::new(&target).join(names[1]).join(names[0])
        }
        None => built.to_owned(),
    }
}

/// Returns a file or directory below `target/bases`.
pub fn base(name: &str) -> PathBuf {
    let path = repository().join("target/bases").join(name);
    assert!(path.exists(), "`{}` is missing: run `tests/bases test`", path.display());
    path
}

/// Returns who the tests run as.
pub fn identity() -> Identity {
    let found = if nix::unistd::geteuid().is_root() {
        Identity::Root
    } else if succeeds("unshare", &["--user", "--map-root-user", "--map-auto", "true"]) {
        Identity::Ranges
    } else {
        Identity::OneId
    };
    match std::env::var("LBUILD_TEST_IDENTITY").as_deref() {
        Ok("with") => assert_eq!(found, Identity::Ranges, "newuidmap does not work for the user with ranges"),
        Ok("without") => assert_eq!(found, Identity::OneId),
        Ok("root") => assert_eq!(found, Identity::Root),
        _ => {}
    }
    found
}

/// Reports whether many ids can be mapped, and says so where they cannot: a test then shows the error in place of the
/// feature, or has nothing to show.
pub fn has_ranges() -> bool {
    identity() != Identity::OneId
}

/// Reports whether `tests/everywhere` runs the tests as the user with ranges, too: what takes long and tells the same of both
/// is left to that one.
pub fn is_left_to_a_plain_user() -> bool {
    std::env::var("LBUILD_TEST_IDENTITY").is_ok_and(|name| name == "root")
}

/// Leaves a test out because this machine lacks `what`; fails in continuous integration.
pub fn skip(what: &str) {
    let strict = std::env::var("LBUILD_TEST_STRICT").is_ok_and(|value| !value.is_empty());
    assert!(!strict, "a test was left out: {what}");
    eprintln!("left out: {what}");
}

/// Runs a program of this machine and reports whether it succeeded.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let null = || Stdio::null();
    let status = Command::new(program).args(arguments).stdin(null()).stdout(null()).stderr(null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a program of this machine, which must succeed, and returns its standard output.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let run = Run::of(Command::new(program).args(arguments));
    run.ok();
    run.stdout
}

impl Run {
    /// Runs a command that reads nothing.
    pub fn of(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{line}: {error}"));
        Self::from_output(output, line)
    }

    /// Runs a command, which must end within so many seconds.
    #[track_caller]
    pub fn within(command: &mut Command, seconds: u64) -> Self {
        let line = format!("{command:?}");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{line}: {error}"));
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(std::time::Duration::from_secs(seconds)) else {
            // An interrupt first: the process and what it started end in order, and say where they were.
            for signal in [nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGKILL] {
                nix::sys::signal::kill(id, signal).expect("a signal");
                if let Ok(Ok(output)) = receiver.recv_timeout(std::time::Duration::from_secs(5)) {
                    panic!("{line} took more than {seconds} s\n{}", String::from_utf8_lossy(&output.stderr));
                }
            }
            panic!("{line} took more than {seconds} s and cannot be killed");
        };
        Self::from_output(output.expect("waited"), line)
    }

    /// Returns what a child did that has been waited for.
    pub fn from_output(output: std::process::Output, line: String) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { status, stdout: text(output.stdout), stderr: text(output.stderr), line }
    }

    /// Asserts exit status 0.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.ends(0)
    }

    /// Asserts the exit status.
    #[track_caller]
    pub fn ends(&self, status: i32) -> &Self {
        assert_eq!(self.status, status, "{}\n{}\n{}", self.line, self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error has `text` in it.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "`{text}` is not said by {}\n{}", self.line, self.stderr);
        self
    }

    /// Asserts that standard error has no `text` in it.
    #[track_caller]
    pub fn does_not_say(&self, text: &str) -> &Self {
        assert!(!self.stderr.contains(text), "`{text}` is said by {}\n{}", self.line, self.stderr);
        self
    }

    /// Asserts the whole of standard output.
    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        assert_eq!(self.stdout, text, "{}\n{}", self.line, self.stderr);
        self
    }
}

impl Lab {
    /// Returns a lab with an empty context.
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("lbuild-lab.").tempdir().expect("a temporary directory");
        fs::create_dir(home.path().join("context")).expect("a context");
        Self { home }
    }

    /// Returns a lab whose context has this Dockerfile.
    pub fn with(dockerfile: &str) -> Self {
        let lab = Self::new();
        lab.file("Dockerfile", dockerfile);
        lab
    }

    /// Returns the lab's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the store.
    pub fn store(&self) -> PathBuf {
        self.home().join("store")
    }

    /// Returns a path of the context.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home().join("context").join(name)
    }

    /// Writes a file of the context.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, bytes).expect("a file");
        self
    }

    /// Returns `lbuild` with the lab's home and store, run in the context.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.path("")).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.home()).env("LBUILD_ROOT", self.store()).env("BUILDKIT_PROGRESS", "plain");
        command
    }

    /// Runs `lbuild`.
    pub fn lbuild(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Runs `lbuild`, which must end within so many seconds.
    #[track_caller]
    pub fn lbuild_within(&self, seconds: u64, arguments: &[&str]) -> Run {
        Run::within(&mut self.command(arguments), seconds)
    }

    /// Returns `lbuild build` of the context, the names `busybox`, `debian` and `fedora` standing for the bases.
    pub fn building(&self, arguments: &[&str]) -> Command {
        let context =
            |name: &str, layout: &str| format!("--build-context={name}=oci-layout://{}", base(layout).display());
        let bases = [context("busybox", "busybox"), context("debian", "debian"), context("fedora", "debian")];
        let all: Vec<&str> =
            ["build"].into_iter().chain(bases.iter().map(String::as_str)).chain(arguments.iter().copied()).collect();
        let mut command = self.command(&all);
        command.arg(".");
        command
    }

    /// Builds the context.
    pub fn build(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.building(arguments))
    }

    /// Builds the context, which must succeed, and returns the image ID.
    #[track_caller]
    pub fn id(&self, arguments: &[&str]) -> String {
        let all: Vec<&str> = ["-q"].iter().chain(arguments).copied().collect();
        let run = self.build(&all);
        run.ok();
        run.stdout.trim().to_owned()
    }

    /// Runs a shell script in an image, which must succeed, and returns its standard output.
    #[track_caller]
    pub fn shell(&self, image: &str, script: &str) -> String {
        let run = self.lbuild(&["run", image, "/bin/sh", "-c", script]);
        run.ok();
        run.stdout
    }

    /// Returns what `lbuild inspect` says of an image.
    #[track_caller]
    pub fn inspect(&self, image: &str) -> Value {
        let run = self.lbuild(&["inspect", image]);
        run.ok();
        let all: Value = serde_json::from_str(&run.stdout).expect("JSON");
        all[0].clone()
    }

    /// Asserts that the store has no fault.
    #[track_caller]
    pub fn fsck(&self) {
        self.lbuild(&["fsck"]).ok().prints("clean\n");
    }

    /// Returns the sorted listing (`tar -tv`, numeric owners) of the layer `number` of an image, from the lowest.
    #[track_caller]
    pub fn layer(&self, image: &str, number: usize) -> Vec<String> {
        let layers = self.inspect(image)["Layers"].clone();
        let digest = layers[number]["digest"].as_str().expect("a layer").replace("sha256:", "");
        let blob = self.store().join("blobs/sha256").join(digest);
        let mut names: Vec<String> = output("tar", &["-tf", &blob.to_string_lossy()])
            .lines()
            .map(|name| name.trim_start_matches("./").trim_end_matches('/').to_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Lab {
    /// Deletes what belongs to other ids from inside a user namespace; the rest goes with the directory.
    fn drop(&mut self) {
        let store = self.store();
        if store.exists() && !nix::unistd::geteuid().is_root() {
            let path = store.to_string_lossy().into_owned();
            if !succeeds("unshare", &["--user", "--map-root-user", "--map-auto", "rm", "-rf", &path]) {
                // With one id all files are the user's own.
                succeeds("chmod", &["-R", "u+rwX", &path]);
            }
        }
    }
}

/// A server of files on loopback.
pub struct Server {
    child: Child,
    /// Its address, as `http://127.0.0.1:40000`.
    pub address: String,
}

impl Server {
    /// Serves a directory.
    pub fn of(directory: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(directory);
        Self::started(command.stderr(Stdio::null()))
    }

    /// Starts a server that prints its port as Python's does.
    pub fn started(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let port = line.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port").to_owned();
        Self { child, address: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().expect("the server ends");
        }
    }
}

/// Runs a command with `input` on its standard input.
pub fn fed(command: Command, input: &str) -> Run {
    fed_bytes(command, input.as_bytes())
}

/// Runs a command with `input` on its standard input.
pub fn fed_bytes(mut command: Command, input: &[u8]) -> Run {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // One that ends before it reads says why.
    if let Err(error) = child.stdin.take().expect("a pipe").write_all(input) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    Run::from_output(child.wait_with_output().expect("the command ends"), line)
}
