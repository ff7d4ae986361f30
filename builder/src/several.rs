//! [`build_several`]: one image for several platforms: each is built by itself, and an index joins them.

use crate::at_once::at_once;
use crate::attend::Attendant;
use crate::build::{BuildResult, build_one};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::error::{BuildError, StepError};
use crate::listener::with_registries;
use crate::output::{Exported, dressed, files_directory, metered};
use crate::progress::StepId;
use crate::push::Places;
use crate::reading::Reading;
use crate::request::{BuildRequest, Output};
use crate::rework::latest;
use layerfs::cancel::Cancel;
use layerfs::error::StoreError;
use layerfs::export::{FinishedImage, LocalTree, OciIndex, TreeTar};
use layerfs::meta::Timestamp;
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
        let cure = "push it with `--push`, write it with `-o type=oci,dest=FILE` or `-o type=local,dest=DIR`, or build one platform";
        Diagnostic::error(self.to_string()).help(cure)
    }
}

/// Builds an image for each of the request's platforms and writes an index of them, or their files, to every output.
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
        let kept = |output: &Output| Output::Store { names: Vec::new(), look: output.look().of_platform(platform) };
        let outputs: Vec<Output> = request.outputs.iter().map(kept).collect();
        let (platform, more_platforms) = (platform.clone(), Vec::new());
        let one = BuildRequest { platform, more_platforms, outputs, ..request.clone() };
        let built = build_one(&one, reading, store, cancel, attendant)?;
        layer_sizes.extend(built.layer_sizes);
        for ((images, exported), output) in images.iter_mut().zip(&built.outputs).zip(&one.outputs) {
            let manifest = exported.manifest.as_ref().expect("what the store keeps has a manifest");
            let image = store.image(&manifest.digest).map_err(StepError::from)?;
            // The manifest is made anew for the form that layers have there.
            let image = FinishedImage { manifest_bytes: None, ..FinishedImage::whole(image, None) };
            images.push(dressed(image, output.look()));
        }
    }
    let written = with_registries(&request.registries, sink, cancel, |client| {
        let places = Places { store, client, sink };
        let write = |number: usize| match &request.outputs[number] {
            output @ (Output::Tar { .. } | Output::Local { .. }) => {
                let latest = latest(output.look(), request.source_date_epoch);
                places.write_files(output, &images[number], latest, cancel)
            }
            output => places.write_index(number, output, &images[number]),
        };
        at_once(&request.outputs, |number| Ok(write(number)?))
    });
    let outputs: Vec<Exported> = written?;
    let id = outputs.first().map(|output| output.id).ok_or(OneImageOnly { what: "the cache" })?;
    Ok(BuildResult { id, outputs, layer_sizes })
}

fn refuse(output: &Output) -> Result<(), OneImageOnly> {
    let what = match output {
        Output::Oci { .. } | Output::Registry { .. } | Output::Local { .. } | Output::Tar { .. } => return Ok(()),
        Output::Store { .. } => "the store",
        Output::Docker { .. } => "an archive for `docker load`",
        Output::Engine { .. } => "a container engine",
    };
    Err(OneImageOnly { what })
}

impl Places<'_> {
    /// Writes an index of images to an output, and returns what it became there.
    fn write_index(self, number: usize, output: &Output, images: &[FinishedImage]) -> Result<Exported, StoreError> {
        let dress = output.look().index_dress();
        let index = match output.clone() {
            Output::Registry { names, by_digest, compression, .. } => {
                self.push_index(number, images, &names, by_digest, compression, &dress)
            }
            Output::Oci { destination, archive, names, compression, .. } => {
                let index = OciIndex { destination, archive, names, compression, dress };
                metered(self.store, StepId::internal(number), self.sink, |store| index.export(images, store))
            }
            _ => unreachable!("other outputs were refused, or written for each platform"),
        }?;
        Ok(Exported { id: index.digest, config: index.clone(), manifest: Some(index) })
    }

    /// Writes the files of images to an output, and returns what the first became there.
    fn write_files(
        self,
        output: &Output,
        images: &[FinishedImage],
        latest: Option<Timestamp>,
        cancel: &Cancel,
    ) -> Result<Exported, StoreError> {
        let placed: Vec<_> = images.iter().map(|image| (files_directory(output, image), image)).collect();
        match output.clone() {
            Output::Tar { destination, .. } => TreeTar { destination, latest }.export(&placed, self.store, cancel)?,
            Output::Local { path, delete, .. } => {
                for (directory, image) in &placed {
                    let tree = LocalTree { path: path.join(directory.as_os_str()), delete, latest };
                    self.tell_left_out(&tree.export(image, self.store, cancel)?);
                }
            }
            _ => unreachable!("other outputs have no files"),
        }
        Ok(Exported::new(&images[0], output.look(), None))
    }
}
