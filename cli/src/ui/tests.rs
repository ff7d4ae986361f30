use super::FailedLog;
use super::lines::Lines;
use super::plain::{Plain, bytes};
use super::recorder::Recorder;
use super::text::{clipped, visible, width_of};
use super::watch::Watcher;
use builder::diagnostic::Diagnostic;
use builder::progress::{Event, Outcome, ProgressSink, StepId, Stream};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("screen").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn started(step: usize, name: &str) -> Event {
    Event::StepStarted { step: StepId { stage: 0, step }, name: name.into() }
}

fn output(step: usize, stream: Stream, text: &str) -> Event {
    Event::Output { step: StepId { stage: 0, step }, stream, bytes: Arc::new(text.as_bytes().to_vec()) }
}

fn finished(step: usize, outcome: Outcome) -> Event {
    Event::StepFinished { step: StepId { stage: 0, step }, took: Duration::from_millis(150), outcome }
}

/// Shows events in the plain form; the clock goes on by 100 ms with each.
fn shown(events: Vec<Event>) -> String {
    let screen = Screen::default();
    let now = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&now);
    let plain = Plain::with_clock(screen.clone(), move || Duration::from_millis(clock.load(Ordering::SeqCst)));
    for event in events {
        plain.event(event);
        now.fetch_add(100, Ordering::SeqCst);
    }
    let bytes = screen.0.lock().expect("screen").clone();
    String::from_utf8(bytes).expect("text")
}

/// FEATURES 3.3-2.
#[test]
fn plain_progress_has_buildkits_form() {
    let cached = Event::StepCached { step: StepId { stage: 0, step: 1 }, name: "[1/4] WORKDIR /app".into() };
    let text = shown(vec![
        Event::PlanReady { steps: Vec::new(), edges: Vec::new() },
        started(0, "[internal] load build context"),
        finished(0, Outcome::Done),
        cached,
        started(2, "[2/4] RUN make"),
        output(2, Stream::Stdout, "one\r\ntw"),
        started(3, "[other 1/1] RUN false"),
        output(3, Stream::Stderr, "bad\n"),
        output(2, Stream::Stdout, "o\nlast"),
        finished(3, Outcome::Failed("exit code: 1".into())),
        finished(2, Outcome::Cancelled),
        Event::Warning(Diagnostic::error("look")),
    ]);
    let wanted = "\
#1 [internal] load build context
#1 DONE 0.1s

#2 [1/4] WORKDIR /app
#2 CACHED

#3 [2/4] RUN make
#3 0.100 one
#3 ...

#4 [other 1/1] RUN false
#4 0.100 bad
#4 ...

#3 [2/4] RUN make
#3 0.400 two
#3 ...

#4 [other 1/1] RUN false
#4 ERROR: exit code: 1

#3 [2/4] RUN make
#3 0.600 last
#3 CANCELED
WARN: look
";
    assert_eq!(text, wanted);
}

#[test]
fn a_transfer_is_one_line_when_it_is_done() {
    let step = StepId { stage: 0, step: 0 };
    let transfer = |done| Event::Transfer { step, what: "sha256:ab".into(), done, total: Some(3_210_000) };
    let text = shown(vec![started(0, "[1/1] FROM a"), transfer(10), transfer(3_210_000)]);
    assert_eq!(text, "#1 [1/1] FROM a\n#1 sha256:ab 3.21MB done\n");
}

#[test]
fn lines_are_held_back_until_they_end() {
    let mut lines = Lines::default();
    let mut each = |bytes: &[u8]| {
        let mut told: Vec<Vec<u8>> = Vec::new();
        lines.each(bytes, |line| told.push(line.to_vec()));
        told
    };
    let none: [&[u8]; 0] = [];
    assert_eq!(each(b"a"), none);
    assert_eq!(each(b"b\r\n\nc"), [&b"ab"[..], b""]);
    assert_eq!(each(b"\nx\r"), [b"c"]);
    assert_eq!(each(b"\n\r\ny\xff\n"), [&b"x"[..], b"", b"y\xff"]);
    assert_eq!(each(&[b'x'; 100_000]).len(), 1, "a line without end is shown in parts");
    assert_eq!(each(b"end"), none);
    let mut rest = Vec::new();
    lines.flush(|line| rest.push(line.to_vec()));
    lines.flush(|line| rest.push(line.to_vec()));
    assert_eq!(rest, [b"end"]);
}

#[test]
fn of_many_lines_the_last_are_looked_at() {
    let mut lines = Lines::default();
    for (bytes, wanted, all, unfinished) in [
        ("begun", &[][..], true, "begun"),
        (" a\nb\n", &["begun a", "b"], true, ""),
        ("begun", &[], true, "begun"),
        (" a\nb\nc\nd", &["b", "c"], false, "d"),
        ("d\n", &["dd"], true, ""),
        ("", &[], true, ""),
    ] {
        let mut told: Vec<String> = Vec::new();
        let were_all = lines.last(bytes.as_bytes(), 2, |line| told.push(String::from_utf8_lossy(line).into_owned()));
        assert_eq!((told, were_all), (wanted.iter().map(ToString::to_string).collect(), all), "{bytes:?}");
        assert_eq!(lines.unfinished(), unfinished.as_bytes(), "{bytes:?}");
    }
}

