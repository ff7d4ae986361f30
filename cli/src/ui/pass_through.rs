//! [`PassThrough`]: hands a command's output on, byte for byte.

use builder::progress::{Event, ProgressSink, Stream};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes a command's standard output and standard error to lbuild's own.
#[derive(Debug, Default)]
pub struct PassThrough {
    gone: AtomicBool,
}

impl ProgressSink for PassThrough {
    fn event(&self, event: Event) {
        let Event::Output { stream, bytes, .. } = event else { return };
        if !self.gone.load(Ordering::SeqCst) && write(stream, &bytes).is_err() {
            // The reader has gone: the command runs on, as into `/dev/null`.
            self.gone.store(true, Ordering::SeqCst);
        }
    }
}

fn write(stream: Stream, bytes: &[u8]) -> std::io::Result<()> {
    match stream {
        Stream::Stdout => {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()
        }
        Stream::Stderr => std::io::stderr().lock().write_all(bytes),
    }
}
