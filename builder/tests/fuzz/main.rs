//! Fuzz targets of builder, each with a seeded slice that every `cargo test` runs.

mod dockerfile_parse;
mod dockerignore_match;
#[path = "../../../layerfs/tests/fuzz/mutation.rs"]
mod mutation;
mod words_expand;

#[test]
fn any_text_as_a_dockerfile() {
    mutation::run(&["dockerfile", "plan", "fuzz/dockerfile_parse"], dockerfile_parse::run);
}

#[test]
fn any_bytes_as_an_ignore_file() {
    mutation::run(&["fuzz/dockerignore_match"], dockerignore_match::run);
}

#[test]
fn any_text_as_a_word() {
    mutation::run(&["fuzz/words_expand"], words_expand::run);
}
