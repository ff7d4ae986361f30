//! `lbuild shell`.

use super::on_fail::command;
use super::{Scene, io_failure, tell};
use crate::args::ShellArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use crate::terminal;
use crate::ui::{PassThrough, visible};
use layerfs::io_error::IoContext;

/// Opens a shell, or runs a command, in the file system of a step that failed elsewhere.
pub fn run(args: &ShellArgs, scene: &Scene) -> Result<Exit, Failure> {
    let allow_insecure = settings::allows_insecure(&args.allow)?;
    let bundle = builder::open_bundle(&args.directory)?;
    let cancel = scene.cancel.child().at("make", "an eventfd").map_err(io_failure)?;
    let screen = PassThrough::new(cancel.clone());
    if !terminal::is_there() {
        return engine::shell(&bundle, &args.command, allow_insecure, None, &scene.root, &screen, &cancel);
    }
    if args.command.is_empty() {
        tell(&format!("{}\nWhat failed: {}\n", visible(bundle.name()), command(bundle.arguments())));
        bundle.left_out().iter().for_each(|what| tell(&format!("not here: {}\n", visible(what))));
    }
    let enter = |terminal: std::os::fd::BorrowedFd<'_>| {
        engine::shell(&bundle, &args.command, allow_insecure, Some(terminal), &scene.root, &screen, &cancel)
    };
    terminal::on_terminal(enter).map_err(io_failure)?
}
