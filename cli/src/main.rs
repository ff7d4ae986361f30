//! The binary `lbuild`.

fn main() {}
