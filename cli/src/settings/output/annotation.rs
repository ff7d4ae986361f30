//! `--annotation` and the `annotation` attributes of `--output` (FEATURES 4-15).

use builder::annotation::{Annotation, Level};
use layerfs::platform::Platform;

/// Levels as they are typed.
const LEVELS: [(&str, Level); 4] = [
    ("manifest", Level::Manifest),
    ("manifest-descriptor", Level::ManifestDescriptor),
    ("index", Level::Index),
    ("index-descriptor", Level::IndexDescriptor),
];

/// Returns the annotations that `[LEVEL,…:]KEY=VALUE` means, of the level `usual` where none is said; a level may have a
/// platform in brackets.
///
/// # Errors
/// Why it means none.
pub fn of_flag(text: &str, usual: &str) -> Result<Vec<Annotation>, String> {
    let (name, value) = text.split_once('=').ok_or("write `KEY=VALUE`")?;
    let (levels, key) = match name.split_once(':') {
        Some((levels, key)) if levels.split(',').all(is_level) => (levels, key),
        _ => (usual, name),
    };
    levels.split(',').map(|level| annotation(level, key, value)).collect()
}

/// Returns the annotation that an attribute `annotation[-LEVEL].KEY` means; nothing for any other attribute.
///
/// # Errors
/// Why it means none.
pub fn of_attribute(name: &str, value: &str) -> Result<Option<Annotation>, String> {
    let Some(rest) = name.strip_prefix("annotation") else { return Ok(None) };
    if let Some(key) = rest.strip_prefix('.') {
        return annotation("manifest", key, value).map(Some);
    }
    let Some((level, key)) = cut(rest) else { return Ok(None) };
    // `annotation[PLATFORM].KEY` is of the manifest.
    let level = level.strip_prefix('-').map_or_else(|| format!("manifest{level}"), str::to_owned);
    annotation(&level, key, value).map(Some)
}

/// Refuses an annotation of what a build for `platforms` does not make.
///
/// # Errors
/// Why it is refused.
pub fn check(annotation: &Annotation, platforms: &[Platform]) -> Result<(), String> {
    if matches!(annotation.level, Level::Index | Level::IndexDescriptor) && platforms.len() < 2 {
        return Err("an image for one platform has no index: annotate its `manifest`, or build for several".to_owned());
    }
    match &annotation.platform {
        Some(platform) if !platforms.contains(platform) => {
            let built = platforms.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
            Err(format!("nothing is built for `{platform}`, only for {built}"))
        }
        _ => Ok(()),
    }
}

fn annotation(typed: &str, key: &str, value: &str) -> Result<Annotation, String> {
    let (name, platform) = match typed.split_once('[') {
        Some((name, rest)) => {
            let platform = rest.strip_suffix(']').ok_or_else(|| format!("`{typed}` lacks a `]` after the platform"))?;
            (name, Some(platform))
        }
        None => (typed, None),
    };
    let known = LEVELS.iter().find(|(known, _)| *known == name);
    let Some((_, level)) = known else {
        return Err(format!(
            "`{name}` is no level: it is `manifest`, `manifest-descriptor`, `index` or `index-descriptor`"
        ));
    };
    let platform: Option<Platform> = platform.map(str::parse).transpose().map_err(|error| format!("{error}"))?;
    if platform.is_some() && matches!(level, Level::Index | Level::IndexDescriptor) {
        return Err(format!("an index is of all platforms: write `{name}` alone"));
    }
    match key {
        "" => Err("the key is missing".to_owned()),
        key => Ok(Annotation { level: *level, platform, key: key.to_owned(), value: value.to_owned() }),
    }
}

/// Cuts `-LEVEL[PLATFORM].KEY`, of which level or platform may be missing.
fn cut(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with(['-', '[']) {
        return None;
    }
    let end = text.find(']').map_or(0, |at| at + 1);
    let dot = end + text[end..].find('.')?;
    Some((&text[..dot], &text[dot + 1..]))
}

