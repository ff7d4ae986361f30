use super::*;
use crate::blobs::BlobStore;
use crate::descriptor::{Descriptor, media_type};
use crate::digest::{DiffId, Digest};
use crate::testing::Tar;
use std::io::Read as _;

fn layer(store: &Store, tar: Tar) -> ExportLayer {
    let tar = tar.end();
    store.blobs().put(&tar).expect("put");
    ExportLayer { diff_id: DiffId(Digest::of(&tar)), blob: Descriptor::of(media_type::OCI_LAYER, &tar), source: None }
}

fn gzipped(store: &Store, tar: Tar) -> ExportLayer {
    let tar = tar.end();
    let mut bytes = Vec::new();
    let options = crate::compress::CompressOptions::new(Compression::Gzip);
    crate::compress::compress_layer(&mut tar.as_slice(), &mut bytes, &options, &Default::default())
        .expect("compressed");
    store.blobs().put(&bytes).expect("put");
    ExportLayer {
        diff_id: DiffId(Digest::of(&tar)),
        blob: Descriptor::of(media_type::OCI_LAYER_GZIP, &bytes),
        source: None,
    }
}

/// Returns path, and content of files.
fn lines(flat: &Flat) -> Vec<String> {
    let line = |(path, found): (TreePath, Found<'_>)| {
        let mut text = String::new();
        if matches!(found.metadata.kind, crate::meta::Kind::File { .. }) {
            flat.content(found.layer, &found.inode).expect("content").read_to_string(&mut text).expect("read");
        }
        format!("{path} {text}").trim_end().to_owned()
    };
    flat.walk().into_iter().map(line).collect()
}

#[test]
fn files_are_read_from_the_layer_that_has_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("store")).expect("a store");
    let base = Tar::default().dir("d").file("d/a", "one").file("d/b", "two").file("old", "x").link("l", "d");
    // A hardlink to a file below, a path through a link of the same layer, a name that comes twice, a whiteout.
    let top = Tar::default()
        .hard("same", "d/a")
        .link("m", "n")
        .dir("n")
        .file("m/c", "three")
        .file("twice", "first")
        .file("twice", "second")
        .file(".wh.old", "")
        .file("etc/passwd", "root");
    let layers = [gzipped(&store, base), layer(&store, top)];
    let cancel = Cancel::new().expect("an eventfd");
    let flat = Flat::open(&layers, &store, &cancel).expect("a tree");
    let wanted = [
        "/d",
        "/d/a one",
        "/d/b two",
        "/etc",
        "/etc/passwd root",
        "/l",
        "/m",
        "/n",
        "/n/c three",
        "/same one",
        "/twice second",
    ];
    assert_eq!(lines(&flat), wanted);
    let mut wrong = layers[1].clone();
    wrong.diff_id = layers[0].diff_id;
    assert!(matches!(Flat::open(&[wrong], &store, &cancel), Err(StoreError::DigestMismatch { .. })));
}
