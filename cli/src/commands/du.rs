//! `lbuild du`.

use super::{Scene, io_failure, json, print};
use crate::args::{DuArgs, ShapeArg};
use crate::engine;
use crate::exit::Exit;
use crate::logs::builds;
use crate::report::Failure;
use crate::ui::{bytes, seconds};
use layerfs::store::{Found, Kind};
use serde_json::{Value, json};
use std::path::Path;
use std::time::SystemTime;

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    kind: &'static str,
    count: usize,
    bytes: u64,
    reclaimable: u64,
}

/// Shows what takes room in the store, by kind.
pub fn run(args: &DuArgs, scene: &Scene) -> Result<Exit, Failure> {
    let mut items = items(engine::usage(&scene.root, &scene.cancel)?, &scene.root);
    for build in builds(&scene.root).map_err(io_failure)? {
        let size = build.size().map_err(io_failure)?;
        items.push(Item { kind: "logs", name: build.name(), bytes: size, reclaimable: true, used: build.began });
    }
    let shown: Vec<&Item> =
        items.iter().filter(|item| args.kind.is_empty() || args.kind.contains(&item.kind.to_owned())).collect();
    print(&match args.format {
        ShapeArg::Json => json(&shown.iter().map(|item| item.object()).collect()),
        ShapeArg::Table if args.verbose => shown.iter().map(|item| item.line()).collect(),
        ShapeArg::Table => table(&shown),
    })?;
    Ok(Exit::Success)
}

/// Something that takes room.
struct Item {
    kind: &'static str,
    name: String,
    bytes: u64,
    reclaimable: bool,
    used: SystemTime,
}

/// Returns the word for a kind.
pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Images => "images",
        Kind::Layers => "layers",
        Kind::Records => "records",
        Kind::Caches => "caches",
        Kind::Derivatives => "derivatives",
        Kind::Leftovers => "leftovers",
    }
}

fn items(found: Vec<Found>, root: &Path) -> Vec<Item> {
    // Names in the store are absolute, whatever was typed.
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let item = |one: Found| Item {
        kind: word(one.kind),
        name: one.path.strip_prefix(&root).unwrap_or(&one.path).display().to_string(),
        bytes: one.bytes.unwrap_or(0),
        reclaimable: !one.needed,
        used: one.used,
    };
    found.into_iter().map(item).collect()
}

impl Item {
    fn line(&self) -> String {
        let ago = self.used.elapsed().unwrap_or_default();
        let needed = if self.reclaimable { "" } else { "  needed" };
        format!("{:<11} {:>8}  used {:>6} ago  {}{needed}\n", self.kind, bytes(self.bytes), seconds(ago), self.name)
    }

    fn object(&self) -> Value {
        let used = self.used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        json!({
            "kind": self.kind, "name": self.name, "bytes": self.bytes, "reclaimable": self.reclaimable, "used": used,
        })
    }
}

/// Returns one line for each kind, and the sum.
fn table(items: &[&Item]) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for item in items {
        let at = lines.iter().position(|line| line.kind == item.kind).unwrap_or_else(|| {
            lines.push(Line { kind: item.kind, count: 0, bytes: 0, reclaimable: 0 });
            lines.len() - 1
        });
        let line = &mut lines[at];
        line.count += 1;
        line.bytes += item.bytes;
        line.reclaimable += if item.reclaimable { item.bytes } else { 0 };
    }
    let sum = |of: fn(&Line) -> u64| lines.iter().map(of).sum();
    let total = Line {
        kind: "total",
        count: items.len(),
        bytes: sum(|line| line.bytes),
        reclaimable: sum(|line| line.reclaimable),
    };
    let head = format!("{:<12} {:>7} {:>9} {:>12}\n", "KIND", "COUNT", "SIZE", "RECLAIMABLE");
    lines.push(total);
    let rows = lines.iter().map(|line| {
        format!("{:<12} {:>7} {:>9} {:>12}\n", line.kind, line.count, bytes(line.bytes), bytes(line.reclaimable))
    });
    std::iter::once(head).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_summed_up() {
        let item = |kind, bytes, reclaimable| Item {
            kind,
            name: String::new(),
            bytes,
            reclaimable,
            used: SystemTime::UNIX_EPOCH,
        };
        let items = [item("images", 1000, false), item("layers", 2000, true), item("images", 500, true)];
        let wanted = "KIND           COUNT      SIZE  RECLAIMABLE\n\
                      images             2    1.50kB         500B\n\
                      layers             1    2.00kB       2.00kB\n\
                      total              3    3.50kB       2.50kB\n";
        assert_eq!(table(&items.iter().collect::<Vec<_>>()), wanted);
    }
}
