//! [`Keeper`]: writes the logs of a build that runs.

use super::reader::{State, builds};
use super::redact::{Redactor, Secrets};
use super::{DIRECTORY, STEPS};
use crate::ui::Watcher;
use builder::progress::{Event, Outcome, StepId, Stream};
use layerfs::io_error::{IoContext, IoError};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Writes all that the commands of a build write.
#[derive(Debug)]
pub struct Keeper {
    root: PathBuf,
    secrets: Secrets,
    kept: usize,
    writing: Mutex<Writing>,
}

/// What is being written.
#[derive(Debug, Default)]
struct Writing {
    place: Option<Place>,
    steps: BTreeMap<StepId, Arc<Step>>,
    /// The first error; after it nothing is written.
    failure: Option<IoError>,
}

#[derive(Debug)]
struct Place {
    directory: PathBuf,
    list: File,
}

#[derive(Debug)]
struct Step {
    number: usize,
    name: String,
    log: Mutex<Log>,
}

/// What a step writes; locked by itself, so that no step waits for the disk of another.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Option<File>,
    redactors: [Redactor; 2],
}

impl Keeper {
    /// Returns one for the store at `root` that leaves `secrets` out, and keeps the logs of `kept` builds. The store is
    /// first touched when a step begins.
    pub fn new(root: &Path, secrets: Secrets, kept: usize) -> Self {
        Self { root: root.to_owned(), secrets, kept, writing: Mutex::default() }
    }

    /// Ends the writing, and returns why logs are missing if they are.
    pub fn finish(self) -> Option<IoError> {
        self.writing.into_inner().unwrap_or_else(PoisonError::into_inner).failure
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for Keeper {
    fn see(&self, event: &Event) {
        if self.kept == 0 {
            return;
        }
        let result = match event {
            Event::StepStarted { step, name } => self.lock().begin(self, *step, name, State::Started),
            Event::StepCached { step, name } => self.lock().begin(self, *step, name, State::Cached),
            Event::Output { step, stream, bytes } => {
                let known = self.lock().step(*step);
                known.map_or(Ok(()), |known| known.lock().output(&self.secrets, *stream, bytes))
            }
            Event::StepFinished { step, outcome, took } => {
                let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let known = self.lock().step(*step);
                let ended = known.map_or(Ok(()), |known| known.lock().end(&self.secrets));
                ended.and_then(|()| self.lock().tell(*step, State::of(outcome), took))
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            self.lock().failure.get_or_insert(error);
        }
    }
}

impl Writing {
    /// Returns a step; nothing once something could not be written.
    fn step(&self, id: StepId) -> Option<Arc<Step>> {
        self.steps.get(&id).filter(|_| self.failure.is_none()).map(Arc::clone)
    }

    fn begin(&mut self, keeper: &Keeper, step: StepId, name: &str, state: State) -> Result<(), IoError> {
        if self.failure.is_some() {
            return Ok(());
        }
        let place = match &mut self.place {
            Some(place) => place,
            None => self.place.insert(Place::make(&keeper.root, keeper.kept)?),
        };
        let number = self.steps.len() + 1;
        let path = place.directory.join(format!("{number}.log"));
        let log = || Mutex::new(Log { path, file: None, redactors: [Redactor::new(), Redactor::new()] });
        self.steps.entry(step).or_insert_with(|| Arc::new(Step { number, name: name.to_owned(), log: log() }));
        self.tell(step, state, 0)
    }

    fn tell(&mut self, id: StepId, state: State, took: u64) -> Result<(), IoError> {
        if self.failure.is_some() {
            return Ok(());
        }
        let (Some(place), Some(step)) = (&mut self.place, self.steps.get(&id)) else { return Ok(()) };
        let line = json!({
            "number": step.number, "step": id.to_string(), "name": step.name, "state": state.name(), "took": took,
        });
        // One write a line: the file is not buffered, so that what was told stands when the build is killed.
        place.list.write_all(format!("{line}\n").as_bytes()).at("write", place.directory.join(STEPS))
    }
}

impl Step {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn output(&mut self, secrets: &Secrets, stream: Stream, bytes: &[u8]) -> Result<(), IoError> {
        let kept = self.redactors[stream as usize].push(secrets, bytes);
        Self::write(&mut self.file, &self.path, &kept)
    }

    fn end(&mut self, secrets: &Secrets) -> Result<(), IoError> {
        for redactor in &mut self.redactors {
            Self::write(&mut self.file, &self.path, &redactor.finish(secrets))?;
        }
        self.file = None;
        Ok(())
    }

    fn write(file: &mut Option<File>, path: &Path, bytes: &[u8]) -> Result<(), IoError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let log = match file {
            Some(log) => log,
            None => file.insert(File::options().append(true).create(true).open(path).at("make", path)?),
        };
        log.write_all(bytes).at("write", path)
    }
}

impl Place {
    /// Makes the directory of a build, and takes those away that are too many.
    fn make(root: &Path, kept: usize) -> Result<Self, IoError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let directory = root.join(DIRECTORY).join(format!("{:013}-{}", now.as_millis(), std::process::id()));
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).at("make", &directory)?;
        let path = directory.join(STEPS);
        let list = File::create(&path).at("make", &path)?;
        list.lock().at("lock", &path)?;
        for old in builds(root)?.into_iter().skip(kept) {
            old.remove()?;
        }
        Ok(Self { directory, list })
    }
}

impl State {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}
