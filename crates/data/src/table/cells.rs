//! Cells of a table, column by column, before they have a meaning.

use std::path::{Path, PathBuf};

use tinsmith_foundation::quote;

use crate::error::{DataError, Result};
use crate::table::columns::{ColumnPlan, PlannedRole, plan};
use crate::table::dialect::{Dialect, is_missing, read_text, records};
use crate::table::options::TableOptions;

/// Characters of a cell that an error quotes.
const CELL_QUOTE: usize = 40;

/// A table in memory: numbers for every column, texts where they may be needed.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) columns: Vec<String>,
    pub(super) plan: ColumnPlan,
    pub(super) cells: Vec<ColumnCells>,
    /// Line of each row in the file.
    pub(super) lines: Vec<u64>,
    /// Choices about the form of the text.
    pub(super) decisions: Vec<String>,
}

/// The cells of one column.
#[derive(Debug, Default)]
pub(super) struct ColumnCells {
    /// Numbers; NaN for missing values and for text.
    pub(super) numbers: Vec<f64>,
    /// Cells as written: all of them in columns that may be targets, groups or indices, or from the first text on in
    /// a column without numbers before it. Otherwise empty.
    pub(super) texts: Vec<String>,
    pub(super) first_text: Option<(u64, String)>,
    pub(super) first_missing: Option<(u64, String)>,
    has_number: bool,
}

impl ColumnCells {
    /// True if every cell that is not missing is text.
    pub(super) const fn is_text(&self) -> bool {
        self.first_text.is_some() && !self.has_number
    }

    fn push(&mut self, cell: &str, dialect: &Dialect, line: u64, keep: bool) {
        let number = dialect.number(cell);
        match number {
            Some(x) if x.is_nan() => {
                self.first_missing.get_or_insert_with(|| (line, quote(cell, CELL_QUOTE)));
            }
            Some(_) => self.has_number = true,
            None => {
                self.first_text.get_or_insert_with(|| (line, quote(cell, CELL_QUOTE)));
            }
        }
        // Columns of numbers keep no text: most of a large table's memory.
        if keep || !self.has_number {
            self.texts.push(cell.to_owned());
        } else {
            self.texts = Vec::new();
        }
        self.numbers.push(number.unwrap_or(f64::NAN));
    }
}

impl Table {
    pub(super) fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        let (text, encoding) = read_text(path)?;
        let dialect = Dialect::of(&text, options);
        let broken = |e: csv::Error| {
            let sign = dialect.delimiter as char;
            DataError::malformed(
                path,
                format!("{e} (columns separated by {sign:?}; `delimiter` sets another)"),
            )
        };
        let mut records = records(&text, dialect.delimiter).peekable();
        let width = match records.peek() {
            Some(Ok(first)) => first.len(),
            _ => 0,
        };
        let columns: Vec<String> = if dialect.has_header {
            let Some(first) = records.next() else {
                return Err(DataError::layout(
                    path,
                    "is empty, want a line of column names and one for each sample",
                ));
            };
            first.map_err(broken)?.iter().map(|name| name.trim().to_owned()).collect()
        } else {
            (1..=width).map(|place| format!("column{place}")).collect()
        };
        let plan = plan(path, &columns, options)?;
        let mut table = Self {
            path: path.to_owned(),
            cells: columns.iter().map(|_| ColumnCells::default()).collect(),
            columns,
            plan,
            lines: Vec::new(),
            decisions: encoding.into_iter().chain(dialect.decisions.iter().cloned()).collect(),
        };
        for record in records {
            let record = record.map_err(broken)?;
            let line = record.position().map_or(0, csv::Position::line);
            table.lines.push(line);
            for ((cell, (role, _)), cells) in record.iter().zip(&table.plan.roles).zip(&mut table.cells) {
                if *role != PlannedRole::Dropped {
                    cells.push(cell.trim(), &dialect, line, *role != PlannedRole::Feature);
                }
            }
        }
        if table.lines.is_empty() {
            return Err(DataError::layout(path, "has no rows, want at least one below the column names"));
        }
        Ok(table)
    }

    /// An error about one cell.
    pub(super) fn wrong(&self, column: usize, (line, cell): &(u64, String), want: &str) -> DataError {
        let reason = format!("line {line}, column `{}`: `{cell}`, want {want}", self.columns[column]);
        DataError::malformed(&self.path, reason)
    }

    /// True if a cell has no value.
    pub(super) fn lacks(&self, column: usize, row: usize) -> bool {
        let cells = &self.cells[column];
        match cells.texts.get(row) {
            Some(text) if cells.first_text.is_some() => is_missing(text),
            _ => cells.numbers[row].is_nan(),
        }
    }

    /// Keeps the rows of the list, which is ascending.
    pub(super) fn keep(&mut self, rows: &[usize]) {
        fn pick<T: Clone>(values: &mut Vec<T>, rows: &[usize]) {
            if !values.is_empty() {
                *values = rows.iter().map(|&row| values[row].clone()).collect();
            }
        }
        for cells in &mut self.cells {
            pick(&mut cells.numbers, rows);
            pick(&mut cells.texts, rows);
        }
        pick(&mut self.lines, rows);
    }
}
