use super::super::style::Style;
use super::super::text::width_of;
use super::draw::{Room, seconds};
use super::state::State;
use super::tty::lines_taken;
use builder::diagnostic::Diagnostic;
use builder::progress::{Event, Outcome, StepId, Stream};
use std::sync::Arc;
use std::time::Duration;

fn id(step: usize) -> StepId {
    StepId { stage: 0, step }
}

fn started(step: usize, name: &str) -> Event {
    Event::StepStarted { step: id(step), name: name.into() }
}

fn output(step: usize, text: &str) -> Event {
    Event::Output { step: id(step), stream: Stream::Stdout, bytes: Arc::new(text.as_bytes().to_vec()) }
}

fn finished(step: usize, outcome: Outcome) -> Event {
    Event::StepFinished { step: id(step), took: Duration::from_millis(1200), outcome }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a build under way: one event a second.
fn state() -> State {
    let mut state = State::default();
    let plan: Vec<(StepId, String)> = (0..5).map(|step| (id(step), String::new())).collect();
    let moved = |done| Event::Transfer {
        step: StepId::pull(0),
        what: format!("sha256:{}", "ab".repeat(32)),
        done,
        total: Some(40_000_000),
    };
    for (second, event) in [
        Event::PlanReady { steps: plan, edges: Vec::new() },
        Event::StepStarted { step: StepId::pull(0), name: "pull debian".into() },
        moved(0),
        Event::StepCached { step: id(0), name: "[1/5] WORKDIR /app".into() },
        started(1, "[2/5] RUN make"),
        finished(1, Outcome::Done),
        started(2, "[3/5] RUN make test"),
        output(2, "first\n\u{1b}[31msecond\u{1b}[0m\n10%\r20%\n"),
        started(3, "[other 1/1] RUN false"),
        finished(3, Outcome::Failed("exit code: 1".into())),
        moved(20_000_000),
        Event::Warning(Diagnostic::error("look")),
    ]
    .into_iter()
    .enumerate()
    {
        state.take(event, at(second as u64));
    }
    state
}

fn drawn(state: &State, width: usize, height: usize, unicode: bool, last: bool) -> Vec<String> {
    state.draw(at(20), Room { width, height }, &Style::plain(unicode), last)
}

#[test]
fn a_view_shows_what_ended_what_runs_and_what_is_moved() {
    let wanted = [
        "[+] 20.0s 2 of 5 steps, 1 cached",
        " ✔ [1/5] WORKDIR /app                                 CACHED",
        " ✔ [2/5] RUN make                                       1.2s",
        " ✘ [other 1/1] RUN false                          ERROR 1.2s",
        " ▸ pull debian                                         19.0s",
        "     abababababab ████████░░░░░░░░ 20.0MB / 40.0MB 2.50MB/s",
        " ▸ [3/5] RUN make test                                 14.0s",
        "   │ first",
        "   │ second",
        "   │ 20%",
        " warning: look",
    ];
    assert_eq!(drawn(&state(), 60, 30, true, false), wanted);
}

#[test]
fn a_narrow_screen_without_unicode_has_no_bars_and_short_names() {
    let wanted = [
        "[+] 20.0s 2 of 5 steps, 1 ...",
        " + 3 steps done, 1 of them ...",
        " > pull debian          19.0s",
        "     abababababab 20.0MB / ...",
        " > [3/5] RUN make...    14.0s",
        "   | 20%",
        " warning: look",
    ];
    let lines = drawn(&state(), 30, 7, false, false);
    assert!(lines.iter().all(|line| width_of(line) <= 30), "{lines:?}");
    assert_eq!(lines.len(), wanted.len(), "{lines:#?}");
    assert_eq!((&lines[1], lines[6].as_str()), (&" + 3 steps done, 1 of them ...".to_owned(), wanted[6]));
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:?}");
}

#[test]
fn no_size_of_the_screen_is_overstepped() {
    let mut state = state();
    for step in 10..40 {
        state.take(started(step, "RUN 日本語 something that has quite a long name"), at(20));
        state.take(output(step, &"line\n".repeat(9)), at(20));
    }
    for width in 1..90 {
        for height in 1..40 {
            let lines = drawn(&state, width, height, true, false);
            assert!(lines.len() <= height, "{width} x {height}: {lines:#?}");
            assert!(lines.iter().all(|line| width_of(line) <= width), "{width} x {height}: {lines:#?}");
        }
    }
    let lines = drawn(&state, 80, 10, true, false);
    assert!(lines.iter().any(|line| line.contains("more steps run")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("steps done")), "{lines:#?}");
}

