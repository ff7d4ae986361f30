//! [`Grouped`]: plain progress folded into groups, for the log viewers of GitHub Actions and GitLab CI.
//!
//! Groups cannot lie in each other, so one step is shown at a time; what others write meanwhile is held back, on disk
//! if it is much. What commands write cannot be taken for an instruction to the runner.

use super::KnownSource;
use super::live::seconds;
use super::text::{visible, waiting};
use super::watch::Screen;
use builder::diagnostic::Diagnostic;
use builder::progress::{Event, Outcome, ProgressSink, StepId};
use builder::source::Source;
use std::collections::BTreeMap;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tempfile::SpooledTempFile;

/// Bytes of a step that are held in memory.
const IN_MEMORY: usize = 1 << 20;

/// Whose log viewer shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// GitHub Actions: workflow commands.
    GitHub,
    /// GitLab CI: sections.
    GitLab,
}

/// Shows plain progress folded into groups.
pub struct Grouped {
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    runner: Runner,
    source: KnownSource,
    /// A word that no command can know: it ends what commands write.
    token: String,
    steps: BTreeMap<StepId, Step>,
    /// Steps that are not shown yet, in the order in which they began.
    order: Vec<StepId>,
    /// Whether what was written ends with a line end.
    fresh: bool,
}

struct Step {
    number: usize,
    name: String,
    held: SpooledTempFile,
    end: Option<String>,
}

impl Grouped {
    /// Returns a view on `out` for `runner`; warnings are about `source`.
    pub fn new(out: impl Write + Send + 'static, runner: Runner, source: KnownSource, token: String) -> Self {
        let (steps, order) = (BTreeMap::new(), Vec::new());
        Self { state: Mutex::new(State { out: Box::new(out), runner, source, token, steps, order, fresh: true }) }
    }
}

impl std::fmt::Debug for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grouped").finish_non_exhaustive()
    }
}

impl Screen for Grouped {
    fn as_sink(&self) -> &dyn ProgressSink {
        self
    }
}

impl ProgressSink for Grouped {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A screen that is gone must not end the build.
        if state.show(event).is_err() {
            state.out = Box::new(std::io::sink());
        }
    }
}

impl State {
    fn show(&mut self, event: Event) -> Result<()> {
        match event {
            Event::StepStarted { step, name } => self.begin(step, &name),
            Event::StepCached { step, name } => {
                self.begin(step, &name)?;
                self.end(step, "CACHED".to_owned())
            }
            Event::Output { step, bytes, .. } => self.output(step, &bytes),
            Event::StepFinished { step, took, outcome } => self.end(step, ending(took, &outcome)),
            Event::Warning(warning) => self.warning(&warning),
            Event::Waiting { host, why, wait } => writeln!(self.out, "WAIT: {}", waiting(&host, &why, wait)),
            Event::PlanReady { .. } | Event::Transfer { .. } => Ok(()),
        }
    }

    fn begin(&mut self, id: StepId, name: &str) -> Result<()> {
        if self.steps.contains_key(&id) {
            return Ok(());
        }
        let (number, held) = (self.steps.len() + 1, SpooledTempFile::new(IN_MEMORY));
        self.steps.insert(id, Step { number, name: visible(name), held, end: None });
        self.order.push(id);
        if self.order.len() == 1 { self.open(id) } else { Ok(()) }
    }

    fn output(&mut self, id: StepId, bytes: &[u8]) -> Result<()> {
        let shown = self.order.first() == Some(&id);
        match self.steps.get_mut(&id) {
            Some(_) if shown => {
                self.fresh = bytes.last().map_or(self.fresh, |last| *last == b'\n');
                self.out.write_all(bytes)
            }
            Some(step) => step.held.write_all(bytes),
            None => Ok(()),
        }
    }

    /// Ends a step; if it is the one that is shown, those after it have their turn.
    fn end(&mut self, id: StepId, end: String) -> Result<()> {
        let Some(step) = self.steps.get_mut(&id) else { return Ok(()) };
        step.end = Some(end);
        while let Some(&first) = self.order.first() {
            let Some(end) = self.steps.get(&first).and_then(|step| step.end.clone()) else { break };
            self.close(first, &end)?;
            self.order.remove(0);
            if let Some(&next) = self.order.first() {
                self.open(next)?;
            }
        }
        self.out.flush()
    }

    fn open(&mut self, id: StepId) -> Result<()> {
        let Some(step) = self.steps.get_mut(&id) else { return Ok(()) };
        let (number, name) = (step.number, &step.name);
        match self.runner {
            Runner::GitHub => {
                writeln!(self.out, "::group::#{number} {}", escaped(name))?;
                writeln!(self.out, "::stop-commands::{}", self.token)?;
            }
            Runner::GitLab => {
                let at = unix_seconds();
                writeln!(
                    self.out,
                    "\u{1b}[0Ksection_start:{at}:step_{number}[collapsed=true]\r\u{1b}[0K#{number} {name}"
                )?;
            }
        }
        self.fresh = step.pass_on(&mut self.out)?;
        Ok(())
    }

    fn close(&mut self, id: StepId, end: &str) -> Result<()> {
        let Some(number) = self.steps.get(&id).map(|step| step.number) else { return Ok(()) };
        self.finish_line()?;
        match self.runner {
            Runner::GitHub => {
                writeln!(self.out, "::{}::\n#{number} {end}\n::endgroup::", self.token)
            }
            Runner::GitLab => {
                let at = unix_seconds();
                writeln!(self.out, "#{number} {end}\n\u{1b}[0Ksection_end:{at}:step_{number}\r\u{1b}[0K")
            }
        }
    }

