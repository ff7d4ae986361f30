//! Outputs: from what was asked for to exporters, one after another.

use crate::error::StepError;
use crate::progress::{Event, Outcome, StepId};
use crate::push::Places;
use crate::request::{Destination, Output};
use layerfs::descriptor::Descriptor;
use layerfs::export::{
    DockerArchive, Exporter, FinishedImage, OciArchive, OciDirectory, SparseExporter, StoreExporter,
};
use std::time::Instant;

impl Places<'_> {
    /// Brings a finished image to every output and returns its manifest there.
    ///
    /// # Errors
    /// The first output's that failed.
    pub(crate) fn write(self, outputs: &[Output], image: &FinishedImage) -> Result<Vec<Descriptor>, StepError> {
        outputs.iter().enumerate().map(|(number, output)| self.write_one(number, output, image)).collect()
    }

    fn write_one(self, number: usize, output: &Output, image: &FinishedImage) -> Result<Descriptor, StepError> {
        let (step, began) = (StepId::internal(number), Instant::now());
        self.sink.event(Event::StepStarted { step, name: name(output) });
        let result = exporter(output).export(image, self.store);
        let outcome = result.as_ref().err().map_or(Outcome::Done, |error| Outcome::Failed(error.to_string()));
        self.sink.event(Event::StepFinished { step, took: began.elapsed(), outcome });
        let kept = result?;
        match output.clone() {
            // The image is kept here by now, so that a push that fails can go on.
            Output::Registry { names, by_digest, compression } => {
                Ok(self.export(number, image, names, by_digest, compression)?)
            }
            _ => Ok(kept),
        }
    }
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
        // A tag that nobody asked for would be left behind here.
        Output::Registry { by_digest: true, .. } => Box::new(SparseExporter { names: Vec::new() }),
        Output::Registry { names, .. } => Box::new(SparseExporter { names }),
    }
}

/// Returns the name of the step that writes an output, as BuildKit shows it.
fn name(output: &Output) -> String {
    match output {
        Output::Store { .. } | Output::Registry { .. } => "exporting to image".to_owned(),
        Output::Oci { .. } => "exporting to oci image format".to_owned(),
        Output::Docker { .. } => "exporting to docker image format".to_owned(),
    }
}
