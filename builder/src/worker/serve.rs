//! [`serve`]: the worker's main loop, and what answers each request.

use crate::channel::Channel;
use crate::worker::blocks::blocks_of;
use crate::worker::call::Call;
use crate::worker::entry::{StartReply, Startup};
use crate::worker::error::WorkerError;
use crate::worker::layers::Layers;
use crate::worker::program::Program;
use crate::worker::protocol::{Reply, Request};
use crate::worker::run::Runner;
use layerfs::io_error::{IoContext, IoError};
use layerfs::path::TreePath;
use layerfs::rootdir::RootDir;
use layerfs::sys::process;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

/// What every call works with.
#[derive(Debug)]
struct Service {
    store: PathBuf,
    layers: Layers,
    runner: Runner,
    traced: bool,
    /// Held while something is taken away after an answer; the worker's end waits for it.
    leaving: RwLock<()>,
}

/// Takes calls until the front is gone.
pub(super) fn serve(control: Channel, startup: Startup) -> ! {
    let service = match Service::open(&startup) {
        Ok(service) => Arc::new(service),
        Err(error) => {
            let told = control.send(&StartReply::Failed(error), &[]);
            process::exit_now(1 + i32::from(told.is_err()));
        }
    };
    if control.send(&StartReply::Ready, &[]).is_err() {
        process::exit_now(1);
    }
    while let Ok(((), sockets)) = control.receive::<()>() {
        for socket in sockets {
            let service = Arc::clone(&service);
            let answer = move || service.answer(Call::new(Channel::new(socket), service.traced));
            if std::thread::Builder::new().name("call".to_owned()).spawn(answer).is_err() {
                // The socket is closed, which the front hears as the end of the call without an answer.
            }
        }
    }
    drop(service.leaving.write());
    // As process 1 of its pid namespace the worker takes everything it started with it.
    process::exit_now(0)
}

impl Service {
    fn open(startup: &Startup) -> Result<Self, IoError> {
        for directory in ["tmp", "mounts"] {
            let path = startup.store.join(directory);
            std::fs::create_dir_all(&path).at("make", &path)?;
        }
        let layers = Layers::open(&startup.store, &startup.map)?;
        let runner = Runner::new(&startup.store, &startup.map, startup.tier, Program::copy()?);
        let leaving = RwLock::default();
        Ok(Self { store: startup.store.clone(), layers, runner, traced: startup.traced, leaving })
    }

    fn answer(&self, call: Call) {
        let Ok((request, descriptors)) = call.channel().receive::<Request>() else { return };
        let dispatched = catch_unwind(AssertUnwindSafe(|| self.dispatch(&call, request, descriptors)));
        let reply = match dispatched {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => Reply::Failed(error),
            Err(_) => Reply::Failed(WorkerError::Lost("a call panicked".to_owned())),
        };
        let leaving = self.leaving.read();
        if call.tell_spans().and_then(|()| call.reply(&reply, &[])).is_err() {
            // The front closed its end: it wants no answer any more.
        }
        drop(call);
        drop(leaving);
    }

    fn dispatch(&self, call: &Call, request: Request, descriptors: Vec<OwnedFd>) -> Result<Reply, WorkerError> {
        let first = |descriptors: Vec<OwnedFd>| {
            descriptors.into_iter().next().ok_or_else(|| WorkerError::Lost("a descriptor is missing".to_owned()))
        };
        match request {
            Request::Unpack { diff_id, chain, below } => {
                let key = self.layers.unpack(call, first(descriptors)?, diff_id, chain, &below)?;
                Ok(Reply::Unpacked { key })
            }
            Request::UnpackAs { key } => {
                self.layers.unpack_as(call, first(descriptors)?, key)?;
                Ok(Reply::Unpacked { key })
            }
            Request::Run(spec) => Ok(Reply::Exited(self.runner.run(call, &self.layers, &spec, descriptors)?)),
            Request::Enter { key, arguments } => {
                Ok(Reply::Exited(self.runner.enter(call, key, arguments, descriptors)?))
            }
            Request::CommitFailed { key } => {
                self.runner.commit_failed(&self.layers, key)?;
                Ok(Reply::Done)
            }
            Request::WriteTar { key } => {
                let (diff_id, size) = self.layers.write_tar(call, key, first(descriptors)?)?;
                Ok(Reply::Written { diff_id, size })
            }
            Request::OpenFiles { files } => self.layers.open_files(call, &files),
            Request::Delete { paths } => self.delete(call, &paths),
            Request::Check { key } => Ok(Reply::Checked { differences: self.layers.check(call, key)? }),
            Request::Measure { paths } => self.measure(call, &paths),
        }
    }

    fn delete(&self, call: &Call, paths: &[String]) -> Result<Reply, WorkerError> {
        let store = RootDir::open(&self.store)?;
        for path in paths {
            call.check()?;
            let path = own_path(path)?;
            match store.remove_tree(&path) {
                Err(error) if error.is_not_found() => {}
                other => other?,
            }
        }
        Ok(Reply::Done)
    }

    fn measure(&self, call: &Call, paths: &[String]) -> Result<Reply, WorkerError> {
        let top = |path: &String| Ok(self.store.join(own_path(path)?.as_os_str()));
        let tops = paths.iter().map(top).collect::<Result<_, WorkerError>>()?;
        Ok(Reply::Measured { bytes: blocks_of(tops, || call.check())? })
    }
}

/// Returns a path of the store that belongs to the worker.
fn own_path(path: &str) -> Result<TreePath, WorkerError> {
    let normal = TreePath::from(path);
    let mut components = normal.components();
    let own = matches!(components.next(), Some(b"layers" | b"mounts" | b"tmp")) && components.next().is_some();
    if own && normal.as_bytes() == path.as_bytes() {
        return Ok(normal.clone());
    }
    Err(WorkerError::ForeignPath(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_workers_own_paths_are_touched() {
        for path in ["layers/a/b", "tmp/x", "mounts/m/c"] {
            assert!(own_path(path).is_ok(), "{path}");
        }
        for path in ["", "layers", "blobs/x", "tmp/../blobs/x", "/etc", "../layers/x", "tmp/.."] {
            assert_eq!(own_path(path), Err(WorkerError::ForeignPath(path.to_owned())), "{path}");
        }
    }
}
