//! `lbuild logs`.

use super::{Scene, io_failure, print};
use crate::args::LogsArgs;
use crate::exit::Exit;
use crate::logs::{KeptBuild, KeptStep, builds};
use crate::report::Failure;
use crate::settings::SettingsError;
use crate::ui::{seconds, visible};
use layerfs::io_error::{IoContext, IoError};
use std::io::Write;

/// Prints what the commands of a build wrote.
pub fn run(args: &LogsArgs, scene: &Scene) -> Result<Exit, Failure> {
    let kept = builds(&scene.root).map_err(io_failure)?;
    let Some(build) = args.build.get().checked_sub(1).and_then(|back| kept.get(back)) else {
        return Err(none(args, kept.len()).into());
    };
    let steps = build.steps().map_err(io_failure)?;
    if args.list {
        return list(build, &steps);
    }
    let chosen = chosen(args.step.as_deref(), &steps)?;
    for step in &chosen {
        // One log alone is printed as it is.
        if args.step.is_none() || chosen.len() > 1 {
            print(&format!("#{} {}\n", step.number, visible(&step.name)))?;
        }
        copy(step).map_err(io_failure)?;
    }
    Ok(Exit::Success)
}

fn none(args: &LogsArgs, kept: usize) -> SettingsError {
    let help = match kept {
        0 => "no build has run yet, or none is kept (`logs.keep` in config.toml)".to_owned(),
        1 => "the last one is, as `--build 1`".to_owned(),
        _ => format!("the last {kept} are, as `--build 1` to `--build {kept}`"),
    };
    SettingsError::NotKept { what: format!("a log of build {}", args.build), help }
}

fn list(build: &KeptBuild, steps: &[KeptStep]) -> Result<Exit, Failure> {
    let ago = build.began.elapsed().unwrap_or_default();
    let mut text = format!("{} steps, begun {} ago\n", steps.len(), seconds(ago));
    for step in steps {
        let took = seconds(step.took);
        text.push_str(&format!("#{:<3} {:<9} {took:>7}  {}\n", step.number, step.state.name(), visible(&step.name)));
    }
    print(&text)?;
    Ok(Exit::Success)
}

/// Returns the steps that `word` means: all without one, else the one with the number or the id, else those whose names
/// hold it.
fn chosen<'a>(word: Option<&str>, steps: &'a [KeptStep]) -> Result<Vec<&'a KeptStep>, SettingsError> {
    let Some(word) = word else { return Ok(steps.iter().filter(|step| step.log.exists()).collect()) };
    let number = word.strip_prefix('#').unwrap_or(word).parse().ok();
    if let Some(step) = steps.iter().find(|step| Some(step.number) == number || step.id == word) {
        return Ok(vec![step]);
    }
    let lower = word.to_lowercase();
    let found: Vec<&KeptStep> = steps.iter().filter(|step| step.name.to_lowercase().contains(&lower)).collect();
    if found.is_empty() {
        let help = "`lbuild logs --list` shows the steps".to_owned();
        return Err(SettingsError::NotKept { what: format!("a step `{word}`"), help });
    }
    Ok(found)
}

/// Copies a log to standard output, byte for byte; a reader that has gone is no error.
fn copy(step: &KeptStep) -> Result<(), IoError> {
    let mut log = match std::fs::File::open(&step.log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.at("open", &step.log)?,
    };
    let mut out = std::io::stdout().lock();
    match std::io::copy(&mut log, &mut out).and_then(|_| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(IoError::new("write", "standard output", &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::State;
    use std::time::Duration;

    #[test]
    fn a_step_is_chosen_by_number_by_id_or_by_a_part_of_its_name() {
        let step = |number: u64, id: &str, name: &str| KeptStep {
            number,
            id: id.into(),
            name: name.into(),
            state: State::Done,
            took: Duration::ZERO,
            log: format!("/no/such/{number}").into(),
        };
        let steps =
            [step(1, "0.0", "[a 1/2] RUN make"), step(2, "0.1", "[a 2/2] RUN make test"), step(3, "1.0", "COPY 1")];
        let numbers = |word: &str| {
            let found = chosen(Some(word), &steps).map_err(|error| error.to_string())?;
            Ok(found.iter().map(|step| step.number).collect::<Vec<_>>())
        };
        for (word, wanted) in
            [("2", vec![2]), ("#2", vec![2]), ("1.0", vec![3]), ("MAKE", vec![1, 2]), ("test", vec![2])]
        {
            assert_eq!(numbers(word), Ok(wanted), "{word}");
        }
        assert_eq!(numbers("x"), Err("a step `x` is not kept".to_owned()));
    }
}
