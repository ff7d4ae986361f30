//! How progress is shown, kept and summed up.

use crate::harness::{Lab, Run, binary};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TALKS: &str = "FROM busybox AS one\nRUN echo from one; printf 'no end'\nFROM busybox\nCOPY --from=one /bin/sh /x\n\
                     RUN echo from two >&2\n";

/// FEATURES 3.1-23.
#[test]
fn userns_raw_progress_is_one_object_per_line() {
    let lab = Lab::with(TALKS);
    let run = lab.build(&["--progress=rawjson", "-t", "x"]);
    let events: Vec<Value> =
        run.ok().stderr.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).cloned().collect::<Vec<Value>>();
    let plan = of("plan");
    let steps: Vec<&str> =
        plan[0]["steps"].as_array().expect("steps").iter().filter_map(|s| s["step"].as_str()).collect();
    assert_eq!(steps, ["0.0", "1.0", "1.1"]);
    assert_eq!(plan[0]["steps"][1]["after"], serde_json::json!(["0.0"]));
    let text = |step: &str| -> String {
        let output = of("output").into_iter().filter(|event| event["step"] == step);
        output.filter_map(|event| event["text"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!((text("0.0").as_str(), text("1.1").as_str()), ("from one\nno end", "from two\n"));
    assert!(of("finished").iter().all(|event| event["outcome"] == "done"), "{}", run.stderr);
    assert!(of("output").iter().filter(|event| event["step"] == "1.1").all(|event| event["stream"] == "stderr"));
    let again = lab.build(&["--progress=rawjson", "-t", "x"]);
    assert_eq!(again.ok().stderr.matches("\"event\":\"cached\"").count(), 3);
}

#[test]
fn userns_logs_are_kept_whole_and_without_secrets() {
    let lab = Lab::with(
        "FROM busybox\nRUN --mount=type=secret,id=token cat /run/secrets/token; seq 1 20000\nRUN echo second; false\n",
    );
    lab.lbuild(&["logs"]).ends(125).says("a log of build 1 is not kept").says("no build has run yet");
    fs::write(lab.home().join("token"), "correct horse battery\n").expect("written");
    let secret = format!("--secret=id=token,src={}", lab.home().join("token").display());
    lab.build(&[&secret]).ends(1);
    let whole: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    lab.lbuild(&["logs", "#9"]).ends(125).says("a step `#9` is not kept");
    let list = lab.lbuild(&["logs", "--list"]);
    let rows: Vec<Vec<&str>> = list.ok().stdout.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows[0][1], rows[1][1]), ("done", "failed"), "{}", list.stdout);
    lab.lbuild(&["logs", "secret"]).ok().prints(&format!("***\n{whole}"));
    lab.lbuild(&["logs", rows[1][0]]).ok().prints("second\n");
    lab.build(&[]).ends(1);
    lab.lbuild(&["logs"]).ok();
    lab.lbuild(&["logs", "-b", "2", "secret"]).ok().prints(&format!("***\n{whole}"));
    lab.lbuild(&["logs", "-b", "3"]).ends(125).says("the last 2 are");
    lab.fsck();
}

#[test]
fn userns_a_summary_tells_of_the_image_and_the_longest_way() {
    let lab = Lab::with(TALKS);
    let run = lab.build(&["-t", "x", "-t", "r.example.com/y:2"]);
    run.ok().says("  x:latest r.example.com/y:2\n0 of 3 steps cached in ").says("; longest way ");
    lab.build(&["-t", "x"]).ok().says("\nall 3 steps cached in ").does_not_say("longest way");
    assert_eq!(lab.build(&["-q"]).ok().stderr, "");
}

