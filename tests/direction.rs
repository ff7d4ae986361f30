//! Dependencies point one way: cli -> builder -> layerfs.

use crate::harness::repository;
use serde_json::Value;
use std::process::Command;

#[test]
fn dependencies_point_one_way() {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let found = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output();
    let output = match found {
        // A plain user of the tests cannot read root's toolchain; root has looked already.
        Err(_) if std::env::var_os("LBUILD_TEST_SOURCE").is_some() => return,
        found => found.expect("cargo starts"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let mut names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["builder", "layerfs", "lbuild"]);
    for (name, wanted) in [("layerfs", &[][..]), ("builder", &["layerfs"]), ("lbuild", &["builder", "layerfs"])] {
        let package = packages.iter().find(|package| package["name"] == name).expect("a package");
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let mut own: Vec<&str> =
            dependencies.iter().filter(|one| !one["path"].is_null()).filter_map(|one| one["name"].as_str()).collect();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own, wanted, "{name}");
    }
}
