//! [`Git`]: repositories by way of the system's `git`, which gets no option, protocol or setting from an address.

mod growth;

use crate::git_ref::GitRef;
use growth::Growth;
use layerfs::cancel::Cancel;
use layerfs::registry::secret::Secret;
use rustix::fs::{MemfdFlags, memfd_create};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often one who waits for git looks whether the build was ended.
const PATIENCE: Duration = Duration::from_millis(20);
/// Most bytes of what git says that are read.
const LONGEST: u64 = 1 << 20;
/// The protocols that an address, and a submodule, may use.
const PROTOCOLS: &str = "https:http:ssh:git";

/// Why a repository cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("git cannot be started: {why}")]
    Start {
        /// The operating system's words.
        why: String,
    },
    /// Git failed.
    #[error("{act} `{remote}`: {why}")]
    Failed {
        /// What was being done.
        act: &'static str,
        /// The repository, without user.
        remote: String,
        /// Git's words.
        why: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("repository `{remote}` does not contain `{reference}`")]
    NoReference {
        /// The repository, without user.
        remote: String,
        /// What was asked for.
        reference: String,
    },
    /// The commit is another than it should be.
    #[error("expected checksum to match `{wanted}`, got `{commit}`")]
    Checksum {
        /// What it should begin with.
        wanted: String,
        /// The commit.
        commit: String,
    },
    /// The repository is bigger than it may be.
    #[error("{act} `{remote}`: it takes more than {limit} bytes")]
    TooBig {
        /// What was being done.
        act: &'static str,
        /// The repository, without user.
        remote: String,
        /// What it may take.
        limit: u64,
    },
    /// The build was ended.
    #[error("cancelled")]
    Cancelled,
}

impl GitError {
    /// Returns what to do about it.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::Start { .. } => "install git",
            Self::Failed { .. } => {
                "for a private repository give `--secret id=GIT_AUTH_TOKEN,env=…`, or start an SSH agent for `git@…`"
            }
            Self::TooBig { .. } => "if the repository is what you want, allow more with `--limit download=SIZE`",
            Self::NoReference { .. } => "name a branch, a tag, or a commit by all of its digits",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// How git ended.
enum Ended {
    Itself(ExitStatus),
    Cancelled,
    TooBig,
}

/// Speaks to repositories by way of git.
#[derive(Debug, Clone)]
pub struct Git<'a> {
    /// Ends it.
    pub cancel: &'a Cancel,
    /// `Authorization` for the repository's server.
    pub authorization: Option<Secret>,
    /// Authorities that replace the system's.
    pub ca_file: Option<PathBuf>,
    /// What it gets of the caller's environment, which may hold secrets.
    pub environment: &'a [(String, OsString)],
    /// Most bytes that a repository may take on disk, history and files together.
    pub limit: u64,
}

