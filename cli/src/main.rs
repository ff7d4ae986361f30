//! The binary `lbuild`.

mod args;
mod commands;
mod engine;
mod exit;
mod listing;
mod prompt;
mod report;
mod settings;
mod signals;
mod template;
mod ui;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(entry) = builder::worker::reexec_entry() {
        entry();
    }
    match args::Args::try_parse_from(args::with_default_command(std::env::args_os())) {
        Ok(args) => commands::run(&args).into(),
        Err(usage) => commands::usage(&usage).into(),
    }
}
