//! `builder/tests/fuzz/words_expand.rs` under libFuzzer.
#![no_main]

#[path = "../../tests/fuzz/words_expand.rs"]
mod words_expand;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| words_expand::run(bytes));
