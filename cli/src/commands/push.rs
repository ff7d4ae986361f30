//! `lbuild push`.

use super::{Scene, print, registries, typed_screen};
use crate::args::PushArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use builder::Pushed;
use layerfs::reference::ImageRef;

/// Pushes images of the store, and says where each went, as Docker does.
pub fn run(args: &PushArgs, scene: &Scene) -> Result<Exit, Failure> {
    let names: Vec<ImageRef> = args.names.iter().map(|name| settings::tag(name)).collect::<Result<_, _>>()?;
    let names = if args.all_tags { engine::all_tags(&scene.root, &names)? } else { names };
    let screen = typed_screen(args.progress, scene)?;
    let pushed = engine::push(&scene.root, &names, registries(scene), &*screen, &scene.cancel);
    // The view must stand before anything is printed below it.
    drop(screen);
    print(&pushed?.iter().map(line).collect::<String>())?;
    Ok(Exit::Success)
}

/// Returns Docker's line: `latest: digest: sha256:… size: 527`.
fn line(pushed: &Pushed) -> String {
    let tag = pushed.name.tag.clone().unwrap_or_else(|| pushed.name.familiar_name());
    format!("{tag}: digest: {} size: {}\n", pushed.manifest.digest, pushed.manifest.size)
}
