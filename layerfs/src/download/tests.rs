use super::*;
use crate::descriptor::media_type;
use crate::digest::Digest;
use crate::image::Image;
use crate::platform::Platform;
use crate::reference::ImageRef;
use std::sync::Mutex;

/// Gives bytes, cut off at a length if one is set, by way of a registry or not.
#[derive(Debug)]
struct Cut {
    bytes: Vec<u8>,
    end: Mutex<Option<usize>>,
    offsets: Mutex<Vec<u64>>,
    remote: bool,
    /// Whether another place is left once these bytes were wrong, and what it gives.
    right: Mutex<Option<Vec<u8>>>,
}

struct Broken(io::Cursor<Vec<u8>>, bool);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if self.1 => Err(io::Error::other("the line is cut")),
            count => Ok(count),
        }
    }
}

impl ImageSource for Cut {
    fn resolve(&self, _: &Platform) -> Result<Image, StoreError> {
        unreachable!("only blobs are asked for")
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        self.open_from(blob, 0)
    }

    fn open_from(&self, _: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        self.offsets.lock().expect("offsets").push(offset);
        let end = *self.end.lock().expect("an end");
        let bytes = self.bytes[usize::try_from(offset).expect("small")..end.unwrap_or(self.bytes.len())].to_vec();
        match (&*self.right.lock().expect("bytes"), self.offsets.lock().expect("offsets").len()) {
            (Some(right), 2..) => Ok(Box::new(io::Cursor::new(right.clone()))),
            _ => Ok(Box::new(Broken(io::Cursor::new(bytes), end.is_some()))),
        }
    }

    fn reject(&self, _: &Descriptor) -> bool {
        self.right.lock().expect("bytes").is_some() && self.offsets.lock().expect("offsets").len() < 2
    }

    fn location(&self) -> String {
        "a test".to_owned()
    }

    fn repository(&self) -> Option<ImageRef> {
        self.remote.then(|| "localhost:5000/x".parse().expect("a name"))
    }
}

struct Fixture {
    _directory: tempfile::TempDir,
    store: Store,
    bytes: Vec<u8>,
    blob: Descriptor,
    cancel: Cancel,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("a store");
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let blob = Descriptor::of(media_type::OCI_LAYER, &bytes);
        Self { _directory: directory, store, bytes, blob, cancel: Cancel::new().expect("a flag") }
    }

    fn source(&self, end: Option<usize>) -> Cut {
        let (bytes, offsets, right) = (self.bytes.clone(), Mutex::default(), Mutex::default());
        Cut { bytes, end: Mutex::new(end), offsets, remote: true, right }
    }

    fn fetch(&self, source: &Cut) -> Result<(), String> {
        self.fetch_into(source, &Download::default())
    }

    fn fetch_into(&self, source: &Cut, download: &Download) -> Result<(), String> {
        let Self { store, blob, cancel, .. } = self;
        let fetch = Fetch { store, source, blob, cancel, progress: &|_| {} };
        fetch.run(download).map_err(|error| error.to_string())
    }

    fn part(&self) -> Option<u64> {
        std::fs::metadata(self.store.part(&self.blob.digest)).ok().map(|part| part.len())
    }

    fn is_whole(&self) -> bool {
        self.store.blobs().verify(&self.blob.digest).is_ok()
    }
}

#[test]
fn what_arrived_before_a_cut_is_not_asked_for_again() {
    let fixture = Fixture::new();
    let source = fixture.source(Some(700_001));
    assert!(fixture.fetch(&source).expect_err("cut").contains("the line is cut"));
    assert_eq!((fixture.part(), fixture.is_whole()), (Some(700_001), false));
    *source.end.lock().expect("an end") = None;
    fixture.fetch(&source).expect("the rest");
    assert_eq!(*source.offsets.lock().expect("offsets"), [0, 700_001]);
    assert_eq!((fixture.part(), fixture.is_whole()), (None, true));
    fixture.fetch(&source).expect("it is here");
    assert_eq!(source.offsets.lock().expect("offsets").len(), 2);
}

