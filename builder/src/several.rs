//! [`build_several`]: one image for several platforms: each is built by itself, and an index joins them.

use crate::at_once::at_once;
use crate::attend::Attendant;
use crate::build::{BuildResult, build_one};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::error::{BuildError, StepError};
use crate::exec::Made;
use crate::listener::with_registries;
use crate::output::{Exported, dressed, files_directory, metered};
use crate::platform_steps::PlatformSteps;
use crate::progress::{ProgressSink, StepId};
use crate::push::Places;
use crate::reading::Reading;
use crate::request::{BuildRequest, Output};
use crate::rework::latest;
use crate::shared::Shared;
use layerfs::cancel::Cancel;
use layerfs::descriptor::Descriptor;
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
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
    attendant: Option<&dyn Attendant>,
) -> Result<BuildResult, BuildError> {
    let steps = PlatformSteps::new(sink);
    let reading = Reading::of(request, &steps)?;
    let shared = Shared { reading, store, cancel, attendant, made: Some(Made::default()) };
    request.outputs.iter().try_for_each(refuse)?;
    let platforms: Vec<&Platform> = std::iter::once(&request.platform).chain(&request.more_platforms).collect();
    let mut images: Vec<Vec<FinishedImage>> = vec![Vec::new(); request.outputs.len()];
    let mut layer_sizes = Vec::new();
    for (number, platform) in platforms.into_iter().enumerate() {
        steps.turn_to(number, platform);
        // Kept in the store, without a name, in the look of each output.
        let kept = |output: &Output| Output::Store { names: Vec::new(), look: output.look().of_platform(platform) };
        let outputs: Vec<Output> = request.outputs.iter().map(kept).collect();
        let (platform, more_platforms) = (platform.clone(), Vec::new());
        let one = BuildRequest { platform, more_platforms, outputs, ..request.clone() };
        let built = build_one(&one, &shared)?;
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
        at_once(&request.outputs, |number| {
            let output = &request.outputs[number];
            let latest = latest(output.look(), request.source_date_epoch);
            places.write_several(number, output, &Several { images: &images[number], latest, cancel })
        })
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

/// Images for several platforms on their way to an output.
struct Several<'a> {
    images: &'a [FinishedImage],
    /// The time after which no file's is, if it is to be changed.
    latest: Option<Timestamp>,
    cancel: &'a Cancel,
}

impl Places<'_> {
    /// Writes images to an output, as an index of them or their files, and returns what they, or the first, became there.
    fn write_several(self, number: usize, output: &Output, several: &Several<'_>) -> Result<Exported, StepError> {
        if let Output::Registry { names, by_digest, compression, .. } = output.clone() {
            // Each part of a push is a step of its own.
            let dress = output.look().index_dress();
            let index = self.push_index(number, several.images, &names, by_digest, compression, &dress)?;
            return Ok(of_index(index));
        }
        let step = StepId::internal(number);
        self.as_step(step, output, several.cancel, || {
            metered(self.store, step, self.sink, |store| self.write_beside(store, output, several))
        })
    }

    /// Writes images beside the store.
    fn write_beside(self, store: &Store, output: &Output, several: &Several<'_>) -> Result<Exported, StoreError> {
        let Several { images, latest, cancel } = *several;
        let placed: Vec<_> = images.iter().map(|image| (files_directory(output, image), image)).collect();
        match output.clone() {
            Output::Oci { destination, archive, names, compression, look } => {
                let index = OciIndex { destination, archive, names, compression, dress: look.index_dress() };
                return index.export(images, store).map(of_index);
            }
            Output::Tar { destination, .. } => TreeTar { destination, latest }.export(&placed, store, cancel)?,
            Output::Local { path, delete, .. } => {
                for (directory, image) in &placed {
                    let tree = LocalTree { path: path.join(directory.as_os_str()), delete, latest };
                    self.tell_left_out(&tree.export(image, store, cancel)?);
                }
            }
            _ => unreachable!("other outputs were refused, or are pushed"),
        }
        Ok(Exported::new(&images[0], output.look(), None))
    }
}

fn of_index(index: Descriptor) -> Exported {
    Exported { id: index.digest, config: index.clone(), manifest: Some(index) }
}
