use super::*;
use crate::blobs::BlobStore;
use std::io::{self, Read, Write};

/// A stream that takes everything and answers `answer`.
struct Fake {
    got: Vec<u8>,
    answer: io::Cursor<Vec<u8>>,
}

impl Read for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.answer.read(buffer)
    }
}

impl Write for Fake {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.got.write(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An engine that says that it has every layer, and takes archives with at least so many blobs.
struct Forgetful {
    least: usize,
    got: std::cell::RefCell<Vec<usize>>,
    named: std::cell::RefCell<Vec<String>>,
}

impl Door for Forgetful {
    fn has(&self, _: &Passed<'_>) -> Result<bool, StoreError> {
        Err(Engine::Tcp("x".to_owned()).refused("who knows"))
    }
    fn held(&self, image: &Passed<'_>) -> Result<HashSet<Digest>, StoreError> {
        Ok(image.layers.iter().map(|layer| layer.blob.digest).collect())
    }
    fn form(&self) -> Form {
        Form::Layout
    }
    fn load(&self, archive: &Archive) -> Result<(), StoreError> {
        self.got.borrow_mut().push(archive.blobs());
        let refused = Err(Engine::Tcp("x".to_owned()).refused("a layer is missing"));
        if archive.blobs() < self.least { refused } else { Ok(()) }
    }
    fn name(&self, _: &Digest, name: &ImageRef) -> Result<(), StoreError> {
        self.named.borrow_mut().push(name.familiar());
        Ok(())
    }
}

#[test]
fn who_lacks_a_layer_after_all_gets_the_whole_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("store")).expect("a store");
    let bytes = vec![1; usize::try_from(WORTH_ASKING).expect("small")];
    let (blob, size) = (store.blobs().put(&bytes).expect("written"), WORTH_ASKING);
    let descriptor = Descriptor::new(crate::descriptor::media_type::OCI_LAYER, blob, size);
    let layer = ExportLayer { diff_id: crate::digest::DiffId(blob), blob: descriptor, source: None };
    let config = serde_json::json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [blob.to_string()]}});
    let config = serde_json::from_value(config).expect("a config");
    let image = FinishedImage::new(config, vec![layer], Default::default());
    for (least, got, sent) in [(3, vec![2, 3], Some(1)), (2, vec![2], Some(0)), (4, vec![2, 3], None)] {
        let door = Forgetful { least, got: Default::default(), named: Default::default() };
        let exporter = EngineExporter { engine: Engine::Tcp("x".into()), names: vec!["a".parse().expect("a name")] };
        let loaded = exporter.load_through(&door, &image, &store);
        assert_eq!(loaded.ok().map(|loaded| loaded.sent), sent, "{least}");
        assert_eq!(door.got.into_inner(), got);
        assert_eq!(door.named.into_inner().len(), usize::from(sent.is_some()));
    }
}

fn loaded(answer: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("store")).expect("a store");
    let config = serde_json::json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = serde_json::from_value(config).expect("a config");
    let image = FinishedImage::new(config, Vec::new(), Default::default());
    let named = NamedImage { image: &image, names: &[] };
    let archive = Archive::of(&[named], LayerCompression::KEEP, &store).expect("an archive");
    let engine = Engine::Socket("/d.sock".into());
    let mut fake = Fake { got: Vec::new(), answer: io::Cursor::new(answer.into()) };
    let result = Docker(&engine).post(&mut fake, &archive).map_err(|error| error.to_string());
    let got = String::from_utf8_lossy(&fake.got).into_owned();
    assert!(got.starts_with("POST /images/load?quiet=1 HTTP/1.1\r\n"), "{got}");
    assert!(got.ends_with("\r\n0\r\n\r\n"));
    result
}

#[test]
fn what_docker_answers_is_heard() {
    for (answer, wanted) in [
        ("HTTP/1.1 200 OK\r\n\r\n{\"stream\":\"Loaded image: x\\n\"}\n", None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"str\r\n8\r\neam\":1}\n\r\n0\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n\r\n{\"error\":\"no space left\"}\n", Some("no space left")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\n{\"er\r\nb\r\nror\":\"bad\"}\n\r\n0\r\n\r\n",
            Some("bad"),
        ),
        ("HTTP/1.1 400 Bad Request\r\n\r\n{\"message\":\"invalid archive\"}\n", Some("invalid archive")),
        ("HTTP/1.1 500 Oops\r\n\r\nnonsense", Some("it answered 500: nonsense")),
        ("SSH-2.0-x\r\n", Some("speak to")),
        ("", Some("speak to")),
    ] {
        let error = loaded(answer).err();
        match wanted {
            None => assert_eq!(error, None, "{answer}"),
            Some(wanted) => {
                assert!(error.as_ref().is_some_and(|error| error.contains(wanted)), "{answer}: {error:?}")
            }
        }
    }
}
