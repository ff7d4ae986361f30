//! ADD of files of the web and of git repositories (FEATURES 1.6-19 to 1.6-23).

use crate::harness::{Lab, Run, output};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server on loopback of `/name`: its bytes, `Last-Modified` and `ETag`; a path that begins with `/secret` wants a
/// token. It writes one line for each request: path, validator, status.
const WEB: &str = r#"
import sys, os
from http.server import *
d, log = sys.argv[1], open(sys.argv[2], 'a', buffering=1)
class H(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(*a): pass
    def do_GET(s):
        p = s.path.split('?')[0]
        f = os.path.join(d, p.lstrip('/'))
        status, b = 200, b''
        # The second is `x-access-token:t0k`.
        if p.startswith('/secret') and s.headers.get('Authorization') not in ['Bearer t0k', 'basic eC1hY2Nlc3MtdG9rZW46dDBr']: status = 401
        elif p == '/moved': status = 302
        elif not os.path.isfile(f): status = 404
        else: b = open(f, 'rb').read()
        tag = '"%s"' % hash(b)
        if status == 200 and s.headers.get('If-None-Match') == tag: status = 304
        print(p, 'etag' if s.headers.get('If-None-Match') else '-', status, file=log)
        s.send_response(status)
        if status == 302: s.send_header('Location', '/f')
        if status == 200:
            s.send_header('ETag', tag)
            s.send_header('Last-Modified', 'Sun, 06 Nov 1994 08:49:37 GMT')
        s.send_header('Content-Length', str(0 if status != 200 else len(b)))
        s.end_headers()
        if status == 200: s.wfile.write(b)
w = ThreadingHTTPServer(('127.0.0.1', 0), H)
print(w.server_port, flush=True)
w.serve_forever()
"#;

/// A server of files on loopback that remembers what it was asked.
pub struct Web {
    child: Child,
    pub address: String,
    directory: tempfile::TempDir,
}

impl Web {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let files = directory.path().join("files");
        std::fs::create_dir(&files).expect("a directory");
        let mut command = Command::new("python3");
        command.args(["-u", "-c", WEB]).arg(&files).arg(&log).env("PYTHONHASHSEED", "1").stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut port).expect("a port");
        Self { child, address: format!("http://127.0.0.1:{}", port.trim()), directory }
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("files").join(name)
    }

    /// Returns what was asked since the last call.
    pub fn asked(&self) -> Vec<String> {
        let path = self.directory.path().join("log");
        let text = std::fs::read_to_string(&path).expect("read");
        std::fs::write(path, "").expect("written");
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("the server ends");
    }
}

/// Row 1.6-20: name, mode, owner and time of what is fetched; asked again with its ETag; taken from the cache.
#[test]
fn userns_files_of_the_web_are_added_and_asked_for_again() {
    let web = Web::new();
    web.file("f", "one");
    let lab = Lab::with(&format!(
        "FROM busybox\nADD {0}/f?x=1 {0}/moved /d/\nADD --chmod=0644 --chown=0:0 {0}/f /renamed\nADD local {0}/f /both/\n",
        web.address
    ));
    lab.file("local", "local");
    lab.build(&["-t", "x"]).ok().says(&format!("fetch {}/f", web.address)).says("3B done");
    let stat = "stat -c '%n %a %u:%g %Y' /d/f /d/moved; cat /d/moved /renamed /both/f /both/local; ls /both";
    let told = lab.shell("x", stat);
    let owner = "0:0";
    assert_eq!(told, format!("/d/f 600 {owner} 784111777\n/d/moved 600 {owner} 784111777\noneoneonelocalf\nlocal\n"));
    let id = lab.id(&[]);
    web.asked();
    lab.build(&[]).ok().says("CACHED").does_not_say("fetch ");
    let again = web.asked();
    assert!(
        !again.is_empty() && again.iter().all(|line| line.ends_with("etag 304") || line == "/moved etag 302"),
        "{again:?}"
    );
    assert_eq!(lab.id(&[]), id);
    web.file("f", "two");
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /d/f"), "two");
    lab.fsck();
}

