//! Outputs: from what was asked for to exporters, one after another.

use crate::error::StepError;
use crate::progress::{Event, Outcome, ProgressSink, StepId};
use crate::push::Pushing;
use crate::request::{Destination, Output};
use layerfs::descriptor::Descriptor;
use layerfs::error::StoreError;
use layerfs::export::{
    DockerArchive, Exporter, FinishedImage, OciArchive, OciDirectory, RegistryExporter, SparseExporter, StoreExporter,
};
use layerfs::registry::Registries;
use layerfs::store::Store;
use std::time::Instant;

/// Where outputs take images from, and who is told.
#[derive(Clone, Copy)]
pub struct Outputs<'a> {
    /// The store with the layers.
    pub store: &'a Store,
    /// The client of registries.
    pub registries: &'a Registries,
    /// Who is told.
    pub sink: &'a dyn ProgressSink,
}

impl Outputs<'_> {
    /// Brings a finished image to every output and returns its manifest there.
    ///
    /// # Errors
    /// The first output's that failed.
    pub fn write(self, outputs: &[Output], image: &FinishedImage) -> Result<Vec<Descriptor>, StepError> {
        outputs.iter().enumerate().map(|(number, output)| self.write_one(number, output, image)).collect()
    }

    fn write_one(self, number: usize, output: &Output, image: &FinishedImage) -> Result<Descriptor, StepError> {
        let (step, began) = (StepId::internal(number), Instant::now());
        self.sink.event(Event::StepStarted { step, name: name(output) });
        let result = exporter(output).export(image, self.store);
        let outcome = match &result {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.sink.event(Event::StepFinished { step, took: began.elapsed(), outcome });
        let here = result?;
        Ok(self.push(number, output, image)?.unwrap_or(here))
    }

    /// Pushes the image, which is kept here by now, if the output is a registry.
    fn push(self, number: usize, output: &Output, image: &FinishedImage) -> Result<Option<Descriptor>, StoreError> {
        let Output::Registry { names, by_digest, compression } = output.clone() else { return Ok(None) };
        let (registries, observer) = (self.registries, &Pushing::new(number, self.sink));
        let exporter = RegistryExporter { names, by_digest, compression, registries, observer };
        exporter.export(image, self.store).map(Some)
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
