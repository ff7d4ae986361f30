//! [`Worker`]: the front's end of the pipe.

use crate::channel::{Channel, ChannelError, MOST_DESCRIPTORS};
use crate::progress::Stream;
use crate::sandbox::spec::RunSpec;
use crate::worker::error::WorkerError;
use crate::worker::heard::Heard;
use crate::worker::id_map::IdMap;
use crate::worker::protocol::{Exit, Reply, Request};
use crate::worker::start::{self, WorkerStartError};
use layerfs::cancel::Cancel;
use layerfs::digest::{ChainId, DiffId};
use layerfs::layer::LayerKey;
use layerfs::path::TreePath;
use layerfs::trace::Trace;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The ids of its user namespace.
    pub id_map: IdMap,
    /// Who is told where its time goes.
    pub trace: Trace,
}

/// A running worker. It ends when this is dropped, and with it everything it started; it ends too if this process does,
/// by whatever means.
#[derive(Debug)]
pub struct Worker {
    control: Mutex<Option<Channel>>,
    keeper: Option<JoinHandle<()>>,
    id_map: IdMap,
    trace: Trace,
}

impl Worker {
    /// Starts a worker for the store at `store`, an absolute path whose directories are there.
    ///
    /// # Errors
    /// [`WorkerStartError`].
    pub fn start(store: &Path, options: WorkerOptions) -> Result<Self, WorkerStartError> {
        let started = start::start(store, &options.id_map, options.trace.is_on())?;
        let control = Mutex::new(Some(started.control));
        Ok(Self { control, keeper: Some(started.keeper), id_map: options.id_map, trace: options.trace })
    }

    /// Returns the ids of its user namespace.
    pub fn id_map(&self) -> &IdMap {
        &self.id_map
    }

    /// Makes a call and hands every answer but the last to `on_reply`; returns the last. Calls run side by side.
    ///
    /// # Errors
    /// What the worker failed with; [`WorkerError::Cancelled`] once `cancel` is set, after the worker has ended what the
    /// call started; [`WorkerError::Lost`] if the worker is gone.
    pub fn call(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
        on_reply: &mut dyn FnMut(Reply, Vec<OwnedFd>),
        cancel: &Cancel,
    ) -> Result<Reply, WorkerError> {
        let mut nothing = |_: Stream, _: Arc<Vec<u8>>| {};
        self.call_hearing(request, descriptors, on_reply, &mut Heard::new(&mut nothing), cancel)
    }

    /// Makes a call; what a command of it writes is `heard` before this returns.
    fn call_hearing(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
        on_reply: &mut dyn FnMut(Reply, Vec<OwnedFd>),
        heard: &mut Heard<'_>,
        cancel: &Cancel,
    ) -> Result<Reply, WorkerError> {
        if cancel.is_cancelled() {
            return Err(WorkerError::Cancelled);
        }
        let channel = self.open()?;
        channel.send(request, descriptors)?;
        let mut cancelled = false;
        loop {
            if !cancelled && heard.wait([channel.as_fd(), cancel.as_fd()])?[1] {
                cancelled = true;
                channel.finish_sending();
            }
            if cancelled {
                heard.wait([channel.as_fd()])?;
            }
            match channel.receive::<Reply>() {
                Ok((Reply::Failed(_), _)) if cancelled => return Err(WorkerError::Cancelled),
                Ok((Reply::Failed(error), _)) => return Err(error.with_one_id(self.id_map.one_id_help())),
                Ok((Reply::Spans(spans), _)) => spans.into_iter().for_each(|span| self.trace.pass(span)),
                Ok((reply, _)) if is_last(&reply) => return heard.finish().map(|()| reply),
                Ok((Reply::Streams, pipes)) => heard.take(pipes),
                Ok((reply, descriptors)) => on_reply(reply, descriptors),
                Err(ChannelError::Closed) if cancelled => return Err(WorkerError::Cancelled),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens a socket for one call.
    fn open(&self) -> Result<Channel, WorkerError> {
        let (near, far) = Channel::pair()?;
        let control = self.control.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*control {
            Some(control) => control.send(&(), &[far.as_fd()])?,
            None => return Err(WorkerError::Lost("it was ended".to_owned())),
        }
        Ok(near)
    }

    /// Makes a call that has one answer.
    fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>], cancel: &Cancel) -> Result<Reply, WorkerError> {
        self.call(request, descriptors, &mut |_, _| {}, cancel)
    }

    /// Unpacks a layer of an image from `blob` (plain, gzip or zstd), and returns the name it is kept under; see
    /// [`Request::Unpack`]. The layers of `below` must be unpacked by calls before or beside this one.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn unpack(
        &self,
        blob: BorrowedFd<'_>,
        diff_id: DiffId,
        chain: ChainId,
        below: Vec<DiffId>,
        cancel: &Cancel,
    ) -> Result<LayerKey, WorkerError> {
        match self.ask(&Request::Unpack { diff_id, chain, below }, &[blob], cancel)? {
            Reply::Unpacked { key } => Ok(key),
            other => Err(unexpected(&other)),
        }
    }