/// Row 1.6-21: a digest that does not match, one that does and is then not asked for again, a file that is not there.
#[test]
fn checksums_of_the_web_are_checked() {
    let web = Web::new();
    web.file("f", "foo");
    web.file("secret", "s");
    let digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let lab = Lab::with(&format!("FROM scratch\nADD --checksum={digest} {}/f /\n", web.address));
    lab.build(&[]).ok();
    web.asked();
    lab.build(&[]).ok();
    assert_eq!(web.asked(), [""; 0], "bytes that are known need not be asked for");
    lab.file(
        "Dockerfile",
        format!("FROM scratch\nADD --checksum={} {}/f /\n", digest.replace("2c26", "2c27"), web.address),
    );
    lab.build(&[]).ends(125).says("digest mismatch for").says(digest).says("Dockerfile:2");
    lab.file("Dockerfile", format!("FROM scratch\nADD {}/none /\n", web.address));
    lab.build(&[]).ends(125).says("404 Not Found").says("Dockerfile:2");
    // Row 1.6-20: a secret that is named like the host goes with the question.
    lab.file("Dockerfile", format!("FROM scratch\nADD {}/secret /\n", web.address)).file("token", "t0k\n");
    lab.build(&[]).ends(125).says("401");
    let host = web.address.replace("http://", "");
    let built = lab.build(&[&format!("--secret=id=HTTP_AUTH_TOKEN_{host},src=token")]);
    built.ok().does_not_say("t0k");
}

/// Row 1.6-19: archives of the web are unpacked only where that is asked for.
#[test]
fn userns_archives_of_the_web_are_unpacked_where_asked() {
    let web = Web::new();
    let lab = Lab::with(&format!(
        "FROM busybox\nADD {0}/a.tar.gz /kept/\nADD --unpack=true {0}/a.tar.gz /out/\n",
        web.address
    ));
    lab.file("in/file", "text");
    output(
        "tar",
        &[
            "-C",
            &lab.path("").to_string_lossy(),
            "--owner=0",
            "--group=0",
            "-czf",
            &web.path("a.tar.gz").to_string_lossy(),
            "in",
        ],
    );
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "ls /kept /out; cat /out/in/file"), "/kept:\na.tar.gz\n\n/out:\nin\ntext");
}

/// Repositories, served on loopback by git's own daemon.
pub struct Repositories {
    child: Child,
    directory: tempfile::TempDir,
    pub address: String,
}

