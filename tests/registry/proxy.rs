//! [`Proxy`]: stands between a client and a registry; counts, keeps what it saw, and breaks things.

use super::elsewhere::Elsewhere;
use super::faults::{Asking, Fault, Faults};
use super::relay::{Relay, Seen};
use super::wire::Head;
use super::{Listening, Registry};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

/// The content type that a TLS connection begins with (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `/v2/`.
    Base,
    /// A manifest or index.
    Manifest,
    /// A blob.
    Blob,
    /// An upload.
    Upload,
    /// The list of tags.
    Tags,
    /// A blob at the other host, where a redirect leads.
    Elsewhere,
    /// Anything else.
    Other,
}

impl Class {
    /// Returns the class of a path.
    pub fn of(target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        match path {
            "/v2/" | "/v2" => Self::Base,
            _ if path.contains("/manifests/") => Self::Manifest,
            _ if path.contains("/blobs/uploads/") => Self::Upload,
            _ if path.contains("/blobs/") => Self::Blob,
            _ if path.ends_with("/tags/list") => Self::Tags,
            _ => Self::Other,
        }
    }
}

/// A request and what became of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// GET, PUT.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// What the path stands for.
    pub class: Class,
    /// The request's head.
    pub head: String,
    /// The first 64 KiB of the request's body.
    pub body: Vec<u8>,
    /// Bytes of the request's body that came.
    pub sent: u64,
    /// Status of the response; 0 if there was none.
    pub status: u16,
    /// Bytes of the response's body that went out.
    pub received: u64,
    /// What went wrong; of cuts only those that came about.
    pub fault: Fault,
}

impl Exchange {
    /// Returns a request of which nothing has become yet.
    pub(super) fn new(head: &Head, class: Class) -> Self {
        let (method, target) = (head.word(0).to_owned(), head.word(1).to_owned());
        Self {
            method,
            target,
            class,
            head: head.text(),
            body: Vec::new(),
            sent: 0,
            status: 0,
            received: 0,
            fault: Fault::None,
        }
    }
}

/// What a proxy and its other host saw; one list.
#[derive(Clone, Default)]
pub(super) struct Exchanges(Arc<Mutex<Vec<Seen>>>);

impl Exchanges {
    /// Adds an exchange, which goes on changing.
    pub(super) fn add(&self, exchange: Exchange) -> Seen {
        let seen = Arc::new(Mutex::new(exchange));
        self.0.lock().expect("no panic").push(seen.clone());
        seen
    }

    fn seen(&self) -> Vec<Exchange> {
        self.0.lock().expect("no panic").iter().map(|seen| seen.lock().expect("no panic").clone()).collect()
    }

    fn take(&self) -> Vec<Exchange> {
        let all = std::mem::take(&mut *self.0.lock().expect("no panic"));
        all.iter().map(|seen| seen.lock().expect("no panic").clone()).collect()
    }
}

/// A proxy on loopback. Blobs of its registry can be had from another host, too, as [`Fault::Redirect`] says.
pub struct Proxy {
    /// Where it listens: `127.0.0.1:40000`.
    pub address: String,
    shared: Arc<Shared>,
    _listening: [Listening; 2],
}

struct Shared {
    upstream: String,
    elsewhere: Elsewhere,
    elsewhere_address: Mutex<String>,
    faults: Mutex<Faults>,
    exchanges: Exchanges,
}

impl Proxy {
    /// Starts one in front of a registry.
    pub fn to(registry: &Registry, faults: Faults) -> Self {
        let exchanges = Exchanges::default();
        let elsewhere = Elsewhere { storage: registry.storage(), exchanges: exchanges.clone() };
        let (upstream, faults) = (registry.address.clone(), Mutex::new(faults));
        let shared = Arc::new(Shared { upstream, elsewhere, elsewhere_address: Mutex::default(), faults, exchanges });
        let (one, other) = (shared.clone(), shared.clone());
        let listening = Listening::on("127.0.0.1", move |stream| one.serve(stream));
        let elsewhere = Listening::on("127.0.0.2", move |stream| other.elsewhere.serve(stream));
        shared.elsewhere_address.lock().expect("no panic").clone_from(&elsewhere.address);
        Self { address: listening.address.clone(), shared, _listening: [listening, elsewhere] }
    }

    /// Returns the full name of an image behind it.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    /// Returns where its other host listens.
    pub fn elsewhere(&self) -> String {
        self.shared.elsewhere_address.lock().expect("no panic").clone()
    }

    /// Changes what goes wrong from now on.
    pub fn change(&self, faults: Faults) {
        *self.shared.faults.lock().expect("no panic") = faults;
    }

    /// Returns what it saw so far.
    pub fn seen(&self) -> Vec<Exchange> {
        self.shared.exchanges.seen()
    }

    /// Returns what it saw, and forgets it.
    pub fn take(&self) -> Vec<Exchange> {
        self.shared.exchanges.take()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(stream);
        // One who begins with TLS is told so in the clear, as registries do.
        if client.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
            return client.get_mut().write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
        while let Some(head) = Head::read(&mut client)? {
            let relay = Relay {
                upstream: self.upstream.clone(),
                elsewhere: self.elsewhere_address.lock().expect("no panic").clone(),
                fault: self.fault(&head),
                seen: self.exchanges.add(Exchange::new(&head, Class::of(head.word(1)))),
            };
            if !relay.run(&mut client, head)? {
                break;
            }
        }
        Ok(())
    }

    fn fault(&self, head: &Head) -> Fault {
        let (method, target) = (head.word(0).to_owned(), head.word(1).to_owned());
        let asking = Asking { class: Class::of(&target), method, target };
        self.faults.lock().expect("no panic").choose(&asking)
    }
}