    /// Unpacks a plain tar under a name of the caller's; see [`Request::UnpackAs`].
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn unpack_as(&self, tar: BorrowedFd<'_>, key: LayerKey, cancel: &Cancel) -> Result<(), WorkerError> {
        match self.ask(&Request::UnpackAs { key }, &[tar], cancel)? {
            Reply::Unpacked { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Runs a command, and hands what it writes to `output` as it comes. `secrets` are read by the worker from where
    /// they stand; their numbers are those in the mounts of `spec`.
    ///
    /// # Errors
    /// [`WorkerError`]; a command that ran and failed is no error.
    pub fn run(
        &self,
        spec: RunSpec,
        secrets: &[BorrowedFd<'_>],
        output: &mut dyn FnMut(Stream, Arc<Vec<u8>>),
        cancel: &Cancel,
    ) -> Result<Exit, WorkerError> {
        let (request, mut heard) = (Request::Run(Box::new(spec)), Heard::new(output));
        match self.call_hearing(&request, secrets, &mut |_, _| {}, &mut heard, cancel)? {
            Reply::Exited(exit) => Ok(exit),
            other => Err(unexpected(&other)),
        }
    }

    /// Runs a command on a terminal in what the failed run of the layer `key` left; see [`Request::Enter`].
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn enter(
        &self,
        key: LayerKey,
        arguments: Vec<String>,
        descriptors: &[BorrowedFd<'_>],
        cancel: &Cancel,
    ) -> Result<Exit, WorkerError> {
        match self.ask(&Request::Enter { key, arguments }, descriptors, cancel)? {
            Reply::Exited(exit) => Ok(exit),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the layer `key` of what a failed run changed; see [`Request::CommitFailed`].
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn commit_failed(&self, key: LayerKey, cancel: &Cancel) -> Result<(), WorkerError> {
        self.ask(&Request::CommitFailed { key }, &[], cancel).map(drop)
    }

    /// Writes a layer as a plain tar to `out`, and returns its diff ID and size in bytes.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn write_tar(&self, key: LayerKey, out: BorrowedFd<'_>, cancel: &Cancel) -> Result<(DiffId, u64), WorkerError> {
        match self.ask(&Request::WriteTar { key }, &[out], cancel)? {
            Reply::Written { diff_id, size } => Ok((diff_id, size)),
            other => Err(unexpected(&other)),
        }
    }

    /// Opens regular files of layers for reading, in the order asked. All are open at once: ask for as many as the
    /// limit of open files bears.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn open_files(&self, files: Vec<(LayerKey, TreePath)>, cancel: &Cancel) -> Result<Vec<File>, WorkerError> {
        let wanted = files.len();
        let mut opened: Vec<File> = Vec::with_capacity(wanted);
        let mut on_reply = |_, descriptors: Vec<OwnedFd>| opened.extend(descriptors.into_iter().map(File::from));
        self.call(&Request::OpenFiles { files }, &[], &mut on_reply, cancel)?;
        if opened.len() == wanted {
            return Ok(opened);
        }
        // A process at its limit of open files gets a frame without its descriptors (unix(7)).
        Err(WorkerError::Lost(format!("{} of {wanted} files could be handed over", opened.len())))
    }

    /// Deletes directories of the store; see [`Request::Delete`].
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn delete(&self, paths: Vec<String>, cancel: &Cancel) -> Result<(), WorkerError> {
        self.ask(&Request::Delete { paths }, &[], cancel).map(drop)
    }

    /// Compares a layer's directory with its index; returns a line for each difference.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn check(&self, key: LayerKey, cancel: &Cancel) -> Result<Vec<String>, WorkerError> {
        match self.ask(&Request::Check { key }, &[], cancel)? {
            Reply::Checked { differences } => Ok(differences),
            other => Err(unexpected(&other)),
        }
    }

    /// Adds up the bytes on disk of directories of the store; see [`Request::Measure`].
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn measure(&self, paths: Vec<String>, cancel: &Cancel) -> Result<u64, WorkerError> {
        match self.ask(&Request::Measure { paths }, &[], cancel)? {
            Reply::Measured { bytes } => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }
}

/// Returns how many files are to be asked of [`Worker::open_files`] at once by each of the threads that work for all cores,
/// so that they take no more than a quarter of the open files that a process may have.
pub fn files_at_once() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    at_once_within(limit, rayon::current_num_threads())
}

fn at_once_within(limit: Option<u64>, threads: usize) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    (limit / 4 / threads.max(1)).clamp(1, MOST_DESCRIPTORS)
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of the control channel ends the worker.
        drop(self.control.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            // The thread waits for a process and cannot panic; if it did, there is nothing left to wait for.
        }
    }
}

fn is_last(reply: &Reply) -> bool {
    !matches!(reply, Reply::Streams | Reply::Opened { .. })
}

fn unexpected(reply: &Reply) -> WorkerError {
    WorkerError::Lost(format!("it answered {reply:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cores_together_leave_most_open_files_to_others() {
        for (limit, threads, wanted) in [
            (Some(1024), 2, 128),
            (Some(1024), 64, 4),
            (Some(1 << 20), 2, 253),
            (Some(64), 32, 1),
            (Some(0), 2, 1),
            (None, 8, 253),
        ] {
            assert_eq!(at_once_within(limit, threads), wanted, "{limit:?} {threads}");
        }
    }
}
