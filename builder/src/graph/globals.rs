//! [`Globals`]: build arguments, the predefined platform arguments, and ARGs before the first FROM.

use super::{GraphError, GraphOptions};
use crate::dockerfile::Dockerfile;
use crate::dockerfile::instruction::Arg;
use crate::dockerfile::words::Expander;
use layerfs::platform::Platform;
use std::collections::{BTreeMap, BTreeSet};

/// Arguments that a Dockerfile may use without declaring them, and that mean something to lbuild.
const KNOWN: [&str; 16] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SOURCE_DATE_EPOCH",
    "BUILDKIT_CACHE_MOUNT_NS",
    "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
    "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_MULTI_PLATFORM",
    "BUILDKIT_SANDBOX_HOSTNAME",
    "BUILDKIT_SYNTAX",
    "BUILDKIT_BUILD_NAME",
    "BUILDKIT_DOCKERFILE_CHECK",
    "BUILDKIT_SBOM_SCAN_CONTEXT",
    "BUILDKIT_SBOM_SCAN_STAGE",
];

/// What FROM lines see, and what `ARG NAME` of a stage imports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globals {
    values: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
    predefined: BTreeSet<&'static str>,
    declared: BTreeSet<String>,
    build_args: BTreeMap<String, String>,
}

impl Globals {
    /// Returns the global arguments of `dockerfile`: the predefined ones, then each ARG before the first FROM in order,
    /// a build argument standing before a default.
    pub(super) fn new(dockerfile: &Dockerfile, options: &GraphOptions) -> Result<Self, GraphError> {
        let mut globals = Self::predefined(options);
        let escape = dockerfile.directives.escape();
        for argument in &dockerfile.global_args {
            globals.declare(&argument.value, escape)?;
        }
        Ok(globals)
    }

    /// Returns the predefined arguments of `options`, build arguments standing before them.
    fn predefined(options: &GraphOptions) -> Self {
        let build_args: BTreeMap<String, String> =
            options.build_args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
        let mut globals = Self { build_args, ..Self::default() };
        for (name, value) in predefined(options) {
            globals.predefined.insert(name);
            globals.defaults.insert(name.to_owned(), value.clone());
            let value = globals.build_args.get(name).cloned().unwrap_or(value);
            globals.values.insert(name.to_owned(), value);
        }
        globals
    }

    fn declare(&mut self, argument: &Arg, escape: char) -> Result<(), GraphError> {
        let name = &argument.name.value;
        self.declared.insert(name.clone());
        if let Some(default) = &argument.default {
            // The value without build arguments serves a lint only: a failure there is no error.
            let value = Expander::new(escape, &in_map(&self.defaults)).expand(&default.value);
            if let Ok(value) = value {
                self.defaults.insert(name.clone(), value.text);
            }
        }
        if let Some(value) = self.build_args.get(name) {
            self.values.insert(name.clone(), value.clone());
        } else if let Some(default) = &argument.default {
            let value = Expander::new(escape, &in_map(&self.values))
                .expand(&default.value)
                .map_err(|error| GraphError::Expansion { word: default.value.clone(), error, span: default.span })?;
            self.values.insert(name.clone(), value.text);
        }
        Ok(())
    }

    /// Returns the value that FROM lines see, or nothing if `name` is unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Returns all values that FROM lines see.
    pub(super) fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// Returns all values that FROM lines would see without build arguments.
    pub(super) fn defaults(&self) -> &BTreeMap<String, String> {
        &self.defaults
    }

    /// Returns the value of a build argument.
    pub fn build_arg(&self, name: &str) -> Option<&str> {
        self.build_args.get(name).map(String::as_str)
    }

    /// Returns the build arguments that have a value, in the order of their names.
    pub fn build_args(&self) -> impl Iterator<Item = (&str, &str)> {
        self.build_args.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reports whether an ARG before the first FROM declares `name`.
    pub fn declares(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// Returns the names that FROM lines can use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.predefined.iter().copied().chain(self.declared.iter().map(String::as_str))
    }

    /// Reports whether lbuild itself knows the argument `name`: platform, proxy and BUILDKIT arguments.
    pub fn is_known(&self, name: &str) -> bool {
        self.predefined.contains(name) || KNOWN.contains(&name) || is_proxy(name) || name.starts_with("BUILDKIT_")
    }
}

/// Returns a lookup in `values`.
pub(super) fn in_map(values: &BTreeMap<String, String>) -> impl Fn(&str) -> Option<String> {
    |name| values.get(name).cloned()
}

/// Reports whether `name` is one of the proxy arguments, in any case (1.3-6).
pub fn is_proxy(name: &str) -> bool {
    KNOWN[..5].iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// Returns the predefined platform arguments and TARGETSTAGE with their values (1.3-7).
fn predefined(options: &GraphOptions) -> Vec<(&'static str, String)> {
    let target = of_platform(["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "TARGETOSVERSION"]);
    let build = of_platform(["BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT", "BUILDOSVERSION"]);
    let mut all = target(&options.target_platform);
    all.extend(build(&options.build_platform));
    all.push(("TARGETSTAGE", options.target.clone().unwrap_or_else(|| "default".to_owned())));
    all
}

/// Returns a function that gives the values of `names` for a platform.
fn of_platform(names: [&'static str; 5]) -> impl Fn(&Platform) -> Vec<(&'static str, String)> {
    move |platform| {
        let values = [
            platform.to_string(),
            platform.os.clone(),
            platform.architecture.clone(),
            platform.variant.clone(),
            platform.os_version.clone(),
        ];
        names.into_iter().zip(values).collect()
    }
}
