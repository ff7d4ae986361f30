//! [`at_once`]: outputs that are written side by side.

use crate::error::{BuildError, StepError};
use crate::request::{Destination, Output};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Outputs that are written at the same time: each that compresses takes memory for every core.
const MOST_AT_ONCE: usize = 4;

/// Lets `write` write every output, those that do not touch the same place side by side, and returns what they became, in
/// their order. One that fails does not keep the others from being written.
///
/// # Errors
/// All that went wrong, in the order of the outputs.
pub(crate) fn at_once<T: Send>(
    outputs: &[Output],
    write: impl Fn(usize) -> Result<T, StepError> + Sync,
) -> Result<Vec<T>, BuildError> {
    let rows = Mutex::new(rows(outputs).into_iter());
    let results = Mutex::new(Vec::with_capacity(outputs.len()));
    let work = || {
        while let Some(row) = next(&rows) {
            for number in row {
                let result = write(number);
                results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
            }
        }
    };
    std::thread::scope(|scope| {
        let others = outputs.len().min(MOST_AT_ONCE).saturating_sub(1);
        (0..others).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    let (written, failed): (Vec<_>, Vec<_>) = results.into_iter().map(|(_, result)| result).partition(Result::is_ok);
    match failed.into_iter().filter_map(Result::err).collect::<Vec<_>>() {
        errors if errors.is_empty() => Ok(written.into_iter().filter_map(Result::ok).collect()),
        errors => Err(failure(errors)),
    }
}

fn next(rows: &Mutex<std::vec::IntoIter<Vec<usize>>>) -> Option<Vec<usize>> {
    rows.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// Returns the error of outputs of which some failed; one that lets the build start again goes before all others.
fn failure(mut errors: Vec<StepError>) -> BuildError {
    let gone = errors.iter().position(|error| matches!(error, StepError::LayerGone(_)));
    match (gone, errors.len()) {
        (Some(number), _) => BuildError::Output(errors.swap_remove(number)),
        (None, 1) => BuildError::Output(errors.remove(0)),
        (None, _) => BuildError::Outputs(errors),
    }
}

/// Returns the numbers of the outputs in rows: those of one row touch the same place and are written in their order.
fn rows(outputs: &[Output]) -> Vec<Vec<usize>> {
    let mut rows: Vec<(Vec<usize>, Vec<Place>)> = Vec::new();
    for (number, output) in outputs.iter().enumerate() {
        let place = Place::of(output);
        let (touched, apart) =
            rows.into_iter().partition::<Vec<_>, _>(|(_, places)| places.iter().any(|known| known.touches(&place)));
        rows = apart;
        let (mut numbers, mut places) = (Vec::new(), Vec::new());
        for (known, of_them) in touched {
            numbers.extend(known);
            places.extend(of_them);
        }
        numbers.push(number);
        places.push(place);
        numbers.sort_unstable();
        rows.push((numbers, places));
    }
    rows.sort();
    rows.into_iter().map(|(numbers, _)| numbers).collect()
}

/// What an output changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Names of the store, which an image that is pushed has there, too.
    Names,
    /// An engine's images.
    Engine(String),
    /// A file, or a directory with all that is in it.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

impl Place {
    fn of(output: &Output) -> Self {
        match output {
            Output::Store { .. } | Output::Registry { .. } => Self::Names,
            Output::Engine { engine, .. } => Self::Engine(engine.to_string()),
            Output::Local { path, .. } => Self::Path(found(path)),
            Output::Oci { destination, .. } | Output::Docker { destination, .. } | Output::Tar { destination, .. } => {
                match destination {
                    Destination::Path(path) => Self::Path(found(path)),
                    Destination::Stdout => Self::Stdout,
                }
            }
        }
    }

    fn touches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(one), Self::Path(other)) => one.starts_with(other) || other.starts_with(one),
            _ => self == other,
        }
    }
}

/// Returns where a path leads to, as far as it is there.
fn found(path: &Path) -> PathBuf {
    for there in path.ancestors() {
        let parent = if there.as_os_str().is_empty() { Path::new(".") } else { there };
        if let (Ok(real), Ok(rest)) = (parent.canonicalize(), path.strip_prefix(there)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{LayerCompression, Look};

    fn archive(path: &Path) -> Output {
        let destination = Destination::Path(path.to_owned());
        Output::Docker { destination, names: Vec::new(), compression: LayerCompression::KEEP, look: Look::default() }
    }

    fn files(path: &Path) -> Output {
        Output::Local { path: path.to_owned(), delete: false, split: false, look: Look::default() }
    }

    fn store() -> Output {
        Output::Store { names: Vec::new(), look: Look::default() }
    }

    #[test]
    fn outputs_of_one_place_are_written_in_their_order() {
        let here = tempfile::tempdir().expect("a directory");
        let at = |name: &str| here.path().join(name);
        std::fs::create_dir(at("real")).expect("made");
        std::os::unix::fs::symlink("real", at("link")).expect("linked");
        for (outputs, wanted) in [
            (vec![], vec![]),
            (vec![archive(&at("a")), archive(&at("b")), files(&at("c"))], vec![vec![0], vec![1], vec![2]]),
            (vec![store(), archive(&at("a")), store()], vec![vec![0, 2], vec![1]]),
            (vec![archive(&at("out/a")), archive(&at("ou")), files(&at("out"))], vec![vec![0, 2], vec![1]]),
            // One that touches two places makes one row of their rows.
            (vec![archive(&at("link/a")), archive(&at("real/b")), files(&at("real"))], vec![vec![0, 1, 2]]),
        ] {
            assert_eq!(rows(&outputs), wanted, "{outputs:?}");
        }
    }

    #[test]
    fn one_that_fails_does_not_keep_others_from_being_written() {
        let outputs: Vec<Output> = (0..6).map(|number| archive(Path::new(&format!("/no/{number}")))).collect();
        let written = Mutex::new(Vec::new());
        let write = |number: usize| match number {
            1 | 4 => Err(StepError::SecretTooLarge { id: number.to_string() }),
            _ => {
                written.lock().expect("locked").push(number);
                Ok(number)
            }
        };
        let error = at_once(&outputs, write).expect_err("two fail");
        let told: Vec<String> = error.diagnostics().into_iter().map(|told| told.message).collect();
        let wanted = ["1", "4"].map(|id| StepError::SecretTooLarge { id: id.to_owned() }.to_string());
        assert_eq!(told, wanted);
        let mut written = written.into_inner().expect("unlocked");
        written.sort_unstable();
        assert_eq!(written, [0, 2, 3, 5]);
        assert_eq!(at_once(&outputs, Ok).expect("all are written"), [0, 1, 2, 3, 4, 5]);
    }
}
