//! Any bytes as manifest, index and config: no panic, and what parses prints to what parses to the same.

use layerfs::image::{Image, ImageConfig, Index, Manifest};

/// Runs one input: a manifest or index, and after the first zero byte a config.
pub fn run(bytes: &[u8]) {
    let (manifest, config) = match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, bytes),
    };
    if let Ok(parsed) = Manifest::parse(manifest) {
        assert_eq!(Manifest::parse(&parsed.print()), Ok(parsed));
    }
    if let Ok(parsed) = Index::parse(manifest) {
        assert_eq!(Index::parse(&parsed.print()), Ok(parsed));
    }
    if let Ok(parsed) = serde_json::from_slice::<ImageConfig>(config) {
        let printed = serde_json::to_vec(&parsed).expect("a config prints");
        assert_eq!(serde_json::from_slice::<ImageConfig>(&printed).expect("what is printed parses"), parsed);
    }
    if let Ok(image) = Image::parse(manifest.to_vec(), config.to_vec()) {
        assert_eq!(image.config_bytes, config);
    }
}
