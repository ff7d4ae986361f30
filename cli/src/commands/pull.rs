//! `lbuild pull`.

use super::{Scene, at_registries, print};
use crate::args::{ProgressArg, PullArgs};
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use builder::Pulled;
use layerfs::reference::ImageRef;

/// Brings images into the store, and says what each name leads to, as Docker does.
pub fn run(args: &PullArgs, scene: &Scene) -> Result<Exit, Failure> {
    let names: Vec<ImageRef> = args.names.iter().map(|name| settings::tag(name)).collect::<Result<_, _>>()?;
    let platform = settings::platform(args.platform.as_deref())?;
    let progress = if args.quiet { Some(ProgressArg::Quiet) } else { args.progress };
    let pulled = at_registries(progress, scene, |registry| registry.pull(names, platform))?;
    let show = if args.quiet { |one: &Pulled| format!("{}\n", one.name) } else { lines };
    print(&pulled.iter().map(show).collect::<String>())?;
    Ok(Exit::Success)
}

/// Returns Docker's lines for one image.
fn lines(pulled: &Pulled) -> String {
    let Pulled { name, digest, is_new } = pulled;
    let status = if *is_new { "Downloaded newer image for" } else { "Image is up to date for" };
    format!("Digest: {digest}\nStatus: {status} {}\n{name}\n", name.familiar())
}
