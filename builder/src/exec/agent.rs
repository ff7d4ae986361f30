//! [`Agents`]: SSH agents that commands may ask, through a socket in their sandbox (row 1.7-10).
//!
//! The socket in the sandbox is bound and given its owner there, since only there the owner has a name; it is this
//! process, the user, that answers on it and speaks to the agent. What it lets through is listing keys and signing
//! (draft-miller-ssh-agent 3.5, 3.6): an agent of the user's is not to be changed by a Dockerfile.

use crate::error::StepError;
use crate::request::{SshSource, SshSpec};
use layerfs::io_error::IoContext;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How often a thread that waits looks whether it is to end.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How many connections of one command are answered at once.
const MOST_AT_ONCE: usize = 32;
/// The longest message of either side, in bytes (OpenSSH's AGENT_MAX_LEN).
const LONGEST_MESSAGE: usize = 256 << 10;
/// SSH_AGENT_FAILURE.
const FAILURE: u8 = 5;
/// SSH_AGENTC_REQUEST_IDENTITIES and SSH_AGENTC_SIGN_REQUEST.
const ALLOWED: [u8; 2] = [11, 13];

/// The agents of a build, each begun when a command first asks for it.
#[derive(Debug)]
pub(super) struct Agents<'a> {
    specs: &'a [SshSpec],
    temporary: PathBuf,
    own: Mutex<Vec<(usize, OwnAgent)>>,
}

/// An agent that was begun for keys in files.
#[derive(Debug)]
struct OwnAgent {
    directory: tempfile::TempDir,
    child: Child,
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            // It was killed; how it ended says nothing.
            self.child.wait().ok();
        }
    }
}

/// Where an agent listens, and whether all is let through.
#[derive(Debug, Clone)]
struct Upstream {
    socket: PathBuf,
    raw: bool,
}

impl<'a> Agents<'a> {
    /// Returns the agents that `specs` name; files of their own go to `temporary`.
    pub(super) fn new(specs: &'a [SshSpec], temporary: PathBuf) -> Self {
        Self { specs, temporary, own: Mutex::default() }
    }

    /// Returns the ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.specs.iter().map(|spec| spec.id.as_str())
    }

    /// Opens a door to the agent `id`, for one command; nothing if there is none of that id.
    ///
    /// # Errors
    /// [`StepError::Agent`]; the operating system's.
    pub(super) fn door(&self, id: &str) -> Result<Option<Door>, StepError> {
        let Some(number) = self.specs.iter().position(|spec| spec.id == id) else { return Ok(None) };
        let upstream = match &self.specs[number].source {
            SshSource::Socket { path, raw } => Upstream { socket: path.clone(), raw: *raw },
            SshSource::Keys(keys) => Upstream { socket: self.own_agent(number, keys)?, raw: false },
        };
        connect(&upstream.socket).map_err(|error| self.failed(number, "connect to its socket", &error))?;
        Door::open(upstream).map(Some)
    }

    /// Returns the socket of the agent that holds these keys.
    fn own_agent(&self, number: usize, keys: &[PathBuf]) -> Result<PathBuf, StepError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, agent)) = own.iter().find(|(other, _)| *other == number) {
            return Ok(agent.directory.path().join("agent"));
        }
        let directory = tempfile::tempdir_in(&self.temporary).at("make directory in", &self.temporary)?;
        let mut command = quiet(Command::new("ssh-agent"), directory.path());
        // The address is relative: the path of the directory may be too long for one.
        let child = command.args(["-D", "-a", "agent"]).spawn();
        let child = child.map_err(|error| self.failed(number, "start `ssh-agent`", &error))?;
        let agent = OwnAgent { directory, child };
        wait_for(&agent.directory.path().join("agent"));
        for key in keys {
            self.add_key(number, key, agent.directory.path())?;
        }
        let socket = agent.directory.path().join("agent");
        own.push((number, agent));
        Ok(socket)
    }

    fn add_key(&self, number: usize, key: &Path, directory: &Path) -> Result<(), StepError> {
        let key = std::path::absolute(key).at("find", key)?;
        let mut command = quiet(Command::new("ssh-add"), directory);
        let added = command.arg("-q").arg("--").arg(&key).env("SSH_AUTH_SOCK", "agent").output();
        let added = added.map_err(|error| self.failed(number, "start `ssh-add`", &error))?;
        if added.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&added.stderr).lines().next().unwrap_or("no reason given").to_owned();
        Err(StepError::Agent { id: self.specs[number].id.clone(), why: format!("add key `{}`: {why}", key.display()) })
    }

    fn failed(&self, number: usize, act: &str, error: &io::Error) -> StepError {
        StepError::Agent { id: self.specs[number].id.clone(), why: format!("{act}: {error}") }
    }
}

/// Returns a command that asks nobody for a passphrase.
fn quiet(mut command: Command, directory: &Path) -> Command {
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("SSH_ASKPASS_REQUIRE", "never").env_remove("DISPLAY").env_remove("SSH_ASKPASS");
    command
}

