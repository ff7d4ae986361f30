//! Outputs: from what was asked for to exporters, one after another.

use crate::error::StepError;
use crate::progress::{Event, Outcome, ProgressSink, StepId};
use crate::request::{Destination, Output};
use layerfs::descriptor::Descriptor;
use layerfs::export::{DockerArchive, Exporter, FinishedImage, OciArchive, OciDirectory, StoreExporter};
use layerfs::store::Store;
use std::time::Instant;

/// Brings a finished image to every output and returns its manifest there.
///
/// # Errors
/// The first output's that failed.
pub fn write(
    outputs: &[Output],
    image: &FinishedImage,
    store: &Store,
    sink: &dyn ProgressSink,
) -> Result<Vec<Descriptor>, StepError> {
    outputs.iter().enumerate().map(|(number, output)| write_one(number, output, image, store, sink)).collect()
}

fn write_one(
    number: usize,
    output: &Output,
    image: &FinishedImage,
    store: &Store,
    sink: &dyn ProgressSink,
) -> Result<Descriptor, StepError> {
    let (step, began) = (StepId::internal(number), Instant::now());
    sink.event(Event::StepStarted { step, name: name(output) });
    let result = exporter(output).export(image, store);
    let outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.to_string()),
    };
    sink.event(Event::StepFinished { step, took: began.elapsed(), outcome });
    Ok(result?)
}

fn exporter(output: &Output) -> Box<dyn Exporter> {
    match output.clone() {
        Output::Store { names } => Box::new(StoreExporter { names }),
        Output::Oci { destination: Destination::Path(path), archive: false, names, compression } => {
            Box::new(OciDirectory { path, names, compression })
        }
        Output::Oci { destination, names, compression, .. } => Box::new(OciArchive { destination, names, compression }),
        Output::Docker { destination, names, compression } => {
            Box::new(DockerArchive { destination, names, compression })
        }
    }
}

/// Returns the name of the step that writes an output, as BuildKit shows it.
fn name(output: &Output) -> String {
    match output {
        Output::Store { .. } => "exporting to image".to_owned(),
        Output::Oci { .. } => "exporting to oci image format".to_owned(),
        Output::Docker { .. } => "exporting to docker image format".to_owned(),
    }
}
