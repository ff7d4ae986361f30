//! The image config that a stage starts with (1.4-5, 1.4-9, 1.4-10).

use layerfs::image::{ImageConfig, RootFs, RunConfig};
use layerfs::platform::Platform;
use std::collections::BTreeMap;

/// The search path of an image that sets none.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the config of `FROM scratch`.
pub(super) fn empty(platform: &Platform) -> ImageConfig {
    let config = RunConfig { working_dir: "/".to_owned(), ..RunConfig::default() };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    with_path(ImageConfig {
        created: None,
        author: None,
        architecture: platform.architecture.clone(),
        variant: some(&platform.variant),
        os: platform.os.clone(),
        os_version: some(&platform.os_version),
        os_features: None,
        config,
        rootfs: no_layers(),
        history: Vec::new(),
        extra: BTreeMap::new(),
    })
}

/// Returns what a stage takes over from the config of its base: all that lbuild knows, but for times, layers, history and
/// triggers.
pub(super) fn inherited(base: &ImageConfig) -> ImageConfig {
    let run = base.config.clone();
    with_path(ImageConfig {
        created: None,
        rootfs: no_layers(),
        history: Vec::new(),
        extra: BTreeMap::new(),
        config: RunConfig { on_build: None, extra: BTreeMap::new(), ..run },
        ..base.clone()
    })
}

fn no_layers() -> RootFs {
    RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() }
}

fn with_path(mut image: ImageConfig) -> ImageConfig {
    let environment = image.config.env.get_or_insert_default();
    if !environment.iter().any(|variable| variable.starts_with("PATH=")) {
        environment.push(format!("PATH={DEFAULT_PATH}"));
    }
    image
}
