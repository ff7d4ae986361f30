//! [`in_chunks`]: what is written goes out in chunks, one sent while the next is filled.

use super::buffers::{Buffer, Buffers};
use crate::error::StoreError;
use crate::registry::remote::Upload;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Sends one chunk.
pub(super) type Send<'a> = dyn FnMut(&[u8]) -> Result<(), StoreError> + std::marker::Send + 'a;

/// Lets `fill` write, and hands what it wrote to `send`, chunk by chunk, on a thread of its own.
///
/// # Errors
/// That of `send`, or else that of `fill`; the last chunk is not sent then.
pub(super) fn in_chunks<T>(
    buffers: &Buffers,
    send: &mut Send<'_>,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let first = buffers.take();
    let (full, to_send) = sync_channel(1);
    let (sent, free) = channel();
    if let Some(second) = buffers.try_take() {
        sent.send(second).expect("the receiver is here");
    }
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || send_all(&to_send, &sent, send));
        let mut chunks = Chunks { filling: Some(first), full, free };
        let filled = fill(&mut chunks).and_then(|value| match chunks.pass_on() {
            Ok(()) => Ok(value),
            Err(error) => Err(crate::io_error::IoError::new("send", "a chunk", &error).into()),
        });
        drop(chunks);
        sending.join().expect("sending does not panic")?;
        filled
    })
}

fn send_all<'a>(full: &Receiver<Buffer<'a>>, sent: &Sender<Buffer<'a>>, send: &mut Send<'_>) -> Result<(), StoreError> {
    for mut buffer in full {
        send(&buffer)?;
        buffer.clear();
        if sent.send(buffer).is_err() {
            // That was the last one.
        }
    }
    Ok(())
}

/// Cuts what is written into chunks.
struct Chunks<'a> {
    /// The chunk being filled; none once the sender has failed.
    filling: Option<Buffer<'a>>,
    full: SyncSender<Buffer<'a>>,
    free: Receiver<Buffer<'a>>,
}

impl Chunks<'_> {
    /// Hands over what is filled, if it is anything.
    fn pass_on(&mut self) -> io::Result<()> {
        match self.filling.take() {
            Some(buffer) if !buffer.is_empty() => self.full.send(buffer).map_err(|_| ended()),
            _ => Ok(()),
        }
    }
}

/// Returns the error that stands in for the sender's own.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "sending has failed")
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filling.is_none() {
            self.filling = Some(self.free.recv().map_err(|_| ended())?);
        }
        let Some(buffer) = &mut self.filling else { return Err(ended()) };
        let taken = bytes.len().min(Upload::CHUNK - buffer.len());
        buffer.extend_from_slice(&bytes[..taken]);
        if buffer.len() == Upload::CHUNK {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> StoreError {
        StoreError::Malformed { place: String::new(), why: text.to_owned() }
    }

    #[test]
    fn chunks_are_whole_but_for_the_last() {
        for room in [1, 2, 4] {
            let buffers = Buffers::new(room);
            let whole: Vec<u8> = (0..Upload::CHUNK * 2 + 5).map(|at| (at >> 8) as u8).collect();
            let (mut sizes, mut got) = (Vec::new(), Vec::new());
            let mut send = |chunk: &[u8]| {
                sizes.push(chunk.len());
                got.extend_from_slice(chunk);
                Ok(())
            };
            let fill = |out: &mut dyn Write| {
                whole
                    .chunks(700_000)
                    .try_for_each(|part| out.write_all(part))
                    .map_err(|error| failed(&error.to_string()))
            };
            in_chunks(&buffers, &mut send, fill).expect("sent");
            assert_eq!(sizes, [Upload::CHUNK, Upload::CHUNK, 5]);
            assert!(got == whole, "{room}");
        }
    }

    #[test]
    fn the_senders_error_goes_before_that_of_who_fills() {
        let buffers = Buffers::new(2);
        let mut send = |_: &[u8]| Err(failed("refused"));
        let fill = |out: &mut dyn Write| {
            let chunk = vec![0; Upload::CHUNK];
            (0..9).try_for_each(|_| out.write_all(&chunk)).map_err(|error| failed(&error.to_string()))
        };
        assert_eq!(in_chunks(&buffers, &mut send, fill).expect_err("failed").to_string(), ": refused");
        let mut chunks = 0;
        let mut send = |_: &[u8]| {
            chunks += 1;
            Ok(())
        };
        let fill = |out: &mut dyn Write| match out.write_all(b"begun") {
            Ok(()) => Err::<(), _>(failed("cannot read")),
            Err(error) => Err(failed(&error.to_string())),
        };
        assert_eq!(in_chunks(&buffers, &mut send, fill).expect_err("failed").to_string(), ": cannot read");
        assert_eq!(chunks, 0, "what is not whole is not sent");
    }
}
