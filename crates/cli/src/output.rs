//! What the user reads: results on stdout, everything else on stderr.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the one crate that speaks to the user")]

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

/// A line of a result.
pub(crate) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// A text that ends in a newline of its own.
pub(crate) fn text(text: &str) {
    print!("{text}");
}

/// Why the command failed, with its causes.
pub(crate) fn error(error: &anyhow::Error) {
    let mut shown = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Transparent errors repeat what is said already.
        if !shown.ends_with(&cause) {
            shown.push_str(&format!(": {cause}"));
        }
    }
    eprintln!("error: {shown}");
}

/// A table: the first column to the left, the others to the right.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(header.iter().map(|h| (*h).to_owned()).collect::<Vec<String>>());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

/// A number with thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
