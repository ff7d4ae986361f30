//! Any text as an image name or a platform: what parses prints to what parses to the same.

use layerfs::platform::Platform;
use layerfs::reference::ImageRef;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(name) = text.parse::<ImageRef>() {
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
        assert_eq!(name.familiar().parse(), Ok(name));
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform));
    }
}
