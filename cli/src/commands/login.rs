//! `lbuild login`.

use super::{Scene, io_failure, print};
use crate::args::LoginArgs;
use crate::engine;
use crate::exit::Exit;
use crate::prompt;
use crate::report::Failure;
use crate::settings::{self, SettingsError};
use layerfs::registry::credentials::{Credential, Keeper};
use layerfs::registry::secret::Secret;
use std::io::Write;

/// Checks a credential against the registry, and keeps it.
pub fn run(args: &LoginArgs, scene: &Scene) -> Result<Exit, Failure> {
    let host = settings::registry_host(&args.host)?;
    let settings = scene.registry_settings()?;
    if args.password.is_some() {
        warn("a password on the command line can be seen by others; `--password-stdin` hides it");
    }
    let credential = Asked { host: &host, scene }.credential(args)?;
    let keeper = engine::login(&settings, &host, &credential, &scene.cancel)?;
    if let Keeper::File(path) = keeper {
        let path = path.display();
        warn(&format!("the password is kept unencrypted in `{path}`; a credential helper (`credsStore`) hides it"));
    }
    print("Login Succeeded\n")?;
    Ok(Exit::Success)
}

fn warn(text: &str) {
    if writeln!(std::io::stderr().lock(), "warning: {text}").is_err() {
        // Standard error is gone: there is nobody left to warn.
    }
}

/// Where the user is to log in.
struct Asked<'a> {
    host: &'a str,
    scene: &'a Scene,
}

impl Asked<'_> {
    fn credential(&self, args: &LoginArgs) -> Result<Credential, Failure> {
        let user = match &args.username {
            Some(user) => user.clone(),
            None if args.password_stdin || !prompt::is_possible() => {
                return Err(self.refused("nobody can be asked for the user name", "say `-u USER`"));
            }
            None => self.text(prompt::line(&format!("Username for {}: ", self.host), &self.scene.cancel))?,
        };
        let password = match &args.password {
            Some(password) => password.expose().to_owned(),
            None if args.password_stdin || !prompt::is_possible() => self.text(prompt::all(&self.scene.cancel))?,
            None => self.text(prompt::secret("Password: ", &self.scene.cancel))?,
        };
        match (user.is_empty(), password.is_empty()) {
            (true, _) => Err(self.refused("the user name is empty", "say `-u USER`")),
            (_, true) => Err(self.refused("the password is empty", "pipe it in, or type it on a terminal")),
            _ => Ok(Credential::Password { user, password: Secret::new(password) }),
        }
    }

    /// Returns what was typed without the end of the line.
    fn text(&self, typed: Result<Option<Vec<u8>>, layerfs::io_error::IoError>) -> Result<String, Failure> {
        let typed = typed.map_err(io_failure)?.ok_or_else(Failure::interrupted)?;
        let mut text =
            String::from_utf8(typed).map_err(|_| self.refused("what was typed is not UTF-8", "type text"))?;
        if text.ends_with('\n') {
            text.pop();
        }
        if text.ends_with('\r') {
            text.pop();
        }
        Ok(text)
    }

    fn refused(&self, why: &str, help: &str) -> Failure {
        SettingsError::Login { host: self.host.to_owned(), why: why.to_owned(), help: help.to_owned() }.into()
    }
}
