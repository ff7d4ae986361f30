//! `builder/tests/fuzz/dockerfile_parse.rs` under libFuzzer.
#![no_main]

#[path = "../../tests/fuzz/dockerfile_parse.rs"]
mod dockerfile_parse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dockerfile_parse::run(bytes));