#[test]
fn userns_github_and_gitlab_fold_steps() {
    let lab = Lab::with("FROM busybox\nCOPY Dockerfile /\nRUN echo '::error::a trap'; exit 3\nCMD x\n");
    let in_ci = |variable: &str| {
        let mut command = lab.building(&["--no-cache"]);
        command.env_remove("BUILDKIT_PROGRESS").env(variable, "true");
        Run::within(&mut command, 60)
    };
    let run = in_ci("GITHUB_ACTIONS");
    run.ends(3).says("::group::#1 [2/3] COPY Dockerfile /\n").says("\n::endgroup::\n");
    run.says("::warning file=Dockerfile,line=4,endLine=4,title=JSONArgsRecommended::");
    run.says("::error file=Dockerfile,line=3,endLine=3,title=lbuild::process ");
    let (before, after) = run.stderr.split_once("::error::a trap").expect("the output");
    let token = before.rsplit_once("::stop-commands::").and_then(|(_, rest)| rest.lines().next()).expect("a token");
    assert!(after.contains(&format!("\n::{token}::\n")), "{}", run.stderr);
    let run = in_ci("GITLAB_CI");
    run.ends(3).says("step_2[collapsed=true]\r\u{1b}[0K#2 [3/3] RUN").says("section_end:");
}

/// A terminal, and lbuild on it.
struct Terminal {
    child: Child,
    screen: std::thread::JoinHandle<String>,
}

fn on_terminal(lab: &Lab, columns: u16, rows: u16, arguments: &[&str]) -> Terminal {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a terminal");
    let given = lab.building(arguments);
    let mut command = Command::new(binary());
    command.args(given.get_args()).current_dir(lab.path("")).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", lab.home()).env("LBUILD_ROOT", lab.store());
    command.env("LANG", "C.UTF-8").env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(pty.slave.try_clone().expect("a copy"));
    let child = command.spawn().expect("starts");
    drop((pty.slave, command));
    let mut master = File::from(pty.master);
    let screen = std::thread::spawn(move || {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        // A terminal whose other end is closed gives EIO.
        while let Ok(count) = master.read(&mut buffer) {
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    Terminal { child, screen }
}

/// Returns what a terminal shows that was given `text`: cursor up, erase line, erase below, carriage return.
fn shown(text: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![String::new()], 0usize, 0usize);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => {
                row += 1;
                if lines.len() == row {
                    lines.push(String::new());
                }
            }
            '\r' => column = 0,
            '\u{1b}' => {
                let sequence: String = characters.by_ref().skip(1).take_while_inclusive();
                let number = sequence[..sequence.len() - 1].parse::<usize>().unwrap_or(0);
                match sequence.chars().last() {
                    Some('A') => row -= number,
                    Some('K') => lines[row].clear(),
                    Some('J') => {
                        lines.truncate(row + 1);
                        lines[row] = lines[row].chars().take(column).collect();
                    }
                    // Wrapping is turned off, and on again.
                    Some('l' | 'h') if sequence.starts_with("?7") => {}
                    other => panic!("sequence {other:?}"),
                }
            }
            other => {
                assert_eq!(lines[row].chars().count(), column, "written at the end of a line: {lines:?}");
                lines[row].push(other);
                column += 1;
            }
        }
    }
    lines
}

trait TakeWhileInclusive {
    fn take_while_inclusive(self) -> String;
}

impl<I: Iterator<Item = char>> TakeWhileInclusive for I {
    /// Returns the parameters of a control sequence with its final letter.
    fn take_while_inclusive(mut self) -> String {
        let mut text = String::new();
        for character in self.by_ref() {
            text.push(character);
            if character.is_ascii_alphabetic() {
                break;
            }
        }
        text
    }
}

