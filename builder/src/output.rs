//! Outputs: from what was asked for to exporters, side by side.

use crate::at_once::at_once;
use crate::diagnostic::Diagnostic;
use crate::error::{BuildError, StepError};
use crate::progress::{Event, Outcome, ProgressSink, StepId, Stream};
use crate::push::Places;
use crate::request::{Destination, Look, Output};
use crate::rework::Finished;
use layerfs::cancel::Cancel;
use layerfs::descriptor::Descriptor;
use layerfs::digest::Digest;
use layerfs::error::StoreError;
use layerfs::export::{
    DockerArchive, EngineExporter, Exporter, FinishedImage, LocalTree, OciArchive, OciDirectory, SparseExporter,
    StoreExporter, TreeTar,
};
use layerfs::meta::Timestamp;
use layerfs::meter::{Gauge, Meter};
use layerfs::path::TreePath;
use layerfs::store::Store;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

/// What an image became in one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its ID: an output with times of its own has an image of its own.
    pub id: Digest,
    /// Its config.
    pub config: Descriptor,
    /// Its manifest there; outputs of files have none.
    pub manifest: Option<Descriptor>,
}

impl Exported {
    /// Returns what an image became.
    pub(crate) fn new(image: &FinishedImage, look: &Look, manifest: Option<Descriptor>) -> Self {
        Self { id: image.id(), config: Descriptor::of(config_type(look), &image.config_bytes), manifest }
    }
}

/// An image on its way to several outputs.
struct Exporting<'a> {
    finished: &'a Finished<'a>,
    /// Held by who makes layers with other times: what several outputs want is made once.
    times: Mutex<()>,
    cancel: &'a Cancel,
}

impl Exporting<'_> {
    fn with_times(&self, look: &Look, sink: &dyn ProgressSink) -> Result<FinishedImage, StoreError> {
        let _turn = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        self.finished.with_times(look, sink)
    }
}

impl Places<'_> {
    /// Brings a finished image to every output and returns what it became there.
    ///
    /// # Errors
    /// Those of every output that failed; the others are written all the same.
    pub(crate) fn write(
        self,
        outputs: &[Output],
        finished: &Finished<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Exported>, BuildError> {
        let exporting = Exporting { finished, times: Mutex::new(()), cancel };
        at_once(outputs, |number| self.write_one(number, &outputs[number], &exporting))
    }

    fn write_one(self, number: usize, output: &Output, exporting: &Exporting<'_>) -> Result<Exported, StepError> {
        let step = StepId::internal(number);
        let (image, mut exported) =
            self.as_step(step, output, exporting.cancel, || self.export_one(step, output, exporting))?;
        if let Output::Registry { names, by_digest, compression, .. } = output.clone() {
            // The image is kept here by now, so that a push that fails can go on.
            let again = if by_digest { Vec::new() } else { names.clone() };
            let pushed = self.export(number, &image, names, by_digest, compression);
            exported.manifest = Some(pushed.map_err(|error| StepError::Push { names: again, error: Box::new(error) })?);
        }
        Ok(exported)
    }

    /// Lets `work` write an output, as a step that is shown.
    pub(crate) fn as_step<T>(
        self,
        step: StepId,
        output: &Output,
        cancel: &Cancel,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StepError> {
        if cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let began = Instant::now();
        self.sink.event(Event::StepStarted { step, name: name(output) });
        let result = work();
        let outcome = match &result {
            Err(_) if cancel.is_cancelled() => Outcome::Cancelled,
            Err(error) => Outcome::Failed(error.to_string()),
            Ok(_) => Outcome::Done,
        };
        self.sink.event(Event::StepFinished { step, took: began.elapsed(), outcome });
        Ok(result?)
    }

    fn export_one(
        self,
        step: StepId,
        output: &Output,
        exporting: &Exporting<'_>,
    ) -> Result<(FinishedImage, Exported), StoreError> {
        let (look, finished, cancel) = (output.look(), exporting.finished, exporting.cancel);
        let image = dressed(exporting.with_times(look, self.sink)?, look);
        let manifest = match output {
            Output::Tar { destination, .. } => {
                let tar = TreeTar { destination: destination.clone(), latest: finished.latest(look) };
                let placed = [(files_directory(output, &image), &image)];
                metered(self.store, step, self.sink, |store| tar.export(&placed, store, cancel))?;
                None
            }
            Output::Local { path, delete, .. } => {
                let path = path.join(files_directory(output, &image).as_os_str());
                let latest = finished.latest(look);
                let tree = LocalTree { path, delete: *delete, latest };
                let left_out = metered(self.store, step, self.sink, |store| tree.export(&image, store, cancel))?;
                self.tell_left_out(&left_out);
                None
            }
            Output::Engine { engine, names, .. } => {
                let exporter = EngineExporter { engine: engine.clone(), names: names.clone() };
                let loaded = metered(self.store, step, self.sink, |store| exporter.load(&image, store))?;
                self.tell_loaded(step, loaded.sent, image.layers.len());
                Some(loaded.manifest)
            }
            Output::Oci { .. } | Output::Docker { .. } => {
                let exporter = exporter(output);
                Some(metered(self.store, step, self.sink, |store| exporter.export(&image, store))?)
            }
            _ => Some(exporter(output).export(&image, self.store)?),
        };
        let exported = Exported::new(&image, look, manifest);
        Ok((image, exported))
    }

    /// Says how much an engine had already.
    fn tell_loaded(self, step: StepId, sent: usize, layers: usize) {
        let line = match sent {
            0 if layers > 0 => "the image is there already\n".to_owned(),
            sent if sent < layers => format!("{sent} of {layers} layers sent, the others are there already\n"),
            _ => return,
        };
        self.sink.event(Event::Output { step, stream: Stream::Stdout, bytes: Arc::new(line.into_bytes()) });
    }

    /// Says what a directory could not take, the first few by name.
    pub(crate) fn tell_left_out(self, left_out: &[String]) {
        const SHOWN: usize = 3;
        if left_out.is_empty() {
            return;
        }
        let mut shown = left_out[..left_out.len().min(SHOWN)].join(", ");
        if left_out.len() > SHOWN {
            shown.push_str(&format!(" and {} more", left_out.len() - SHOWN));
        }
        self.sink.event(Event::Warning(Diagnostic::warning(format!(
            "the directory does not have everything of the image: {shown}"
        ))));
    }
}

/// Lets `work` be done with `store`, and tells how far it has come.
pub(crate) fn metered<T>(store: &Store, step: StepId, sink: &dyn ProgressSink, work: impl FnOnce(&Store) -> T) -> T {
    let (sender, moved) = mpsc::channel();
    let store = store.clone().metered(Meter::new(Arc::new(Moving(sender))));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (what, done, total) in moved {
                sink.event(Event::Transfer { step, what, done, total: Some(total) });
            }
        });
        // What tells goes with the store, and the thread with it.
        work(&{ store })
    })
}

