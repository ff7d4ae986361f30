//! `layerfs/tests/fuzz/reference_parse.rs` under libFuzzer.
#![no_main]

#[path = "../../tests/fuzz/reference_parse.rs"]
mod reference_parse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reference_parse::run(bytes));
