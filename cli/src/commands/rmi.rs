//! `lbuild rmi`.

use super::{Scene, print};
use crate::args::RmiArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::{self, Failure};

/// Removes names; goes on after a name that is not there, and fails at the end.
pub fn run(args: &RmiArgs, scene: &Scene) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for name in &args.images {
        if args.force && engine::find_if_there(&scene.root, name)?.is_none() {
            continue;
        }
        match engine::remove(&scene.root, name) {
            Ok(removed) => {
                let names = removed.names.iter().map(|name| format!("Untagged: {}\n", name.familiar()));
                let images = removed.images.iter().map(|id| format!("Deleted: {id}\n"));
                print(&names.chain(images).collect::<String>())?;
            }
            Err(failure) => {
                report::failure(&failure, super::color());
                exit = failure.exit;
            }
        }
    }
    Ok(exit)
}
