use super::*;
use crate::bases::Base;
use crate::source::Span;
use crate::worker::id_map::{Caller, IdMap};
use layerfs::blobs::BlobStore;
use layerfs::cancel::Cancel;
use layerfs::descriptor::media_type;
use layerfs::error::StoreError;
use layerfs::image::{Image, ImageConfig, Manifest};
use layerfs::platform::Platform;
use layerfs::source::ImageSource;
use layerfs::stack::Stack;
use layerfs::tar::writer::TarWriter;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// An image of one layer.
#[derive(Debug)]
struct OneLayer {
    blob: Vec<u8>,
    /// What is set when the blob has been read and goes on; without it the blob is in the store already.
    cancel: Option<Cancel>,
}

/// Sets a flag where the bytes before it end.
struct Sets(Cancel);

impl Read for Sets {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.cancel();
        Ok(0)
    }
}

impl ImageSource for OneLayer {
    fn resolve(&self, _: &Platform) -> Result<Image, StoreError> {
        unreachable!("the image is known")
    }

    fn open(&self, _: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let bytes = io::Cursor::new(self.blob.clone());
        Ok(match &self.cancel {
            Some(cancel) => Box::new(bytes.chain(Sets(cancel.clone())).chain(io::repeat(0))),
            None => Box::new(bytes),
        })
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// Returns what the index of a stack of one base layer is, or why there is none. The layer's diff ID is wrong.
fn index_of(source: OneLayer, size: u64, cancel: &Cancel, limits: UnpackLimits) -> Result<Stack, String> {
    let place = tempfile::tempdir().expect("a directory");
    let store = Store::open(place.path()).expect("a store");
    if source.cancel.is_none() {
        store.blobs().put(&source.blob).expect("stored");
    }
    let (map, lease) = (IdMap::detect(&Caller::read(None)), store.lease().expect("a lease"));
    let worker = LazyWorker::new(place.path(), &map, cancel);
    let blob = Descriptor::new(media_type::OCI_LAYER, Digest::of(&source.blob), size);
    let manifest = Manifest::new(Descriptor::of(media_type::OCI_CONFIG, b""), vec![blob.clone()], BTreeMap::new());
    let (config_bytes, manifest_bytes) = (Vec::new(), Vec::new());
    let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config: ImageConfig = serde_json::from_str(config).expect("a config");
    let image = Image { config, config_bytes, manifest, manifest_bytes };
    let name = "base".to_owned();
    let base = Base {
        name,
        span: Span::default(),
        image,
        source: Arc::new(source),
        platform: Platform::host(),
        named_context: None,
    };
    let directories = store.directories("map").expect("directories");
    let mut shelf = Shelf::new(&store, directories, &worker, &Bases { images: vec![base] }, &lease);
    shelf.limits = limits;
    let diff_id = DiffId(Digest::of(b"another"));
    shelf.indexes(&[Layer::Base { diff_id, blob }]).map_err(|error| error.to_string())
}

/// Returns an empty layer with `zeros` zeros after its end, compressed.
fn bomb(zeros: u64) -> Vec<u8> {
    let tar = TarWriter::new(Vec::new()).finish().expect("a tar");
    zstd::encode_all(tar.chain(io::repeat(0).take(zeros)), 1).expect("compressed")
}

#[test]
fn a_layer_that_unpacks_to_too_much_is_refused_where_it_passes_the_limit() {
    let cancel = Cancel::new().expect("a flag");
    let limits = UnpackLimits { bytes: 1 << 20, ..UnpackLimits::default() };
    for (zeros, wanted) in [(64 << 20, "the layer's tar has more than 1048576 bytes"), (1 << 10, "its image says")] {
        let blob = bomb(zeros);
        let size = blob.len() as u64;
        let error = index_of(OneLayer { blob, cancel: None }, size, &cancel, limits).expect_err("refused");
        assert!(error.starts_with("layer sha256:") && error.contains(wanted), "{error}");
    }
}

#[test]
fn an_ended_build_reads_no_layer_to_its_end() {
    let cancel = Cancel::new().expect("a flag");
    let source = OneLayer { blob: bomb(0), cancel: Some(cancel.clone()) };
    let error = index_of(source, 64 << 20, &cancel, UnpackLimits::default()).expect_err("ended while importing");
    assert_eq!(error, "cancelled");
    let blob = bomb(64 << 20);
    let size = blob.len() as u64;
    let error = index_of(OneLayer { blob, cancel: None }, size, &cancel, UnpackLimits::default());
    assert_eq!(error.expect_err("ended while reading"), "cancelled");
}
