//! Outputs: stub.
use crate::error::BuildError;
use crate::progress::ProgressSink;
use crate::request::Output;
use layerfs::descriptor::Descriptor;
use layerfs::export::FinishedImage;
use layerfs::store::Store;

/// Writes.
pub fn write(
    outputs: &[Output],
    image: &FinishedImage,
    store: &Store,
    _sink: &dyn ProgressSink,
) -> Result<Vec<Descriptor>, BuildError> {
    use layerfs::blobs::BlobStore;
    let d = store.blobs().put(&image.config_bytes).unwrap();
    let config = Descriptor::new(layerfs::descriptor::media_type::OCI_CONFIG, d, image.config_bytes.len() as u64);
    let manifest = layerfs::image::Manifest::new(
        config,
        image.layers.iter().map(|l| l.blob.clone()).collect(),
        Default::default(),
    );
    let bytes = manifest.print();
    store.blobs().put(&bytes).unwrap();
    let d = Descriptor::of(layerfs::descriptor::media_type::OCI_MANIFEST, &bytes);
    for o in outputs {
        if let Output::Store { names } = o {
            store.refs().set(names, &d).unwrap();
        }
    }
    Ok(vec![d])
}
