//! `lbuild run`.

use super::{Scene, at_registries, io_failure};
use crate::args::RunArgs;
use crate::engine::{self, StoredImage};
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings::{self, Environment, SettingsError, network};
use crate::ui::PassThrough;
use builder::diagnostic::Diagnostic;
use builder::request::RunRequest;
use layerfs::image::RunConfig;
use layerfs::io_error::IoContext;

/// The search path of an image that has none, as Docker's.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What ends a program whose output nobody reads.
const SIGPIPE: u8 = 13;

/// Runs the image's command, or the one that was typed, and passes its exit status on.
pub fn run(args: &RunArgs, scene: &Scene) -> Result<Exit, Failure> {
    if args.interactive || args.tty {
        return Err(SettingsError::Interactive { image: args.image.clone() }.into());
    }
    let stored = stored(&args.image, scene)?;
    let request = request(args, &stored.image.config.config, &scene.environment)?;
    let cancel = scene.cancel.child().at("make", "an eventfd").map_err(io_failure)?;
    let screen = PassThrough::new(cancel.clone());
    let ended = engine::run(&request, &stored, &scene.root, &screen, &cancel);
    if screen.reader_is_gone() { Ok(Exit::Signal(SIGPIPE)) } else { ended }
}

/// Returns the image; what is not in the store is fetched, as `docker run` does.
fn stored(name: &str, scene: &Scene) -> Result<StoredImage, Failure> {
    let reference = match engine::find_if_there(&scene.root, name)? {
        Some(stored) if !stored.is_sparse => return Ok(stored),
        Some(StoredImage { names, .. }) if !names.is_empty() => names[0].clone(),
        _ => settings::tag(name)?,
    };
    at_registries(None, scene, |registry| registry.complete(&reference))?;
    engine::find(&scene.root, name)
}

fn request(args: &RunArgs, config: &RunConfig, environment: &Environment) -> Result<RunRequest, Failure> {
    let arguments = arguments(args, config);
    if arguments.is_empty() {
        let diagnostic = Diagnostic::error(format!("image `{}` has neither ENTRYPOINT nor CMD", args.image))
            .help("say what to run: `lbuild run IMAGE COMMAND…`");
        return Err(Failure {
            diagnostic: Box::new(diagnostic),
            more: Box::default(),
            source: None,
            log: None,
            exit: Exit::Lbuild,
        });
    }
    let or_root = |text: &str| if text.is_empty() { "/".to_owned() } else { text.to_owned() };
    Ok(RunRequest {
        arguments,
        environment: variables(args, config, environment)?,
        working_directory: or_root(args.workdir.as_deref().unwrap_or(&config.working_dir)),
        user: args.user.clone().unwrap_or_else(|| config.user.clone()),
        network: network(args.network),
    })
}

/// Returns the argument list as `docker run` makes it: a new entry point takes the image's CMD away.
fn arguments(args: &RunArgs, config: &RunConfig) -> Vec<String> {
    let of_image = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (entrypoint, default) = match args.entrypoint.as_deref() {
        Some("") => (Vec::new(), Vec::new()),
        Some(program) => (vec![program.to_owned()], Vec::new()),
        None => (of_image(&config.entrypoint), of_image(&config.cmd)),
    };
    let command = if args.command.is_empty() { default } else { args.command.clone() };
    [entrypoint, command].concat()
}

fn variables(
    args: &RunArgs,
    config: &RunConfig,
    environment: &Environment,
) -> Result<Vec<(String, String)>, SettingsError> {
    let mut variables = vec![("PATH".to_owned(), PATH.to_owned())];
    let mut set = |name: &str, value: String| match variables.iter_mut().find(|(known, _)| known == name) {
        Some(known) => known.1 = value,
        None => variables.push((name.to_owned(), value)),
    };
    for line in config.env.iter().flatten() {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        set(name, value.to_owned());
    }
    for typed in &args.env {
        match typed.split_once('=') {
            Some(("", _)) => return Err(nameless(typed)),
            None if typed.is_empty() => return Err(nameless(typed)),
            Some((name, value)) => set(name, value.to_owned()),
            None => environment.text(typed).into_iter().for_each(|value| set(typed, value.to_owned())),
        }
    }
    Ok(variables)
}

fn nameless(typed: &str) -> SettingsError {
    let why = "the name is missing: write `NAME=VALUE`".to_owned();
    SettingsError::Malformed { flag: "--env", text: typed.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn typed(arguments: &[&str]) -> RunArgs {
        let args = Args::try_parse_from(["lbuild", "run"].iter().chain(arguments)).expect("parses");
        let Command::Run(run) = args.command else { panic!("run") };
        run
    }

    fn config() -> RunConfig {
        let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        RunConfig {
            entrypoint: list(&["/entry"]),
            cmd: list(&["a"]),
            env: list(&["PATH=/bin", "A=1"]),
            user: "app".into(),
            ..RunConfig::default()
        }
    }

    #[test]
    fn commands_are_put_together_as_docker_does() {
        for (given, wanted) in [
            (&["x"][..], &["/entry", "a"][..]),
            (&["x", "b", "c"], &["/entry", "b", "c"]),
            (&["--entrypoint", "sh", "x"], &["sh"]),
            (&["--entrypoint", "sh", "x", "-c", "id"], &["sh", "-c", "id"]),
            (&["--entrypoint", "", "x", "ls"], &["ls"]),
        ] {
            assert_eq!(arguments(&typed(given), &config()), wanted, "{given:?}");
        }
    }

    #[test]
    fn an_image_without_a_command_needs_one() {
        let failure = request(&typed(&["x"]), &RunConfig::default(), &Environment::default()).expect_err("no command");
        assert_eq!(failure.diagnostic.message, "image `x` has neither ENTRYPOINT nor CMD");
    }

    #[test]
    fn a_variable_needs_a_name() {
        for value in ["=x", "=", ""] {
            let failure = request(&typed(&["-e", value, "x"]), &config(), &Environment::default()).expect_err(value);
            let wanted = format!("`--env {value}`: the name is missing: write `NAME=VALUE`");
            assert_eq!(failure.diagnostic.message, wanted);
        }
    }

    #[test]
    fn variables_of_the_image_come_first() {
        let environment: Environment = [("B", "from outside")].into_iter().collect();
        let request =
            request(&typed(&["-e", "A=2", "-e", "B", "-e", "C", "x"]), &config(), &environment).expect("request");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(request.environment, [pair("PATH", "/bin"), pair("A", "2"), pair("B", "from outside")]);
        assert_eq!((request.user.as_str(), request.working_directory.as_str()), ("app", "/"));
    }
}
