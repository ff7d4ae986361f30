//! [`Platform`]: operating system, architecture and variant, normalised as containerd does.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A platform in normal form (containerd platforms: `x86_64` is `amd64`, `arm64/v8` is `arm64`, `arm` is `arm/v7`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// GOOS name, as `linux`.
    #[serde(default)]
    pub os: String,
    /// GOARCH name, as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// CPU variant, as `v7`; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Operating system version; empty if there is none.
    #[serde(default, rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform of the form `os[/arch[/variant]]`")]
pub struct PlatformError(pub String);

impl Platform {
    /// Returns the platform that this binary was built for.
    pub fn host() -> Self {
        Self::normal("linux", std::env::consts::ARCH, "")
    }

    fn normal(os: &str, architecture: &str, variant: &str) -> Self {
        let architecture = architecture.to_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.to_lowercase().as_str()) {
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", String::new()),
            ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other.to_owned()),
            ("i386" | "386" | "x86", _) => ("386", String::new()),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", String::new()),
            ("aarch64" | "arm64", other) => ("arm64", other.to_owned()),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7".to_owned()),
            ("armel", _) | ("arm", "6") => ("arm", "v6".to_owned()),
            ("arm", "5") => ("arm", "v5".to_owned()),
            ("arm", "8") => ("arm", "v8".to_owned()),
            ("powerpc64le", other) => ("ppc64le", other.to_owned()),
            (same, other) => (same, other.to_owned()),
        };
        Self { os: os.to_lowercase(), architecture: architecture.to_owned(), variant, os_version: String::new() }
    }

    /// Returns the normal form, for a platform that came with an image.
    pub fn normalized(&self) -> Self {
        Self { os_version: self.os_version.clone(), ..Self::normal(&self.os, &self.architecture, &self.variant) }
    }

    /// Reports whether this is `unknown/unknown`, which attestations carry.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    /// Returns how well an image of platform `offered` serves a wish for this one: 0 is best, nothing is not at all.
    /// The order is containerd's `platforms.Only`: the same variant, then older ones, then what the processor runs too
    /// (arm on arm64, 386 on amd64).
    pub fn rank(&self, offered: &Self) -> Option<usize> {
        let (wish, offered) = (self.normalized(), offered.normalized());
        if wish.os != offered.os || (!wish.os_version.is_empty() && wish.os_version != offered.os_version) {
            return None;
        }
        let best = wish.runs();
        best.iter()
            .position(|(architecture, variant)| *architecture == offered.architecture && *variant == offered.variant)
    }

    /// Returns what a processor of this platform runs, the best first, as architecture and variant.
    fn runs(&self) -> Vec<(&str, &str)> {
        let own = (self.architecture.as_str(), self.variant.as_str());
        let older: &[(&str, &str)] = match own {
            ("amd64", "v4") => &[("amd64", "v3"), ("amd64", "v2"), ("amd64", ""), ("386", "")],
            ("amd64", "v3") => &[("amd64", "v2"), ("amd64", ""), ("386", "")],
            ("amd64", "v2") => &[("amd64", ""), ("386", "")],
            ("amd64", _) => &[("386", "")],
            ("arm64", "") => &[("arm", "v8"), ("arm", "v7"), ("arm", "v6"), ("arm", "v5")],
            ("arm64", _) => &[("arm64", ""), ("arm", "v8"), ("arm", "v7"), ("arm", "v6"), ("arm", "v5")],
            ("arm", "v8") => &[("arm", "v7"), ("arm", "v6"), ("arm", "v5")],
            ("arm", "v7") => &[("arm", "v6"), ("arm", "v5")],
            ("arm", "v6") => &[("arm", "v5")],
            _ => &[],
        };
        std::iter::once(own).chain(older.iter().copied()).collect()
    }

    /// Reports whether an image of platform `offered` can serve a wish for this one: same system and architecture, and
    /// the same variant where the wish names one that the offer states.
    pub fn accepts(&self, offered: &Self) -> bool {
        self.os == offered.os
            && self.architecture == offered.architecture
            && (self.variant == offered.variant || offered.variant.is_empty() || self.variant.is_empty())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        if !parts.iter().all(plain) {
            return Err(PlatformError(text.to_owned()));
        }
        match parts.as_slice() {
            ["local"] => Ok(Self::host()),
            [os] if matches!(*os, "linux" | "windows" | "darwin" | "freebsd") => {
                let host = Self::host();
                Ok(Self::normal(os, &host.architecture, &host.variant))
            }
            [architecture] => Ok(Self::normal("linux", architecture, "")),
            [os, architecture] => Ok(Self::normal(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::normal(os, architecture, variant)),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_offer_has_the_lowest_rank_6_8() {
        for (wish, offers) in [
            ("linux/amd64/v3", vec!["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]),
            ("linux/arm64", vec!["linux/arm64/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6"]),
            ("linux/arm/v7", vec!["linux/arm", "linux/arm/v6", "linux/arm/v5"]),
        ] {
            let wish: Platform = wish.parse().expect("a platform");
            let ranks: Vec<_> = offers.iter().map(|offer| wish.rank(&offer.parse().expect("a platform"))).collect();
            assert_eq!(ranks, (0..offers.len()).map(Some).collect::<Vec<_>>(), "{wish}");
        }
        let wish: Platform = "linux/amd64".parse().expect("a platform");
        for offer in ["linux/amd64/v2", "windows/amd64", "linux/arm64", "unknown/unknown"] {
            assert_eq!(wish.rank(&offer.parse().expect("a platform")), None, "{offer}");
        }
    }

    #[test]
    fn texts_have_one_normal_form() {
        for (given, wanted) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("aarch64", "linux/arm64"),
        ] {
            assert_eq!(given.parse::<Platform>().map(|p| p.to_string()), Ok(wanted.to_owned()));
        }
        for bad in ["", "/", "linux//", "a/b/c/d", "li nux/amd64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