/// Waits for a socket to come up, half a second at most: the first use says what is wrong after that.
fn wait_for(socket: &Path) {
    for _ in 0..50 {
        if socket.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Connects to a socket, however long its path.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let directory =
        std::fs::File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&directory);
    let name = path.file_name().unwrap_or_default();
    UnixStream::connect(Path::new(&format!("/proc/self/fd/{descriptor}")).join(name))
}

/// A socket to hand over, unbound, on which the agent is spoken for until this is dropped.
#[derive(Debug)]
pub(super) struct Door {
    socket: OwnedFd,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(upstream: Upstream) -> Result<Self, StepError> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.at("make", "socket")?;
        let own = socket.try_clone().at("copy", "socket")?;
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let thread = std::thread::spawn(move || answer(&own, &upstream, &end));
        Ok(Self { socket, ends, thread: Some(thread) })
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic, and what a connection failed with is the client's affair.
            thread.join().ok();
        }
    }
}

/// Answers on `socket`, once someone has bound it, until the end.
fn answer(socket: &OwnedFd, upstream: &Upstream, ends: &Arc<AtomicBool>) {
    while !sockopt::socket_acceptconn(socket).unwrap_or(false) {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let Ok(listener) = socket.try_clone().map(UnixListener::from) else { return };
    let busy = Arc::new(AtomicUsize::new(0));
    while !ends.load(Ordering::Relaxed) {
        let mut watched = [PollFd::new(&listener, PollFlags::IN)];
        let free = busy.load(Ordering::Relaxed) < MOST_AT_ONCE;
        if rustix::event::poll(&mut watched, Some(&PATIENCE)).is_err() || watched[0].revents().is_empty() || !free {
            continue;
        }
        let Ok((client, _)) = listener.accept() else { return };
        let (upstream, ends, busy) = (upstream.clone(), Arc::clone(ends), Arc::clone(&busy));
        busy.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            // A connection that breaks is the client's affair.
            serve(client, &upstream, &ends).ok();
            busy.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Speaks for the agent on one connection.
fn serve(mut client: UnixStream, upstream: &Upstream, ends: &AtomicBool) -> io::Result<()> {
    let mut agent = connect(&upstream.socket)?;
    while let Some(question) = message(&mut client, ends)? {
        let allowed = upstream.raw || question.first().is_some_and(|kind| ALLOWED.contains(kind));
        let answer = match allowed {
            true => {
                send(&mut agent, &question)?;
                message(&mut agent, ends)?
            }
            false => Some(vec![FAILURE]),
        };
        let Some(answer) = answer else { return Ok(()) };
        send(&mut client, &answer)?;
    }
    Ok(())
}

fn send(to: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    to.write_all(&[&length.to_be_bytes(), message].concat())
}

/// Reads one message without its length; nothing at the end.
fn message(from: &mut UnixStream, ends: &AtomicBool) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut watched = [PollFd::new(&*from, PollFlags::IN)];
        rustix::event::poll(&mut watched, Some(&PATIENCE))?;
        if ends.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if !watched[0].revents().is_empty() {
            break;
        }
    }
    // Whoever began a message must go on with it.
    from.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
    let mut length = [0; 4];
    match from.read(&mut length)? {
        0 => return Ok(None),
        4 => {}
        read => from.read_exact(&mut length[read..])?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 || length > LONGEST_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that answers each message with its type and 1.
    fn agent(directory: &Path) -> PathBuf {
        let path = directory.join("upstream");
        let listener = UnixListener::bind(&path).expect("bound");
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.expect("a client");
                std::thread::spawn(move || {
                    while let Ok(Some(question)) = message(&mut client, &AtomicBool::new(false)) {
                        send(&mut client, &[question[0], 1]).expect("sent");
                    }
                });
            }
        });
        path
    }

    #[test]
    fn only_listing_and_signing_get_through_1_7_10() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = agent(directory.path());
        for (raw, add) in [(false, vec![FAILURE]), (true, vec![17, 1])] {
            let source = SshSource::Socket { path: path.clone(), raw };
            let specs = [SshSpec { id: "default".to_owned(), source }];
            let agents = Agents::new(&specs, directory.path().to_owned());
            assert!(agents.door("other").expect("no error").is_none());
            let door = agents.door("default").expect("an agent").expect("a door");
            let place = directory.path().join(format!("place-{raw}"));
            let address = rustix::net::SocketAddrUnix::new(&place).expect("an address");
            rustix::net::bind(&door, &address).expect("bound");
            rustix::net::listen(&door, 4).expect("listens");
            let mut client = connect(&place).expect("connected");
            for (question, wanted) in [(11, vec![11, 1]), (13, vec![13, 1]), (17, add.clone())] {
                send(&mut client, &[question]).expect("sent");
                assert_eq!(
                    message(&mut client, &AtomicBool::new(false)).expect("read"),
                    Some(wanted),
                    "{raw} {question}"
                );
            }
            drop(door);
            assert_eq!(message(&mut client, &AtomicBool::new(false)).unwrap_or_default(), None, "the end of the door");
        }
        let specs =
            [SshSpec { id: "x".into(), source: SshSource::Socket { path: directory.path().join("no"), raw: false } }];
        let error = Agents::new(&specs, directory.path().to_owned()).door("x").expect_err("no socket");
        assert!(error.to_string().starts_with("ssh agent `x`: connect to its socket: "), "{error}");
    }
}