#[test]
fn userns_a_live_view_leaves_the_screen_in_order() {
    let stages: String = (0..8).map(|n| format!("FROM busybox AS s{n}\nRUN seq 1 1250; sleep 0.{n}\n")).collect();
    let copies: String = (0..8).map(|n| format!("COPY --from=s{n} /bin/sh /{n}\n")).collect();
    let lab = Lab::with(&format!("{stages}FROM busybox\n{copies}"));
    for columns in [80, 40] {
        let mut terminal = on_terminal(&lab, columns, 24, &["--no-cache", "-t", "x"]);
        assert!(terminal.child.wait().expect("ends").success());
        let text = terminal.screen.join().expect("a screen");
        let lines = shown(&text);
        assert!(lines[0].starts_with("[+] "), "{lines:#?}");
        assert_eq!(
            lines.iter().filter(|line| line.starts_with(" ✔ [s") && line.contains(" 2/2] RUN seq")).count(),
            8,
            "{lines:#?}"
        );
        let view = lines.iter().position(|line| line.starts_with("image ")).expect("a summary");
        assert!(lines[..view].iter().all(|line| line.chars().count() <= columns.into()), "{lines:#?}");
        assert!(text.contains("│ 1250"), "the last lines were shown");
    }
}

#[test]
fn userns_an_interrupt_leaves_the_screen_in_order() {
    let lab = Lab::with("FROM busybox\nRUN echo begun; sleep 60\n");
    let mut terminal = on_terminal(&lab, 80, 24, &[]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while lab.lbuild(&["logs"]).stdout.is_empty() {
        assert!(Instant::now() < deadline, "the command began");
        std::thread::sleep(Duration::from_millis(50));
    }
    kill(Pid::from_raw(i32::try_from(terminal.child.id()).expect("a pid")), Signal::SIGINT).expect("a signal");
    assert_eq!(terminal.child.wait().expect("ends").code(), Some(130));
    let lines = shown(&terminal.screen.join().expect("a screen"));
    assert!(
        lines.iter().any(|line| line.starts_with(" ✘ [2/2] RUN echo begun; sleep 60") && line.contains("CANCELED"))
    );
    let end: Vec<&str> = lines.iter().rev().map(|line| line.trim_end()).take(2).collect();
    assert_eq!(end, ["", "error: interrupted"], "{lines:#?}");
}

/// What commands write to a terminal, however wild, ends as lines of the view; a failure stands below it.
#[test]
fn userns_what_commands_write_does_not_break_the_screen() {
    let lab = Lab::with(
        "FROM busybox\nRUN printf '\\033[2J\\033[H\\033[?25l\\033]0;title\\007\\033(Bto clear\\n'; \
         for i in 1 2 3 4 5 6 7 8; do printf '\\r\\033[K %d0%% |##  |' $i; sleep 0.1; done; seq 1 30; printf 'last 1%%\\rlast 2%%'; exit 3\n",
    );
    let mut terminal = on_terminal(&lab, 60, 24, &[]);
    assert_eq!(terminal.child.wait().expect("ends").code(), Some(3));
    let text = terminal.screen.join().expect("a screen");
    for (shown, is) in [
        ("│ to clear", true),
        ("│  30% |##  |", true),
        ("\u{1b}[2J", false),
        ("\u{1b}[?25", false),
        ("title\u{7}", false),
    ] {
        assert_eq!(text.contains(shown), is, "{shown:?} {text:?}");
    }
    let failed = text.split("------\r\n").nth(1).expect("the last lines");
    let lines: Vec<&str> = failed.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
    assert_eq!((lines.len(), lines[1], lines[20]), (21, "12", "last 2%"), "{lines:#?}");
    let (_, end) = text.split_once("\r\nerror: process ").expect("how the command ended");
    let mut end = end.lines();
    assert!(end.next().is_some_and(|line| line.ends_with(" did not complete successfully: exit code: 3")), "{text}");
    // Who has one id only is told of that before.
    assert_eq!(end.last(), Some("help: all that it wrote is in `lbuild logs 0.0`"));
    let whole = lab.lbuild(&["logs", "0.0"]).ok().stdout.clone();
    assert!(whole.starts_with("\u{1b}[2J") && whole.ends_with("\n30\nlast 1%\rlast 2%"), "{whole:?}");
}
