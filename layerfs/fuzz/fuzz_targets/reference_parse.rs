//! Any text as an image name: what parses prints to what parses to the same.

#![no_main]

use layerfs::reference::ImageRef;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<ImageRef>() {
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
        assert_eq!(name.familiar().parse(), Ok(name));
    }
});
