//! The binary `lbuild`.

mod args;
mod cap;
mod commands;
mod engine;
mod exit;
mod flags;
mod listing;
mod logs;
mod prompt;
mod report;
mod settings;
mod signals;
mod template;
mod terminal;
mod trace;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(entry) = builder::worker::reexec_entry() {
        entry();
    }
    match args::parse(std::env::args_os()) {
        Ok(args) => commands::run(&args).into(),
        Err(usage) => commands::usage(&usage).into(),
    }
}
