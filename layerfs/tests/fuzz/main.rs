//! Fuzz targets of layerfs, each with a seeded slice that every `cargo test` runs.

mod layer_apply;
mod manifest_json;
mod mutation;
mod reference_parse;

#[test]
fn any_bytes_as_a_layer() {
    mutation::run(&["fuzz/layer_apply"], layer_apply::run);
}

#[test]
fn any_bytes_as_manifest_and_config() {
    mutation::run(&["fuzz/manifest_json"], manifest_json::run);
}

#[test]
fn any_text_as_a_name() {
    mutation::run(&["fuzz/reference_parse"], reference_parse::run);
}
