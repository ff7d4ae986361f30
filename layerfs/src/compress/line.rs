//! [`Line`]: members that are compressed by all cores, and come out in the order in which they went in.

use super::compressor::Method;
use super::earlier::{Earlier, Member, crc};
use rayon::{Scope, Yield};
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Members on their way for each core: with fewer, cores wait while the first one's bytes are being written.
const PER_CORE: usize = 4;

/// Members on their way, whatever the number of cores. A member has 1 MiB, so this bounds memory.
const MOST: usize = 24;

/// Members being compressed, the first to be written in front.
pub(super) struct Line<'a> {
    method: Method,
    earlier: &'a Earlier,
    most: usize,
    waiting: VecDeque<Receiver<Done>>,
    /// Room for plain bytes, to be filled again.
    spare: Vec<Vec<u8>>,
}

/// A compressed member, and the room that its plain bytes were in.
struct Done {
    member: io::Result<(Member, Vec<u8>)>,
    plain: Vec<u8>,
}

impl<'a> Line<'a> {
    pub(super) fn new(method: Method, earlier: &'a Earlier) -> Self {
        let most = MOST.min(PER_CORE * rayon::current_num_threads());
        Self { method, earlier, most, waiting: VecDeque::with_capacity(most), spare: Vec::new() }
    }

    /// Returns room for the plain bytes of a member.
    pub(super) fn room(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.most
    }

    /// Lets a thread of the pool compress `plain`.
    pub(super) fn push<'scope>(&mut self, scope: &Scope<'scope>, plain: Vec<u8>)
    where
        'a: 'scope,
    {
        let (done, waiting) = sync_channel(1);
        let (method, earlier) = (self.method, self.earlier);
        scope.spawn(move |_| compress(plain, method, earlier, &done));
        self.waiting.push_back(waiting);
    }

    /// Returns the first member, once it is compressed; nothing if there is none.
    pub(super) fn pop(&mut self) -> Option<io::Result<(Member, Vec<u8>)>> {
        let Done { member, plain } = wait(&self.waiting.pop_front()?);
        self.spare.push(plain);
        Some(member)
    }
}

fn compress(plain: Vec<u8>, method: Method, earlier: &Earlier, done: &SyncSender<Done>) {
    let member = member(&plain, method, earlier);
    if done.send(Done { member, plain }).is_err() {
        // Reading or writing failed; nobody waits any more.
    }
}

/// Returns the member that holds `plain`: an earlier layer's, or a new one.
pub(super) fn member(plain: &[u8], method: Method, earlier: &Earlier) -> io::Result<(Member, Vec<u8>)> {
    let crc = crc(plain);
    let bytes = earlier.find(plain, crc).map_or_else(|| method.compress(plain), Ok)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    Ok((Member { crc, plain: length(plain)?, compressed: length(&bytes)? }, bytes))
}

/// Waits for a member. A thread of the pool compresses while it waits: it may be the only one.
fn wait(waiting: &Receiver<Done>) -> Done {
    loop {
        match waiting.try_recv() {
            Ok(done) => return done,
            Err(TryRecvError::Disconnected) => panic!("a compressor panicked"),
            Err(TryRecvError::Empty) if rayon::yield_now() == Some(Yield::Executed) => {}
            Err(TryRecvError::Empty) => break,
        }
    }
    waiting.recv().expect("compressing does not panic")
}
