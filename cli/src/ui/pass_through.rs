//! [`PassThrough`]: hands a command's output on, byte for byte.

use builder::progress::{Event, ProgressSink, Stream};
use layerfs::cancel::Cancel;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes a command's standard output and standard error to lbuild's own. Once nobody reads one of them, the command is
/// cancelled, as SIGPIPE would end it outside.
#[derive(Debug)]
pub struct PassThrough {
    cancel: Cancel,
    gone: AtomicBool,
}

impl PassThrough {
    /// Returns a view that ends the command through `cancel`.
    pub fn new(cancel: Cancel) -> Self {
        Self { cancel, gone: AtomicBool::new(false) }
    }

    /// Reports whether nobody reads the output any more.
    pub fn reader_is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

impl ProgressSink for PassThrough {
    fn event(&self, event: Event) {
        let Event::Output { stream, bytes, .. } = event else { return };
        if !self.reader_is_gone() && write(stream, &bytes).is_err() {
            self.gone.store(true, Ordering::SeqCst);
            self.cancel.cancel();
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
