//! `--annotation` and the `annotation` attributes of `--output` (FEATURES 4-15).

use builder::request::Look;

/// An annotation, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Of the descriptor that leads to the manifest, not of the manifest.
    of_descriptor: bool,
    key: String,
    value: String,
}

impl Annotation {
    /// Returns the annotations that `[LEVEL,…:]KEY=VALUE` means; a level may have a platform in brackets.
    ///
    /// # Errors
    /// Why it means none.
    pub fn of_flag(text: &str) -> Result<Vec<Self>, String> {
        let (name, value) = text.split_once('=').ok_or("write `KEY=VALUE`")?;
        let (levels, key) = match name.split_once(':') {
            Some((levels, key)) if levels.split(',').all(is_level) => (levels, key),
            _ => ("manifest", name),
        };
        levels.split(',').map(|level| Self::new(level, key, value)).collect()
    }

    /// Returns the annotation that an attribute `annotation[-LEVEL].KEY` means; nothing for any other attribute.
    ///
    /// # Errors
    /// Why it means none.
    pub fn of_attribute(name: &str, value: &str) -> Result<Option<Self>, String> {
        let Some(rest) = name.strip_prefix("annotation") else { return Ok(None) };
        if let Some(key) = rest.strip_prefix('.') {
            return Self::new("manifest", key, value).map(Some);
        }
        let Some((level, key)) = rest.strip_prefix('-').and_then(cut) else { return Ok(None) };
        Self::new(level, key, value).map(Some)
    }

    fn new(level: &str, key: &str, value: &str) -> Result<Self, String> {
        let (level, platform) = match level.split_once('[') {
            Some((level, platform)) => (level, platform.strip_suffix(']')),
            None => (level, None),
        };
        if let Some(platform) = platform {
            let host = layerfs::platform::Platform::host();
            let meant = platform.parse::<layerfs::platform::Platform>();
            if !meant.is_ok_and(|meant| meant.accepts(&host)) {
                return Err(format!("no platform {platform} found in source"));
            }
        }
        let of_descriptor = match level {
            "manifest" => false,
            "manifest-descriptor" => true,
            "index" | "index-descriptor" => {
                return Err("index annotations not supported for single platform export".to_owned());
            }
            other => return Err(format!("`{other}` is no level: `manifest` and `manifest-descriptor` are")),
        };
        match key {
            "" => Err("the key is missing".to_owned()),
            key => Ok(Self { of_descriptor, key: key.to_owned(), value: value.to_owned() }),
        }
    }

    /// Puts it where it goes.
    pub fn apply(&self, look: &mut Look) {
        let level = if self.of_descriptor { &mut look.descriptor_annotations } else { &mut look.annotations };
        level.insert(self.key.clone(), self.value.clone());
    }
}

/// Cuts `LEVEL[PLATFORM].KEY`.
fn cut(text: &str) -> Option<(&str, &str)> {
    let end = text.find(']').map_or(0, |at| at + 1);
    let dot = end + text[end..].find('.')?;
    Some((&text[..dot], &text[dot + 1..]))
}

fn is_level(text: &str) -> bool {
    let level = text.split('[').next().unwrap_or_default();
    matches!(level, "manifest" | "index" | "manifest-descriptor" | "index-descriptor")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns level, key and value.
    fn shown(annotations: Vec<Annotation>) -> String {
        let level = |one: &Annotation| if one.of_descriptor { "d" } else { "m" };
        annotations.iter().map(|one| format!("{} {}={};", level(one), one.key, one.value)).collect()
    }

    #[test]
    fn flags_name_levels() {
        for (text, wanted) in [
            ("a=b", Ok("m a=b;")),
            ("a=b=c", Ok("m a=b=c;")),
            ("manifest:a=b", Ok("m a=b;")),
            ("manifest,manifest-descriptor:a=b", Ok("m a=b;d a=b;")),
            ("a:b=c", Ok("m a:b=c;")),
            ("a=", Ok("m a=;")),
            ("index:a=b", Err("index annotations not supported for single platform export")),
            ("manifest[linux/s390x]:a=b", Err("no platform linux/s390x found in source")),
            ("a", Err("write `KEY=VALUE`")),
            ("=b", Err("the key is missing")),
        ] {
            let got = Annotation::of_flag(text).map(shown);
            assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{text}");
        }
    }

    #[test]
    fn attributes_name_levels() {
        let host = layerfs::platform::Platform::host();
        for (name, wanted) in [
            ("annotation.a.b", Ok("m a.b=v;")),
            ("annotation-manifest.a", Ok("m a=v;")),
            ("annotation-manifest-descriptor.a", Ok("d a=v;")),
            (&format!("annotation-manifest[{host}].a"), Ok("m a=v;")),
            ("annotation-index.a", Err("index annotations not supported for single platform export")),
            ("annotation-layer.a", Err("`layer` is no level: `manifest` and `manifest-descriptor` are")),
            ("annotation", Ok("")),
            ("annotations.a", Ok("")),
        ] {
            let got = Annotation::of_attribute(name, "v").map(|one| shown(one.into_iter().collect()));
            assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{name}");
        }
    }
}
