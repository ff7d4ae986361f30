//! `lbuild history`.

use super::images::now;
use super::{Scene, json, print};
use crate::args::HistoryArgs;
use crate::engine::{self, StoredImage};
use crate::exit::Exit;
use crate::listing::{Listing, Row};
use crate::report::Failure;
use crate::ui::{Style, age, bytes, clipped, visible};
use layerfs::image::History;
use serde_json::{Value, json};

/// Characters of a command that are shown.
const SHORT: usize = 45;
const COLUMNS: [(&str, &str); 5] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];
const HEADS: [(&str, &str); 6] =
    [COLUMNS[0], COLUMNS[1], ("CreatedAt", "CREATED AT"), COLUMNS[2], COLUMNS[3], COLUMNS[4]];

/// Shows how an image came about, the newest line first.
pub fn run(args: &HistoryArgs, scene: &Scene) -> Result<Exit, Failure> {
    let mut columns = COLUMNS.to_vec();
    if !args.human {
        columns[1] = ("CreatedAt", "CREATED AT");
    }
    let listing = Listing::parse(&args.format, columns)?;
    let stored = engine::find(&scene.root, &args.image)?;
    let lines = lines(&stored);
    let unicode = Style::of(&scene.environment).unicode;
    let rows: Vec<Row> = lines.iter().enumerate().map(|(at, line)| row(at, *line, &stored, (args, unicode))).collect();
    let text = match listing {
        _ if args.quiet => rows.iter().map(|row| format!("{}\n", row["ID"].as_str().unwrap_or_default())).collect(),
        Listing::Json => json(&lines.iter().enumerate().map(|(at, line)| as_json(at, *line, &stored)).collect()),
        listing => listing.show(&rows, &HEADS)?,
    };
    print(&text)?;
    Ok(Exit::Success)
}

/// Returns the lines, the newest first, each with the bytes of its layer. Layers that no line tells of have one of their
/// own, as in images of tools that write no history.
fn lines(stored: &StoredImage) -> Vec<(Option<&History>, u64)> {
    let mut sizes = stored.image.manifest.layers.iter().map(|layer| layer.size);
    let history = stored.image.config.history.iter();
    let size = |line: &History, sizes: &mut dyn Iterator<Item = u64>| {
        if line.empty_layer == Some(true) { 0 } else { sizes.next().unwrap_or(0) }
    };
    let mut lines: Vec<_> = history.map(|line| (Some(line), size(line, &mut sizes))).collect();
    lines.extend(sizes.map(|size| (None, size)));
    lines.reverse();
    lines
}

/// The line on top is the image's; of those below nobody knows which images they were.
fn id(at: usize, stored: &StoredImage, whole: bool) -> String {
    match (at, whole) {
        (0, true) => stored.image.id().to_string(),
        (0, false) => super::images::short(stored),
        _ => "<missing>".to_owned(),
    }
}

fn row(
    at: usize,
    (line, size): (Option<&History>, u64),
    stored: &StoredImage,
    (args, unicode): (&HistoryArgs, bool),
) -> Row {
    let text =
        |part: fn(&History) -> Option<&String>| line.and_then(part).map_or_else(String::new, |text| one_line(text));
    let created = text(|line| line.created.as_ref());
    let command = text(|line| line.created_by.as_ref());
    let values = [
        ("ID", id(at, stored, args.no_trunc)),
        ("CreatedSince", age(&created, now())),
        ("CreatedAt", created),
        ("CreatedBy", if args.no_trunc { command } else { clipped(&command, SHORT, unicode) }),
        ("Size", if args.human { bytes(size) } else { size.to_string() }),
        ("Comment", text(|line| line.comment.as_ref())),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// An image may come from anywhere: what it says must neither break the table nor move the cursor.
fn one_line(text: &str) -> String {
    visible(&text.replace(['\t', '\n'], " "))
}

fn as_json(at: usize, (line, size): (Option<&History>, u64), stored: &StoredImage) -> Value {
    let line = line.cloned().unwrap_or_default();
    json!({
        "Id": id(at, stored, true),
        "Created": line.created,
        "CreatedBy": line.created_by.unwrap_or_default(),
        "Author": line.author.unwrap_or_default(),
        "Comment": line.comment.unwrap_or_default(),
        "EmptyLayer": line.empty_layer.unwrap_or(false),
        "Size": size,
        "Tags": if at == 0 { stored.names.iter().map(|name| name.familiar()).collect() } else { Vec::new() },
    })
}
