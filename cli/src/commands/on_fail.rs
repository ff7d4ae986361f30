//! `--on-fail`: what is done with a step that failed while its file system is still there.

use super::{tell, with_cure};
use crate::settings::OnFail;
use crate::terminal;
use crate::ui::{Screen, visible};
use builder::attend::{Attendant, FailedStep};
use builder::diagnostic::Diagnose;
use std::path::Path;
use std::sync::Arc;

/// Opens a shell in a step that failed, or writes a bundle of it.
pub struct Attending {
    how: OnFail,
    screen: Arc<dyn Screen>,
}

impl Attending {
    /// Returns who does `how` below `screen`.
    pub fn new(how: OnFail, screen: Arc<dyn Screen>) -> Self {
        Self { how, screen }
    }
}

impl Attendant for Attending {
    fn failed(&self, step: FailedStep<'_>) {
        self.screen.settle();
        match &self.how {
            OnFail::Shell => shell(&step),
            OnFail::Bundle(directory) => bundle(step, directory),
        }
    }
}

fn shell(step: &FailedStep<'_>) {
    tell(&format!(
        "\n{} failed. This is a shell in its file system, with its environment and mounts.\n\
         What failed: {}\nWhat is done here is thrown away; `exit` ends lbuild.\n\n",
        visible(step.name()),
        command(step.arguments()),
    ));
    step.left_out().iter().for_each(|what| tell(&format!("not here: {}\n", visible(what))));
    match terminal::on_terminal(|terminal| step.enter(terminal)) {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tell(&with_cure("no shell can be opened", &error.diagnose())),
        Err(error) => tell(&format!("no shell can be opened: {error}\n")),
    }
}

fn bundle(step: FailedStep<'_>, directory: &Path) {
    match step.bundle(directory) {
        Ok(left_out) => {
            let shown = directory.display();
            tell(&format!("\nwrote the failed step to `{shown}`; open it with `lbuild shell {shown}`\n"));
            left_out.iter().for_each(|what| tell(&format!("left out: {}\n", visible(what))));
            tell("files that the step made are in it; look at them before you hand it on\n\n");
        }
        Err(error) => tell(&with_cure("the bundle cannot be written", &error.diagnose())),
    }
}

/// Returns an argument list as a line that a shell reads the same.
pub fn command(arguments: &[String]) -> String {
    let plain =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c));
    let quoted = |text: &String| {
        if plain(text) { text.clone() } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    visible(&arguments.iter().map(quoted).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_reads_it() {
        let shown = |words: &[&str]| command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(shown(&["/bin/sh", "-c", "echo it's"]), r"/bin/sh -c 'echo it'\''s'");
        assert_eq!(shown(&["make", "", "A=b"]), "make '' A=b");
    }
}
