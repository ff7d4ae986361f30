//! [`in_our_words`]: command lines of Docker, Podman and Buildah as lbuild's own.

use super::{Command, PlanShapeArg};
use clap::ValueEnum;
use clap::error::ErrorKind;
use std::ffi::OsString;

/// A word of Docker's; each word that may follow it, and what both are here.
type Group = (&'static str, &'static [(&'static str, &'static [&'static str])]);

/// Commands that stand behind a word of Docker's, and what they are called here.
const GROUPED: [Group; 5] = [
    (
        "image",
        &[
            ("build", &["build"]),
            ("history", &["history"]),
            ("inspect", &["inspect"]),
            ("list", &["images"]),
            ("load", &["load"]),
            ("ls", &["images"]),
            ("prune", &["prune", "--kind", "images"]),
            ("pull", &["pull"]),
            ("push", &["push"]),
            ("remove", &["rmi"]),
            ("rm", &["rmi"]),
            ("save", &["save"]),
            ("tag", &["tag"]),
        ],
    ),
    (
        "buildx",
        &[
            ("b", &["build"]),
            ("bake", &["builder", "bake"]),
            ("build", &["build"]),
            ("create", &["builder", "create"]),
            ("du", &["du"]),
            ("f", &["builder", "bake"]),
            ("inspect", &["builder", "inspect"]),
            ("install", &["builder", "install"]),
            ("ls", &["builder", "ls"]),
            ("prune", &["prune"]),
            ("rm", &["builder", "rm"]),
            ("stop", &["builder", "stop"]),
            ("use", &["builder", "use"]),
            ("version", &["builder", "version"]),
        ],
    ),
    ("builder", &[("build", &["build"]), ("prune", &["prune"])]),
    ("container", &[("run", &["run"])]),
    ("system", &[("df", &["du"]), ("prune", &["prune"])]),
];

/// Words that are commands elsewhere, and what they are called here.
const ALONE: [(&str, &str); 2] = [("bud", "build"), ("build-using-dockerfile", "build")];

/// Flags that take a value and may stand before the command: ours, and those of others.
const WITH_VALUE: [&str; 2] = ["--root", "--insecure-registry"];
/// Those of others, which only stand before the word of a command.
const OTHERS_WITH_VALUE: [&str; 13] = [
    "--cgroup-manager",
    "--config",
    "--context",
    "--events-backend",
    "--host",
    "--log-level",
    "--registries-conf",
    "--runroot",
    "--storage-driver",
    "--storage-opt",
    "-H",
    "-c",
    "-l",
];
const OTHERS: [&str; 2] = ["--debug", "-D"];

/// A command line in our words.
#[derive(Debug)]
pub(super) struct InOurWords {
    /// The words.
    pub words: Vec<OsString>,
    /// What was typed where a command stands, if `build` was put before it and more words follow.
    no_command: Option<String>,
}

impl InOurWords {
    /// Returns what is wrong with the words: a command that there is none of was taken for the context of a build, and
    /// what follows it is too much.
    pub fn explained(&self, error: clap::Error) -> clap::Error {
        match &self.no_command {
            Some(word) if error.kind() == ErrorKind::UnknownArgument => {
                let text = format!(
                    "lbuild has no command `{word}`: it builds images and looks after them, and keeps no containers\n\n\
                     For more information, try '--help'.\n"
                );
                clap::Error::raw(ErrorKind::InvalidSubcommand, text)
            }
            _ => error,
        }
    }
}

/// Returns a command line in our words: Docker's two words for a command turned into one, `help` into the flag, and `build`
/// put in where no command was typed.
pub(super) fn in_our_words(typed: impl IntoIterator<Item = OsString>) -> InOurWords {
    let mut arguments: Vec<OsString> = typed.into_iter().collect();
    let mut at = first_word(&arguments, false);
    let beyond = first_word(&arguments, true);
    if arguments.get(beyond).is_some_and(|argument| is_command(&argument.to_string_lossy())) {
        at = beyond;
    }
    let word = |number: usize| arguments.get(at + number).map(|argument| argument.to_string_lossy().into_owned());
    let (first, second) = (word(0).unwrap_or_default(), word(1).unwrap_or_default());
    if first == "buildx" && second == "imagetools" {
        // What follows is `inspect NAME` or `create -t NAME IMAGE…`, as of `manifest`.
        arguments.splice(at..at + 2, ["manifest".into()]);
    } else if let Some(command) = grouped(&first, &second) {
        arguments.splice(at..at + 2, command.iter().map(OsString::from));
    } else if let Some((_, command)) = ALONE.iter().find(|(alone, _)| *alone == first) {
        arguments[at] = command.into();
    } else if first == "version" && arguments.len() == at + 1 {
        arguments.splice(at..=at, ["builder".into(), "version".into()]);
    }
    if arguments.get(at).is_some_and(|argument| argument == "help") {
        arguments.remove(at);
        arguments.push("--help".into());
    }
    let mut no_command = None;
    if let Some(word) = arguments.get(at).filter(|argument| starts_a_build(&argument.to_string_lossy())) {
        let more = arguments.get(at + 1).is_some_and(|next| !next.to_string_lossy().starts_with('-'));
        no_command = word.to_str().filter(|word| more && is_word(word)).map(str::to_owned);
        arguments.insert(at, "build".into());
    }
    if arguments.get(at).is_some_and(|argument| argument == "plan") {
        name_shapes(&mut arguments[at + 1..]);
    }
    InOurWords { words: arguments, no_command }
}

/// Reports whether `text` looks like a command, as no flag and no path does.
pub fn is_word(text: &str) -> bool {
    let all = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    !text.is_empty() && !text.starts_with('-') && all
}

/// Says `--show` for a `--format` that means how a plan is shown: the one of builds names the form of an image.
fn name_shapes(arguments: &mut [OsString]) {
    let is_shape = |word: &str| PlanShapeArg::value_variants().iter().any(|shape| shape.is_called(word));
    for at in 0..arguments.len() {
        let word = arguments[at].to_string_lossy().into_owned();
        let next = arguments.get(at + 1).map(|next| next.to_string_lossy().into_owned());
        match word.strip_prefix("--format") {
            Some("") if next.is_some_and(|next| is_shape(&next)) => arguments[at] = "--show".into(),
            Some(value) if value.strip_prefix('=').is_some_and(is_shape) => {
                arguments[at] = format!("--show{value}").into();
            }
            _ => {}
        }
    }
}

/// Returns the place of the first argument that is no flag before the command, `others` included.
fn first_word(arguments: &[OsString], others: bool) -> usize {
    let mut at = 1;
    while let Some(width) = arguments.get(at).and_then(|argument| width(&argument.to_string_lossy(), others)) {
        at += width;
    }
    at
}

/// Returns how many arguments a flag takes that may stand before the command, if `argument` is one.
fn width(argument: &str, others: bool) -> Option<usize> {
    if others && OTHERS.contains(&argument) {
        return Some(1);
    }
    let known = WITH_VALUE.iter().chain(OTHERS_WITH_VALUE.iter().filter(|_| others));
    known.into_iter().find_map(|flag| match argument.strip_prefix(flag)? {
        "" => Some(2),
        value => value.starts_with('=').then_some(1),
    })
}

/// Returns the command that Docker calls `group word`.
fn grouped(group: &str, word: &str) -> Option<&'static [&'static str]> {
    let (_, words) = GROUPED.iter().find(|(name, _)| *name == group)?;
    words.iter().find(|(name, _)| *name == word).map(|(_, command)| *command)
}

fn is_command(argument: &str) -> bool {
    Command::NAMES.contains(&argument)
        || GROUPED.iter().any(|(group, _)| *group == argument)
        || ALONE.iter().any(|(alone, _)| *alone == argument)
}

fn starts_a_build(argument: &str) -> bool {
    !matches!(argument, "--help" | "-h" | "--version" | "-V") && !Command::NAMES.contains(&argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(typed: &[&str]) -> Vec<String> {
        let arguments = std::iter::once("lbuild").chain(typed.iter().copied()).map(OsString::from);
        in_our_words(arguments).words.into_iter().skip(1).map(|a| a.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn build_is_the_default_command() {
        for (typed, wanted) in [
            (&["-t", "x", "."][..], &["build", "-t", "x", "."][..]),
            (&["."], &["build", "."]),
            (&["./build"], &["build", "./build"]),
            (&["build", "."], &["build", "."]),
            (&["images"], &["images"]),
            (&["--root", "r", "-t", "x", "."], &["--root", "r", "build", "-t", "x", "."]),
            (&["--root=r", "fsck"], &["--root=r", "fsck"]),
            (&["--insecure-registry", "h:1", "login"], &["--insecure-registry", "h:1", "login"]),
            (&["--insecure-registry=h:1", "."], &["--insecure-registry=h:1", "build", "."]),
            (&["--rootless", "."], &["build", "--rootless", "."]),
            (&["--help"], &["--help"]),
            (&["-V"], &["-V"]),
            (&[], &[]),
        ] {
            assert_eq!(completed(typed), wanted, "{typed:?}");
        }
    }

    /// FEATURES 3.5-4, 3.5-5, 3.5-7, 3.5-8.
    #[test]
    fn words_of_others_are_ours() {
        for (typed, wanted) in [
            (&["image", "ls", "-q"][..], &["images", "-q"][..]),
            (&["image", "rm", "x"], &["rmi", "x"]),
            (&["image", "tag", "x", "y"], &["tag", "x", "y"]),
            (&["image", "prune", "-f"], &["prune", "--kind", "images", "-f"]),
            (&["buildx", "build", "-t", "x", "."], &["build", "-t", "x", "."]),
            (&["buildx", "imagetools", "inspect", "x"], &["manifest", "inspect", "x"]),
            (&["buildx", "create", "--use"], &["builder", "create", "--use"]),
            (&["buildx", "du"], &["du"]),
            (&["builder", "prune", "-af"], &["prune", "-af"]),
            (&["system", "df"], &["du"]),
            (&["bud", "-t", "x"], &["build", "-t", "x"]),
            (&["version"], &["builder", "version"]),
            (&["version", "-t", "x"], &["build", "version", "-t", "x"]),
            (&["--debug", "buildx", "build", "."], &["--debug", "build", "."]),
            (
                &["--log-level=debug", "--storage-driver", "vfs", "bud", "."],
                &["--log-level=debug", "--storage-driver", "vfs", "build", "."],
            ),
            (&["-D", "-t", "x", "."], &["build", "-D", "-t", "x", "."]),
            (&["-c", "512", "."], &["build", "-c", "512", "."]),
            (&["--root", "r", "image", "inspect", "x"], &["--root", "r", "inspect", "x"]),
            (&["-t", "image", "ls"], &["build", "-t", "image", "ls"]),
            (&["plan", "--format", "dot", "."], &["plan", "--show", "dot", "."]),
            (&["plan", ".", "--format=json"], &["plan", ".", "--show=json"]),
            (&["plan", "--format", "docker", "--format"], &["plan", "--format", "docker", "--format"]),
            (&["build", "--format", "json"], &["build", "--format", "json"]),
            (&["help"], &["--help"]),
            (&["help", "build"], &["build", "--help"]),
            (&["help", "manifest", "create"], &["manifest", "create", "--help"]),
            (&["./help"], &["build", "./help"]),
            (&["image"], &["build", "image"]),
            (&["image", "frobnicate"], &["build", "image", "frobnicate"]),
        ] {
            assert_eq!(completed(typed), wanted, "{typed:?}");
        }
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let said = |typed: &[&str]| {
            let typed = ["lbuild"].iter().chain(typed).map(OsString::from);
            super::super::parse(typed).err().map(|error| error.to_string())
        };
        for (typed, wanted) in [
            (&["exec", "x"][..], Some("error: lbuild has no command `exec`: it builds images")),
            (&["compose", "up", "-d"], Some("error: lbuild has no command `compose`: ")),
            (&["compose"], None),
            (&["--frob", "x"], Some("error: unexpected argument '--frob' found")),
            (&["build", "exec", "x"], Some("error: unexpected argument 'x' found")),
            (&["./exec", "x"], Some("error: unexpected argument 'x' found")),
        ] {
            let said = said(typed);
            let starts = said.as_deref().zip(wanted).map(|(said, wanted)| said.starts_with(wanted));
            assert_eq!(starts, wanted.map(|_| true), "{typed:?} {said:?}");
        }
    }
}
