//! Registries for the tests, all on loopback: a real `docker-registry`, a token server whose tokens it verifies, and a
//! proxy between the two ends that counts, keeps what it saw, and breaks things.

mod certificates;
mod elsewhere;
mod faults;
pub mod form;
mod proxy;
mod relay;
mod server;
mod token_server;
pub mod wire;

pub use certificates::Certificates;
pub use elsewhere::SIGNATURE;
pub use faults::{Asking, Fault, Faults, random};
pub use form::Form;
pub use proxy::{Class, Exchange, Proxy};
pub use server::{PASSWORD, Registry, USER};
pub use token_server::{Post, REFRESH_TOKEN, TokenRequest, TokenServer};

use crate::harness::{base, output};
use sha2::{Digest, Sha256};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A listener whose connections are each served by a thread; dropped, it accepts no more.
struct Listening {
    address: String,
    ended: Arc<AtomicBool>,
}

impl Listening {
    /// Serves connections to a free port of `host`.
    fn on(host: &str, serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (ended, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let end = ended.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let serve = serve.clone();
                // A client that goes away in mid-sentence is what these servers are for.
                std::thread::spawn(move || serve(stream).ok());
            }
        });
        Self { address, ended }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread; if nothing listens any more, it has ended.
        TcpStream::connect(&self.address).ok();
    }
}

/// Returns an address on loopback where nothing listens.
pub fn dead_address() -> String {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").to_string()
}

/// Returns the digest of bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Returns where skopeo and others find a base.
pub fn layout(name: &str) -> String {
    let place = base(name).canonicalize().expect("a layout");
    format!("oci:{}:latest", place.display())
}

/// Puts a manifest into a registry that anyone may write to.
#[track_caller]
pub fn put(address: &str, repository: &str, tag: &str, kind: &str, text: &str) {
    let (place, kind) = (format!("http://{address}/v2/{repository}/manifests/{tag}"), format!("Content-Type: {kind}"));
    output("curl", &["-sS", "--fail-with-body", "-X", "PUT", "-H", &kind, "--data-binary", text, &place]);
}

/// Returns the sum over what a proxy saw of a method and a class.
pub fn sum(seen: &[Exchange], method: &str, class: Class, what: fn(&Exchange) -> u64) -> u64 {
    seen.iter().filter(|one| one.method == method && one.class == class).map(what).sum()
}

/// Returns how many bytes of blobs were sent.
pub fn sent(seen: &[Exchange]) -> u64 {
    ["POST", "PATCH", "PUT"].iter().map(|method| sum(seen, method, Class::Upload, |one| one.sent)).sum()
}

/// Returns how many bytes of blobs were received.
pub fn received(seen: &[Exchange]) -> u64 {
    let of = |class| sum(seen, "GET", class, |one| one.received);
    of(Class::Blob) + of(Class::Elsewhere)
}
