//! Any bytes as manifest, index and config: no panic, and what parses prints to what parses to the same.

#![no_main]

use layerfs::image::{Image, Index, Manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], &[u8])| {
    let (manifest, config) = parts;
    if let Ok(parsed) = Manifest::parse(manifest) {
        assert_eq!(Manifest::parse(&parsed.print()), Ok(parsed));
    }
    if let Ok(parsed) = Index::parse(manifest) {
        assert_eq!(Index::parse(&parsed.print()), Ok(parsed));
    }
    if let Ok(image) = Image::parse(manifest.to_vec(), config.to_vec()) {
        assert_eq!(image.config_bytes, config);
    }
});
