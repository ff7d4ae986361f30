//! Any bytes as a layer: no panic, nothing outside the root, and the index is the same whether files are made or not.

use layerfs::compress::decompress;
use layerfs::rootdir::RootDir;
use layerfs::unpack::{UnpackLimits, index_tar, unpack_within};
use std::fs;
use std::io::{Cursor, Read};

/// Most entries and bytes, so that no input takes long.
const LIMIT: u64 = 1 << 20;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut plain = Vec::new();
    let stream = decompress(Box::new(Cursor::new(bytes.to_vec())));
    if stream.is_ok_and(|stream| stream.take(LIMIT).read_to_end(&mut plain).is_ok()) {
        apply(&plain);
    }
    apply(&with_checksums(bytes));
}

/// Returns `bytes` with the checksum of every block that looks like a header, which a mutation seldom gets right.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.as_chunks_mut::<512>().0 {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

fn apply(tar: &[u8]) {
    let place = tempfile::tempdir().expect("a directory");
    let (root, canary) = (place.path().join("root"), place.path().join("canary"));
    fs::create_dir(&root).expect("a root");
    fs::write(&canary, b"as it was").expect("a canary");
    let opened = RootDir::open(&root).expect("the root opens");
    let indexed = index_tar(&mut &*tar);
    if let Ok(unpacked) =
        unpack_within(&mut &*tar, &opened, UnpackLimits { entries: LIMIT, bytes: LIMIT, ..UnpackLimits::default() })
    {
        let sorted = unpacked.index.changes.iter().is_sorted_by(|one, next| one.path < next.path);
        assert!(sorted, "an index has each path once, in order");
        assert_eq!(indexed.expect("what can be unpacked can be read").index, unpacked.index);
    }
    assert_eq!(fs::read(&canary).expect("the canary is there"), b"as it was");
    assert_eq!(
        fs::read_dir(place.path()).expect("the place is there").count(),
        2,
        "something was made beside the root"
    );
}
