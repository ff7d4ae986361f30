//! The one place where commands call `builder` and `layerfs`.

use crate::exit::Exit;
use crate::report::Failure;
use builder::diagnostic::Diagnostic;
use builder::progress::ProgressSink;
use builder::request::{BuildRequest, RunRequest};
use layerfs::cancel::Cancel;
use layerfs::digest::Digest;
use layerfs::image::Image;
use layerfs::reference::ImageRef;
use std::path::Path;

/// An image of the store.
#[derive(Debug)]
pub struct StoredImage {
    /// Config and manifest.
    pub image: Image,
    /// Its names; none if only its ID is left.
    pub names: Vec<ImageRef>,
    /// Bytes of its layers, uncompressed as far as the store knows.
    pub size: u64,
}

/// What `rmi` did.
#[derive(Debug, Default)]
pub struct Removed {
    /// Names that are gone.
    pub names: Vec<ImageRef>,
    /// Images that no name is left for.
    pub images: Vec<Digest>,
}

/// What `prune` did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Objects that are gone.
    pub objects: u64,
    /// Bytes that were theirs.
    pub bytes: u64,
}

/// Builds; returns the image ID.
///
/// # Errors
/// [`Failure`] with the exit status of a RUN that failed; the log is added by the caller.
pub fn build(_: &BuildRequest, _: &Path, _: &dyn ProgressSink, _: &Cancel) -> Result<Digest, Failure> {
    Err(unwired("build"))
}

/// Runs a command in an image; its output comes as events of one step.
///
/// # Errors
/// [`Failure`] if it could not be started.
pub fn run(_: &RunRequest, _: &StoredImage, _: &Path, _: &dyn ProgressSink, _: &Cancel) -> Result<Exit, Failure> {
    Err(unwired("run"))
}

/// Returns the images of the store, the newest first.
///
/// # Errors
/// [`Failure`].
pub fn images(_: &Path) -> Result<Vec<StoredImage>, Failure> {
    Err(unwired("images"))
}

/// Returns the image with this name, ID, or beginning of an ID.
///
/// # Errors
/// [`Failure`] if there is none, or more than one.
pub fn find(_: &Path, _: &str) -> Result<StoredImage, Failure> {
    Err(unwired("inspect"))
}

/// Takes a name away, or all names of an image that is given by its ID.
///
/// # Errors
/// [`Failure`].
pub fn remove(_: &Path, _: &str) -> Result<Removed, Failure> {
    Err(unwired("rmi"))
}

/// Checks every object; returns what is wrong, one line each.
///
/// # Errors
/// [`Failure`] if the store cannot be read at all.
pub fn check(_: &Path) -> Result<Vec<String>, Failure> {
    Err(unwired("fsck"))
}

/// Removes what no image needs; with `all` the build cache, too.
///
/// # Errors
/// [`Failure`].
pub fn prune(_: &Path, _all: bool) -> Result<Pruned, Failure> {
    Err(unwired("prune"))
}

fn unwired(command: &str) -> Failure {
    let diagnostic = Box::new(Diagnostic::error(format!("`{command}` is not connected to the core")));
    Failure { diagnostic, source: None, log: None, exit: Exit::Lbuild }
}
