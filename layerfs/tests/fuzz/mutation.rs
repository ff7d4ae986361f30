//! Seeded mutation of inputs: the slice of fuzzing that runs with every test. `tests/fuzz` runs the same bodies for long,
//! led by coverage.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// No input takes longer, however busy the machine is.
const HANG: Duration = Duration::from_secs(60);
/// Inputs grow no longer, in bytes.
const LONGEST: usize = 1 << 16;

/// Runs `body` with every file below `testdata/NAME` for each of `names`, and with many mutations of them; panics with
/// the input if it panics or hangs.
pub fn run(names: &[&str], body: fn(&[u8])) {
    let seeds: Vec<Vec<u8>> = names.iter().flat_map(|name| files_below(&testdata().join(name))).collect();
    assert!(!seeds.is_empty(), "{names:?} have no seeds");
    let rounds = std::env::var("LBUILD_TEST_SOAK").ok().and_then(|count| count.parse::<u64>().ok()).unwrap_or(1) * 1000;
    let (tell, told) = channel();
    let thread = std::thread::spawn(move || run_all(&seeds, rounds, body, &tell));
    watch(&told);
    thread.join().expect("every panic of the body is told");
}

fn run_all(seeds: &[Vec<u8>], rounds: u64, body: fn(&[u8]), tell: &Sender<Told>) {
    let mut random = Random(1);
    let mutations = (0..rounds).map(|_| mutated(seeds, &mut random));
    for input in seeds.iter().cloned().chain(mutations) {
        tell.send(Told::Begins(input.clone())).expect("the watch listens");
        if catch_unwind(|| body(&input)).is_err() {
            tell.send(Told::Panicked).expect("the watch listens");
            return;
        }
    }
}

/// What the thread that runs the body tells.
enum Told {
    Begins(Vec<u8>),
    Panicked,
}

fn watch(told: &Receiver<Told>) {
    let mut last = Vec::new();
    loop {
        match told.recv_timeout(HANG) {
            Ok(Told::Begins(input)) => last = input,
            Ok(Told::Panicked) => panic!("it panicked at `{}`", last.escape_ascii()),
            Err(RecvTimeoutError::Timeout) => panic!("it hangs at `{}`", last.escape_ascii()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Returns the repository's testdata.
fn testdata() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../testdata")
}

fn files_below(directory: &Path) -> Vec<Vec<u8>> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    let content = |path: PathBuf| match path.is_dir() {
        true => files_below(&path),
        false => vec![fs::read(&path).expect("a seed")],
    };
    entries.into_iter().flat_map(content).collect()
}

/// Numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`; 0 if there is none.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap_or(0)
    }
}

/// Returns a seed with a few changes.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let other = &seeds[random.below(seeds.len())];
        change(&mut input, other, random);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + random.below(600)).min(input.len());
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = b"\0\n\r \"$'*,/0179:=@A[\\]_`az{|}~\x7f\x80\xff"[random.below(32)],
        2 => drop(input.drain(at..end)),
        3 => drop(input.splice(at..at, input[at..end].to_vec())),
        4 => {
            let from = random.below(other.len() + 1);
            let to = (from + random.below(600)).min(other.len());
            drop(input.splice(at..end, other[from..to].iter().copied()));
        }
        5 => input.truncate(at),
        _ => {
            let count = random.below(40);
            let byte = input.get(at).copied().unwrap_or(b'0');
            drop(input.splice(at..at, std::iter::repeat_n(byte, count)));
        }
    }
}
