//! `layerfs/tests/fuzz/manifest_json.rs` under libFuzzer.
#![no_main]

#[path = "../../tests/fuzz/manifest_json.rs"]
mod manifest_json;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| manifest_json::run(bytes));
