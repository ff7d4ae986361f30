//! [`Raw`]: one JSON object per event and line, for programs; `docs/events.md` describes them.

use super::watch::Screen;
use builder::diagnostic::Diagnostic;
use builder::progress::{Event, Outcome, ProgressSink, StepId};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Writes one JSON object per event and line.
pub struct Raw {
    out: Mutex<Box<dyn Write + Send>>,
    began: Instant,
}

impl Raw {
    /// Returns a view on `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self { out: Mutex::new(Box::new(out)), began: Instant::now() }
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").finish_non_exhaustive()
    }
}

impl Screen for Raw {
    fn as_sink(&self) -> &dyn ProgressSink {
        self
    }
}

impl ProgressSink for Raw {
    fn event(&self, event: Event) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = printed(&event, self.began.elapsed()).to_string();
        line.push('\n');
        // One write: printed piece by piece, each line of a command would take several. A reader that is gone must not end the
        // build.
        if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
            *out = Box::new(std::io::sink());
        }
    }
}

/// Returns an event as JSON; `at` is the time since the build began.
fn printed(event: &Event, at: Duration) -> Value {
    let mut value = body(event);
    value["at"] = json!(millis(at));
    value
}

fn body(event: &Event) -> Value {
    match event {
        Event::PlanReady { steps, edges } => {
            let after = |step: &StepId| -> Vec<String> {
                edges.iter().filter(|(_, next)| next == step).map(|(one, _)| one.to_string()).collect()
            };
            let told =
                |(step, name): &(StepId, String)| json!({"step": step.to_string(), "name": name, "after": after(step)});
            let steps: Vec<Value> = steps.iter().map(told).collect();
            json!({"event": "plan", "steps": steps})
        }
        Event::StepStarted { step, name } => json!({"event": "started", "step": step.to_string(), "name": name}),
        Event::StepCached { step, name } => json!({"event": "cached", "step": step.to_string(), "name": name}),
        Event::Output { step, stream, bytes } => {
            let stream = format!("{stream:?}").to_lowercase();
            let mut value = json!({"event": "output", "step": step.to_string(), "stream": stream});
            match std::str::from_utf8(bytes) {
                Ok(text) => value["text"] = json!(text),
                Err(_) => value["hex"] = json!(hex(bytes)),
            }
            value
        }
        Event::StepFinished { step, took, outcome } => {
            let mut value = json!({"event": "finished", "step": step.to_string(), "took": millis(*took)});
            value["outcome"] = json!(match outcome {
                Outcome::Done => "done",
                Outcome::Failed(_) => "failed",
                Outcome::Cancelled => "cancelled",
            });
            if let Outcome::Failed(why) = outcome {
                value["error"] = json!(why);
            }
            value
        }
        Event::Transfer { step, what, done, total } => {
            json!({"event": "transfer", "step": step.to_string(), "what": what, "done": done, "total": total})
        }
        Event::Waiting { host, why, wait } => {
            json!({"event": "waiting", "host": host, "why": why, "wait": millis(*wait)})
        }
        Event::Warning(warning) => warned(warning),
    }
}

fn warned(warning: &Diagnostic) -> Value {
    let span = warning.labels.first().map(|label| json!([label.span.start, label.span.end]));
    json!({"event": "warning", "rule": warning.rule, "message": warning.message, "help": warning.help, "span": span})
}

/// Returns milliseconds; a number of years fits.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder::progress::Stream;
    use builder::source::Span;
    use std::sync::Arc;

    #[test]
    fn every_event_is_one_object() {
        let step = StepId { stage: 1, step: 2 };
        let before = StepId { stage: 0, step: 0 };
        let output = |bytes: &[u8]| Event::Output { step, stream: Stream::Stderr, bytes: Arc::new(bytes.to_vec()) };
        let warning = Diagnostic::of_rule("Rule", "look", Span { start: 3, end: 5 });
        let took = Duration::from_millis(1500);
        for (event, wanted) in [
            (
                Event::PlanReady { steps: vec![(step, "RUN x".into())], edges: vec![(before, step)] },
                r#"{"at":7,"event":"plan","steps":[{"after":["0.0"],"name":"RUN x","step":"1.2"}]}"#,
            ),
            (
                Event::StepStarted { step: StepId::pull(0), name: "pull a".into() },
                r#"{"at":7,"event":"started","name":"pull a","step":"pull.0"}"#,
            ),
            (
                Event::StepCached { step: StepId::internal(1), name: "x".into() },
                r#"{"at":7,"event":"cached","name":"x","step":"output.1"}"#,
            ),
            (output(b"a\n"), r#"{"at":7,"event":"output","step":"1.2","stream":"stderr","text":"a\n"}"#),
            (output(b"\xffa"), r#"{"at":7,"event":"output","hex":"ff61","step":"1.2","stream":"stderr"}"#),
            (
                Event::StepFinished { step, took, outcome: Outcome::Failed("no".into()) },
                r#"{"at":7,"error":"no","event":"finished","outcome":"failed","step":"1.2","took":1500}"#,
            ),
            (
                Event::Transfer { step, what: "sha256:a".into(), done: 1, total: None },
                r#"{"at":7,"done":1,"event":"transfer","step":"1.2","total":null,"what":"sha256:a"}"#,
            ),
            (
                Event::Waiting { host: "h".into(), why: "429".into(), wait: took },
                r#"{"at":7,"event":"waiting","host":"h","wait":1500,"why":"429"}"#,
            ),
            (
                Event::Warning(warning),
                r#"{"at":7,"event":"warning","help":null,"message":"look","rule":"Rule","span":[3,5]}"#,
            ),
        ] {
            assert_eq!(printed(&event, Duration::from_millis(7)).to_string(), wanted);
        }
    }
}
