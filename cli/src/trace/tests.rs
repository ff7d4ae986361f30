use super::*;

/// One line for each event of a trace that is no name: lane, category, name, beginning and end in microseconds.
fn told(trace: &str) -> Vec<String> {
    let trace: Value = serde_json::from_str(trace).expect("a trace is JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let of = |event: &Value| {
        let (ts, dur) = (event["ts"].as_f64().unwrap_or(-1.0), event["dur"].as_f64().unwrap_or(0.0));
        let (pid, tid) = (&event["pid"], &event["tid"]);
        format!("{pid}.{tid} {} {} {ts}..{}", event["cat"], event["name"], ts + dur)
    };
    events.iter().filter(|event| event["ph"] != "M").map(of).collect()
}

fn at(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn span(phase: Phase, thread: u64, began: u64, ended: u64) -> Span {
    let (took, cpu) = (at(ended - began), Some(at(7)));
    Span {
        phase,
        what: format!("{thread}"),
        began: at(began),
        took,
        cpu,
        bytes: Some(9),
        thread,
        in_worker: thread > 9,
    }
}

/// What overlaps stands in lanes of its own; what a thread does inside of something stays in its lane.
#[test]
fn lanes_hold_what_lies_beside_or_inside() {
    let chronicle = Chronicle { began: at(1000), state: Mutex::default() };
    for one in [
        span(Phase::Hashing, 1, 2000, 3000),
        span(Phase::Compressing, 1, 1000, 4000),
        span(Phase::Writing, 2, 2500, 5000),
        span(Phase::Writing, 3, 4000, 4500),
        span(Phase::Running, 10, 1000, 2000),
        span(Phase::Waiting, 4, 1000, 1099),
        span(Phase::Waiting, 4, 1000, 1100),
    ] {
        chronicle.span(one);
    }
    let wanted = [
        r#"2.1 "compressing" "compressing 1" 0..3000"#,
        r#"3.4 "running" "running 10" 0..1000"#,
        r#"2.2 "waiting" "waiting 4" 0..100"#,
        r#"2.1 "hashing" "hashing 1" 1000..2000"#,
        r#"2.2 "writing" "writing 2" 1500..4000"#,
        r#"2.1 "writing" "writing 3" 3000..3500"#,
    ];
    let printed = chronicle.print();
    assert_eq!(told(&printed).len(), wanted.len());
    let lines: Vec<String> = told(&printed);
    // The worker's lanes come after lbuild's.
    let wanted: Vec<String> = wanted.iter().map(|line| line.replace("3.4", "3.3")).collect();
    assert_eq!(lines, wanted);
    assert!(printed.contains(r#""args":{"bytes":9,"cpu_us":7}"#), "{printed}");
}

#[test]
fn steps_are_told_with_their_bytes_and_their_end() {
    let chronicle = Chronicle::new();
    let (pull, run) = (StepId::pull(0), StepId { stage: 1, step: 2 });
    let took = Duration::ZERO;
    for event in [
        Event::StepStarted { step: pull, name: "pull x".into() },
        Event::Transfer { step: pull, what: "a".into(), done: 1, total: None },
        Event::Transfer { step: pull, what: "a".into(), done: 5, total: None },
        Event::Transfer { step: pull, what: "b".into(), done: 2, total: Some(2) },
        Event::StepFinished { step: pull, took, outcome: Outcome::Done },
        Event::StepCached { step: StepId { stage: 1, step: 1 }, name: "[2/3] RUN a".into() },
        Event::StepStarted { step: run, name: "[3/3] RUN\u{1b} b".into() },
        Event::StepFinished { step: run, took, outcome: Outcome::Failed("no".into()) },
        Event::StepStarted { step: StepId::internal(0), name: "exporting to image".into() },
        Event::StepStarted { step: StepId::internal(1), name: "pushing layers".into() },
    ] {
        chronicle.see(&event);
    }
    let trace: Value = serde_json::from_str(&chronicle.print()).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list").clone();
    let of = |category: &str| -> Value {
        events.iter().find(|event| event["cat"] == category).unwrap_or_else(|| panic!("no {category}")).clone()
    };
    assert_eq!(of("pulling")["args"], json!({"step": "pull.0", "bytes": 7}));
    assert_eq!((of("cached")["ph"].clone(), of("cached")["args"].clone()), (json!("i"), json!({"step": "1.1"})));
    assert_eq!(of("step")["args"], json!({"step": "1.2", "failed": "no"}));
    assert!(!of("step")["name"].to_string().contains("u001b"));
    assert_eq!(of("exporting")["args"], json!({"step": "output.0", "cancelled": true}));
    assert_eq!(of("pushing")["args"], json!({"step": "output.1", "cancelled": true}));
    let names: Vec<&Value> =
        events.iter().filter(|event| event["name"] == "thread_name").map(|e| &e["args"]["name"]).collect();
    assert_eq!(names, ["images", "stage 1", "outputs", "outputs"]);
}
