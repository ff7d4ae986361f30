//! [`json()`]: entries in the trace-event form of Chrome and Perfetto ("Trace Event Format", complete events and metadata).

use super::Entry;
use super::lanes::{Group, Lane, Process, assign};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Returns the entries as a trace that begins at `origin`; times in it are microseconds.
pub(super) fn json(entries: &mut [Entry], origin: Duration) -> String {
    let lanes = assign(entries);
    let mut numbers: BTreeMap<Lane, usize> = lanes.iter().map(|lane| (*lane, 0)).collect();
    numbers.values_mut().enumerate().for_each(|(at, number)| *number = at + 1);
    let mut events = names(&numbers);
    let told = entries.iter().zip(&lanes);
    events.extend(told.map(|(entry, lane)| event(entry, lane, numbers[lane], origin)));
    let mut text = String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    text.push_str(&lines.join(",\n"));
    text.push_str("\n]}\n");
    text
}

fn event(entry: &Entry, lane: &Lane, number: usize, origin: Duration) -> Value {
    let ts = micros(entry.began.saturating_sub(origin));
    let (name, cat, args, pid) = (&entry.name, entry.category, &entry.details, lane.process as usize + 1);
    if cat == "cached" {
        return json!({"name": name, "cat": cat, "ph": "i", "s": "t", "ts": ts, "pid": pid, "tid": number, "args": args});
    }
    let dur = micros(entry.took);
    json!({"name": name, "cat": cat, "ph": "X", "ts": ts, "dur": dur, "pid": pid, "tid": number, "args": args})
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}

/// Returns what names processes and lanes, and puts them in order.
fn names(numbers: &BTreeMap<Lane, usize>) -> Vec<Value> {
    let mut events = Vec::new();
    for process in [Process::Steps, Process::Front, Process::Worker] {
        let (pid, name) = (process as usize + 1, process_name(process));
        events.push(json!({"name": "process_name", "ph": "M", "pid": pid, "args": {"name": name}}));
        events.push(json!({"name": "process_sort_index", "ph": "M", "pid": pid, "args": {"sort_index": pid}}));
    }
    for (lane, number) in numbers {
        let (pid, name) = (lane.process as usize + 1, lane_name(lane));
        events.push(json!({"name": "thread_name", "ph": "M", "pid": pid, "tid": number, "args": {"name": name}}));
        events.push(
            json!({"name": "thread_sort_index", "ph": "M", "pid": pid, "tid": number, "args": {"sort_index": number}}),
        );
    }
    events
}

fn process_name(process: Process) -> &'static str {
    match process {
        Process::Steps => "steps",
        Process::Front => "lbuild",
        Process::Worker => "lbuild's worker",
    }
}

fn lane_name(lane: &Lane) -> String {
    match lane.group {
        Group::Images => "images".to_owned(),
        Group::Stage(stage) => format!("stage {stage}"),
        Group::Outputs => "outputs".to_owned(),
        Group::Waits => "waits for registries".to_owned(),
        Group::Threads => format!("thread {}", lane.number + 1),
    }
}
