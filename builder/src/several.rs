//! [`build_several`]: one image for several platforms: each is built by itself, and an index joins them.

use crate::at_once::at_once;
use crate::attend::Attendant;
use crate::build::{BuildResult, build_one};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::error::{BuildError, StepError};
use crate::listener::with_registries;
use crate::output::{Exported, dressed, metered};
use crate::progress::StepId;
use crate::push::Places;
use crate::reading::Reading;
use crate::request::{BuildRequest, Output};
use layerfs::cancel::Cancel;
use layerfs::descriptor::Descriptor;
use layerfs::error::StoreError;
use layerfs::export::{FinishedImage, OciIndex};
use layerfs::platform::Platform;
use layerfs::store::Store;

/// An output that takes one image only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot take an image for several platforms")]
pub struct OneImageOnly {
    /// What.
    what: &'static str,
}

impl Diagnose for OneImageOnly {
    fn diagnose(&self) -> Diagnostic {
        let cure = "push it with `--push`, write it with `-o type=oci,dest=FILE`, or build one platform";
        Diagnostic::error(self.to_string()).help(cure)
    }
}

/// Builds an image for each of the request's platforms and writes an index of them to every output.
///
/// # Errors
/// [`BuildError`]: [`OneImageOnly`] before anything is built; the first platform's that failed.
pub(crate) fn build_several(
    request: &BuildRequest,
    reading: &Reading<'_>,
    store: &Store,
    cancel: &Cancel,
    attendant: Option<&dyn Attendant>,
) -> Result<BuildResult, BuildError> {
    let sink = reading.sink;
    request.outputs.iter().try_for_each(refuse)?;
    let platforms: Vec<&Platform> = std::iter::once(&request.platform).chain(&request.more_platforms).collect();
    let mut images: Vec<Vec<FinishedImage>> = vec![Vec::new(); request.outputs.len()];
    let mut layer_sizes = Vec::new();
    for platform in platforms {
        // Kept in the store, without a name, in the look of each output.
        let kept = |output: &Output| Output::Store { names: Vec::new(), look: output.look().clone() };
        let outputs = request.outputs.iter().map(kept).collect();
        let (platform, more_platforms) = (platform.clone(), Vec::new());
        let one = BuildRequest { platform, more_platforms, outputs, ..request.clone() };
        let built = build_one(&one, reading, store, cancel, attendant)?;
        layer_sizes.extend(built.layer_sizes);
        for ((images, exported), output) in images.iter_mut().zip(&built.outputs).zip(&request.outputs) {
            let manifest = exported.manifest.as_ref().expect("what the store keeps has a manifest");
            let image = store.image(&manifest.digest).map_err(StepError::from)?;
            // The manifest is made anew for the form that layers have there.
            let image = FinishedImage { manifest_bytes: None, ..FinishedImage::whole(image, None) };
            images.push(dressed(image, output.look()));
        }
    }
    let written = with_registries(&request.registries, sink, cancel, |client| {
        let places = Places { store, client, sink };
        at_once(&request.outputs, |number| Ok(places.write_index(number, &request.outputs[number], &images[number])?))
    });
    let indexes = written?;
    let exported =
        |index: &Descriptor| Exported { id: index.digest, config: index.clone(), manifest: Some(index.clone()) };
    let outputs: Vec<Exported> = indexes.iter().map(exported).collect();
    let id = outputs.first().map(|output| output.id).ok_or(OneImageOnly { what: "the cache" })?;
    Ok(BuildResult { id, outputs, layer_sizes })
}

fn refuse(output: &Output) -> Result<(), OneImageOnly> {
    let what = match output {
        Output::Oci { .. } | Output::Registry { .. } => return Ok(()),
        Output::Store { .. } => "the store",
        Output::Docker { .. } => "an archive for `docker load`",
        Output::Engine { .. } => "a container engine",
        Output::Tar { .. } | Output::Local { .. } => "an output of files",
    };
    Err(OneImageOnly { what })
}

impl Places<'_> {
    /// Writes an index of images to an output.
    fn write_index(self, number: usize, output: &Output, images: &[FinishedImage]) -> Result<Descriptor, StoreError> {
        match output.clone() {
            Output::Registry { names, by_digest, compression, .. } => {
                self.push_index(number, images, &names, by_digest, compression)
            }
            Output::Oci { destination, archive, names, compression, .. } => {
                let index = OciIndex { destination, archive, names, compression };
                metered(self.store, StepId::internal(number), self.sink, |store| index.export(images, store))
            }
            _ => unreachable!("other outputs were refused"),
        }
    }
}
