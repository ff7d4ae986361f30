//! [`KeptBuild`]: the logs of a build that were kept.

use super::{DIRECTORY, STEPS};
use layerfs::io_error::{IoContext, IoError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The logs of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBuild {
    directory: PathBuf,
    /// When it began.
    pub began: SystemTime,
}

/// A step of a build whose logs were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStep {
    /// Its number, as plain progress shows it: `#3`.
    pub number: u64,
    /// Its id, as raw progress shows it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub state: State,
    /// How long it took.
    pub took: Duration,
    /// Where its log is; the file is not there if it wrote nothing.
    pub log: PathBuf,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, or lbuild was killed.
    Started,
    /// It was in the cache.
    Cached,
    /// Well.
    Done,
    /// Not well.
    Failed,
    /// It was ended.
    Cancelled,
}

impl State {
    const ALL: [Self; 5] = [Self::Started, Self::Cached, Self::Done, Self::Failed, Self::Cancelled];

    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Cached => "cached",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Returns the builds whose logs the store at `root` has, the last one first.
///
/// # Errors
/// The operating system's.
pub fn builds(root: &Path) -> Result<Vec<KeptBuild>, IoError> {
    let parent = root.join(DIRECTORY);
    let entries = match std::fs::read_dir(&parent) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("list", &parent)?,
    };
    let mut builds = Vec::new();
    for entry in entries {
        let directory = entry.at("list", &parent)?.path();
        builds.extend(KeptBuild::of(directory));
    }
    builds.sort_by(|one, other| other.directory.cmp(&one.directory));
    Ok(builds)
}

impl KeptBuild {
    /// Returns the build of a directory; nothing if its name is none that this module gives.
    fn of(directory: PathBuf) -> Option<Self> {
        let (millis, _) = directory.file_name()?.to_str()?.split_once('-')?;
        let began = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis.parse().ok()?))?;
        Some(Self { directory, began })
    }

    /// Returns the name of its directory in the store.
    pub fn name(&self) -> String {
        let own = self.directory.file_name().map(|name| name.to_string_lossy().into_owned());
        format!("{DIRECTORY}/{}", own.unwrap_or_default())
    }

    /// Returns its steps, in the order in which they were heard of. Lines that make no sense are left out: a build that
    /// is killed may leave half of one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn steps(&self) -> Result<Vec<KeptStep>, IoError> {
        let path = self.directory.join(STEPS);
        let bytes = std::fs::read(&path).at("read", &path)?;
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let steps = lines.filter_map(|line: Value| self.step(&line));
        Ok(steps.map(|step| (step.number, step)).collect::<BTreeMap<_, _>>().into_values().collect())
    }

    fn step(&self, line: &Value) -> Option<KeptStep> {
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        let number = line["number"].as_u64()?;
        let state = line["state"].as_str()?;
        Some(KeptStep {
            number,
            id: text("step")?,
            name: text("name")?,
            state: State::ALL.into_iter().find(|known| known.name() == state)?,
            took: Duration::from_millis(line["took"].as_u64()?),
            log: self.directory.join(format!("{number}.log")),
        })
    }

    /// Takes the logs away, unless the build still runs; returns the bytes that were theirs.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove(&self) -> Result<u64, IoError> {
        let path = self.directory.join(STEPS);
        // Half of a directory has no list, and nobody holds it.
        if let Ok((Err(TryLockError::WouldBlock), _)) = File::open(&path).map(|list| (list.try_lock(), list)) {
            return Ok(0);
        }
        let bytes = self.size()?;
        match std::fs::remove_dir_all(&self.directory).at("remove", &self.directory) {
            // Another build took it away.
            Err(error) if error.is_not_found() => Ok(0),
            other => other.map(|()| bytes),
        }
    }

    /// Returns the bytes on disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn size(&self) -> Result<u64, IoError> {
        use std::os::unix::fs::MetadataExt;
        let mut bytes = 0;
        for entry in std::fs::read_dir(&self.directory).at("list", &self.directory)? {
            let entry = entry.at("list", &self.directory)?;
            bytes += entry.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Keeper, Secrets};
    use super::*;
    use crate::ui::Watcher;
    use builder::progress::{Event, Outcome, StepId, Stream};
    use std::sync::Arc;

    fn step(step: usize) -> StepId {
        StepId { stage: 0, step }
    }

    fn build(root: &Path, kept: usize, text: &str) {
        let keeper = Keeper::new(root, Secrets::of([b"hunter2".to_vec()]), kept);
        let output =
            |stream, text: &str| Event::Output { step: step(1), stream, bytes: Arc::new(text.as_bytes().to_vec()) };
        for event in [
            Event::StepCached { step: step(0), name: "one".into() },
            Event::StepStarted { step: step(1), name: "two".into() },
            output(Stream::Stdout, text),
            output(Stream::Stdout, "ter2 b\n"),
            output(Stream::Stderr, "hunt"),
            Event::StepFinished { step: step(1), took: Duration::from_millis(9), outcome: Outcome::Done },
        ] {
            keeper.see(&event);
        }
        assert_eq!(keeper.finish(), None);
    }

    #[test]
    fn logs_are_kept_whole_without_secrets_for_the_last_builds() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(builds(root.path()), Ok(Vec::new()));
        for number in 0..4 {
            build(root.path(), 3, &format!("{number} hun"));
            // Names are times in milliseconds.
            std::thread::sleep(Duration::from_millis(2));
        }
        let found = builds(root.path()).expect("builds");
        assert_eq!(found.len(), 3);
        let steps = found[0].steps().expect("steps");
        let told: Vec<(u64, &str, &str, State)> =
            steps.iter().map(|step| (step.number, step.id.as_str(), step.name.as_str(), step.state)).collect();
        assert_eq!(told, [(1, "0.0", "one", State::Cached), (2, "0.1", "two", State::Done)]);
        assert!(!steps[0].log.exists());
        assert_eq!(std::fs::read_to_string(&steps[1].log).expect("a log"), "3 *** b\nhunt");
        assert!(found[2].remove().expect("removed") > 0);
        assert_eq!(builds(root.path()).expect("builds").len(), 2);
    }

    #[test]
    fn logs_of_a_build_that_runs_stay() {
        let root = tempfile::tempdir().expect("a directory");
        let keeper = Keeper::new(root.path(), Secrets::default(), 1);
        keeper.see(&Event::StepStarted { step: step(0), name: "one".into() });
        std::thread::sleep(Duration::from_millis(2));
        build(root.path(), 1, "");
        assert_eq!(builds(root.path()).expect("builds").len(), 2);
        assert_eq!(keeper.finish(), None);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told_of_once() {
        let keeper = Keeper::new(Path::new("/proc/none"), Secrets::default(), 1);
        keeper.see(&Event::StepStarted { step: step(0), name: "one".into() });
        keeper.see(&Event::StepStarted { step: step(1), name: "two".into() });
        assert_eq!(keeper.finish().map(|error| error.act), Some("make".to_owned()));
    }
}
