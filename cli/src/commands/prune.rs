//! `lbuild prune`.

use super::{Scene, images::now, io_failure, print};
use crate::args::PruneArgs;
use crate::engine;
use crate::exit::Exit;
use crate::logs::builds;
use crate::report::Failure;
use crate::settings::{PruneSettings, prune};
use crate::ui::{bytes, moment};
use std::time::Duration;

/// Removes what no image needs, and says how much that was.
pub fn run(args: &PruneArgs, scene: &Scene) -> Result<Exit, Failure> {
    let settings = prune(args)?;
    let images = if settings.images { remove_images(&settings, scene)? } else { 0 };
    let mut pruned = match settings.store {
        true => engine::prune(&scene.root, &settings.options, &scene.cancel)?,
        false => engine::Pruned::default(),
    };
    if settings.logs {
        let (objects, bytes) = remove_logs(&settings, scene)?;
        pruned.objects += objects;
        pruned.bytes += bytes;
    }
    pruned.objects += images;
    print(&format!("removed {} objects, {}\n", pruned.objects, bytes(pruned.bytes)))?;
    Ok(Exit::Success)
}

/// Removes images without a name, or every one; returns how many.
fn remove_images(settings: &PruneSettings, scene: &Scene) -> Result<u64, Failure> {
    let old = settings.options.unused_for.map(|age| now().saturating_sub_unsigned(age.as_secs()));
    let mut removed = 0;
    for stored in engine::images(&scene.root)? {
        let created = stored.image.config.created.as_deref().and_then(moment).unwrap_or(0);
        if (settings.options.all || stored.names.is_empty()) && old.is_none_or(|old| created < old) {
            engine::remove(&scene.root, &stored.image.id().to_string())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes logs of builds that do not run.
fn remove_logs(settings: &PruneSettings, scene: &Scene) -> Result<(u64, u64), Failure> {
    let (mut objects, mut bytes) = (0, 0);
    for build in builds(&scene.root).map_err(io_failure)? {
        let age = build.began.elapsed().unwrap_or_default();
        if age < settings.options.unused_for.unwrap_or(Duration::ZERO) {
            continue;
        }
        let freed = build.remove().map_err(io_failure)?;
        objects += u64::from(freed > 0);
        bytes += freed;
    }
    Ok((objects, bytes))
}
