//! What a command answers on standard output: text for people or one JSON document for programs.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::cli::Output;

/// Prints the answer of a command, the only thing it prints there.
pub(crate) fn print(output: Output, json: &Value, text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{json}")?,
        Output::Text => writeln!(out, "{}", text.trim_end())?,
    }
    out.flush()
}

/// Columns as wide as their widest cell. What was typed in by people may not steer the terminal.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let clean = |cell: &str| cell.replace(char::is_control, "\u{fffd}");
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up_and_control_characters_are_shown_as_such() {
        let rows = [vec!["acme".to_owned(), "on".to_owned()], vec!["a\u{1b}[2J".to_owned(), "off".to_owned()]];
        assert_eq!(table(&["SLUG", "SCIM"], &rows), "SLUG   SCIM\nacme   on\na\u{fffd}[2J  off\n");
    }
}
