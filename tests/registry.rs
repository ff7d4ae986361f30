//! Registries for the tests, all on loopback: a real `docker-registry`, a token server whose tokens it verifies, and a
//! proxy between the two ends that counts, keeps what it saw, and breaks things.

mod certificates;
mod elsewhere;
mod faults;
mod proxy;
mod relay;
mod server;
mod token_server;
mod wire;

pub use certificates::Certificates;
pub use elsewhere::SIGNATURE;
pub use faults::{Fault, Faults, random};
pub use proxy::{Class, Exchange, Proxy};
pub use server::{PASSWORD, Registry, USER};
pub use token_server::{Post, REFRESH_TOKEN, TokenServer};

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
