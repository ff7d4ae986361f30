//! `lbuild diff`.

use super::save::whole;
use super::{Scene, json, print};
use crate::args::DiffArgs;
use crate::engine::{self, Compared, StoredImage};
use crate::exit::Exit;
use crate::listing::{Listing, Row};
use crate::report::Failure;
use crate::settings::SettingsError;
use crate::ui::visible;
use layerfs::compare::{Detail, Difference, DifferenceKind};
use serde_json::{Value, json};

/// Digits of a layer's digest that are enough to name it.
const FEWEST_DIGITS: usize = 4;

/// Shows which files differ between two images or layers, and how.
pub fn run(args: &DiffArgs, scene: &Scene) -> Result<Exit, Failure> {
    let listing = match args.format.as_str() {
        "text" => None,
        format => Some(Listing::parse(format, Vec::new())?),
    };
    let (from, to) = (side(&args.from, scene)?, side(&args.to, scene)?);
    let differences = engine::compare(&scene.root, (&from, &to), args.times, &scene.cancel)?;
    let text = match listing {
        None => differences.iter().map(line).collect(),
        Some(Listing::Json) => json(&differences.iter().map(as_json).collect()),
        Some(listing) => listing.show(&differences.iter().map(row).collect::<Vec<_>>(), &HEADS)?,
    };
    print(&text)?;
    let differ = args.exit_code && !differences.is_empty();
    Ok(if differ { Exit::Command(1) } else { Exit::Success })
}

const HEADS: [(&str, &str); 3] = [("Kind", "KIND"), ("Path", "PATH"), ("How", "HOW")];

/// Returns the image that is meant, or else the layer of some image.
fn side(text: &str, scene: &Scene) -> Result<Compared, Failure> {
    if engine::find_if_there(&scene.root, text)?.is_some() {
        return Ok(Compared::Image(whole(text, scene)?.image));
    }
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    for stored in engine::images(&scene.root)? {
        if let Some(number) = layer_called(digits, &stored) {
            return Ok(Compared::Layer(whole(&stored.image.id().to_string(), scene)?.image, number));
        }
    }
    Err(SettingsError::NoSide(text.to_owned()).into())
}

/// Returns the number of the layer whose diff ID or digest begins with these digits.
fn layer_called(digits: &str, stored: &StoredImage) -> Option<usize> {
    if digits.len() < FEWEST_DIGITS {
        return None;
    }
    let diff_ids = stored.image.config.rootfs.diff_ids.iter().position(|diff_id| diff_id.0.hex().starts_with(digits));
    diff_ids.or_else(|| stored.image.manifest.layers.iter().position(|layer| layer.digest.hex().starts_with(digits)))
}

/// Returns the letter of `docker diff`.
fn letter(difference: &Difference) -> &'static str {
    match difference.kind {
        DifferenceKind::Added => "A",
        DifferenceKind::Deleted => "D",
        DifferenceKind::Changed(_) => "C",
    }
}

fn details(difference: &Difference) -> &[Detail] {
    match &difference.kind {
        DifferenceKind::Changed(details) => details,
        DifferenceKind::Added | DifferenceKind::Deleted => &[],
    }
}

/// Returns `mode 0644 -> 0755, content`.
fn how(difference: &Difference) -> String {
    let shown = |text: &str| if text.is_empty() { "none".to_owned() } else { visible(text) };
    let one = |detail: &Detail| match (detail.from.as_str(), detail.to.as_str()) {
        ("", "") => detail.what.clone(),
        (from, to) => format!("{} {} -> {}", visible(&detail.what), shown(from), shown(to)),
    };
    details(difference).iter().map(one).collect::<Vec<_>>().join(", ")
}

fn path(difference: &Difference) -> String {
    // A name may have anything in it; a line is one path.
    visible(&difference.path.to_string()).replace('\n', "\\n")
}

fn line(difference: &Difference) -> String {
    let line = format!("{} {}   {}", letter(difference), path(difference), how(difference));
    format!("{}\n", line.trim_end())
}

fn row(difference: &Difference) -> Row {
    let values = [("Kind", letter(difference).to_owned()), ("Path", path(difference)), ("How", how(difference))];
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn as_json(difference: &Difference) -> Value {
    let kind = match difference.kind {
        DifferenceKind::Added => "added",
        DifferenceKind::Deleted => "deleted",
        DifferenceKind::Changed(_) => "changed",
    };
    let details = details(difference).iter();
    let details: Vec<Value> =
        details.map(|detail| json!({"what": detail.what, "from": detail.from, "to": detail.to})).collect();
    json!({"path": difference.path.to_string(), "kind": kind, "how": details})
}
