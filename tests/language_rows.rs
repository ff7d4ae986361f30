//! The rows of the language and the tests that show them: no row without a test, no id that is no row.
//!
//! An id counts where it stands in a test: in the name of a `#[test]` function (`row_1_2_3_…`), in the comments right
//! above it, in its body, in a table (`const`, `static`) or a function of the same file that the body names, or in the
//! title of a case in `testdata/language`, all of which `language_cases` replays. Ids of sections 2 and 9 look like sums:
//! they count after `Row`, `Rows` or `FEATURES`, and at the start of a text. Spans, such as `row_1_6_2_to_1_6_14`, count
//! for their ends only.

use crate::harness::repository;
use crate::language_cases;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A row: what it means, and why BuildKit lacks it, if it does.
struct Row {
    id: String,
    meaning: String,
    absent: Option<String>,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(repository().join("testdata/language/rows.tsv")).expect("the rows");
    let row = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let (id, meaning) = (fields.next().expect("an id"), fields.next().expect("a meaning"));
        Row { id, meaning, absent: fields.next() }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// Returns every Rust file below `directory`, and tests' own directory alone of the product's.
fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// An item of a file: its name, and its text with the comments and attributes above it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    name: String,
    is_test: bool,
    text: String,
}

/// Returns the functions, constants and statics of a source. Their ends are lines that are indented as their first one
/// and begin with `}` or `]` or `)`, or the first line itself if it ends in `;` or `}`: what `cargo fmt` makes.
fn items(source: &str) -> Vec<Item> {
    let lines: Vec<&str> = source.lines().collect();
    let mut items = Vec::new();
    let mut above = 0;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let text = line.trim_start();
        let Some(name) = item_name(text) else {
            if !(text.starts_with("///") || text.starts_with("//") || text.starts_with("#[")) {
                above = at + 1;
            }
            at += 1;
            continue;
        };
        let indent = line.len() - text.len();
        let ends = |line: &str| {
            line.len() - line.trim_start().len() == indent && line.trim_start().starts_with(['}', ']', ')', '"'])
        };
        let one = text.ends_with(';') || text.ends_with('}');
        let end = if one { at } else { (at + 1..lines.len()).find(|&end| ends(lines[end])).unwrap_or(at) };
        let is_test = lines[above..at].iter().any(|line| line.trim() == "#[test]");
        items.push(Item { name, is_test, text: lines[above..=end].join("\n") });
        (above, at) = (end + 1, end + 1);
    }
    items
}

/// Returns the name of the function, constant or static that a line begins.
fn item_name(line: &str) -> Option<String> {
    let plain =
        ["pub ", "pub(crate) ", "pub(super) "].iter().fold(line, |line, word| line.strip_prefix(word).unwrap_or(line));
    let rest = ["const fn ", "fn ", "const ", "static "].iter().find_map(|word| plain.strip_prefix(word))?;
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// Returns the text of each test of a source: its own, and that of the tables and functions that it names.
fn tests(source: &str) -> Vec<(String, String)> {
    let items = items(source);
    let named = |item: &Item| {
        let words: BTreeSet<&str> = item.text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let others = items.iter().filter(|other| !other.is_test && words.contains(other.name.as_str()));
        let texts: Vec<&str> =
            std::iter::once(item.text.as_str()).chain(others.map(|other| other.text.as_str())).collect();
        (item.name.clone(), texts.join("\n"))
    };
    items.iter().filter(|item| item.is_test).map(named).collect()
}

/// Returns the ids that a test's name and text hold.
fn ids(name: &str, text: &str) -> BTreeSet<String> {
    let mut found = in_name(name);
    for line in text.lines() {
        // A comment that goes on names rows on its next line, too.
        let says = ["Row ", "Rows ", "FEATURES "].iter().any(|word| line.contains(word));
        for (at, id) in id_words(line) {
            let quoted = line[..at].ends_with(['"', '(']) || line[..at].ends_with("=== ");
            if id.contains('.') || says || quoted {
                found.insert(id);
            }
        }
    }
    found
}

/// Returns the ids that a function's name holds: `row_1_2_3_what`, `rows_2_5_to_2_8_what`, `what_1_5_16`, `what_9_9`.
fn in_name(name: &str) -> BTreeSet<String> {
    let words: Vec<&str> = name.split('_').collect();
    let number = |at: usize| words.get(at).filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()));
    let rows = words[0] == "row" || words[0] == "rows";
    let mut found = BTreeSet::new();
    let mut at = 0;
    while at < words.len() {
        match (number(at), number(at + 1), number(at + 2)) {
            (Some(&"1"), Some(section), Some(row)) => {
                found.insert(format!("1.{section}-{row}"));
                at += 3;
            }
            (Some(&chapter @ ("2" | "9")), Some(row), _) if rows || at + 2 == words.len() => {
                found.insert(format!("{chapter}-{row}"));
                at += 2;
            }
            _ => at += 1,
        }
    }
    found
}

/// Returns the words of a line that are ids of sections 1, 2 and 9, and where they stand.
fn id_words(line: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut start = 0;
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        if part(c) {
            continue;
        }
        let word = line[start..at].trim_end_matches(['.', '-']);
        if is_id(word) {
            found.push((start, word.to_owned()));
        }
        start = at + c.len_utf8();
    }
    found
}

fn is_id(word: &str) -> bool {
    let Some((section, row)) = word.split_once('-') else { return false };
    let digits = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let section = matches!(section, "2" | "9") || section.strip_prefix("1.").is_some_and(digits);
    section && digits(row)
}

