//! [`behind`]: what is written is taken on by a thread of its own, so that who writes can make the next bytes meanwhile.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Buffers on their way at once.
const BUFFERS: usize = 4;

/// Copies what is written for the thread behind it.
#[derive(Debug)]
pub struct Behind<'a> {
    full: SyncSender<Vec<u8>>,
    free: Receiver<Vec<u8>>,
    error: &'a Receiver<io::Error>,
}

/// Lets `fill` write; a thread passes what it wrote on to `out`, in pieces as large as they were written, which should
/// be large. Returns what `fill` returned, and `out`, or the error of one of the last writes: those before fail a later
/// write of `fill`.
pub fn behind<W: Write + Send, T>(mut out: W, fill: impl FnOnce(Behind<'_>) -> T) -> (T, io::Result<W>) {
    let (full, pieces) = sync_channel::<Vec<u8>>(BUFFERS);
    let (done, free) = sync_channel(BUFFERS);
    let (failed, error) = sync_channel(1);
    (0..BUFFERS).try_for_each(|_| done.send(Vec::new())).expect("the channel has room for all buffers");
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            for piece in pieces {
                if let Err(error) = out.write_all(&piece) {
                    failed.send(error).expect("there is room for the one error");
                    return None;
                }
                if done.send(piece).is_err() {
                    // That was the last one.
                }
            }
            Some(out)
        });
        let value = fill(Behind { full, free, error: &error });
        let out = writing.join().expect("writing does not panic");
        (value, out.ok_or_else(|| refused(&error)))
    })
}

/// Returns the error that a write failed with, if it was not told yet.
fn refused(error: &Receiver<io::Error>) -> io::Error {
    error.try_recv().unwrap_or_else(|_| io::Error::new(io::ErrorKind::BrokenPipe, "an earlier write failed"))
}

impl Write for Behind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut piece = self.free.recv().map_err(|_| refused(self.error))?;
        piece.clear();
        piece.extend_from_slice(bytes);
        self.full.send(piece).map_err(|_| refused(self.error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order() {
        let pieces: Vec<Vec<u8>> = (0..50u8).map(|at| vec![at; usize::from(at) * 1000]).collect();
        let (wrote, out) =
            behind(Vec::new(), |mut out| pieces.iter().try_for_each(|piece| out.write_all(piece)).is_ok());
        assert!(wrote);
        assert!(out.expect("written") == pieces.concat());
    }

    #[test]
    fn the_error_of_what_is_behind_is_told_and_who_writes_ends() {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("opens");
        let (wrote, out) = behind(&full, |mut out| (0..100).try_for_each(|_| out.write_all(b"piece")));
        assert_eq!(wrote.expect_err("refused").kind(), io::ErrorKind::StorageFull);
        assert_eq!(out.expect_err("told before").kind(), io::ErrorKind::BrokenPipe);
        let (wrote, out) = behind(&full, |mut out| out.write_all(b"the last piece"));
        assert!(wrote.is_ok());
        assert_eq!(out.expect_err("refused").kind(), io::ErrorKind::StorageFull);
    }
}
