use super::*;

fn disk() -> (tempfile::TempDir, DiskBlobs) {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["blobs/sha256", "tmp"] {
        fs::create_dir_all(directory.path().join(name)).expect("a directory");
    }
    let blobs = DiskBlobs::new(&directory.path().join("blobs"), &directory.path().join("tmp"));
    (directory, blobs)
}

/// What every [`BlobStore`] does.
fn blob_store_contract(store: &dyn BlobStore) {
    let (one, blob) = (Digest::of("one"), Descriptor::of("x", b"two"));
    assert_eq!(store.size(&one).expect("size"), None);
    assert!(matches!(store.reader(&one), Err(StoreError::NoBlob(digest)) if digest == one));
    assert!(matches!(store.read(&one, 9), Err(StoreError::NoBlob(digest)) if digest == one));
    assert!(!store.remove(&one).expect("remove"));
    assert_eq!(store.put(b"one").expect("put"), one);
    assert_eq!(store.put(b"one").expect("put again"), one);
    assert_eq!(store.size(&one).expect("size"), Some(3));
    assert_eq!(store.read(&one, 3).expect("read"), b"one");
    assert!(matches!(store.read(&one, 2), Err(StoreError::TooLong { limit: 2, .. })));
    for (wrong, size) in [(&b"tw"[..], false), (b"twoo", false), (b"six", true)] {
        match store.import(&mut &*wrong, &blob) {
            Err(StoreError::DigestMismatch { .. }) => assert!(size),
            Err(StoreError::SizeMismatch { .. }) => assert!(!size),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.size(&blob.digest).expect("size"), None, "nothing is stored");
    }
    store.import(&mut &b"two"[..], &blob).expect("import");
    let mut both = vec![one, blob.digest];
    both.sort();
    assert_eq!(store.list().expect("list"), both);
    assert!(store.remove(&one).expect("remove"));
    assert_eq!(store.list().expect("list"), [blob.digest]);
}

#[test]
fn disk_keeps_the_contract() {
    let (directory, blobs) = disk();
    blob_store_contract(&blobs);
    assert_eq!(sealed::names(&directory.path().join("tmp")), Ok(Vec::new()), "nothing temporary stays");
}

#[test]
fn memory_keeps_the_contract() {
    blob_store_contract(&MemoryBlobs::default());
}

#[test]
fn files_with_temporary_names_do_as_well() {
    let (directory, blobs) = disk();
    let mut blob = blobs.create_named().expect("create");
    blob.file().write_all(b"named").expect("write");
    blobs.commit(blob, &Digest::of("named"), 5).expect("commit");
    assert_eq!(blobs.read(&Digest::of("named"), 9).expect("read"), b"named");
    drop(blobs.create_named().expect("create"));
    assert_eq!(sealed::names(&directory.path().join("tmp")), Ok(Vec::new()));
}

#[test]
fn a_blob_of_any_truncated_length_is_an_error_and_is_healed() {
    let (_directory, blobs) = disk();
    let digest = Digest::of("content");
    for length in 0..7 {
        fs::write(blobs.path(&digest), &b"content"[..length]).expect("write");
        assert!(matches!(blobs.read(&digest, 99), Err(StoreError::DigestMismatch { .. })), "{length} bytes");
        assert!(matches!(blobs.verify(&digest), Err(StoreError::DigestMismatch { .. })), "{length} bytes");
        blobs.put(b"content").expect("put");
        assert_eq!(blobs.read(&digest, 99).expect("read"), b"content");
    }
}

#[test]
fn sync_marks_what_is_on_disk_and_checks_what_is_older_than_the_boot() {
    let (_directory, blobs) = disk();
    let mode = |digest: &Digest| fs::metadata(blobs.path(digest)).expect("stat").mode() & 0o777;
    let digest = blobs.put(b"content").expect("put");
    assert_eq!(mode(&digest), UNSYNCED);
    blobs.sync(&[digest]).expect("sync");
    assert_eq!(mode(&digest), SYNCED);

    let damaged = Digest::of("damaged");
    fs::write(blobs.path(&damaged), b"DAMAGED").expect("write");
    let file = File::options().write(true).open(blobs.path(&damaged)).expect("open");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("an old time");
    assert!(matches!(blobs.sync(&[digest, damaged]), Err(StoreError::DigestMismatch { .. })));
    assert!(matches!(blobs.sync(&[damaged]), Err(StoreError::NoBlob(_))), "a damaged blob is gone");
}

#[test]
fn a_pipe_is_no_blob() {
    let (_directory, blobs) = disk();
    let path = blobs.path(&Digest::of("x"));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    assert!(matches!(blobs.open(&Digest::of("x")), Err(StoreError::Malformed { .. })));
}