    /// Writes the line end that a command left out.
    fn finish_line(&mut self) -> Result<()> {
        if !self.fresh {
            writeln!(self.out)?;
        }
        self.fresh = true;
        Ok(())
    }

    fn warning(&mut self, warning: &Diagnostic) -> Result<()> {
        match self.runner {
            Runner::GitHub => {
                // Commands are stopped while a step is shown.
                let shown = !self.order.is_empty();
                self.finish_line()?;
                if shown {
                    writeln!(self.out, "::{}::", self.token)?;
                }
                writeln!(self.out, "{}", annotation("warning", warning, self.source.get()))?;
                if shown { writeln!(self.out, "::stop-commands::{}", self.token) } else { Ok(()) }
            }
            Runner::GitLab => writeln!(self.out, "WARN: {}", visible(&warning.message)),
        }
    }
}

impl Step {
    /// Writes what was held back; reports whether it ends with a line end.
    fn pass_on(&mut self, out: &mut dyn Write) -> Result<bool> {
        let length = self.held.stream_position()?;
        self.held.rewind()?;
        std::io::copy(&mut Read::by_ref(&mut self.held).take(length), out)?;
        if length == 0 {
            return Ok(true);
        }
        self.held.seek(SeekFrom::Start(length - 1))?;
        let mut last = [0];
        self.held.read_exact(&mut last)?;
        Ok(last == *b"\n")
    }
}

fn ending(took: Duration, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => format!("DONE {}", seconds(took)),
        Outcome::Failed(why) => format!("ERROR: {}", visible(why)),
        Outcome::Cancelled => "CANCELED".to_owned(),
    }
}

/// Returns a workflow command that marks a line of the Dockerfile.
pub fn annotation(level: &str, diagnostic: &Diagnostic, source: Option<&Source>) -> String {
    let place = match (source, diagnostic.labels.first()) {
        (Some(source), Some(label)) => {
            let line = source.line_of(label.span.start);
            let end = source.line_of(label.span.end.max(label.span.start));
            format!("file={},line={line},endLine={end},", property(&source.name))
        }
        _ => String::new(),
    };
    let title = diagnostic.rule.unwrap_or("lbuild");
    let help = diagnostic.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
    format!("::{level} {place}title={}::{}", property(title), escaped(&format!("{}{help}", diagnostic.message)))
}

/// Returns text as the data of a workflow command.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns text as a property of a workflow command.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder::progress::Stream;
    use builder::source::Span;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.lock().expect("screen").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn shown(runner: Runner) -> String {
        let screen = Screen::default();
        let source = Source::new("Dockerfile", "FROM a\nRUN b\n".to_owned());
        let view = Grouped::new(screen.clone(), runner, source.into(), "token".to_owned());
        let step = |step| StepId { stage: 0, step };
        let output = |number, text: &str| Event::Output {
            step: step(number),
            stream: Stream::Stdout,
            bytes: Arc::new(text.as_bytes().to_vec()),
        };
        let finished = |number, outcome| Event::StepFinished { step: step(number), took: Duration::ZERO, outcome };
        for event in [
            Event::StepStarted { step: step(0), name: "one 100%".into() },
            Event::StepStarted { step: step(1), name: "two".into() },
            output(1, "of two\n"),
            output(0, "of one\n::error::a trap\n"),
            Event::Warning(Diagnostic::of_rule("Rule", "look: here", Span { start: 7, end: 12 })),
            finished(1, Outcome::Failed("exit code: 1".into())),
            Event::StepCached { step: step(2), name: "three".into() },
            output(0, "no end"),
            finished(0, Outcome::Done),
        ] {
            view.event(event);
        }
        let bytes = screen.0.lock().expect("screen").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn github_folds_steps_and_marks_lines() {
        let wanted = "\
::group::#1 one 100%25
::stop-commands::token
of one
::error::a trap
::token::
::warning file=Dockerfile,line=2,endLine=2,title=Rule::look: here
::stop-commands::token
no end
::token::
#1 DONE 0.0s
::endgroup::
::group::#2 two
::stop-commands::token
of two
::token::
#2 ERROR: exit code: 1
::endgroup::
::group::#3 three
::stop-commands::token
::token::
#3 CACHED
::endgroup::
";
        assert_eq!(shown(Runner::GitHub), wanted);
    }

    #[test]
    fn gitlab_folds_steps_into_sections() {
        let text = shown(Runner::GitLab);
        let plain: String = text.split('\u{1b}').map(|part| part.strip_prefix("[0K").unwrap_or(part)).collect();
        let lines: Vec<String> = plain
            .lines()
            .map(|line| line.split(':').filter(|part| part.parse::<u64>().is_err()).collect::<Vec<_>>().join(":"))
            .collect();
        let wanted = [
            "section_start:step_1[collapsed=true]\r#1 one 100%",
            "of one",
            "::error::a trap",
            "WARN: look: here",
            "no end",
            "#1 DONE 0.0s",
            "section_end:step_1",
            "section_start:step_2[collapsed=true]\r#2 two",
            "of two",
            "#2 ERROR: exit code: 1",
            "section_end:step_2",
            "section_start:step_3[collapsed=true]\r#3 three",
            "#3 CACHED",
            "section_end:step_3",
        ];
        assert_eq!(lines, wanted);
    }
}
