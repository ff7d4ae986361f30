//! `lbuild load`.

use super::{Scene, print};
use crate::args::LoadArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings::{self, SettingsError};
use layerfs::load::Loaded;
use std::io::IsTerminal;
use std::path::Path;

/// Brings the images of an archive or layout into the store, and says which, as Docker does.
pub fn run(args: &LoadArgs, scene: &Scene) -> Result<Exit, Failure> {
    let platform = settings::platform(args.platform.as_deref())?;
    let input = (args.input != Path::new("-")).then_some(args.input.as_path());
    if input.is_none() && std::io::stdin().is_terminal() {
        return Err(SettingsError::TerminalInput.into());
    }
    let loaded = engine::load(&scene.root, input, &platform, &scene.cancel)?;
    print(&loaded.iter().map(lines).collect::<String>())?;
    Ok(Exit::Success)
}

fn lines(loaded: &Loaded) -> String {
    if loaded.names.is_empty() {
        return format!("Loaded image ID: {}\n", loaded.id);
    }
    loaded.names.iter().map(|name| format!("Loaded image: {}\n", name.familiar())).collect()
}
