//! `lbuild images`.

mod filter;
mod tree;

use super::{Scene, json, print};
use crate::args::ImagesArgs;
use crate::engine::{self, StoredImage};
use crate::exit::Exit;
use crate::listing::{Listing, Row};
use crate::report::Failure;
use crate::ui::{age, bytes, date};
use filter::Filters;
use layerfs::reference::ImageRef;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// What stands for a name or digest that there is none of.
const NONE: &str = "<none>";
const COLUMNS: [(&str, &str); 5] =
    [("Repository", "REPOSITORY"), ("Tag", "TAG"), ("ID", "IMAGE ID"), ("CreatedSince", "CREATED"), ("Size", "SIZE")];
const DIGEST: (&str, &str) = ("Digest", "DIGEST");

/// Lists the images of the store.
pub fn run(args: &ImagesArgs, scene: &Scene) -> Result<Exit, Failure> {
    let listing = Listing::parse(&args.format, columns(args))?;
    let filters = Filters::parse(args, now())?;
    let images = filters.passed(engine::images(&scene.root)?)?;
    let text = match listing {
        _ if args.quiet => images.iter().map(|stored| format!("{}\n", id(stored, args))).collect(),
        _ if args.tree => tree::shown(&images, tree::Strokes::of(&scene.environment)),
        Listing::Json => json(&Value::Array(images.iter().map(as_json).collect())),
        listing => {
            let rows: Vec<Row> = images.iter().flat_map(|stored| rows(stored, args)).collect();
            listing.show(&rows, &[&COLUMNS[..], &[DIGEST, ("CreatedAt", "CREATED AT")]].concat())?
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}

fn columns(args: &ImagesArgs) -> Vec<(&'static str, &'static str)> {
    let mut columns = COLUMNS.to_vec();
    if args.digests {
        columns.insert(2, DIGEST);
    }
    columns
}

/// Returns the seconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

/// Returns the first digits of the image ID.
pub(super) fn short(stored: &StoredImage) -> String {
    stored.image.id().hex()[..12].to_owned()
}

fn id(stored: &StoredImage, args: &ImagesArgs) -> String {
    if args.no_trunc { stored.image.id().to_string() } else { short(stored) }
}

fn as_json(stored: &StoredImage) -> Value {
    json!({
        "Id": stored.image.id().to_string(),
        "RepoTags": stored.names.iter().map(ImageRef::familiar).collect::<Vec<_>>(),
        "Digest": stored.image.descriptor().digest.to_string(),
        "Created": stored.image.config.created,
        "Labels": stored.image.config.config.labels,
        "Size": stored.size,
    })
}

/// Returns a row for each name; an image without a name has one, too.
fn rows(stored: &StoredImage, args: &ImagesArgs) -> Vec<Row> {
    if stored.names.is_empty() {
        return vec![row(stored, NONE.into(), NONE.into(), args)];
    }
    let named = stored.names.iter().map(repository_and_tag);
    named.map(|(repository, tag)| row(stored, repository, tag, args)).collect()
}

fn row(stored: &StoredImage, repository: String, tag: String, args: &ImagesArgs) -> Row {
    let created = stored.image.config.created.as_deref().unwrap_or_default();
    let values = [
        ("Repository", repository),
        ("Tag", tag),
        ("ID", id(stored, args)),
        ("Digest", stored.image.descriptor().digest.to_string()),
        ("CreatedSince", age(created, now())),
        ("CreatedAt", date(created)),
        ("Size", bytes(stored.size)),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn repository_and_tag(name: &ImageRef) -> (String, String) {
    (name.familiar_name(), name.tag.clone().unwrap_or_else(|| NONE.into()))
}
