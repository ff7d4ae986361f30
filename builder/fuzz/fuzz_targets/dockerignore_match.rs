//! `builder/tests/fuzz/dockerignore_match.rs` under libFuzzer.
#![no_main]

#[path = "../../tests/fuzz/dockerignore_match.rs"]
mod dockerignore_match;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dockerignore_match::run(bytes));
