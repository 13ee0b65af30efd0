//! Tab-separated tables with a header row, without quoting. Knows no table in particular.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// One row, by column name.
pub(crate) type Row = BTreeMap<String, String>;

/// Reads a whole table.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(parse(&text))
}

/// The rows of a table's text.
pub(crate) fn parse(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let row = |line: &str| {
        let cells = line.split('\t').map(str::to_owned);
        header.iter().map(|name| (*name).to_owned()).zip(cells).collect()
    };
    lines.filter(|line| !line.is_empty()).map(row).collect()
}

/// A cell, empty if the column is absent.
pub(crate) fn cell<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).map_or("", String::as_str)
}