/// Every byte but the ends of lines is shown as it is, in lines of one part and of several.
#[test]
fn plain_progress_drops_nothing_of_much_output() {
    let numbered = |number: u32| {
        let mut line = format!("{number} ").into_bytes();
        line.resize(line.len() + (number % 200) as usize, 0xff);
        line
    };
    let lines: Vec<Vec<u8>> = (0..2000).map(numbered).collect();
    let whole = Arc::new(lines.join(&b'\n'));
    let screen = Screen::default();
    let plain = Plain::with_clock(screen.clone(), || Duration::ZERO);
    plain.event(started(1, "RUN x"));
    let step = StepId { stage: 0, step: 1 };
    plain.event(Event::Output { step, stream: Stream::Stdout, bytes: whole });
    plain.event(finished(1, Outcome::Done));
    let shown = screen.0.lock().expect("screen").clone();
    let shown: Vec<&[u8]> = shown.split(|byte| *byte == b'\n').collect();
    let wanted: Vec<Vec<u8>> = lines.iter().map(|line| [b"#1 0.000 ", &line[..]].concat()).collect();
    assert_eq!(shown[0], b"#1 RUN x");
    assert_eq!(shown[1..=2000], wanted);
    assert_eq!(shown[2001..], [&b"#1 DONE 0.1s"[..], b""]);
}

#[test]
fn nothing_that_moves_the_cursor_is_shown() {
    for (given, wanted) in [
        ("plain\ttext é", "plain\ttext é"),
        ("\u{1b}[31mred\u{1b}[0m", "red"),
        ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
        ("a\rb", "a\\rb"),
        ("a\u{202e}b", "a\u{fffd}b"),
        ("\u{9b}2J", "\\u{9b}2J"),
    ] {
        assert_eq!(visible(given), wanted, "{given:?}");
    }
    for (given, width, unicode, wanted) in [
        ("abcdef", 4, true, "abc…"),
        ("abcd", 4, true, "abcd"),
        ("日本語", 5, true, "日本…"),
        ("日本語", 4, true, "日…"),
        ("日本語", 3, false, "???"),
        ("abcdef", 5, false, "ab..."),
        ("abcdef", 2, false, ".."),
    ] {
        assert_eq!(clipped(given, width, unicode), wanted, "{given} {width}");
    }
    assert_eq!(width_of("\u{1b}[31ma日\u{1b}[0m"), 3);
}

#[test]
fn sizes_are_short() {
    for (count, wanted) in
        [(0, "0B"), (999, "999B"), (1000, "1.00kB"), (12_345, "12.3kB"), (999_999, "1.00MB"), (4_300_000_000, "4.30GB")]
    {
        assert_eq!(bytes(count), wanted);
    }
}

#[test]
fn the_first_failed_step_of_the_dockerfile_is_reported() {
    let recorder = Recorder::default();
    for event in [
        started(1, "one"),
        started(2, "two"),
        output(2, Stream::Stdout, "of two\n"),
        output(1, Stream::Stderr, "of one"),
        finished(2, Outcome::Failed("x".into())),
        finished(1, Outcome::Failed("y".into())),
    ] {
        recorder.see(&event);
    }
    let FailedLog { name, lines, more } = recorder.finish().expect("a step failed");
    assert_eq!((name.as_str(), more), ("one", None));
    assert_eq!(told(&lines), ["of one"]);
}

fn told(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once(' ').expect("time").1).collect()
}

#[test]
fn the_last_lines_of_a_failed_step_are_as_a_terminal_shows_them() {
    let numbers = |count: u32| (1..=count).map(|number| format!("{number}\n")).collect::<String>();
    for (parts, first, last, more) in [
        (vec!["10%\r20%\r30%\n\u{1b}(Bend".to_owned()], "30%", "end", false),
        (vec![numbers(20)], "1", "20", false),
        (vec![numbers(21)], "2", "21", true),
        (vec![numbers(20), "end".to_owned()], "2", "end", true),
        (vec![numbers(15), numbers(15)], "11", "15", true),
    ] {
        let recorder = Recorder::default();
        recorder.see(&started(1, "one"));
        parts.iter().for_each(|part| recorder.see(&output(1, Stream::Stdout, part)));
        recorder.see(&finished(1, Outcome::Failed("x".into())));
        let log = recorder.finish().expect("a step failed");
        let lines = told(&log.lines);
        assert_eq!((lines[0], lines[lines.len() - 1]), (first, last), "{parts:?}");
        assert_eq!(log.more, more.then(|| "0.1".to_owned()), "{parts:?}");
    }
}
