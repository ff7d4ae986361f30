//! [`Listing`]: rows as a table, as JSON or through a template, as Docker's lists are shown.

use crate::template::{Template, TemplateError};
use serde_json::{Map, Value};

/// Spaces between two columns of a table.
const GAP: usize = 3;

/// A row: values by the names that templates call them.
pub type Row = Map<String, Value>;

/// How rows are shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// A table with these columns: the names of the values, and what stands above.
    Table(Vec<(&'static str, &'static str)>),
    /// The usual JSON.
    Json,
    /// A template for each row.
    Lines(Template),
    /// A template for the head and for each row; tabs tell columns.
    TemplateTable(Template),
}

impl Listing {
    /// Returns what `--format` means: `table`, `json`, a template, or `table` and a template.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(format: &str, usual: Vec<(&'static str, &'static str)>) -> Result<Self, TemplateError> {
        let template = |text: &str| Template::parse(&text.replace(r"\t", "\t").replace(r"\n", "\n"));
        Ok(match format {
            "table" => Self::Table(usual),
            "json" => Self::Json,
            _ => match format.strip_prefix("table ") {
                Some(rest) => Self::TemplateTable(template(rest.trim_start())?),
                None => Self::Lines(template(format)?),
            },
        })
    }

    /// Returns the rows as text; `heads` says what stands above which value. Of [`Self::Json`], nothing.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn show(&self, rows: &[Row], heads: &[(&str, &str)]) -> Result<String, TemplateError> {
        match self {
            Self::Json => Ok(String::new()),
            Self::Lines(template) => rows.iter().map(|row| line(template, row)).collect(),
            Self::Table(columns) => {
                let head = columns.iter().map(|(_, head)| (*head).to_owned()).collect();
                let cell = |row: &Row, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                let cells = rows.iter().map(|row| columns.iter().map(|(name, _)| cell(row, name)).collect());
                Ok(aligned(&std::iter::once(head).chain(cells).collect::<Vec<_>>()))
            }
            Self::TemplateTable(template) => {
                let head: Row = heads.iter().map(|(name, head)| ((*name).to_owned(), (*head).into())).collect();
                let lines = std::iter::once(&head).chain(rows).map(|row| template.render(&Value::Object(row.clone())));
                let cells = lines.map(|text| Ok(text?.split('\t').map(str::to_owned).collect()));
                Ok(aligned(&cells.collect::<Result<Vec<_>, _>>()?))
            }
        }
    }
}

fn line(template: &Template, row: &Row) -> Result<String, TemplateError> {
    template.render(&Value::Object(row.clone())).map(|text| text + "\n")
}

/// Returns lines whose cells stand below one another; the last of a line is as long as it is.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0) + GAP).collect();
    let line = |cells: &Vec<String>| {
        let (last, others) = cells.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        let padded: String = others.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", format!("{padded}{last}").trim_end())
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row =
            |id: &str, size: &str| Row::from_iter([("ID", id), ("Size", size)].map(|(k, v)| (k.to_owned(), v.into())));
        vec![row("0123456789ab", "1B"), row("x", "22kB")]
    }

    fn shown(format: &str) -> Result<String, TemplateError> {
        let heads = [("ID", "IMAGE ID"), ("Size", "SIZE")];
        Listing::parse(format, heads.to_vec())?.show(&rows(), &heads)
    }

    #[test]
    fn rows_are_shown_as_was_asked() {
        for (format, wanted) in [
            ("table", "IMAGE ID       SIZE\n0123456789ab   1B\nx              22kB\n"),
            (r"table {{.Size}}\t{{.ID}}", "SIZE   IMAGE ID\n1B     0123456789ab\n22kB   x\n"),
            (r"{{.ID}}\t{{.Size}}", "0123456789ab\t1B\nx\t22kB\n"),
            ("{{json .}}", "{\"ID\":\"0123456789ab\",\"Size\":\"1B\"}\n{\"ID\":\"x\",\"Size\":\"22kB\"}\n"),
        ] {
            assert_eq!(shown(format).as_deref(), Ok(wanted), "{format}");
        }
        assert!(shown("{{.Id}}").is_err());
        assert!(shown("{{").is_err());
    }
}
