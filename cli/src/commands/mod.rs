//! The commands: one file each, with one `run`.

mod build;
mod builders;
mod call;
mod completions;
mod diff;
mod doctor;
mod du;
mod fsck;
mod history;
mod images;
mod inspect;
mod load;
mod login;
mod logout;
mod logs;
mod manifest;
mod on_fail;
mod parse;
mod plan;
mod prune;
mod pull;
mod push;
mod rmi;
mod run;
mod save;
mod shell;
mod tag;

use crate::args::{Args, Command, ManifestCommand, ProgressArg};
use crate::engine::Registry;
use crate::exit::Exit;
use crate::report::{self, Failure};
use crate::settings::{self, Config, Environment};
use crate::ui::{KnownSource, visible};
use builder::diagnostic::Diagnostic;
use layerfs::cancel::Cancel;
use layerfs::io_error::{IoContext, IoError};
use layerfs::registry::settings::RegistrySettings;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// What every command is given.
#[derive(Debug)]
pub struct Scene {
    /// The store.
    pub root: PathBuf,
    /// The environment variables.
    pub environment: Environment,
    /// Registries that need not prove who they are, as typed.
    pub insecure_registries: Vec<String>,
    /// What the user set once.
    pub config: Config,
    /// Set by the first interrupt.
    pub cancel: Cancel,
}

impl Scene {
    /// Returns what the user set about registries.
    fn registry_settings(&self) -> Result<RegistrySettings, settings::SettingsError> {
        let insecure = [self.config.insecure_registries.as_slice(), &self.insecure_registries].concat();
        settings::registry(&insecure, &self.environment)
    }
}

/// Does what was typed, reports what went wrong, and returns how lbuild ends.
pub fn run(args: &Args) -> Exit {
    match perform(args) {
        Ok(exit) => exit,
        Err(failure) => {
            report::failure(&failure, color());
            failure.exit
        }
    }
}

/// Reports wrong usage, or prints the help that was asked for.
pub fn usage(error: &clap::Error) -> Exit {
    let printed = error.print().is_ok();
    if error.use_stderr() || !printed { Exit::Lbuild } else { Exit::Success }
}

fn perform(args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        // Packages are made where there is no home.
        Command::Completions(args) => return completions::completions(args),
        Command::Man(args) => return completions::man(args),
        _ => {}
    }
    for (flag, why) in args.elsewhere.typed() {
        tell(&format!("WARN: `{flag}` has no effect here: {why}\n"));
    }
    let scene = scene(args)?;
    match command(args, &scene) {
        Ok(Exit::Success) => Ok(Exit::Success),
        // Whatever else came of it: the user wanted it to end.
        _ if scene.cancel.is_cancelled() => Err(Failure::interrupted()),
        ended => ended,
    }
}

fn command(args: &Args, scene: &Scene) -> Result<Exit, Failure> {
    match &args.command {
        Command::Build(build) => build::run(build, scene),
        Command::Pull(pull) => pull::run(pull, scene),
        Command::Run(run) => run::run(run, scene),
        Command::Push(push) => push::run(push, scene),
        Command::Manifest(ManifestCommand::Inspect(args)) => manifest::inspect(args, scene),
        Command::Manifest(ManifestCommand::Create(args)) => manifest::create(args, scene),
        Command::Parse(parse) => parse::run(parse),
        Command::Images(images) => images::run(images, scene),
        Command::Inspect(inspect) => inspect::run(inspect, scene),
        Command::Rmi(rmi) => rmi::run(rmi, scene),
        Command::Login(login) => login::run(login, scene),
        Command::Logout(logout) => logout::run(logout, scene),
        Command::Plan(plan) => plan::run(plan, scene),
        Command::Shell(shell) => shell::run(shell, scene),
        Command::Doctor(doctor) => doctor::run(doctor, scene),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => completions::man(args),
        Command::Logs(logs) => logs::run(logs, scene),
        Command::Builder(args) => builders::run(args, scene),
        Command::Fsck(fsck) => fsck::run(fsck, scene),
        Command::Du(du) => du::run(du, scene),
        Command::Prune(prune) => prune::run(prune, scene),
        Command::Tag(tag) => tag::run(tag, scene),
        Command::History(history) => history::run(history, scene),
        Command::Diff(diff) => diff::run(diff, scene),
        Command::Save(save) => save::run(save, scene),
        Command::Load(load) => load::run(load, scene),
    }
}

fn scene(args: &Args) -> Result<Scene, Failure> {
    let mut environment = Environment::of_process();
    environment.put("DOCKER_CONFIG", args.config.as_ref());
    environment.put("DOCKER_HOST", args.host.as_ref());
    let config = settings::config(&environment)?;
    let root = settings::root(args.root.as_deref(), config.root.as_deref(), &environment)?;
    let cancel = Cancel::new().at("make", "an eventfd").map_err(io_failure)?;
    crate::signals::listen(cancel.clone()).at("wait for", "signals").map_err(io_failure)?;
    Ok(Scene { root, environment, insecure_registries: args.insecure_registry.clone(), config, cancel })
}

fn io_failure(error: IoError) -> Failure {
    Failure::of(&settings::SettingsError::Io(error))
}

/// Speaks to registries, showing how it goes on as `--progress` says.
fn at_registries<T>(
    typed: Option<ProgressArg>,
    scene: &Scene,
    work: impl FnOnce(Registry<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let terminal = std::io::stderr().is_terminal();
    let view = settings::view(typed.or(scene.config.progress), false, &scene.environment, terminal)?;
    let screen = view.open(&scene.environment, &KnownSource::default()).map_err(io_failure)?;
    let settings = scene.registry_settings()?;
    let result = work(Registry { root: &scene.root, settings, sink: screen.as_sink(), cancel: &scene.cancel });
    // The view must stand before anything is printed below it.
    drop(screen);
    result
}

/// Reports whether standard error takes colours.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the columns of the terminal that standard error is.
fn screen_width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| width.0.into())
}

/// Writes to standard error, which may be gone.
fn tell(text: &str) {
    let mut screen = std::io::stderr().lock();
    if screen.write_all(text.as_bytes()).and_then(|()| screen.flush()).is_err() {
        // There is nobody left to tell.
    }
}

/// Returns what went wrong with the cure, as lines below something else.
fn with_cure(what: &str, diagnostic: &Diagnostic) -> String {
    let help = diagnostic.help.as_ref().map(|help| format!("help: {}\n", visible(help))).unwrap_or_default();
    format!("{what}: {}\n{help}", visible(&diagnostic.message))
}

/// Writes to standard output; a reader that has gone is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(io_failure(IoError::new("write", "standard output", &error)))
        }
        _ => Ok(()),
    }
}

/// Returns `value` as indented JSON with a line end.
fn json(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