#[test]
fn a_part_that_is_wrong_is_fetched_anew() {
    let fixture = Fixture::new();
    for part in [b"wrong".to_vec(), vec![0; fixture.bytes.len()], vec![0; fixture.bytes.len() + 7]] {
        std::fs::write(fixture.store.part(&fixture.blob.digest), part).expect("written");
        fixture.fetch(&fixture.source(None)).expect("fetched");
        assert!(fixture.is_whole() && fixture.part().is_none());
        fixture.store.blobs().remove(&fixture.blob.digest).expect("removed");
    }
}

#[test]
fn wrong_bytes_leave_nothing_and_are_asked_for_elsewhere() {
    let fixture = Fixture::new();
    let mut source = fixture.source(None);
    source.bytes[5] ^= 1;
    assert!(fixture.fetch(&source).expect_err("wrong").contains("has digest"));
    source.bytes.push(0);
    assert!(fixture.fetch(&source).expect_err("longer").contains("its descriptor says"));
    assert_eq!((fixture.part(), fixture.is_whole()), (None, false));

    source.offsets.lock().expect("offsets").clear();
    *source.right.lock().expect("bytes") = Some(fixture.bytes.clone());
    let download = Arc::new(Download::default());
    fixture.fetch_into(&source, &download).expect("the other place");
    assert!(fixture.is_whole() && download.has_failed(), "who followed has read wrong bytes");
}

/// Other sources are near: a part of theirs is not worth keeping.
#[test]
fn only_what_comes_from_a_registry_stays_in_part() {
    let fixture = Fixture::new();
    let source = Cut { remote: false, ..fixture.source(Some(10)) };
    fixture.fetch(&source).expect_err("cut");
    assert_eq!(std::fs::read_dir(fixture.store.temporary()).expect("listed").count(), 0);
    *source.end.lock().expect("an end") = None;
    fixture.fetch(&source).expect("fetched");
    assert!(fixture.is_whole());
}

#[test]
fn followers_read_all_of_what_is_right_and_never_the_end_of_what_is_wrong() {
    let fixture = Fixture::new();
    for wrong in [false, true] {
        let mut source = fixture.source(None);
        source.bytes[999_999] ^= u8::from(wrong);
        let download = Arc::new(Download::default());
        let followers: Vec<_> = (0..3)
            .map(|_| {
                let mut follower = download.follow(&fixture.blob);
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    let result = follower.read_to_end(&mut bytes);
                    (bytes, result.is_ok())
                })
            })
            .collect();
        assert_eq!(fixture.fetch_into(&source, &download).is_err(), wrong);
        for follower in followers {
            let (bytes, well) = follower.join().expect("ends");
            assert_eq!(well, !wrong);
            assert!(if wrong { bytes.len() < 1_000_000 } else { bytes == fixture.bytes });
        }
        fixture.store.blobs().remove(&fixture.blob.digest).expect("removed");
    }
}

#[test]
fn an_ended_build_fetches_nothing() {
    let fixture = Fixture::new();
    fixture.cancel.cancel();
    assert_eq!(fixture.fetch(&fixture.source(None)), Err("cancelled".to_owned()));
    assert_eq!((fixture.part(), fixture.is_whole()), (None, false));
}

#[test]
fn gc_leaves_a_fresh_part_alone() {
    let fixture = Fixture::new();
    fixture.fetch(&fixture.source(Some(10))).expect_err("cut");
    let other = fixture.store.part(&Digest::of("other"));
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3600);
    std::fs::File::create(&other).and_then(|file| file.set_modified(long_ago)).expect("an old part");
    let report = fixture.store.gc(&crate::store::GcOptions::default(), &mut |_| Ok(0)).expect("gc");
    assert_eq!((report.leftovers, fixture.part(), other.exists()), (1, Some(10), false));
}
