//! [`on_terminal`]: a program in a sandbox on the user's terminal, through a terminal of its own, so that nothing in it
//! can push characters into the user's.

use layerfs::io_error::{IoContext, IoError};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use std::io::{IsTerminal, Write, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Milliseconds between two looks at the size of the user's terminal.
const BEAT: u16 = 200;

/// Reports whether there is a user at a terminal.
pub fn is_there() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// Calls `run` with a terminal, and passes on what is typed and what is written until it returns and all of it is seen.
///
/// # Errors
/// The operating system's, if there is no such terminal.
pub fn on_terminal<T>(run: impl FnOnce(BorrowedFd<'_>) -> T) -> Result<T, IoError> {
    let pair = openpty(None, None).at("open", "a terminal")?;
    let mut size = None;
    follow_size(&pair.master, &mut size);
    let raw = Raw::begin().at("set", "the terminal")?;
    let (master, slave) = (pair.master, pair.slave);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| relay(&master, &mut size));
        let result = run(slave.as_fd());
        // With its last end closed, what was written is read to its end.
        drop(slave);
        result
    });
    drop(raw);
    Ok(result)
}

/// Passes bytes on in both directions until nobody is on the other side.
fn relay(master: &OwnedFd, size: &mut Option<Winsize>) {
    let input = stdin();
    let mut typing = true;
    loop {
        follow_size(master, size);
        let mut watched = vec![PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        if typing {
            watched.push(PollFd::new(input.as_fd(), PollFlags::POLLIN));
        }
        if let Err(error) = poll(&mut watched, PollTimeout::from(BEAT))
            && error != Errno::EINTR
        {
            return;
        }
        let ready = |at: usize| watched.get(at).and_then(PollFd::revents).is_some_and(|events| !events.is_empty());
        let (written, typed) = (ready(0), ready(1));
        if typed {
            typing = pass_on(&input, |bytes| write_all(master, bytes));
        }
        if written && !pass_on(master, show) {
            return;
        }
    }
}

/// Reads once and hands it on; reports whether there may be more.
fn pass_on(from: impl AsFd, mut to: impl FnMut(&[u8]) -> bool) -> bool {
    let mut buffer = [0; 4096];
    match nix::unistd::read(from, &mut buffer) {
        Ok(0) => false,
        Ok(count) => to(&buffer[..count]),
        Err(error) => matches!(error, Errno::EINTR | Errno::EAGAIN),
    }
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match nix::unistd::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn show(bytes: &[u8]) -> bool {
    let mut out = stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// Gives a terminal the size of the user's, if that has changed.
fn follow_size(master: &OwnedFd, size: &mut Option<Winsize>) {
    let Ok(now) = tcgetwinsize(stdout()) else { return };
    let is = |one: &Winsize| (one.ws_col, one.ws_row) == (now.ws_col, now.ws_row);
    if !size.as_ref().is_some_and(is) && tcsetwinsize(master, now).is_ok() {
        *size = Some(now);
    }
}

/// The user's terminal handing on every key, for as long as this lives.
struct Raw(Termios);

impl Raw {
    fn begin() -> nix::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if tcsetattr(stdin(), SetArg::TCSADRAIN, &self.0).is_err() {
            // The terminal has gone.
        }
    }
}
