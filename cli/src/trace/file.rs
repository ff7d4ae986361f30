//! [`TraceFile`]: the file of `--trace`.

use super::Chronicle;
use layerfs::io_error::{IoContext, IoError};
use layerfs::trace::{Trace, Tracer};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of `--trace`, empty until the build has ended, and what it is to hold.
#[derive(Debug)]
pub struct TraceFile {
    path: PathBuf,
    file: File,
    /// What it is to hold.
    pub chronicle: Arc<Chronicle>,
}

impl TraceFile {
    /// Makes the file `path`, or empties it: whoever may not write it hears so before the build.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create(path: &Path) -> Result<Self, IoError> {
        let file = File::create(path).at("create", path)?;
        Ok(Self { path: path.to_owned(), file, chronicle: Arc::new(Chronicle::new()) })
    }

    /// Returns what tells the core where to report.
    pub fn trace(&self) -> Trace {
        Trace::new(Arc::clone(&self.chronicle) as Arc<dyn Tracer>)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn finish(mut self) -> Result<(), IoError> {
        self.file.write_all(self.chronicle.print().as_bytes()).at("write", &self.path)
    }
}
