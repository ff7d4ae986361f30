//! `lbuild push`.

use super::{Scene, at_registries, print};
use crate::args::{ProgressArg, PushArgs};
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use builder::Pushed;
use layerfs::reference::ImageRef;

/// Pushes images of the store, and says where each went, as Docker does.
pub fn run(args: &PushArgs, scene: &Scene) -> Result<Exit, Failure> {
    let names: Vec<ImageRef> = args.names.iter().map(|name| settings::tag(name)).collect::<Result<_, _>>()?;
    let progress = if args.quiet { Some(ProgressArg::Quiet) } else { args.progress };
    let pushed = at_registries(progress, scene, |registry| registry.push(&names, args.all_tags))?;
    let show = if args.quiet { |one: &Pushed| format!("{}\n", one.name) } else { line };
    print(&pushed.iter().map(show).collect::<String>())?;
    Ok(Exit::Success)
}

/// Returns Docker's line: `latest: digest: sha256:… size: 527`.
fn line(pushed: &Pushed) -> String {
    let tag = pushed.name.tag.clone().unwrap_or_else(|| pushed.name.familiar_name());
    format!("{tag}: digest: {} size: {}\n", pushed.manifest.digest, pushed.manifest.size)
}
