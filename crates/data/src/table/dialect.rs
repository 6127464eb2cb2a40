//! Form of a table's text: encoding, separator, decimal sign, header line.

use std::io::Read;
use std::path::Path;

use crate::error::{DataError, Result};
use crate::gzip::{self, is_gzip_name};
use crate::table::options::TableOptions;

/// Lines that the separator is decided by.
const SAMPLE_LINES: usize = 20;

/// Separators that are tried, in this order: a comma may be a decimal sign, the ones before it are not.
const SEPARATORS: [char; 4] = ['\t', ';', ',', '|'];

/// Cells that stand for a missing value, in lower case.
const MISSING: [&str; 8] = ["", "na", "n/a", "nan", "null", "none", "?", "-"];

/// Reads the text of a table, decompressed if its name ends in `.gz`. Returns the text and a remark on its encoding.
pub(super) fn read_text(path: &Path) -> Result<(String, Option<String>)> {
    let mut bytes = Vec::new();
    if is_gzip_name(path) {
        let (stream, budget) = gzip::open(path)?;
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        budget
            .reader(&name, stream)
            .read_to_end(&mut bytes)
            .map_err(|e| DataError::malformed(path, format!("cannot read the gzip stream: {e}")))?;
    } else {
        bytes = std::fs::read(path).map_err(DataError::read(path))?;
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(DataError::malformed(path, "is UTF-16 text, want UTF-8; save it as \"CSV UTF-8\""));
    }
    if bytes.contains(&0) {
        return Err(DataError::malformed(path, "holds zero bytes, want a table as text"));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => (text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned), None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            // Each byte of Latin-1 is the Unicode character of the same number.
            let text = error.into_bytes().iter().map(|&byte| char::from(byte)).collect();
            (text, Some(format!("the text is not UTF-8 (byte {at}) and was read as Latin-1")))
        }
    })
}

/// Separator, decimal sign and header of one table.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) decimal_comma: bool,
    pub(super) has_header: bool,
    /// Choices that were not settings.
    pub(super) decisions: Vec<String>,
}

impl Dialect {
    pub(super) fn of(text: &str, options: &TableOptions) -> Self {
        let mut decisions = Vec::new();
        let delimiter = options.delimiter.unwrap_or_else(|| sniff_delimiter(text));
        if options.delimiter.is_none() && delimiter != ',' {
            let name = if delimiter == '\t' { "tabs".to_owned() } else { format!("`{delimiter}`") };
            decisions.push(format!("columns are separated by {name} (`delimiter` overrides)"));
        }
        let first: Vec<Vec<String>> = records(text, delimiter as u8)
            .filter_map(std::result::Result::ok)
            .take(SAMPLE_LINES)
            .map(|record| record.iter().map(|cell| cell.trim().to_owned()).collect())
            .collect();
        let decimal_comma =
            options.decimal.map_or_else(|| delimiter != ',' && commas_are_decimal(&first), |d| d == ',');
        if options.decimal.is_none() && decimal_comma {
            decisions.push("numbers have a decimal comma (`decimal` overrides)".to_owned());
        }
        let has_header = options.header.unwrap_or_else(|| is_header(&first, decimal_comma));
        if options.header.is_none() && !has_header {
            decisions.push(
                "the first line holds numbers and is data; columns are named by their place (`header: true` overrides)"
                    .to_owned(),
            );
        }
        Self { delimiter: delimiter as u8, decimal_comma, has_header, decisions }
    }

    /// Reads a cell as a number; `None` for text. Missing and infinite values are NaN.
    pub(super) fn number(&self, cell: &str) -> Option<f64> {
        if is_missing(cell) {
            return Some(f64::NAN);
        }
        number(cell, self.decimal_comma).map(|x| if x.is_finite() { x } else { f64::NAN })
    }
}

pub(super) fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// All records of a text as they stand.
pub(super) fn records(
    text: &str,
    delimiter: u8,
) -> impl Iterator<Item = std::result::Result<csv::StringRecord, csv::Error>> + '_ {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .from_reader(text.as_bytes())
        .into_records()
}

fn number(cell: &str, decimal_comma: bool) -> Option<f64> {
    if decimal_comma && cell.contains(',') { cell.replace(',', ".").parse().ok() } else { cell.parse().ok() }
}

/// The first of [`SEPARATORS`] that occurs equally often, and at all, in each of the first lines.
fn sniff_delimiter(text: &str) -> char {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(SAMPLE_LINES).collect();
    let agrees = |separator: &char| {
        let count = |line: &str| {
            // Quoted cells may contain the separator; a doubled quote toggles twice.
            let mut quoted = false;
            let outside = |c: char| {
                quoted ^= c == '"';
                c == *separator && !quoted
            };
            line.chars().map(outside).filter(|&is| is).count()
        };
        let first = lines.first().map_or(0, |line| count(line));
        first > 0 && lines.iter().all(|line| count(line) == first)
    };
    SEPARATORS.into_iter().find(agrees).unwrap_or(',')
}

/// True if cells such as `-3,5` occur, and none with a decimal point.
fn commas_are_decimal(lines: &[Vec<String>]) -> bool {
    let cells = || lines.iter().flatten();
    let comma = |cell: &String| cell.matches(',').count() == 1 && number(cell, true).is_some();
    let point = |cell: &String| cell.contains('.') && number(cell, false).is_some();
    cells().any(comma) && !cells().any(point)
}

/// Decides on the first line by its cells: numbers are data, unless they count the columns (`0, 1, 2, …`, as pandas
/// names them) or most cells are words above numbers.
fn is_header(lines: &[Vec<String>], decimal_comma: bool) -> bool {
    let Some(first) = lines.first() else { return true };
    let of = |cell: &String| number(cell, decimal_comma);
    let numbers: Vec<f64> = first.iter().filter_map(of).collect();
    if numbers.is_empty() {
        return true;
    }
    let words_above_numbers = lines.get(1).map_or(0, |second| {
        first.iter().zip(second).filter(|(a, b)| !is_missing(a) && of(a).is_none() && of(b).is_some()).count()
    });
    let counted =
        (0..=1).any(|from| numbers.iter().enumerate().all(|(i, x)| (x - (i + from) as f64).abs() < 1e-9));
    (counted && (numbers.len() >= 3 || words_above_numbers > 0)) || words_above_numbers > numbers.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, delimiter: u8, decimal_comma: bool, has_header: bool) {
        let got = Dialect::of(text, &TableOptions::default());
        assert_eq!(
            (got.delimiter, got.decimal_comma, got.has_header),
            (delimiter, decimal_comma, has_header),
            "{text:?}"
        );
    }

    #[test]
    fn forms_are_recognized() {
        check("a,b,c\n1.5,2,x\n", b',', false, true);
        check("a;b;c\n1,5;2;x\n", b';', true, true);
        check("a\tb\n1.5\t2\n", b'\t', false, true);
        check("a|b\n1|2\n", b'|', false, true);
        check("3.5,-1.2,bird\n2.0,0.1,dog\n", b',', false, false);
        check("3,5;-1,2;bird\n2,0;0,1;dog\n", b';', true, false);
        check("0,1,2,3\n5.1,3.5,1.4,0\n", b',', false, true);
        check("label,0,1\n7,0,0\n", b',', false, true);
        check("1,2,0\n3,4,1\n", b',', false, false);
        check("name,\"a;b\",c\nx,\"1;2\",3\n", b',', false, true);
        check("", b',', false, true);
    }
}
