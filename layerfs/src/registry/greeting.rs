//! [`is_plain`]: greets a server of this machine in TLS, to hear whether it speaks something else.
//!
//! A try in earnest takes the certificates of every authority first, and they take longer to read than such a server takes
//! to answer. What is found out here, the try would find out the same way: nothing is trusted for it, nothing secret is said,
//! and where the answer is not clear there is still the try.

use super::address::{Origin, port_of};
use crate::cancel::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a server of this machine may take; one that takes longer is tried in earnest.
const PATIENCE: Duration = Duration::from_secs(1);
/// The content types of an answer in TLS: an alert, a handshake (RFC 8446, 5.1).
const TLS: [u8; 2] = [21, 22];
/// What stands for random bytes in a greeting that nobody goes on with.
const RANDOM: &[u8; 32] = b"lbuild asks which protocol it is";

/// Returns a greeting of TLS 1.2 (RFC 5246, 7.4.1.2). Servers of HTTP read it as a line, which its last extension ends, and
/// refuse it.
fn hello() -> Vec<u8> {
    let record = [22, 3, 1, 0, 69];
    let version = [1, 0, 0, 65, 3, 3];
    let no_session = [0];
    // AES-128-GCM with ECDHE, of ECDSA and of RSA; no compression.
    let ciphers = [0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0];
    // Signatures: ECDSA, RSA-PSS, RSA, with SHA-256. Curves: P-256.
    let extensions = [0, 20, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1, 0, 10, 0, 4, 0, 2, 0, 23];
    [&record[..], &version, RANDOM, &no_session, &ciphers, &extensions].concat()
}

/// Reports whether `host` (`host[:port]`), which is this machine, answers a greeting in TLS with what is no TLS.
pub(super) fn is_plain(host: &str, cancel: &Cancel) -> bool {
    first_byte(&Origin::new(true, host), cancel).is_some_and(|byte| !TLS.contains(&byte))
}

/// Returns the first byte that the server answers; nothing if nobody is there, or nothing comes of it.
fn first_byte(origin: &Origin, cancel: &Cancel) -> Option<u8> {
    let port = port_of(&origin.authority).unwrap_or("443").parse::<u16>().ok()?;
    let mut addresses = (origin.host(), port).to_socket_addrs().ok()?;
    let mut stream = addresses.find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok())?;
    stream.write_all(&hello()).ok()?;
    let left = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let mut both = [PollFd::new(&stream, PollFlags::IN), PollFd::new(cancel, PollFlags::IN)];
    poll(&mut both, Some(&left)).ok()?;
    let answered = !both[0].revents().is_empty();
    let mut first = [0];
    (answered && stream.read(&mut first).ok()? == 1).then_some(first[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Greets a server that answers these bytes.
    fn greets(answer: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut got = hello();
            got.fill(0);
            stream.read_exact(&mut got).expect("a hello");
            stream.write_all(answer).expect("answered");
            got
        });
        let is = is_plain(&host, &Cancel::new().expect("an eventfd"));
        assert_eq!(server.join().expect("no panic"), hello());
        is
    }

    #[test]
    fn what_is_no_tls_is_plain() {
        assert!(greets(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        assert!(!greets(&[22, 3, 3]), "a hello");
        assert!(!greets(&[21, 3, 3]), "an alert");
        assert!(!greets(b""), "one that hangs up says nothing");
    }

    #[test]
    fn nobody_there_and_a_build_that_ended_say_nothing() {
        let cancel = Cancel::new().expect("an eventfd");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        cancel.cancel();
        assert!(!is_plain(&host, &cancel), "nobody accepts, and nobody waits");
        drop(listener);
        assert!(!is_plain(&host, &cancel));
        assert!(!is_plain("127.0.0.1:x", &cancel));
    }

    /// The lengths in it fit, and it holds the end of a line.
    #[test]
    fn the_hello_is_whole() {
        let hello = hello();
        let length = |at: usize| usize::from(hello[at]) << 8 | usize::from(hello[at + 1]);
        assert_eq!((length(3), length(7)), (hello.len() - 5, hello.len() - 9));
        let extensions = 5 + 4 + 2 + 32 + 1 + 6 + 2;
        assert_eq!(length(extensions), hello.len() - extensions - 2);
        assert!(hello.contains(&b'\n'));
    }
}
