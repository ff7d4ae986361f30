//! `--trace`: where the time of a build went (docs/trace.md).

use crate::harness::Lab;
use crate::registry::{Registry, layout};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The trace-event file of a build.
struct Trace(Vec<Value>);

impl Trace {
    fn of(lab: &Lab) -> Self {
        let text = fs::read_to_string(lab.path("trace.json")).expect("a trace");
        let trace: Value = serde_json::from_str(&text).expect("it is JSON");
        Self(trace["traceEvents"].as_array().expect("a list").clone())
    }

    fn categories(&self) -> BTreeSet<&str> {
        self.0.iter().filter_map(|event| event["cat"].as_str()).collect()
    }

    fn one(&self, category: &str, name: &str) -> &Value {
        let is = |event: &&Value| event["cat"] == category && event["name"].as_str().is_some_and(|n| n.contains(name));
        self.0.iter().find(is).unwrap_or_else(|| panic!("no {category} of {name} in {:?}", self.0))
    }

    /// Fails unless the events of each lane lie beside each other or in each other, as viewers take for granted.
    fn nests(&self) {
        let mut lanes: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for event in self.0.iter().filter(|event| event["ph"] == "X") {
            let (ts, dur) = (event["ts"].as_f64().expect("a time"), event["dur"].as_f64().expect("a time"));
            lanes.entry(format!("{}.{}", event["pid"], event["tid"])).or_default().push((ts, ts + dur));
        }
        assert!(lanes.len() > 2);
        for (lane, mut spans) in lanes {
            spans.sort_by(|left, right| left.0.total_cmp(&right.0).then(right.1.total_cmp(&left.1)));
            let mut open: Vec<f64> = Vec::new();
            for (begin, end) in spans {
                // A thousandth of a microsecond is lost where nanoseconds become fractions.
                open.retain(|outer| *outer > begin + 0.01);
                assert!(open.iter().all(|outer| end <= outer + 0.01), "lane {lane}: {begin}..{end} in {open:?}");
                open.push(end);
            }
        }
    }
}

#[test]
fn userns_a_trace_tells_where_the_time_went() {
    let registry = Registry::plain();
    registry.fill("base:1", &layout("busybox"));
    let lab = Lab::with(&format!(
        "FROM {} AS one\nCOPY data /data\nRUN i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo $i > /count\n\
         FROM one\nCOPY --from=one /count /again\n",
        registry.name("base:1")
    ));
    lab.file("data", vec![b'x'; 100_000]);
    let output = format!("type=oci,dest={},compression=gzip", lab.path("out.tar").display());
    let file = lab.path("trace.json");
    let traced = format!("--trace={}", file.display());
    lab.build(&[&traced, "-o", &output, "--push", "-t", &registry.name("to:1")]).ok();
    let trace = Trace::of(&lab);
    trace.nests();
    let wanted = [
        "compressing",
        "diffing",
        "executing",
        "exporting",
        "hashing",
        "mounting",
        "pulling",
        "pushing",
        "running",
        "sandboxing",
        "step",
        "unpacking",
        "waiting",
        "writing",
    ];
    assert_eq!(trace.categories(), BTreeSet::from(wanted));
    let running = trace.one("running", "while [ $i");
    assert!(running["args"]["cpu_us"].as_u64().is_some_and(|cpu| cpu > 10_000), "{running}");
    let command = trace.one("executing", "the command");
    let times = |event: &Value| (event["ts"].as_f64().expect("a time"), event["dur"].as_f64().expect("a time"));
    let ((outer, whole), (inner, alone)) = (times(running), times(command));
    assert!(outer < inner && inner + alone < outer + whole && alone > whole / 2.0, "{running} {command}");
    assert_eq!((running["pid"].clone(), trace.one("step", "[one 3/3] RUN")["pid"].clone()), (3.into(), 1.into()));
    assert!(trace.one("hashing", "data")["args"]["bytes"].as_u64().is_some_and(|bytes| bytes >= 100_000));
    assert!(trace.one("unpacking", "sha256:")["args"]["bytes"].as_u64().is_some_and(|bytes| bytes > 500_000));
    assert!(trace.one("pulling", "")["args"]["bytes"].as_u64().is_some_and(|bytes| bytes > 100_000));
    assert!(trace.one("compressing", "x-")["args"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    lab.build(&[&traced, "-t", "x"]).ok();
    let again = Trace::of(&lab);
    assert_eq!(again.one("cached", "RUN")["args"]["step"], "0.1");
    assert!(!again.categories().contains("running"));
}

#[test]
fn userns_a_build_that_fails_leaves_its_trace() {
    let lab = Lab::with("FROM busybox\nRUN exit 3\n");
    lab.build(&["--trace=no/such/place"]).ends(125).says("create").says("no/such/place");
    let file = lab.path("trace.json");
    lab.build(&[&format!("--trace={}", file.display())]).ends(3);
    let trace = Trace::of(&lab);
    assert!(trace.one("step", "RUN exit 3")["args"]["failed"].as_str().is_some_and(|why| why.contains("exit 3")));
}
