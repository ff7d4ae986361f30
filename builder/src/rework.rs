//! [`Finished`]: a finished image, and what outputs may want changed in it.

use crate::assemble;
use crate::diagnostic::Diagnostic;
use crate::output::clamp;
use crate::progress::{Event, ProgressSink};
use crate::request::Look;
use layerfs::error::StoreError;
use layerfs::export::{ExportLayer, FinishedImage, Rework};
use layerfs::image::ImageConfig;
use layerfs::meta::Timestamp;

/// A finished image, and what outputs may want changed in it.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    /// The image.
    pub image: FinishedImage,
    /// How many of its layers are the base's.
    pub base: usize,
    /// SOURCE_DATE_EPOCH of the build.
    pub epoch: Option<u64>,
    /// Makes layers.
    pub rework: Rework<'a>,
}

impl Finished<'_> {
    /// Returns the image with the layers of this build as one, and a history that has one line with a layer for them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn squashed(self) -> Result<Self, StoreError> {
        if self.image.layers.len() <= self.base + 1 {
            return Ok(self);
        }
        let made = self.rework.squashed(&self.image.layers, self.base)?;
        let mut layers = self.image.layers[..self.base].to_vec();
        layers.push(made);
        let mut config = self.image.config.clone();
        let empty = |line: &&mut layerfs::image::History| line.empty_layer != Some(true);
        let mut own: Vec<_> = config.history.iter_mut().filter(empty).skip(self.base).collect();
        own.pop();
        own.into_iter().for_each(|line| line.empty_layer = Some(true));
        Ok(Self { image: with_layers(&self.image, config, layers), ..self })
    }

    /// Returns the time after which no file's is in an output, if that was asked for.
    pub fn latest(&self, look: &Look) -> Option<Timestamp> {
        latest(look, self.epoch)
    }

    /// Returns the image with the times that an output asks for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn with_times(&self, look: &Look, sink: &dyn ProgressSink) -> Result<FinishedImage, StoreError> {
        let epoch = look.source_date_epoch.or(self.epoch);
        let mut config = self.image.config.clone();
        if let Some(epoch) = clamp(look.source_date_epoch) {
            clamp_config(&mut config, epoch);
        }
        let mut layers = self.image.layers.clone();
        match clamp(epoch) {
            Some(epoch) if look.rewrite_timestamp => {
                for layer in &mut layers[self.base..] {
                    *layer = self.rework.clamped(layer, epoch)?;
                }
            }
            None if look.rewrite_timestamp => {
                let text = "`rewrite-timestamp` changes nothing without SOURCE_DATE_EPOCH or `source-date-epoch=`";
                sink.event(Event::Warning(Diagnostic::warning(text)));
            }
            _ => {}
        }
        Ok(with_layers(&self.image, config, layers))
    }
}

/// Returns the time after which no file's is in an output of a build with SOURCE_DATE_EPOCH `epoch`, if that was asked for.
pub(crate) fn latest(look: &Look, epoch: Option<u64>) -> Option<Timestamp> {
    clamp(look.source_date_epoch.or(epoch.filter(|_| look.rewrite_timestamp)))
}

/// Returns an image with another config, brought in line with `layers`.
fn with_layers(image: &FinishedImage, mut config: ImageConfig, layers: Vec<ExportLayer>) -> FinishedImage {
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    FinishedImage::new(config, layers, image.annotations.clone())
}

/// Gives the image, and lines of its history, that are younger than `epoch` that time.
fn clamp_config(config: &mut ImageConfig, epoch: Timestamp) {
    let epoch = assemble::rfc3339(epoch);
    // To the second; the texts of a year of four digits in UTC are in the order of the times.
    let younger = |time: &str| time.ends_with('Z') && time.get(..19) >= epoch.get(..19);
    let times = config.history.iter_mut().map(|line| &mut line.created).chain([&mut config.created]);
    for time in times.flatten().filter(|time| younger(time)) {
        time.clone_from(&epoch);
    }
}
