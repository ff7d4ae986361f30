//! [`ahead`]: what is read is read by a thread of its own, so that who reads can work on the last bytes meanwhile.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Buffers on their way at once.
const BUFFERS: usize = 4;
/// Bytes of one.
const BUFFER: usize = 256 << 10;

/// A buffer, and how much of it was read.
type Piece = (Vec<u8>, usize);

/// Gives out what the thread ahead of it has read.
#[derive(Debug)]
pub struct Ahead {
    read: Receiver<io::Result<Piece>>,
    free: SyncSender<Vec<u8>>,
    piece: Piece,
    /// How much of the piece was given out.
    at: usize,
}

/// Lets `work` read what `inner` reads, which is worth it where either takes its time: decompressing, hashing, writing. No
/// more than a MiB is read that `work` does not take. Returns what `work` returned, once the thread has seen that nobody
/// reads on: it may wait for `inner` then.
pub fn ahead<R: Read + Send, T>(inner: R, work: impl FnOnce(Ahead) -> T) -> T {
    let (full, read) = sync_channel(BUFFERS);
    let (free, empty) = sync_channel(BUFFERS);
    // The first piece, of which nothing is left, makes the last of the buffers.
    (1..BUFFERS).try_for_each(|_| free.send(Vec::new())).expect("the channel has room for all buffers");
    std::thread::scope(|scope| {
        scope.spawn(move || read_all(inner, &empty, &full));
        work(Ahead { read, free, piece: (Vec::new(), 0), at: 0 })
    })
}

/// Reads to the end, an error, or until nobody takes more.
fn read_all(mut inner: impl Read, empty: &Receiver<Vec<u8>>, full: &SyncSender<io::Result<Piece>>) {
    for mut buffer in empty {
        buffer.resize(BUFFER, 0);
        let result = read_some(&mut inner, &mut buffer).map(|count| (buffer, count));
        let is_last = result.as_ref().map_or(true, |(_, count)| *count == 0);
        if full.send(result).is_err() || is_last {
            return;
        }
    }
}

fn read_some(inner: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match inner.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.1 && !buffer.is_empty() {
            // The thread is gone after its last piece: an empty one, or an error.
            let Ok(next) = self.read.recv() else { return Ok(0) };
            let (done, _) = std::mem::replace(&mut self.piece, next?);
            self.at = 0;
            if self.free.send(done).is_err() {
                // That was the last one.
            }
        }
        let count = (self.piece.1 - self.at).min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.0[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Gives out pieces, counts them, and fails where one is an error.
    struct Pieces(Vec<io::Result<Vec<u8>>>, Arc<AtomicUsize>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1.fetch_add(1, Ordering::SeqCst);
            let Some(piece) = self.0.pop() else { return Ok(0) };
            let piece = piece?;
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn everything_comes_in_order_and_then_the_end() {
        let bytes: Vec<u8> = (0..1_500_000u32).map(|at| (at >> 7) as u8).collect();
        for size in [7, 512, 1 << 20] {
            let mut got = Vec::new();
            ahead(&bytes[..], |mut reader| {
                let mut buffer = vec![0; size];
                loop {
                    match reader.read(&mut buffer).expect("read") {
                        0 => break,
                        count => got.extend_from_slice(&buffer[..count]),
                    }
                }
                assert_eq!(reader.read(&mut buffer).expect("still the end"), 0);
            });
            assert!(got == bytes, "{size}");
        }
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        let failed = || io::Error::other("cut");
        let pieces = vec![Ok(vec![9]), Err(failed()), Err(ErrorKind::Interrupted.into()), Ok(vec![1, 2, 3])];
        ahead(Pieces(pieces, Arc::default()), |mut reader| {
            let mut bytes = Vec::new();
            assert_eq!(reader.read_to_end(&mut bytes).expect_err("cut").to_string(), "cut");
            assert_eq!(bytes, [1, 2, 3]);
            assert_eq!(reader.read(&mut [0]).expect("the end"), 0, "nothing is read after an error");
        });
    }

    #[test]
    fn who_reads_no_more_ends_the_thread() {
        let (count, pieces) = (Arc::new(AtomicUsize::new(0)), (0..1000).map(|_| Ok(vec![1; 10])).collect());
        let first = ahead(Pieces(pieces, Arc::clone(&count)), |mut reader| {
            let mut first = [0; 3];
            reader.read_exact(&mut first).expect("read");
            first
        });
        assert_eq!(first, [1; 3]);
        assert!(count.load(Ordering::SeqCst) <= BUFFERS + 1, "{}", count.load(Ordering::SeqCst));
    }
}
