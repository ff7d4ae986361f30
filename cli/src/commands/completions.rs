//! `lbuild completions` and the hidden `lbuild man`: made from the command line's own description.

use super::{io_failure, print};
use crate::args::{Args, CompletionsArgs, ManArgs};
use crate::exit::Exit;
use crate::report::Failure;
use clap::CommandFactory;
use layerfs::io_error::{IoContext, IoError};
use std::path::Path;

/// Prints what a shell needs to complete lbuild's command line.
pub fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "lbuild", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Success)
}

/// Writes a manual page for lbuild and one for each command.
pub fn man(args: &ManArgs) -> Result<Exit, Failure> {
    write_pages(&args.directory).map_err(io_failure)?;
    Ok(Exit::Success)
}

fn write_pages(directory: &Path) -> Result<(), IoError> {
    std::fs::create_dir_all(directory).at("make", directory)?;
    let mut command = Args::command();
    command.build();
    page(&command, "lbuild", directory)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("lbuild-{}", sub.get_name());
        // The page's own name has a dash, what is typed has none.
        page(&sub.clone().display_name(name.clone()), &name, directory)?;
    }
    Ok(())
}

fn page(command: &clap::Command, name: &str, directory: &Path) -> Result<(), IoError> {
    let path = directory.join(format!("{name}.1"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text).at("print", &path)?;
    std::fs::write(&path, text).at("write", &path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let directory = tempfile::tempdir().expect("a directory");
        write_pages(directory.path()).expect("written");
        for name in Command::NAMES.iter().filter(|name| !matches!(**name, "man" | "builder")) {
            let text = std::fs::read_to_string(directory.path().join(format!("lbuild-{name}.1"))).expect(name);
            assert!(text.contains(&format!(".TH lbuild-{name} 1")), "{name}: {text}");
        }
        let build = std::fs::read_to_string(directory.path().join("lbuild-build.1")).expect("a page");
        assert!(build.contains("on\\-fail") && !build.contains("all\\-platforms"), "{build}");
    }

    #[test]
    fn every_shell_completes_the_commands() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "lbuild", &mut text);
            let text = String::from_utf8(text).expect("text");
            assert!(text.contains("inspect") && text.contains("build-context"), "{shell}");
        }
    }
}
