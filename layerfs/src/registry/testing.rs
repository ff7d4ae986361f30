//! What the tests of the client share: a registry that does as the test says, and clients with hand-made settings.

use super::Registries;
use super::auth::CredentialSource;
use super::credentials::{Credential, Found};
use super::error::RegistryError;
use super::observer::{Direction, Observer};
use super::routing::{Endpoint, Scheme, Serves};
use super::settings::{Patience, RegistrySettings};
use super::transport::TrustSource;
use super::trust::Trust;
use crate::cancel::Cancel;
use crate::digest::Digest;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Waits that a test can afford; silence is longer than what a busy machine makes of a server that answers at once.
pub(super) fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_secs(2),
    }
}

/// No authority but those that everybody trusts.
const NO_TRUST: Trust = Trust { authorities: Vec::new(), client: None, read: Vec::new() };

/// Returns the endpoint of a repository on this machine.
pub(super) fn endpoint(host: &str, repository: &str) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        repository: repository.to_owned(),
        scheme: Scheme::HttpsOrHttp,
        mirror: false,
        serves: Serves::All,
        credentials_host: host.to_owned(),
    }
}

/// Returns a client without credentials, and what hears of its doings.
pub(super) fn client(cancel: &Cancel) -> (Registries, Arc<Notes>) {
    client_of(cancel, Credential::Anonymous)
}

/// Returns a client without credentials that leaves a server after `idle` of silence.
pub(super) fn client_for_silence(cancel: &Cancel, idle: Duration) -> (Registries, Arc<Notes>) {
    client_of_patience(cancel, Patience { idle, ..patience() })
}

/// Returns a client without credentials that waits as is said.
pub(super) fn client_of_patience(cancel: &Cancel, patience: Patience) -> (Registries, Arc<Notes>) {
    let settings = RegistrySettings { patience, ..RegistrySettings::default() };
    client_with(cancel, Credential::Anonymous, settings, NO_TRUST)
}

/// Returns a client with one credential for all hosts.
pub(super) fn client_of(cancel: &Cancel, credential: Credential) -> (Registries, Arc<Notes>) {
    let settings = RegistrySettings { patience: patience(), ..RegistrySettings::default() };
    client_with(cancel, credential, settings, NO_TRUST)
}

/// Returns a client with one credential and one trust for all hosts.
pub(super) fn client_with(
    cancel: &Cancel,
    credential: Credential,
    settings: RegistrySettings,
    trust: Trust,
) -> (Registries, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let credentials = Box::new(One(Found { credential, place: "`host` in `auth.json`".to_owned() }));
    let observer = Arc::clone(&notes) as Arc<dyn Observer>;
    (Registries::with_sources(settings, observer, cancel, Box::new(Fixed(trust)), credentials), notes)
}

#[derive(Debug)]
struct One(Found);

impl CredentialSource for One {
    fn credential(&self, _: &str, _: &str) -> Result<Found, RegistryError> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Fixed(Trust);

impl TrustSource for Fixed {
    fn trust(&self, _: &str) -> Result<Trust, RegistryError> {
        Ok(self.0.clone())
    }
}

/// Writes down what it hears.
#[derive(Debug, Default)]
pub(super) struct Notes {
    said: Mutex<Vec<String>>,
    waits: Mutex<Vec<Duration>>,
    sent: Mutex<u64>,
}

impl Notes {
    /// Returns the waits and warnings.
    pub fn said(&self) -> MutexGuard<'_, Vec<String>> {
        self.said.lock().expect("no test panics while it writes")
    }

    /// Returns how long the waits were to be.
    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().expect("no panic").clone()
    }

    /// Returns how many bytes of a blob were transferred at last.
    pub fn sent(&self) -> u64 {
        *self.sent.lock().expect("no panic")
    }
}

impl Observer for Notes {
    fn transfer(&self, _: &Digest, _: Direction, done: u64, _: Option<u64>) {
        *self.sent.lock().expect("no panic") = done;
    }

    fn waiting(&self, host: &str, why: &str, wait: Duration) {
        self.waits.lock().expect("no panic").push(wait);
        self.said().push(format!("{host}: {why}"));
    }

    fn warning(&self, text: &str) {
        self.said().push(text.to_owned());
    }
}

/// A request as a scripted server gets it. Its body waits to be read.
pub(super) struct Received {
    pub method: String,
    /// Path and query.
    pub target: String,
    headers: Vec<(String, String)>,
    stream: BufReader<TcpStream>,
    left: usize,
}

