//! [`run_image`]: a command in an image's file system, its changes thrown away.

use crate::bases::{Base, Bases};
use crate::error::StepError;
use crate::exec::{LazyWorker, Shelf};
use crate::progress::{Event, ProgressSink, StepId};
use crate::request::RunRequest;
use crate::sandbox::limits::RunLimits;
use crate::sandbox::spec::{RunResult, RunSpec};
use crate::source::Span;
use crate::worker::id_map::{Caller, IdMap};
use crate::worker::protocol::Exit;
use layerfs::cancel::Cancel;
use layerfs::descriptor::Descriptor;
use layerfs::layer::Layer;
use layerfs::path::TreePath;
use layerfs::source::{ImageSource, StoreSource};
use layerfs::store::Store;
use std::sync::Arc;

/// The host name of a command that runs in a sandbox, BuildKit's.
const HOST_NAME: &str = "buildkitsandbox";

/// Runs a command in the image of `manifest`, in the sandbox that RUN has. What it writes comes as output events of
/// [`StepId::internal`] 0.
///
/// # Errors
/// Why it could not be started; a command that ran and failed is no error.
pub fn run_image(
    request: &RunRequest,
    manifest: &Descriptor,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<Exit, StepError> {
    let map = IdMap::detect(&Caller::read(None));
    let worker = LazyWorker::new(store.root(), &map, cancel);
    let lease = store.lease()?;
    let image = store.image(&manifest.digest)?;
    let layers = Layer::of_image(&image);
    let source: Arc<dyn ImageSource> = Arc::new(StoreSource::new(store.clone(), manifest.clone()));
    let platform = image.platform();
    let base =
        Base { name: manifest.digest.to_string(), span: Span::default(), image, source, platform, named_context: None };
    let shelf = Shelf::new(store, store.directories(&map.digest)?, &worker, &Bases { images: vec![base] }, &lease);
    let spec = RunSpec {
        stack: shelf.directories(&layers)?,
        arguments: request.arguments.clone(),
        environment: request.environment.clone(),
        working_directory: TreePath::from(request.working_directory.as_str()),
        user: request.user.clone(),
        network: request.network,
        insecure: false,
        host_name: HOST_NAME.to_owned(),
        extra_hosts: Vec::new(),
        limits: RunLimits::default(),
        mounts: Vec::new(),
        script: None,
        result: RunResult::Discard,
        keep_failed: false,
        terminal: false,
    };
    let mut output = |stream, bytes| sink.event(Event::Output { step: StepId::internal(0), stream, bytes });
    Ok(worker.get()?.run(spec, &[], &mut output, cancel)?)
}
