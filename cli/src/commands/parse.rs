//! `lbuild parse`: what the parser sees, for editors and linters.

use super::print;
use crate::args::ParseArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use builder::dockerfile::listing::Listing;

/// Prints the instructions of a Dockerfile as JSON, whatever is wrong with it; status 1 if something is.
pub fn run(args: &ParseArgs) -> Result<Exit, Failure> {
    let listing = Listing::new(&settings::dockerfile_at(&args.file)?);
    let text = serde_json::to_string_pretty(&listing).expect("texts and numbers are JSON");
    print(&format!("{text}\n"))?;
    Ok(if listing.is_wrong() { Exit::Command(1) } else { Exit::Success })
}
