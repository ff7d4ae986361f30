//! `docker buildx create` and what else manages builders: there is one, and it needs no managing.

use super::{Scene, print, tell};
use crate::args::BuilderArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings::SettingsError;

/// Answers as `docker buildx` would, so that scripts go on; refuses what would be missed.
pub fn run(args: &BuilderArgs, scene: &Scene) -> Result<Exit, Failure> {
    let refused = |cure| {
        let flag = args.word.clone();
        Err(Failure::of(&SettingsError::ForeignFlag { flag, owner: "docker buildx", cure }))
    };
    let (what, store) = (concat!("lbuild ", env!("CARGO_PKG_VERSION")), scene.root.display());
    match args.word.as_str() {
        "bake" => {
            return refused(
                "build each target by itself: `docker buildx bake --print` shows the flags, and what is alike comes from the cache",
            );
        }
        "version" => print(&format!("{what}\n"))?,
        "ls" => print("NAME/NODE  DRIVER  STATUS\nlbuild*    lbuild  running\n")?,
        "inspect" => {
            print(&format!("Name:    lbuild\nDriver:  lbuild\nStatus:  running\nVersion: {what}\nStore:   {store}\n"))?
        }
        "create" | "install" | "rm" | "stop" | "use" => {
            tell(&format!("WARN: `buildx {}` has no effect here: there is one builder, this program\n", args.word));
            if args.word == "create" {
                print("lbuild\n")?;
            }
        }
        _ => return refused("there is one builder, this program: `lbuild --help` lists what it can do"),
    }
    Ok(Exit::Success)
}
