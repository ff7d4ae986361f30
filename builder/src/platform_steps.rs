//! [`PlatformSteps`]: tells the steps of one platform from those of another.

use crate::progress::{Event, ProgressSink, StepId};
use layerfs::platform::Platform;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Gives the steps that it hears of ids and names of the platform whose turn it is: `[linux/arm64 build 2/5] RUN make`.
pub(crate) struct PlatformSteps<'a> {
    sink: &'a dyn ProgressSink,
    turn: Mutex<Option<(usize, String)>>,
}

impl<'a> PlatformSteps<'a> {
    /// Returns one that passes everything on to `sink`, as it is until it is some platform's turn.
    pub(crate) fn new(sink: &'a dyn ProgressSink) -> Self {
        Self { sink, turn: Mutex::default() }
    }

    /// Says that what comes now is of a platform, the `number`-th from 0.
    pub(crate) fn turn_to(&self, number: usize, platform: &Platform) {
        let turn = Some((number, platform.normalized().to_string()));
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }
}

impl fmt::Debug for PlatformSteps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformSteps").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl ProgressSink for PlatformSteps<'_> {
    fn event(&self, event: Event) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.sink.event(match turn {
            Some((number, platform)) => of_platform(event, number, &platform),
            None => event,
        });
    }
}

fn of_platform(event: Event, number: usize, platform: &str) -> Event {
    // What writes an output joins all platforms, later.
    let id = |step: StepId| if step.is_output() { StepId::kept(step.step) } else { step }.of_platform(number);
    let named = |name: String| match name.strip_prefix('[') {
        Some(rest) => format!("[{platform} {rest}"),
        None => format!("[{platform}] {name}"),
    };
    match event {
        Event::PlanReady { steps, edges } => Event::PlanReady {
            steps: steps.into_iter().map(|(step, name)| (id(step), named(name))).collect(),
            edges: edges.into_iter().map(|(one, next)| (id(one), id(next))).collect(),
        },
        Event::StepStarted { step, name } => Event::StepStarted { step: id(step), name: named(name) },
        Event::StepCached { step, name } => Event::StepCached { step: id(step), name: named(name) },
        Event::Output { step, stream, bytes } => Event::Output { step: id(step), stream, bytes },
        Event::StepFinished { step, took, outcome } => Event::StepFinished { step: id(step), took, outcome },
        Event::Transfer { step, what, done, total } => Event::Transfer { step: id(step), what, done, total },
        other @ (Event::Waiting { .. } | Event::Warning(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl ProgressSink for Heard {
        fn event(&self, event: Event) {
            let text = match event {
                Event::PlanReady { steps, edges } => {
                    let steps: Vec<String> = steps.iter().map(|(step, name)| format!("{step} {name}")).collect();
                    let edges: Vec<String> = edges.iter().map(|(one, next)| format!("{one}>{next}")).collect();
                    format!("{}; {}", steps.join(", "), edges.join(", "))
                }
                Event::StepStarted { step, name } => format!("{step} {name} {}", step.is_fetch()),
                other => format!("{other:?}"),
            };
            self.0.lock().expect("locked").push(text);
        }
    }

    #[test]
    fn steps_have_the_name_of_their_platform_and_ids_of_their_own() {
        let heard = Heard::default();
        let steps = PlatformSteps::new(&heard);
        let (one, two) = (StepId { stage: 0, step: 0 }, StepId { stage: 1, step: 2 });
        let tell = || {
            let names = vec![(one, "[a 1/1] COPY x".to_owned()), (two, "[2/5] RUN make".to_owned())];
            steps.event(Event::PlanReady { steps: names, edges: vec![(one, two)] });
            let (step, name) = (StepId::pull(3), "pull debian".to_owned());
            steps.event(Event::StepStarted { step, name });
            steps.event(Event::StepStarted { step: StepId::context(1), name: "x".to_owned() });
            steps.event(Event::StepStarted { step: StepId::internal(0), name: "exporting to image".to_owned() });
        };
        let platform = |text: &str| text.parse::<Platform>().expect("a platform");
        tell();
        steps.turn_to(0, &platform("linux/amd64"));
        tell();
        steps.turn_to(2, &platform("linux/arm64/v8"));
        tell();
        let wanted = [
            "0.0 [a 1/1] COPY x, 1.2 [2/5] RUN make; 0.0>1.2",
            "pull.3 pull debian true",
            "context.1 x true",
            "output.0 exporting to image false",
            "0.0 [linux/amd64 a 1/1] COPY x, 1.2 [linux/amd64 2/5] RUN make; 0.0>1.2",
            "pull.3 [linux/amd64] pull debian true",
            "context.1 [linux/amd64] x true",
            "kept.0 [linux/amd64] exporting to image false",
            "0.0@2 [linux/arm64 a 1/1] COPY x, 1.2@2 [linux/arm64 2/5] RUN make; 0.0@2>1.2@2",
            "pull.3@2 [linux/arm64] pull debian true",
            "context.1@2 [linux/arm64] x true",
            "kept.0@2 [linux/arm64] exporting to image false",
        ];
        assert_eq!(*heard.0.lock().expect("locked"), wanted);
    }
}