/// Passes on how far work has come.
#[derive(Debug)]
struct Moving(mpsc::Sender<(String, u64, u64)>);

impl Gauge for Moving {
    fn moved(&self, what: &str, done: u64, total: u64) {
        if self.0.send((what.to_owned(), done, total)).is_err() {
            // Nobody shows it any more.
        }
    }
}

/// Returns the directory that an image's files have in an output: one for the platform, as `linux_arm64`, or the root.
pub(crate) fn files_directory(output: &Output, image: &FinishedImage) -> TreePath {
    match output {
        Output::Tar { split: true, .. } | Output::Local { split: true, .. } => {
            TreePath::normalize(image.platform().normalized().to_string().replace('/', "_").as_bytes())
        }
        _ => TreePath::root(),
    }
}

fn config_type(look: &Look) -> &'static str {
    use layerfs::descriptor::media_type;
    if look.docker_types { media_type::DOCKER_CONFIG } else { media_type::OCI_CONFIG }
}

/// Returns the image as it is to look in an output.
pub(crate) fn dressed(mut image: FinishedImage, look: &Look) -> FinishedImage {
    image.dress = look.dress();
    image
}

/// Returns the time after which no file's is, if it is to be changed.
pub(crate) fn clamp(epoch: Option<u64>) -> Option<Timestamp> {
    epoch.and_then(|epoch| i64::try_from(epoch).ok()).map(Timestamp::from_seconds)
}

fn exporter(output: &Output) -> Box<dyn Exporter> {
    match output.clone() {
        Output::Store { names, .. } => Box::new(StoreExporter { names }),
        Output::Oci { destination: Destination::Path(path), archive: false, names, compression, .. } => {
            Box::new(OciDirectory { path, names, compression })
        }
        Output::Oci { destination, names, compression, .. } => Box::new(OciArchive { destination, names, compression }),
        Output::Docker { destination, names, compression, .. } => {
            Box::new(DockerArchive { destination, names, compression })
        }
        // A tag that nobody asked for would be left behind here.
        Output::Registry { by_digest: true, .. } => Box::new(SparseExporter { names: Vec::new() }),
        Output::Registry { names, .. } => Box::new(SparseExporter { names }),
        Output::Tar { .. } | Output::Local { .. } | Output::Engine { .. } => {
            unreachable!("files have no manifest, and an engine says what it took")
        }
    }
}

/// Returns the name of the step that writes an output, as BuildKit shows it.
fn name(output: &Output) -> String {
    match output {
        Output::Store { .. } | Output::Registry { .. } => "exporting to image".to_owned(),
        Output::Oci { .. } => "exporting to oci image format".to_owned(),
        Output::Docker { .. } => "exporting to docker image format".to_owned(),
        Output::Engine { engine, .. } => format!("loading into {engine}"),
        Output::Tar { .. } => "sending tarball".to_owned(),
        Output::Local { .. } => "copying files".to_owned(),
    }
}
