//! Tables as text: CSV, TSV and other separators, also compressed by gzip.
//!
//! Each line is a sample. Settings ([`TableOptions`]) come from the caller and from a YAML file beside the table; all
//! that they leave open is decided from the file, and each decision is recorded in the data set's
//! [`Notes`](crate::Notes):
//!
//! - **Form.** The separator is the first of tab, `;`, `,` and `|` that occurs equally often in each of the first 20
//!   lines. With a separator other than the comma, numbers may have a decimal comma. A first line with numbers is data,
//!   unless they count the columns. Text is UTF-8, otherwise Latin-1.
//! - **Targets.** The column called `label`, `labels`, `class`, `target` or `y`; all of a numbered family (`y1`, `y2`);
//!   all of a one-hot family (`class_red`, `class_blue`); otherwise the last column. Two of these names beside each other
//!   are refused.
//! - **Classes or values.** Text is classes in alphabetical order. Numbers are classes or values to predict by the rule
//!   below; classes are numbered from 0 and keep the old values as names.
//! - **Features.** All other columns, in the order of the file. Text with 2 to 50 different values becomes one column of
//!   0 and 1 for each value (a single one for two values). Columns called `id`, `index` and the like are dropped if all
//!   their values differ.
//! - **Groups.** Columns named by `group`, and one called `subjects`; numbers or text.
//!
//! Whole numbers are classes in a column called `label`, `labels` or `class` if there are at most 20 different ones or at
//! least 20 rows for each. In other columns they are classes if there are at most 2; at most 10 with 2 rows each; at most
//! 50 with 5 rows each; or any consecutive ones with 200 rows each. Fractions are classes only in a column called so, if
//! there are at most 20 with 10 rows each. `targets: classes` and `targets: values` override the rule.

mod cells;
mod coding;
mod columns;
mod dialect;
mod options;

use std::path::Path;

pub use self::options::{Missing, TableOptions};
use crate::dataset::{Dataset, Splits};
use crate::error::{DataError, Result};
use crate::gzip::is_gzip_name;

/// Names of target columns, in any case of letters.
pub const TARGET_NAMES: [&str; 5] = ["label", "labels", "class", "target", "y"];

/// Reads a table as one data set, named after the file.
///
/// # Errors
/// [`DataError::Malformed`] with line and column for a cell that cannot be read, [`DataError::Layout`] for columns that
/// are missing or ambiguous, [`DataError::Config`] and [`DataError::Foundation`] for settings that cannot be used.
pub fn read(path: &Path, options: &TableOptions) -> Result<Dataset> {
    let options = options.clone().with_file_beside(path)?;
    let table = cells::Table::read(path, &options)?;
    let mut parts = coding::datasets(&stem(path), vec![table], &options)?;
    Ok(parts.remove(0))
}

/// Reads a training and a test table with the same columns. Classes, groups and categories are numbered alike.
///
/// # Errors
/// As [`read`]; [`DataError::Layout`] if the columns differ.
pub fn read_pair(name: &str, train: &Path, test: &Path, options: &TableOptions) -> Result<Splits> {
    let options = options.clone().with_file_beside(train)?;
    let tables = vec![cells::Table::read(train, &options)?, cells::Table::read(test, &options)?];
    if tables[0].columns != tables[1].columns {
        let reason = format!(
            "has columns {:?}, want those of the training part: {:?}",
            tables[1].columns, tables[0].columns
        );
        return Err(DataError::layout(test, reason));
    }
    let mut parts = coding::datasets(name, tables, &options)?;
    let test = parts.remove(1);
    Ok(Splits { train: parts.remove(0), test })
}

/// Returns true for names of tables: `.csv`, `.tsv`, and these followed by `.gz`.
pub(crate) fn is_table_name(path: &Path) -> bool {
    let plain = if is_gzip_name(path) { path.with_extension("") } else { path.to_owned() };
    plain.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv") || e.eq_ignore_ascii_case("tsv"))
}

/// `t` for `t.csv` and `t.csv.gz`.
fn stem(path: &Path) -> String {
    let plain = if is_gzip_name(path) { path.with_extension("") } else { path.to_owned() };
    plain.file_stem().map_or_else(|| "table".to_owned(), |name| name.to_string_lossy().into_owned())
}
