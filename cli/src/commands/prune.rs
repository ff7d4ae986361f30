//! `lbuild prune`.

use super::{Scene, print};
use crate::args::PruneArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::ui::bytes;

/// Removes what no image needs, and says how much that was.
pub fn run(args: &PruneArgs, scene: &Scene) -> Result<Exit, Failure> {
    let pruned = engine::prune(&scene.root, args.all, &scene.cancel)?;
    print(&format!("removed {} objects, {}\n", pruned.objects, bytes(pruned.bytes)))?;
    Ok(Exit::Success)
}
