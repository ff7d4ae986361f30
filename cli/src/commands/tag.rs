//! `lbuild tag`.

use super::Scene;
use crate::args::TagArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;

/// Gives an image further names; none if one of them cannot be given.
pub fn run(args: &TagArgs, scene: &Scene) -> Result<Exit, Failure> {
    let names = args.names.iter().map(|text| settings::new_name(text)).collect::<Result<Vec<_>, _>>()?;
    engine::tag(&scene.root, &args.image, &names)?;
    Ok(Exit::Success)
}