impl Git<'_> {
    /// Returns the commit that an address means, all of its digits.
    ///
    /// # Errors
    /// [`GitError`].
    pub fn resolve(&self, git: &GitRef) -> Result<String, GitError> {
        let commit = match git.reference.as_deref() {
            Some(reference) if is_commit(reference) => reference.to_owned(),
            reference => self.ask(git, reference)?,
        };
        match &git.checksum {
            Some(wanted) if !commit.starts_with(wanted.as_str()) => {
                Err(GitError::Checksum { wanted: wanted.clone(), commit })
            }
            _ => Ok(commit),
        }
    }

    fn ask(&self, git: &GitRef, reference: Option<&str>) -> Result<String, GitError> {
        let name = reference.unwrap_or("HEAD");
        let peeled = format!("{name}^{{}}");
        let told =
            self.run(git, "ask for the references of", None, &["ls-remote", "--", &git.remote, name, &peeled])?;
        let short = name.strip_prefix("refs/").unwrap_or(name);
        let tag = format!("refs/tags/{short}");
        let wanted = [
            name.to_owned(),
            format!("refs/{short}^{{}}"),
            format!("refs/{short}"),
            format!("refs/heads/{short}"),
            format!("{tag}^{{}}"),
            tag,
        ];
        let found = |wanted: &String| {
            let line = told.lines().find(|line| line.split_once('\t').is_some_and(|(_, name)| name == wanted))?;
            line.split_once('\t').map(|(commit, _)| commit.to_owned())
        };
        let no_reference = || GitError::NoReference { remote: shown(&git.remote), reference: name.to_owned() };
        wanted.iter().find_map(found).filter(|commit| is_commit(commit)).ok_or_else(no_reference)
    }

    /// Checks `commit` out in the empty directory `to`, with submodules unless they are not wanted, and without `.git`
    /// unless it is to be kept. Returns the commit's time in seconds.
    ///
    /// # Errors
    /// [`GitError`].
    pub fn checkout(&self, git: &GitRef, commit: &str, keep: bool, to: &Path) -> Result<i64, GitError> {
        let run = |act, arguments: &[&str]| self.run(git, act, Some(to), arguments);
        run("prepare", &["init", "-q", "."])?;
        run("prepare", &["remote", "add", "origin", "--", &git.remote])?;
        // Some servers give no single commit, others no shallow copy.
        let shallow = run("fetch from", &["fetch", "-q", "--no-tags", "--depth=1", "origin", commit]);
        match shallow {
            Ok(_) => {}
            Err(error @ (GitError::Cancelled | GitError::TooBig { .. })) => return Err(error),
            Err(_) => drop(run("fetch from", &["fetch", "-q", "origin", "+refs/*:refs/remotes/origin/*"])?),
        }
        let no_reference = |error| match error {
            GitError::Failed { .. } => {
                GitError::NoReference { remote: shown(&git.remote), reference: commit.to_owned() }
            }
            error => error,
        };
        run("check out", &["checkout", "-q", "--force", "--detach", commit, "--"]).map_err(no_reference)?;
        if git.submodules.unwrap_or(true) && to.join(".gitmodules").symlink_metadata().is_ok() {
            run("fetch the submodules of", &["submodule", "update", "-q", "--init", "--recursive", "--depth=1"])?;
        }
        let time = run("look at", &["show", "-s", "--format=%ct", commit])?;
        if !keep {
            remove_git(to).map_err(|error| GitError::Failed {
                act: "clean up after",
                remote: shown(&git.remote),
                why: error.to_string(),
            })?;
        }
        Ok(time.trim().parse().unwrap_or(0))
    }

    fn run(&self, git: &GitRef, act: &'static str, at: Option<&Path>, arguments: &[&str]) -> Result<String, GitError> {
        let failed = |why: String| GitError::Failed { act, remote: shown(&git.remote), why };
        let file = || tempfile::tempfile().map_err(|error| failed(error.to_string()));
        let (mut output, mut errors) = (file()?, file()?);
        let authorization = self.settings_with_authorization(git).map_err(|error| failed(error.to_string()))?;
        let copy = |file: &File| file.try_clone().map_err(|error| failed(error.to_string()));
        let mut command = self.command(at);
        if let Some(file) = &authorization {
            // Git's helpers and submodules read it, too; it is in no argument and no environment.
            command.env("GIT_CONFIG_GLOBAL", format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        }
        command.args(arguments).stdin(Stdio::null()).stdout(copy(&output)?).stderr(copy(&errors)?);
        let mut child = command.spawn().map_err(|error| GitError::Start { why: error.to_string() })?;
        let texts = [&output, &errors];
        let status = match self.wait(&mut child, at, texts).map_err(|error| failed(error.to_string()))? {
            Ended::Itself(status) => status,
            Ended::Cancelled => return Err(GitError::Cancelled),
            Ended::TooBig => return Err(GitError::TooBig { act, remote: shown(&git.remote), limit: self.limit }),
        };
        if status.success() {
            return Ok(text_of(&mut output));
        }
        let said = text_of(&mut errors);
        let line = said.lines().rev().find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
        let why = line.or_else(|| said.lines().last()).unwrap_or("it gave no reason");
        Err(failed(why.trim_start_matches("fatal: ").to_owned()))
    }

    /// Waits for git, and ends it with all that it started when the build ends or when what it wrote into `at` and `texts`
    /// passes the limit.
    fn wait(&self, child: &mut Child, at: Option<&Path>, texts: [&File; 2]) -> std::io::Result<Ended> {
        let mut growth = Growth::of(at);
        let why = loop {
            let ended = child.try_wait()?;
            if growth.measured(ended.is_some(), texts)? > self.limit {
                break Ended::TooBig;
            }
            match ended {
                Some(status) => return Ok(Ended::Itself(status)),
                None if self.cancel.is_cancelled() => break Ended::Cancelled,
                None => std::thread::sleep(PATIENCE),
            }
        };
        if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
            // It may have ended meanwhile; how says nothing.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
        child.wait()?;
        Ok(why)
    }

    /// Returns git's settings with the `Authorization`, for the repository's server alone, in a file without a name in
    /// memory; nothing if there is none to send.
    fn settings_with_authorization(&self, git: &GitRef) -> std::io::Result<Option<File>> {
        let (Some(authorization), Some(origin)) = (&self.authorization, http_origin(&git.remote)) else {
            return Ok(None);
        };
        let mut file = File::from(memfd_create("lbuild-git", MemfdFlags::CLOEXEC)?);
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let header = quoted(&format!("Authorization: {}", authorization.expose()));
        writeln!(file, "[http \"{}\"]\n\textraHeader = \"{header}\"", quoted(&origin))?;
        Ok(Some(file))
    }

    /// Returns git with no setting, hook or protocol but ours, in a process group of its own.
    fn command(&self, at: Option<&Path>) -> Command {
        let mut command = Command::new("git");
        command.process_group(0);
        if let Some(at) = at {
            command.current_dir(at);
        }
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("GIT_ALLOW_PROTOCOL", PROTOCOLS).env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C");
        command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes").env("GIT_LFS_SKIP_SMUDGE", "1");
        if let Some(file) = &self.ca_file {
            command.env("GIT_SSL_CAINFO", file);
        }
        let settings = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.autocrlf", "false"),
            ("protocol.file.allow", "never"),
            ("init.defaultBranch", "main"),
            ("advice.detachedHead", "false"),
        ];
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (number, (key, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command
    }
}

/// Reports whether `text` is all digits of a commit, SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns `https://host[:port]/` of an address; nothing for other protocols.
fn http_origin(remote: &str) -> Option<String> {
    let (scheme, rest) = remote.split_once("://")?;
    let host = rest.split('/').next()?.rsplit('@').next()?;
    matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https").then(|| format!("{scheme}://{host}/"))
}

/// Returns an address without its user, which may hold a password.
fn shown(remote: &str) -> String {
    match remote.contains("://") {
        true => layerfs::registry::web::without_user(remote),
        false => remote.to_owned(),
    }
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read was not said.
    if file.rewind().is_ok() && file.take(LONGEST).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Removes `.git`, a directory here and a file in submodules.
fn remove_git(top: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(top)? {
        let entry = entry?;
        let is_directory = entry.file_type()?.is_dir();
        match (entry.file_name() == ".git", is_directory) {
            (true, true) => std::fs::remove_dir_all(entry.path())?,
            (true, false) => std::fs::remove_file(entry.path())?,
            (false, true) => remove_git(&entry.path())?,
            (false, false) => {}
        }
    }
    Ok(())
}
