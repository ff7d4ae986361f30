//! Questions to the user, and what comes on standard input: an interrupt ends every wait.

use layerfs::cancel::Cancel;
use layerfs::io_error::{IoContext, IoError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Stdin, Write, stdin};
use std::os::fd::AsFd;

/// Most bytes that are taken from standard input.
const LIMIT: usize = 1 << 20;
const INPUT: &str = "standard input";

/// Reports whether somebody can be asked.
pub fn is_possible() -> bool {
    stdin().is_terminal()
}

/// Asks `question` on standard error, and returns the line that was typed; nothing if the user ended it.
///
/// # Errors
/// The operating system's.
pub fn line(question: &str, cancel: &Cancel) -> Result<Option<Vec<u8>>, IoError> {
    ask(question)?;
    read(cancel, true)
}

/// Does the same as [`line()`], but what is typed is not shown.
///
/// # Errors
/// The operating system's.
pub fn secret(question: &str, cancel: &Cancel) -> Result<Option<Vec<u8>>, IoError> {
    ask(question)?;
    let silence = Silence::begin().at("silence", INPUT)?;
    let typed = read(cancel, true);
    drop(silence);
    ask("\n")?;
    typed
}

/// Returns all that comes on standard input; nothing if the user ended it.
///
/// # Errors
/// The operating system's.
pub fn all(cancel: &Cancel) -> Result<Option<Vec<u8>>, IoError> {
    read(cancel, false)
}

fn ask(question: &str) -> Result<(), IoError> {
    let mut screen = std::io::stderr().lock();
    screen.write_all(question.as_bytes()).and_then(|()| screen.flush()).at("write", "standard error")
}

/// Reads to the end of the line or of the input.
fn read(cancel: &Cancel, one_line: bool) -> Result<Option<Vec<u8>>, IoError> {
    let input = stdin();
    let mut bytes = Vec::new();
    while wait(&input, cancel)? {
        let mut buffer = [0; 4096];
        let read = nix::unistd::read(&input, &mut buffer).at("read", INPUT)?;
        bytes.extend_from_slice(&buffer[..read]);
        if read == 0 || bytes.len() > LIMIT || (one_line && bytes.contains(&b'\n')) {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Waits for input; reports whether there is any, rather than an interrupt.
fn wait(input: &Stdin, cancel: &Cancel) -> Result<bool, IoError> {
    let mut watched = [PollFd::new(input.as_fd(), PollFlags::POLLIN), PollFd::new(cancel.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            result => {
                result.at("wait for", INPUT)?;
                return Ok(!cancel.is_cancelled());
            }
        }
    }
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Silence(Termios);

impl Silence {
    fn begin() -> nix::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin(), SetArg::TCSANOW, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if tcsetattr(stdin(), SetArg::TCSANOW, &self.0).is_err() {
            // The terminal has gone, and with it who could miss the echo.
        }
    }
}
