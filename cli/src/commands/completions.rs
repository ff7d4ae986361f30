//! `lbuild completions` and the hidden `lbuild man`: made from the command line's own description.

use super::{io_failure, print};
use crate::args::{Args, CompletionsArgs, ManArgs};
use crate::exit::Exit;
use crate::report::Failure;
use clap::{ArgAction, CommandFactory, ValueEnum, ValueHint};
use clap_complete::Shell;
use layerfs::io_error::{IoContext, IoError};
use std::path::Path;

/// What values of flags and arguments are that no file name stands for.
const NO_FILES: [&str; 15] = [
    "IMAGE", "NAME", "SOURCE", "TARGET", "A", "B", "FORMAT", "KEY", "PLATFORM", "STAGE", "HOST", "SIZE", "SECONDS",
    "N", "USER",
];

/// Lets bash offer flags only where a dash was typed, as the other shells do: there are many.
const NO_FLAGS_UNASKED: &str = r#"
_lbuild_asked() {
    _lbuild "$@"
    if [[ "${COMP_WORDS[COMP_CWORD]}" != -* ]]; then
        local word words=()
        for word in "${COMPREPLY[@]}"; do
            [[ "${word}" == -* ]] || words+=("${word}")
        done
        COMPREPLY=("${words[@]}")
    fi
}
if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _lbuild_asked -o nosort -o bashdefault -o default lbuild
else
    complete -F _lbuild_asked -o bashdefault -o default lbuild
fi
"#;

/// Prints what a shell needs to complete lbuild's command line.
pub fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    print(&text(args.shell))?;
    Ok(Exit::Success)
}

fn text(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut offered(), "lbuild", &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if shell == Shell::Bash {
        text.push_str(NO_FLAGS_UNASKED);
    }
    if shell == Shell::Fish {
        // What clap writes for it leaves out the values of arguments that are no flags.
        let shells: Vec<String> = Shell::value_variants().iter().map(ToString::to_string).collect();
        let shells = shells.join(" ");
        text.push_str(&format!(
            "complete -c lbuild -n \"__fish_lbuild_using_subcommand completions\" -f -a \"{shells}\"\n"
        ));
    }
    text
}

/// Returns the command line as it is offered: nothing that is hidden, and the flags of `build`, the default command, before
/// any command.
fn offered() -> clap::Command {
    let whole = Args::command();
    let build = whole.find_subcommand("build").map(shown).unwrap_or_default();
    let flags = build.get_arguments().filter(|arg| !arg.is_positional()).cloned();
    shown(&whole).version(env!("CARGO_PKG_VERSION")).args(flags)
}

fn shown(command: &clap::Command) -> clap::Command {
    let arguments = command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned();
    let commands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let same = clap::Command::new(command.get_name().to_owned()).disable_help_subcommand(true);
    same.about(command.get_about().cloned().unwrap_or_default())
        .args(arguments.map(completed))
        .subcommands(commands.map(shown))
}

/// Returns an argument as shells are to complete it: no files where none are meant, and one that may be `=true` or `=false`
/// as a flag that takes no value, or the next word would be taken for it.
fn completed(argument: clap::Arg) -> clap::Arg {
    let names = argument.get_value_names().unwrap_or_default();
    let words: Vec<&str> = names.iter().filter_map(|name| name.split(['[', '=', ':', '|']).next()).collect();
    if !argument.get_action().takes_values() {
        argument
    } else if words == ["BOOL"] {
        flag(&argument)
    } else if words.iter().any(|word| NO_FILES.contains(word)) {
        argument.value_hint(ValueHint::Other)
    } else {
        argument
    }
}

fn flag(argument: &clap::Arg) -> clap::Arg {
    let flag = clap::Arg::new(argument.get_id().clone()).action(ArgAction::SetTrue).short(argument.get_short());
    let flag = flag.help(argument.get_help().cloned().unwrap_or_default());
    match argument.get_long() {
        Some(long) => flag.long(long.to_owned()),
        None => flag,
    }
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
    pages(&command, "lbuild", directory)
}

/// Writes the page of a command, and those of the commands below it.
fn pages(command: &clap::Command, name: &str, directory: &Path) -> Result<(), IoError> {
    // The page's own name has dashes, what is typed has none.
    page(command.clone().display_name(name.to_owned()), name, directory)?;
    let mut shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.try_for_each(|sub| pages(sub, &format!("{name}-{}", sub.get_name()), directory))
}

fn page(command: clap::Command, name: &str, directory: &Path) -> Result<(), IoError> {
    let path = directory.join(format!("{name}.1"));
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command).source(concat!("lbuild ", env!("CARGO_PKG_VERSION")));
    page.render(&mut text).at("print", &path)?;
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
            assert!(text.contains(&format!(".TH lbuild-{name} 1  \"lbuild ")), "{name}: {text}");
        }
        let create = std::fs::read_to_string(directory.path().join("lbuild-manifest-create.1")).expect("a page");
        assert!(create.contains("\\fBlbuild manifest create\\fR"), "{create}");
        let build = std::fs::read_to_string(directory.path().join("lbuild-build.1")).expect("a page");
        assert!(build.contains("on\\-fail") && !build.contains("all\\-platforms"), "{build}");
    }

    #[test]
    fn every_shell_completes_what_is_shown() {
        for shell in Shell::value_variants() {
            let text = text(*shell);
            for (part, is) in [
                ("inspect", true),
                ("build-context", true),
                ("powershell", *shell != Shell::Elvish && *shell != Shell::PowerShell),
                // Hidden: commands and flags of others.
                ("What manages builders", false),
                ("cgroup-manager", false),
                ("all-platforms", false),
            ] {
                assert_eq!(text.contains(part), is, "{shell}: {part}\n{text}");
            }
        }
    }

    #[test]
    fn flags_of_the_default_command_are_offered_before_any_command() {
        let offered = offered();
        offered.clone().debug_assert();
        let flags: Vec<&str> = offered.get_arguments().filter_map(clap::Arg::get_long).collect();
        for flag in ["tag", "file", "output", "root"] {
            assert!(flags.contains(&flag), "{flag}: {flags:?}");
        }
        let argument = |command: &str, argument: &str| {
            let command = offered.find_subcommand(command).expect("a command");
            command.get_arguments().find(|arg| arg.get_id() == argument).expect("an argument").clone()
        };
        assert_eq!(argument("rmi", "images").get_value_hint(), ValueHint::Other);
        assert_eq!(argument("build", "file").get_value_hint(), ValueHint::AnyPath);
        let push = argument("build", "push");
        assert!(push.get_long() == Some("push") && !push.get_action().takes_values(), "{push:?}");
    }
}
