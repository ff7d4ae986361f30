//! `lbuild logout`.

use super::{Scene, print};
use crate::args::LogoutArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;

/// Forgets the credentials for a registry; that there are none is no error, as with Docker.
pub fn run(args: &LogoutArgs, scene: &Scene) -> Result<Exit, Failure> {
    let host = settings::registry_host(&args.host)?;
    let any = engine::logout(&scene.registry_settings()?, &host, &scene.cancel)?;
    let said = if any { "Removing login credentials for" } else { "Not logged in to" };
    print(&format!("{said} {host}\n"))?;
    Ok(Exit::Success)
}