#[test]
fn the_view_that_stays_has_every_step_and_no_output() {
    let lines = drawn(&state(), 60, 2, true, true);
    assert_eq!(lines.len(), 7, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains('│') || line.contains('█')), "{lines:#?}");
}

#[test]
fn times_are_short() {
    for (millis, wanted) in
        [(40, "0.0s"), (59_900, "59.9s"), (65_000, "1m05s"), (3_600_000, "1h00m"), (7_500_000, "2h05m")]
    {
        assert_eq!(seconds(Duration::from_millis(millis)), wanted);
    }
}

#[test]
fn a_screen_that_became_narrower_has_wrapped_what_was_painted() {
    assert_eq!(lines_taken(&[80, 0, 10], 80), 3);
    assert_eq!(lines_taken(&[80, 0, 10], 40), 4);
    assert_eq!(lines_taken(&[80, 0, 10], 39), 5);
    assert_eq!(lines_taken(&[], 40), 0);
}

#[test]
fn what_is_moved_is_called_briefly() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    for (what, width, wanted) in [
        (digest.as_str(), 80, "abababababab"),
        (&format!("compressing {digest}"), 80, "compressing abababababab"),
        ("sha256:short", 80, "sha256:short"),
        ("out/app.tar", 80, "out/app.tar"),
        ("/home/somebody/images/app.tar", 40, "app.tar"),
        ("/home/somebody/images/", 40, "/home/somebody/images/"),
    ] {
        assert_eq!(super::draw::short(what, width), wanted, "{what}");
    }
}

#[test]
fn what_was_written_of_a_line_is_shown_before_it_ends() {
    let mut state = State::default();
    state.take(Event::PlanReady { steps: vec![(id(1), String::new())], edges: Vec::new() }, at(0));
    state.take(started(1, "[1/1] RUN pip install"), at(0));
    assert_eq!(drawn(&state, 40, 9, true, false)[0], "[+] 20.0s 0 of 1 step");
    state.take(output(1, "one\ntwo\n 10% |#    |\r\u{1b}[K 20% |##   |"), at(1));
    let tail = |state: &State, height| drawn(state, 40, height, true, false).split_off(2);
    assert_eq!(tail(&state, 9), ["   │ one", "   │ two", "   │  20% |##   |"]);
    assert_eq!(tail(&state, 3), ["   │  20% |##   |"]);
    state.take(output(1, "\r\u{1b}[K"), at(2));
    assert_eq!(tail(&state, 9), ["   │ one", "   │ two"]);
    state.take(output(1, "go on? [Y/n] "), at(3));
    assert_eq!(tail(&state, 3), ["   │ go on? [Y/n]"]);
}

#[test]
fn steps_that_failed_or_were_ended_are_not_counted_as_done() {
    let mut state = State::default();
    let plan: Vec<(StepId, String)> = (0..9).map(|step| (id(step), String::new())).collect();
    state.take(Event::PlanReady { steps: plan, edges: Vec::new() }, at(0));
    for (step, outcome) in [(1, Outcome::Done), (2, Outcome::Failed("x".into())), (3, Outcome::Cancelled)] {
        state.take(started(step, "RUN x"), at(0));
        state.take(finished(step, outcome), at(1));
    }
    assert_eq!(drawn(&state, 40, 9, true, true)[0], "[+] 20.0s 1 of 9 steps");
    // Where there is no room, they are shown rather than what ended well later.
    for step in 4..8 {
        state.take(started(step, "RUN y"), at(1));
        state.take(finished(step, Outcome::Done), at(1));
    }
    let folded = drawn(&state, 40, 4, true, false);
    assert_eq!(folded[1], " ✔ 5 steps done, 0 of them cached");
    assert!(folded[2].starts_with(" ✘ RUN x") && folded[3].starts_with(" ✘ RUN x"), "{folded:#?}");
}

/// What an emoji takes is told differently by terminals: none of them may wrap, or the view climbs up the screen.
#[test]
fn nothing_is_wrapped_while_the_view_is_painted() {
    let lines = ["⚠\u{fe0f} 👩\u{200d}👩\u{200d}👧".to_owned(), "x".to_owned()];
    let painted = super::tty::frame(&lines, &[80, 3], 40);
    let wanted = format!("\u{1b}[?7l\u{1b}[3A\r\u{1b}[2K{}\n\r\u{1b}[2Kx\n\u{1b}[J\u{1b}[?7h", lines[0]);
    assert_eq!(painted, wanted);
}
