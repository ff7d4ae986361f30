//! `layerfs/tests/fuzz/layer_apply.rs` under libFuzzer.
#![no_main]

#[path = "../../tests/fuzz/layer_apply.rs"]
mod layer_apply;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layer_apply::run(bytes));