/// Returns the ids that tests name, each with the tests.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let root = repository();
    let mut files = Vec::new();
    for directory in ["tests", "builder", "layerfs", "cli"] {
        sources(&root.join(directory), &mut files);
    }
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.file_name().is_none_or(|name| name != "language_rows.rs")) {
        let source = fs::read_to_string(file).expect("a source");
        let place = file.strip_prefix(&root).expect("below the root").display().to_string();
        for (name, text) in tests(&source) {
            for id in ids(&name, &text) {
                shown.entry(id).or_default().insert(format!("`{place}` {name}"));
            }
        }
    }
    for case in language_cases::cases() {
        let words = case
            .title
            .split(' ')
            .take_while(|word| is_id(word.trim_end_matches(',')))
            .map(|word| word.trim_end_matches(',').to_owned());
        let named: Vec<String> = words.collect();
        let title = case.title.split_once(named.last().map_or("", String::as_str)).map_or("", |(_, rest)| rest.trim());
        assert!(!named.is_empty(), "{}: `{}` names no row", case.file, case.title);
        for id in named {
            shown.entry(id).or_default().insert(format!("`testdata/language/{}.cases` {title}", case.file));
        }
    }
    shown
}

/// Returns the page of the documentation.
fn page(rows: &[Row], shown: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut text = String::from(
        "# The Dockerfile language, row by row\n\n\
         What a Dockerfile means here is what it means to BuildKit. Every row below is shown by tests, which this page names; it \
         is made from `testdata/language/rows.tsv` and the tests' sources, and a row that no test shows fails `make test`. \
         `testdata/language` holds Dockerfiles with what comes of them; each says where its expected values are from, and \
         whether Buildah 1.28 gives the same.\n",
    );
    let mut section = "";
    for row in rows {
        let (own, _) = row.id.split_once('-').expect("an id");
        if own != section {
            section = own;
            write!(text, "\n## {}\n\n| row | meaning | shown by |\n|---|---|---|\n", title(own)).expect("written");
        }
        let by = match (&row.absent, shown.get(&row.id)) {
            (Some(why), _) => format!("not in BuildKit: {why}"),
            (None, tests) => tests.map(listed).unwrap_or_default(),
        };
        writeln!(text, "| {} | {} | {by} |", row.id, row.meaning).expect("written");
    }
    text
}

fn title(section: &str) -> &'static str {
    match section {
        "1.1" => "1.1 Lines, directives, heredocs",
        "1.2" => "1.2 Variables",
        "1.3" => "1.3 ARG",
        "1.4" => "1.4 Stages",
        "1.5" => "1.5 The image's settings",
        "1.6" => "1.6 COPY and ADD",
        "1.7" => "1.7 RUN",
        "1.8" => "1.8 Build checks",
        "2" => "2 .dockerignore",
        "9" => "9 Configs and manifests",
        other => panic!("section {other} has no title"),
    }
}

/// Returns tests as the page has them: each file once, with its tests.
fn listed(tests: &BTreeSet<String>) -> String {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for test in tests {
        let (file, name) = test.split_once("` ").expect("a file and a name");
        files.entry(file).or_default().push(name);
    }
    let shown: Vec<String> = files.iter().map(|(file, names)| format!("{file}`: {}", names.join("; "))).collect();
    shown.join("<br>").replace('|', "\\|")
}

/// `LBUILD_TEST_WRITE=1` writes the page anew.
#[test]
fn every_row_is_shown_by_a_test_and_the_page_names_it() {
    let (rows, shown) = (rows(), shown());
    let known: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(known.len(), rows.len(), "a row stands twice");
    let unknown: Vec<_> = shown.iter().filter(|(id, _)| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "tests name what is no row: {unknown:?}");
    let holes: Vec<&str> = rows
        .iter()
        .filter(|row| row.absent.is_none() && !shown.contains_key(&row.id))
        .map(|row| row.id.as_str())
        .collect();
    assert!(holes.is_empty(), "no test shows {holes:?}");
    let path = repository().join("docs/language.md");
    if std::env::var_os("LBUILD_TEST_WRITE").is_some() {
        fs::write(&path, page(&rows, &shown)).expect("written");
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page(&rows, &shown),
        "write the page with LBUILD_TEST_WRITE=1"
    );
}

/// What the scan sees of a source: names, comments, bodies and tables of tests, and nothing else.
#[test]
fn ids_count_in_tests_only() {
    let source = "//! FEATURES 1.1-1.\n\n/// Row 1.1-2.\nfn helper() {}\n\nconst TABLE: &[&str] = &[\n    \"2-3 x\",\n    \"x 9-3\",\n];\n\n\
        /// Rows 2-4, 1.1-4 and 9-5; not 12.1-1, 1.1-123, a1.1-9 or 1.1-9b.\n#[test]\nfn row_9_6_shows_1_1_7() {\n    helper();\n    let _ = TABLE[2-1];\n}\n\n\
        const OTHER: &str = \"1.1-3\";\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn rows_2_7_to_2_9_one() {\n        check(\"2-2\"); // 1.1-5.\n    }\n\n    fn two() {\n        \"1.1-6\"\n    }\n}\n";
    let found: Vec<(String, Vec<String>)> =
        tests(source).into_iter().map(|(name, text)| (name.clone(), ids(&name, &text).into_iter().collect())).collect();
    let wanted =
        |name: &str, ids: &[&str]| (name.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
    assert_eq!(
        found,
        [
            wanted("row_9_6_shows_1_1_7", &["1.1-2", "1.1-4", "1.1-7", "2-3", "2-4", "9-5", "9-6"]),
            wanted("rows_2_7_to_2_9_one", &["1.1-5", "2-2", "2-7", "2-9"]),
        ]
    );
}