fn git(at: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(at).args(["-c", "user.name=n", "-c", "user.email=e@h", "-c", "protocol.file.allow=always"]);
    command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_AUTHOR_DATE", "1000000000 +0000").env("GIT_COMMITTER_DATE", "1000000000 +0000");
    let output = command.output().expect("git");
    assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

impl Repositories {
    /// Serves `app.git`: `main` with `f`, `run`, `d/g` and the submodule `sub`; the tag `v1` without `d`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let top = directory.path().to_owned();
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port").port();
        let address = format!("git://127.0.0.1:{port}");
        for name in ["part", "app"] {
            std::fs::create_dir(top.join(name)).expect("a directory");
            git(&top.join(name), &["init", "-q", "-b", "main", "."]);
        }
        std::fs::write(top.join("part/p"), "part").expect("written");
        git(&top.join("part"), &["add", "."]);
        git(&top.join("part"), &["commit", "-q", "-m", "part"]);
        let app = top.join("app");
        std::fs::write(app.join("f"), "first").expect("written");
        std::fs::write(app.join("run"), "#!/bin/sh\n").expect("written");
        std::fs::write(app.join(".dockerignore"), "f\n").expect("written");
        output("chmod", &["0775", &app.join("run").to_string_lossy()]);
        output("chmod", &["0600", &app.join("f").to_string_lossy()]);
        git(&app, &["add", "."]);
        git(&app, &["commit", "-q", "-m", "first"]);
        git(&app, &["tag", "-a", "v1", "-m", "v1"]);
        std::fs::create_dir(app.join("d")).expect("a directory");
        std::fs::write(app.join("d/g"), "second").expect("written");
        // Not by way of `git`, which would leave it behind when it is killed.
        let daemon = Path::new(output("git", &["--exec-path"]).trim()).join("git-daemon");
        let child = Command::new(daemon)
            .args(["--reuseaddr", "--export-all", "--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", top.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("git daemon");
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        git(&app, &["submodule", "--quiet", "add", "--", &format!("{address}/part"), "sub"]);
        git(&app, &["add", "."]);
        git(&app, &["commit", "-q", "-m", "second"]);
        Self { child, directory, address }
    }

    fn commit(&self, name: &str) -> String {
        git(&self.directory.path().join("app"), &["rev-parse", &format!("{name}^{{commit}}")])
    }
}

impl Drop for Repositories {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("the server ends");
    }
}

/// Makes the repository `secret.git` in a server's directory, which git reads by its plain protocol; returns its URL.
pub fn secret_repository(web: &Web) -> String {
    let source = tempfile::tempdir().expect("a directory");
    git(source.path(), &["init", "-q", "-b", "main", "."]);
    std::fs::write(source.path().join("f"), "secret\n").expect("written");
    std::fs::write(source.path().join("Dockerfile"), "FROM scratch\nCOPY f /\n").expect("written");
    git(source.path(), &["add", "."]);
    git(source.path(), &["commit", "-q", "-m", "secret"]);
    let to = web.path("secret.git");
    git(source.path(), &["clone", "-q", "--bare", ".", &to.to_string_lossy()]);
    git(&to, &["update-server-info"]);
    format!("{}/secret.git", web.address)
}

/// Row 1.6-22: a token of a secret opens a repository, for ADD and as a context. It is in no argument and no environment
/// of git, in no output and nowhere in the store.
#[test]
fn tokens_open_repositories_and_stay_hidden() {
    let web = Web::new();
    let url = secret_repository(&web);
    let host = web.address.replace("http://", "");
    let lab = Lab::with(&format!("FROM scratch\nADD {url} /\n"));
    let bin = lab.home().join("bin");
    std::fs::create_dir(&bin).expect("a directory");
    let seen = lab.home().join("seen");
    let script = format!("#!/bin/sh\n{{ echo \"$@\"; env; }} >> {}\nexec /usr/bin/git \"$@\"\n", seen.display());
    std::fs::write(bin.join("git"), script).expect("written");
    output("chmod", &["0755", &bin.join("git").to_string_lossy()]);
    let build = |secret: Option<&str>, context: &str| {
        let mut arguments = vec!["build", "--no-cache"];
        let secret = secret.map(|id| format!("--secret=id={id},env=TOKEN"));
        arguments.extend(secret.as_deref());
        arguments.push(context);
        let mut command = lab.command(&arguments);
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        let value = if secret.is_some_and(|secret| secret.contains("HEADER")) { "Bearer t0k" } else { "t0k" };
        Run::within(command.env("TOKEN", value), 60)
    };
    for context in [".", url.as_str()] {
        build(None, context).ends(125).says("help: for a private repository give `--secret id=GIT_AUTH_TOKEN,env=…`");
        build(Some("GIT_AUTH_TOKEN.elsewhere"), context).ends(125);
        for id in ["GIT_AUTH_TOKEN".to_owned(), format!("GIT_AUTH_TOKEN.{host}"), "GIT_AUTH_HEADER".to_owned()] {
            build(Some(&id), context).ok().does_not_say("t0k").does_not_say("eC1hY2");
        }
    }
    let seen = std::fs::read_to_string(seen).expect("git was started");
    assert!(seen.contains("ls-remote") && !seen.contains("t0k") && !seen.contains("eC1hY2"), "{seen}");
    let store = lab.store().to_string_lossy().into_owned();
    let found = Command::new("grep").args(["-rlE", "t0k|eC1hY2", &store]).output().expect("grep");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

/// What others wrote is taken in up to a limit, which the error names.
#[test]
fn downloads_and_archives_have_limits() {
    let web = Web::new();
    web.file("f", vec![b'x'; 2000]);
    let lab = Lab::with(&format!("FROM scratch\nADD {}/f /\n", web.address));
    let run = lab.build(&["--limit=download=1k"]);
    run.ends(125).says("/f` has more than 1024 bytes").says("Dockerfile:2").says("--limit download=SIZE");
    lab.build(&["--limit=download=2000"]).ok();

    let packed = lab.path("a.tar").to_string_lossy().into_owned();
    lab.file("in/f", vec![b'x'; 2000]).file("in/g", "");
    output("tar", &["-C", &lab.path("in").to_string_lossy(), "-cf", &packed, "f", "g"]);
    lab.file("Dockerfile", "FROM scratch\nCOPY in/f /\nADD a.tar /\n");
    for (limit, why) in [
        ("archive-entries=1", "it has more than 1 entries"),
        ("archive-bytes=2000", "it unpacks to more than 2000 bytes"),
    ] {
        let run = lab.build(&[&format!("--limit={limit}")]);
        run.ends(125)
            .says(&format!("unpack `/a.tar`: {why}"))
            .says("Dockerfile:3")
            .says("allow more with `--limit archive-");
    }
    lab.build(&["--limit=archive-entries=2", "--limit=archive-bytes=20k"]).ok();

    // 4 TiB of holes in a few kilobytes.
    let sparse = lab.path("in/f").to_string_lossy().into_owned();
    output("truncate", &["-s", "4T", &sparse]);
    output("tar", &["-C", &lab.path("in").to_string_lossy(), "-S", "-czf", &packed, "f"]);
    std::fs::remove_file(sparse).expect("removed");
    lab.file("Dockerfile", "FROM scratch\nADD a.tar /\n");
    let run = lab.lbuild_within(60, &["build", "."]);
    run.ends(125).says("unpack `/a.tar`: it unpacks to more than 68719476736 bytes").says("Dockerfile:2");
    lab.build(&["--limit=size=1"]).ends(125).says("no attribute is called `size`");
}

/// What is remembered of a URL goes with its bytes.
#[test]
fn a_prune_forgets_urls_whose_bytes_are_gone() {
    let web = Web::new();
    web.file("f", "text");
    let lab = Lab::with(&format!("FROM scratch\nADD {}/f /\n", web.address));
    lab.build(&[]).ok();
    let known = || std::fs::read_dir(lab.store().join("cache/urls")).expect("a directory").count();
    assert_eq!(known(), 1);
    lab.lbuild(&["prune"]).ok();
    assert_eq!(known(), 0);
    web.asked();
    lab.build(&[]).ok();
    assert_eq!(web.asked(), ["/f - 200"]);
}

/// Rows 1.6-22, 1.6-23: branch, tag, commit, subdirectory, submodules, `.git`; modes are git's, times the commit's.
#[test]
fn userns_git_repositories_are_added() {
    let repositories = Repositories::new();
    let url = format!("{}/app", repositories.address);
    let (main, tag) = (repositories.commit("main"), repositories.commit("v1"));
    let lab = Lab::with(&format!(
        "FROM busybox\nADD {url} /main/\nADD {url}#v1 /tag/\nADD {url}#main:d /d/\nADD --keep-git-dir {url}#{tag} /kept/\n\
         ADD {url}?branch=main&submodules=false&commit={} /bare/\nADD --checksum={} --exclude=run {url}#refs/heads/main /sum/\n",
        &main[..7],
        main
    ));
    lab.build(&["-t", "x"]).ok();
    let told = lab.shell(
        "x",
        "for d in main tag d bare sum; do echo $d: $(ls -A /$d); done; cat /main/sub/p /d/g; echo; stat -c '%a %u:%g %Y' /main/f /main/run /main/d; cat /kept/.git/HEAD; ls -A /bare/sub",
    );
    assert_eq!(
        told,
        format!(
            "main: .dockerignore .gitmodules d f run sub\ntag: .dockerignore f run\nd: g\nbare: .dockerignore .gitmodules d f run sub\nsum: .dockerignore .gitmodules d f sub\npartsecond\n644 0:0 1000000000\n755 0:0 1000000000\n755 0:0 1000000000\n{tag}\n"
        )
    );
    let id = lab.id(&[]);
    lab.build(&[]).ok().says("CACHED").does_not_say("DONE 0.3s");
    assert_eq!(lab.id(&[]), id);
    lab.fsck();
}

/// Row 1.6-22: what cannot be had is told at its place, and nothing of an address reaches git as an option.
#[test]
fn git_addresses_that_mean_nothing_are_refused() {
    let repositories = Repositories::new();
    let url = format!("{}/app", repositories.address);
    for (source, said) in [
        (format!("{url}#none"), "does not contain `none`".to_owned()),
        (format!("{url}#main:none"), "none`: not found".to_owned()),
        (format!("{url}?commit=0123"), "expected checksum to match `0123`, got `".to_owned()),
        (format!("{}/nothing", repositories.address), "ask for the references of".to_owned()),
        (format!("{url}#--upload-pack=touch"), "git reference `--upload-pack=touch` is none".to_owned()),
        ("ssh://-oProxyCommand=touch/x".to_owned(), "would be taken for an option".to_owned()),
    ] {
        let lab = Lab::with(&format!("FROM scratch\nADD {source} /\n"));
        lab.build(&[]).ends(125).says(&said).says("Dockerfile:2");
    }
}

/// Row 1.6-22: a repository may take as much as a download, measured while git fetches it and checks it out: one whose
/// history is large, and one whose history is small and unpacks to much.
#[test]
fn repositories_have_a_limit() {
    let repositories = Repositories::new();
    let app = repositories.directory.path().join("app");
    let grow = |what: &str| {
        output("sh", &["-ec", &format!("cd '{}' && {what}", app.display())]);
        git(&app, &["add", "."]);
        git(&app, &["commit", "-q", "-m", "more"]);
    };
    let url = format!("{}/app", repositories.address);
    let lab = Lab::with(&format!("FROM scratch\nADD {url} /\n"));
    let build =
        |limit: &str| lab.lbuild_within(60, &["build", "--no-cache", &format!("--limit=download={limit}"), "."]);
    let context =
        |limit: &str| lab.lbuild_within(60, &["build", &format!("--limit=download={limit}"), &format!("{url}.git")]);
    for (what, over, enough) in
        [("head -c 3000000 /dev/urandom > much", "2m", "64m"), ("head -c 30000000 /dev/zero > zeros", "12m", "128m")]
    {
        grow(what);
        let run = build(over);
        let bytes = over.trim_end_matches('m').parse::<u64>().expect("a number") << 20;
        run.ends(125).says(&format!("it takes more than {bytes} bytes")).says("Dockerfile:2");
        run.says("allow more with `--limit download=SIZE`");
        build(enough).ok();
    }
    let link = repositories.directory.path().join("app.git");
    std::os::unix::fs::symlink("app", link).expect("a link");
    context("12m").ends(125).says("it takes more than 12582912 bytes").says("allow more with `--limit download=SIZE`");
    let left: Vec<_> = std::fs::read_dir(lab.store().join("tmp")).expect("a directory").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
