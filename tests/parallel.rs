//! Stages run side by side.

use crate::harness::Lab;
use std::time::{Duration, Instant};

/// This is about time, so it takes the best of three, and half of what a serial build takes: a machine may be busy, with
/// other tests above all. On an idle one it is 1.5 s at most, which the bench shows.
#[test]
fn userns_eight_sleeping_stages_take_as_long_as_one() {
    let stages: String = (0..8).map(|n| format!("FROM busybox AS s{n}\nRUN sleep 1 && echo {n} > /out{n}\n")).collect();
    let copies: String = (0..8).map(|n| format!("COPY --from=s{n} /out{n} /\n")).collect();
    let lab = Lab::with(&format!("{stages}FROM busybox\n{copies}"));
    lab.build(&["--target", "s0"]).ok();
    let timed = || {
        let start = Instant::now();
        lab.build(&["-t", "x", "--no-cache"]).ok();
        start.elapsed()
    };
    let best = (0..3).map(|_| timed()).min().expect("three");
    assert!(best < Duration::from_secs(4), "{best:?}");
    assert_eq!(lab.shell("x", "cat /out*"), "0\n1\n2\n3\n4\n5\n6\n7\n");
}

#[test]
fn userns_jobs_limits_how_many_commands_run() {
    let stage = |n: usize| {
        format!(
            "FROM busybox AS s{n}\nRUN --mount=type=cache,target=/c,id=jobs mkdir /c/lock && sleep 0.2 && rmdir /c/lock && echo {n} > /out\n"
        )
    };
    let copies: String = (0..4).map(|n| format!("COPY --from=s{n} /out /out{n}\n")).collect();
    let lab = Lab::with(&format!("{}FROM busybox\n{copies}", (0..4).map(stage).collect::<String>()));
    lab.build(&["--jobs", "1"]).ok();
    lab.build(&["--jobs", "0"]).ok();
    lab.build(&["--jobs", "many"]).ends(125);
}

#[test]
fn userns_one_step_of_two_stages_runs_once() {
    let step = "RUN --mount=type=cache,target=/c,id=once echo x >> /c/count && sleep 0.3 && cp /c/count /count\n";
    let lab = Lab::with(&format!(
        "FROM busybox AS a\n{step}FROM busybox AS b\n{step}FROM busybox\nCOPY --from=a /count /a\nCOPY --from=b /count /b\n"
    ));
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /a /b"), "x\nx\n");
}

#[test]
fn userns_a_failing_stage_ends_the_others() {
    let lab = Lab::with(
        "FROM busybox AS slow\nRUN sleep 60\nFROM busybox AS bad\nRUN sleep 0.2; exit 9\nFROM busybox\nCOPY --from=slow /bin /1\nCOPY --from=bad /bin /2\n",
    );
    let start = Instant::now();
    lab.build(&[]).ends(9).says("CANCELED");
    assert!(start.elapsed() < Duration::from_secs(30));
}