/// What a scripted server does after its answer, or instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It waits for the next request.
    Keep,
    /// It closes.
    Close,
    /// It resets the connection.
    Reset,
    /// It says no more until the test is over.
    Stall,
    /// It says `x` again and again, slowly, until nobody hears it.
    Drip,
}

/// The answer of a scripted server, as it goes over the wire.
pub(super) struct Reply(pub Vec<u8>, pub Then);

impl Received {
    /// Returns a header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }

    /// Reads at most `most` further bytes of the body; fewer if it breaks off.
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.stream.by_ref().take(most.min(self.left) as u64).read_to_end(&mut bytes).is_err() {
            self.left = bytes.len();
        }
        self.left -= bytes.len();
        bytes
    }

    /// Reads the rest of the body.
    pub fn body(&mut self) -> Vec<u8> {
        self.read(usize::MAX)
    }

    /// Returns `METHOD target`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    fn receive(stream: &TcpStream) -> Option<Self> {
        let mut stream = BufReader::new(stream.try_clone().ok()?);
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, target, headers, stream, left: 0 };
        request.left = request.header("content-length").parse().unwrap_or(0);
        if request.header("expect") == "100-continue" {
            request.stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        Some(request)
    }
}

/// Returns an answer with headers and a body.
pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
    let mut bytes = format!("HTTP/1.1 {status} X\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    let stated = headers.iter().any(|(name, _)| matches!(*name, "content-length" | "transfer-encoding"));
    if !stated && status != 204 {
        bytes.extend(format!("content-length: {}\r\n", body.as_ref().len()).into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body.as_ref());
    Reply(bytes, Then::Keep)
}

impl Reply {
    pub fn then(self, then: Then) -> Self {
        Self(self.0, then)
    }

    /// Cuts `count` bytes off its end.
    pub fn without(mut self, count: usize) -> Self {
        self.0.truncate(self.0.len().saturating_sub(count));
        self
    }
}

/// A registry that does as the test says.
pub(super) struct Server {
    /// `127.0.0.1:port`.
    pub host: String,
    seen: Arc<Seen>,
}

/// What a scripted server saw, and whether the test is over.
#[derive(Default)]
struct Seen {
    lines: Mutex<Vec<String>>,
    connections: AtomicUsize,
    hellos: AtomicUsize,
    stop: AtomicBool,
}

impl Server {
    /// Starts a server that answers as `script` says.
    pub fn new(script: impl Fn(&mut Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (script, seen) = (Arc::new(script), Arc::new(Seen::default()));
        let theirs = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if theirs.stop.load(Ordering::SeqCst) {
                    return;
                }
                let (script, seen) = (Arc::clone(&script), Arc::clone(&theirs));
                std::thread::spawn(move || serve(&stream, &*script, &seen));
            }
        });
        Self { host, seen }
    }

    /// Returns the requests so far, `METHOD target` each.
    pub fn lines(&self) -> Vec<String> {
        self.seen.lines.lock().expect("no panic").clone()
    }

    /// Returns how often it was greeted in TLS.
    pub fn hellos(&self) -> usize {
        self.seen.hellos.load(Ordering::SeqCst)
    }

    /// Returns the number of connections that requests came through.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(&self.host).ok();
    }
}

fn serve(stream: &TcpStream, script: &(dyn Fn(&mut Received) -> Reply + Send + Sync), seen: &Seen) {
    // One who begins with TLS is told as Go's servers do.
    let mut first = [0];
    if stream.peek(&mut first).is_ok() && first == [0x16] {
        seen.hellos.fetch_add(1, Ordering::SeqCst);
        let mut stream = stream;
        // What is not read would reset the connection before the answer is heard.
        if stream.read(&mut [0; 16 << 10]).is_ok() {
            stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").ok();
        }
        return;
    }
    let mut connections = 1;
    while let Some(mut request) = Received::receive(stream) {
        seen.connections.fetch_add(std::mem::take(&mut connections), Ordering::SeqCst);
        seen.lines.lock().expect("no panic").push(request.line());
        let head_only = request.method == "HEAD";
        let Reply(mut bytes, then) = script(&mut request);
        if head_only && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            bytes.truncate(end + 4);
        }
        if then == Then::Keep {
            request.body();
        }
        let mut stream = stream;
        if stream.write_all(&bytes).is_err() {
            return;
        }
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                // What was sent is to arrive before the reset does.
                std::thread::sleep(Duration::from_millis(20));
                rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("a socket");
                return;
            }
            Then::Drip => {
                while !seen.stop.load(Ordering::SeqCst) && stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                return;
            }
            Then::Stall => {
                while !seen.stop.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                return;
            }
        }
    }
}
