//! [`Clock`]: runs something a few times and prints what the best run came to.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs of each benchmark.
const RUNS: usize = 7;

/// What a run works on.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// Things of this name.
    Things(usize, &'static str),
    /// Bytes.
    Bytes(u64),
}

/// Runs what its filter names.
#[derive(Debug)]
pub struct Clock {
    filter: Option<String>,
}

impl Clock {
    /// Returns a clock for the benchmarks whose names contain the first argument that is no flag; all without one.
    pub fn from_arguments() -> Self {
        Self { filter: std::env::args().skip(1).find(|argument| !argument.starts_with('-')) }
    }

    /// Runs `work` on what `prepare` makes for each run, which is not timed, and prints best and median.
    pub fn time<T, R>(&self, name: &str, amount: Amount, mut prepare: impl FnMut() -> T, mut work: impl FnMut(T) -> R) {
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            return;
        }
        let mut runs: Vec<Duration> = (0..RUNS)
            .map(|_| {
                let input = prepare();
                let start = Instant::now();
                let result = black_box(work(black_box(input)));
                let took = start.elapsed();
                drop(result);
                took
            })
            .collect();
        runs.sort();
        println!(
            "{name:24} best {:>12}  median {:>12}  {}",
            shown(runs[0]),
            shown(runs[RUNS / 2]),
            amount.in_time(runs[0])
        );
    }
}

impl Amount {
    /// Returns how much of it that makes.
    fn in_time(self, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        match self {
            Self::Things(count, name) => {
                format!("{:.0} ns for each of {count} {name}", seconds * 1e9 / count as f64)
            }
            Self::Bytes(bytes) => format!("{:.0} MB/s", bytes as f64 / 1e6 / seconds),
        }
    }
}

fn shown(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
