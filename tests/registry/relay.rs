//! [`Relay`]: one exchange through a proxy, and its fault.

use super::elsewhere::SIGNATURE;
use super::faults::Fault;
use super::proxy::{Class, Exchange};
use super::wire::{Framing, Head, answer, body, piece};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, BufReader, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An exchange that goes on changing.
pub(super) type Seen = Arc<Mutex<Exchange>>;

/// One exchange.
pub(super) struct Relay {
    pub upstream: String,
    pub elsewhere: String,
    pub fault: Fault,
    pub seen: Seen,
}

/// Status, fields and body.
type OwnAnswer = (String, Vec<(&'static str, String)>, String);

/// Injected ends of a connection, told apart from real ones by kinds that sockets do not give.
const RESET: ErrorKind = ErrorKind::Unsupported;
const TRUNCATED: ErrorKind = ErrorKind::NotADirectory;

impl Relay {
    /// Hands a request and its response on; reports whether the connection may carry another.
    ///
    /// # Errors
    /// The client or the registry went away.
    pub fn run(&self, client: &mut BufReader<TcpStream>, head: Head) -> io::Result<bool> {
        let result = self.exchange(client, head);
        let Err(error) = &result else { return result };
        match error.kind() {
            RESET => {
                self.note_fault();
                reset(client.get_ref())?;
            }
            TRUNCATED => {
                self.note_fault();
                client.get_ref().shutdown(Shutdown::Write)?;
                // What the client still sends would turn the end into a reset.
                io::copy(client, &mut io::sink())?;
            }
            _ => return result,
        }
        Ok(false)
    }

    fn exchange(&self, client: &mut BufReader<TcpStream>, mut head: Head) -> io::Result<bool> {
        if head.field("expect").is_some() {
            head.remove("expect");
            client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (of_head, last) = (head.word(0) == "HEAD", head.field("connection") == Some("close"));
        if let Some((status, fields, told)) = self.own_answer(&head) {
            self.note_fault();
            body(client, head.framing(Framing::Length(0)), |bytes| {
                self.note_sent(bytes);
                Ok(())
            })?;
            self.seen.lock().expect("no panic").status = status[..3].parse().expect("a status");
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            answer(client.get_mut(), &status, &fields, told.as_bytes(), of_head)?;
            return Ok(!last);
        }
        let mut upstream = BufReader::new(self.ask(client, head)?);
        Ok(self.respond(client, &mut upstream, of_head)? && !last)
    }

    /// Returns the status, fields and body that are answered without asking the registry.
    fn own_answer(&self, head: &Head) -> Option<OwnAnswer> {
        match &self.fault {
            Fault::Status(status, wait) => {
                let wait = wait.iter().map(|seconds| ("retry-after", seconds.to_string())).collect();
                let code = if *status == 429 { "TOOMANYREQUESTS" } else { "UNAVAILABLE" };
                let told = format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"a fault of the test\"}}]}}");
                Some((format!("{status} A Fault"), wait, told))
            }
            Fault::Answer(status, kind, told) => {
                Some((format!("{status} A Fault"), vec![("content-type", (*kind).to_owned())], told.clone()))
            }
            Fault::Redirect if Class::of(head.word(1)) == Class::Blob && head.word(0) == "GET" => {
                let digest = head.word(1).rsplit('/').next().unwrap_or_default();
                let place = format!("http://{}/{digest}?signature={SIGNATURE}", self.elsewhere);
                Some(("307 Temporary Redirect".to_owned(), vec![("location", place)], String::new()))
            }
            _ => None,
        }
    }

    /// Hands a request on and returns the connection that the response will come from.
    fn ask(&self, client: &mut BufReader<TcpStream>, mut head: Head) -> io::Result<TcpStream> {
        let framing = head.framing(Framing::Length(0));
        let limit = match self.fault {
            Fault::ResetRequest(at) | Fault::TearRequest(at) => at,
            _ => u64::MAX,
        };
        let mut kept = matches!(self.fault, Fault::ResetRequest(_)).then(Vec::new);
        head.set("connection", "close");
        let mut upstream = TcpStream::connect(&self.upstream)?;
        // A registry may answer and hang up before it has all: the rest is thrown away then.
        let mut gone = kept.is_none() && upstream.write_all(head.text().as_bytes()).is_err();
        let mut done = 0;
        body(client, framing, |bytes| {
            let (now, cut) = until(bytes, &mut done, limit);
            self.note_sent(now);
            match &mut kept {
                Some(kept) => kept.extend_from_slice(now),
                None => gone = gone || piece(&mut upstream, framing, now).is_err(),
            }
            if cut { Err(RESET.into()) } else { Ok(()) }
        })?;
        if let Some(kept) = kept {
            upstream.write_all(head.text().as_bytes())?;
            gone = kept.is_empty() || piece(&mut upstream, framing, &kept).is_err();
        }
        if framing == Framing::Chunked && !gone {
            // An answer may be there although the registry hung up.
            piece(&mut upstream, framing, &[]).ok();
        }
        Ok(upstream)
    }

    fn respond(
        &self,
        client: &mut BufReader<TcpStream>,
        upstream: &mut BufReader<TcpStream>,
        of_head: bool,
    ) -> io::Result<bool> {
        let mut head = Head::read(upstream)?.ok_or(ErrorKind::UnexpectedEof)?;
        let status: u16 = head.word(1).parse().unwrap_or_default();
        let framing = match (of_head, status) {
            (true, _) | (_, 204 | 304) => Framing::Length(0),
            _ => head.framing(Framing::Close),
        };
        self.seen.lock().expect("no panic").status = status;
        self.change(&mut head);
        if framing != Framing::Close {
            head.remove("connection");
        }
        if self.fault == Fault::ResetResponse(0) {
            return Err(RESET.into());
        }
        client.get_mut().write_all(head.text().as_bytes())?;
        let mut done = 0;
        body(upstream, framing, |bytes| self.hand_back(client.get_mut(), framing, bytes, &mut done))?;
        if framing == Framing::Chunked {
            piece(client.get_mut(), framing, &[])?;
        }
        Ok(framing != Framing::Close)
    }

    fn change(&self, head: &mut Head) {
        match self.fault {
            Fault::NoLocation if head.field("location").is_some() => {
                self.note_fault();
                head.remove("location");
            }
            Fault::WrongDigest if head.field("docker-content-digest").is_some() => {
                self.note_fault();
                head.set("docker-content-digest", format!("sha256:{}", "0".repeat(64)));
            }
            _ => {}
        }
    }

    fn hand_back(&self, client: &mut TcpStream, framing: Framing, bytes: &[u8], done: &mut u64) -> io::Result<()> {
        let before = *done;
        let limit = match self.fault {
            Fault::ResetResponse(at) | Fault::Truncate(at) => at,
            _ => u64::MAX,
        };
        let (now, cut) = until(bytes, done, limit);
        let mut now = now.to_vec();
        let here =
            |at: u64| at.checked_sub(before).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < bytes.len());
        match self.fault {
            Fault::Corrupt(at) => {
                if let Some(at) = here(at) {
                    self.note_fault();
                    now[at] ^= 1;
                }
            }
            Fault::Stall(at, time) if here(at).is_some() => {
                self.note_fault();
                std::thread::sleep(time);
            }
            _ => {}
        }
        let size = if let Fault::Drip(size) = self.fault { size.max(1) } else { usize::MAX };
        for part in now.chunks(size) {
            piece(client, framing, part)?;
            self.seen.lock().expect("no panic").received += part.len() as u64;
            if size != usize::MAX {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        match self.fault {
            _ if !cut => Ok(()),
            Fault::Truncate(_) => Err(TRUNCATED.into()),
            _ => Err(RESET.into()),
        }
    }

    fn note_fault(&self) {
        self.seen.lock().expect("no panic").fault = self.fault.clone();
    }

    fn note_sent(&self, bytes: &[u8]) {
        let mut seen = self.seen.lock().expect("no panic");
        seen.sent += bytes.len() as u64;
        let room = (64usize << 10).saturating_sub(seen.body.len());
        seen.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Returns the bytes before `limit`, and whether it was reached; `done` goes on.
fn until<'a>(bytes: &'a [u8], done: &mut u64, limit: u64) -> (&'a [u8], bool) {
    let room = usize::try_from(limit - *done).unwrap_or(usize::MAX);
    let now = &bytes[..bytes.len().min(room)];
    *done += now.len() as u64;
    (now, *done >= limit)
}

/// Ends a connection with a reset: nothing lingers.
fn reset(stream: &TcpStream) -> io::Result<()> {
    setsockopt(stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    Ok(())
}