fn is_level(text: &str) -> bool {
    let name = text.split('[').next().unwrap_or_default();
    LEVELS.iter().any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns level, platform, key and value.
    fn shown(annotations: Vec<Annotation>) -> String {
        let one = |one: &Annotation| {
            let level = LEVELS.iter().find(|(_, level)| *level == one.level).map_or("?", |(name, _)| name);
            let platform = one.platform.as_ref().map(|platform| format!("[{platform}]")).unwrap_or_default();
            format!("{level}{platform} {}={};", one.key, one.value)
        };
        annotations.iter().map(one).collect()
    }

    #[test]
    fn flags_name_levels() {
        for (text, wanted) in [
            ("a=b", Ok("manifest a=b;")),
            ("a=b=c", Ok("manifest a=b=c;")),
            ("manifest:a=b", Ok("manifest a=b;")),
            ("index,manifest-descriptor:a=b", Ok("index a=b;manifest-descriptor a=b;")),
            ("index-descriptor:a=b", Ok("index-descriptor a=b;")),
            ("manifest[arm64]:a=b", Ok("manifest[linux/arm64] a=b;")),
            ("a:b=c", Ok("manifest a:b=c;")),
            ("a=", Ok("manifest a=;")),
            ("index[linux/arm64]:a=b", Err("an index is of all platforms: write `index` alone")),
            ("manifest[a/b/c/d]:a=b", Err("`a/b/c/d` is not a platform of the form `os[/arch[/variant]]`")),
            ("manifest[arm64:a=b", Err("`manifest[arm64` lacks a `]` after the platform")),
            ("a", Err("write `KEY=VALUE`")),
            ("=b", Err("the key is missing")),
        ] {
            let got = of_flag(text, "manifest").map(shown);
            assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{text}");
        }
    }

    #[test]
    fn attributes_name_levels() {
        for (name, wanted) in [
            ("annotation.a.b", Ok("manifest a.b=v;")),
            ("annotation-manifest.a", Ok("manifest a=v;")),
            ("annotation-manifest-descriptor.a", Ok("manifest-descriptor a=v;")),
            ("annotation-manifest[linux/s390x].a", Ok("manifest[linux/s390x] a=v;")),
            ("annotation[linux/arm/v6].a", Ok("manifest[linux/arm/v6] a=v;")),
            ("annotation-index.a", Ok("index a=v;")),
            (
                "annotation-layer.a",
                Err("`layer` is no level: it is `manifest`, `manifest-descriptor`, `index` or `index-descriptor`"),
            ),
            ("annotation", Ok("")),
            ("annotations.a", Ok("")),
        ] {
            let got = of_attribute(name, "v").map(|one| shown(one.into_iter().collect()));
            assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{name}");
        }
    }

    #[test]
    fn what_is_not_made_is_not_annotated() {
        let platform = |text: &str| text.parse::<Platform>().expect("a platform");
        let (one, both) = ([platform("amd64")], [platform("amd64"), platform("arm64")]);
        for (text, platforms, wanted) in [
            ("a=b", &one[..], ""),
            ("manifest[linux/amd64]:a=b", &one, ""),
            ("manifest[linux/arm64]:a=b", &both, ""),
            ("index:a=b", &both, ""),
            (
                "index:a=b",
                &one,
                "an image for one platform has no index: annotate its `manifest`, or build for several",
            ),
            (
                "index-descriptor:a=b",
                &one,
                "an image for one platform has no index: annotate its `manifest`, or build for several",
            ),
            ("manifest[s390x]:a=b", &both, "nothing is built for `linux/s390x`, only for `linux/amd64`, `linux/arm64`"),
        ] {
            let told =
                of_flag(text, "manifest").expect("an annotation").iter().find_map(|one| check(one, platforms).err());
            assert_eq!(told.unwrap_or_default(), wanted, "{text}");
        }
    }
}
