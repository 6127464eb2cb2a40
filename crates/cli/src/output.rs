//! Output for the user: results on standard output, errors on standard error.

use std::io::{self, ErrorKind, Write};

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

/// Standard output was closed by its reader, for example `head`. Not a fault: the command ends quietly.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct ClosedOutput;

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
struct BrokenOutput(io::Error);

/// Prints a line of a result.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    write(&format!("{text}\n"))
}

/// Prints a text that ends in a newline of its own.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    write(text)
}

/// Prints a table: the first column to the left, the others to the right.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(header.iter().map(|h| (*h).to_owned()).collect::<Vec<String>>());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    line(table)
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    // Flushed at once: buffered text that fails to be written at the exit of the process is lost without a word.
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => ClosedOutput.into(),
        _ => BrokenOutput(error).into(),
    })
}

/// Standard output for libraries that write to it themselves: once the reader has gone, text is dropped.
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match io::stdout().write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

/// Prints a line on standard error. A closed standard error must not end the work, so a failure to write is ignored.
pub(crate) fn remark(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error with its causes.
pub(crate) fn error(error: &anyhow::Error) {
    let mut shown = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Transparent errors repeat their cause.
        if !shown.ends_with(&cause) {
            shown.push_str(&format!(": {cause}"));
        }
    }
    remark(format!("error: {shown}"));
}

/// Formats a number with thousands separators.
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

/// Formats a fraction as a percentage.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}
