//! Any bytes as a layer: unpacking them never panics and makes nothing outside the root. Run as root of a user
//! namespace (`unshare -Ur cargo +nightly fuzz run layer_apply`), with a canary beside the root that must stay as it is.

#![no_main]

use layerfs::rootdir::RootDir;
use layerfs::unpack::unpack;
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|tar: &[u8]| {
    let place = tempfile::tempdir().expect("a directory");
    let (root, canary) = (place.path().join("root"), place.path().join("canary"));
    fs::create_dir(&root).expect("a root");
    fs::write(&canary, b"as it was").expect("a canary");
    let opened = RootDir::open(&root).expect("the root opens");
    if let Ok(unpacked) = unpack(&mut &*tar, &opened) {
        let sorted = unpacked.index.changes.windows(2).all(|pair| pair[0].path < pair[1].path);
        assert!(sorted, "an index has each path once, in order");
    }
    assert_eq!(fs::read(&canary).expect("the canary is there"), b"as it was");
    assert_eq!(fs::read_dir(place.path()).expect("the place is there").count(), 2, "something was made beside the root");
});
