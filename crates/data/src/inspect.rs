//! Checks of samples for properties that are probably mistakes: values that `f32` cannot distinguish, row counters,
//! images with the channels first.

use crate::array::{Array, Values};

/// Rows that a column needs before a count from row to row is taken for a row number.
const COUNTER_ROWS: usize = 10;

/// Returns two different values of a column that are equal as `f32`, if more than 1 % of its distinct values are lost.
pub(crate) fn indistinguishable(column: &[f64]) -> Option<(f64, f64)> {
    let exact = |&x: &f64| !x.is_finite() || f64::from(x as f32).to_bits() == x.to_bits();
    if column.iter().all(exact) {
        return None;
    }
    let mut values: Vec<f64> = column.iter().copied().filter(|x| x.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let equal = |pair: &&[f64]| (pair[0] as f32).to_bits() == (pair[1] as f32).to_bits();
    let lost = values.windows(2).filter(equal).count();
    let pair = values.windows(2).find(equal)?;
    (lost * 100 > values.len()).then_some((pair[0], pair[1]))
}

/// Returns true for a column that counts up by one from row to row.
pub(crate) fn counts_rows(column: &[f64]) -> bool {
    column.len() >= COUNTER_ROWS
        && column.windows(2).all(|pair| (pair[1] - pair[0] - 1.0).abs() < f64::EPSILON)
}

/// The warning for a column, if there is one; `name` as in "column `t`".
pub(crate) fn column_warning(name: &str, column: &[f64]) -> Option<String> {
    if let Some((a, b)) = indistinguishable(column) {
        return Some(format!(
            "{name} has values that are equal as 32-bit floats, such as {a} and {b}; subtract an offset or leave it out"
        ));
    }
    counts_rows(column).then(|| format!("{name} counts the rows; leave it out unless it is a measurement"))
}

/// Warnings for the samples of an array: per column for tables, by shape for images and series.
pub(crate) fn array_warnings(place: &str, array: &Array, sample_shape: &[usize]) -> Vec<String> {
    let mut warnings = Vec::new();
    match *sample_shape {
        [features] => {
            let wide = matches!(array.values(), Values::I32(_) | Values::I64(_) | Values::F64(_));
            let values = array.values().to_f64();
            for column in 0..features {
                let cells: Vec<f64> = values.iter().skip(column).step_by(features).copied().collect();
                let name = format!("column {column} of {place}");
                if wide || counts_rows(&cells) {
                    warnings.extend(column_warning(&name, &cells));
                }
            }
        }
        // Few rows of pixels, all of them wide: channels of a color image, or of a tensor as PyTorch lays it out.
        [height @ (1 | 3), width, channels] if width >= 8 && channels >= 8 => warnings.push(format!(
            "{place} has samples of [{height}, {width}, {channels}], read as height {height}, width {width} and \
             {channels} channels; if the channels come first, transpose to [{width}, {channels}, {height}]"
        )),
        [steps, channels] if steps <= 16 && channels >= 32 && channels > 4 * steps => warnings.push(format!(
            "{place} has samples of [{steps}, {channels}], read as {steps} steps of {channels} channels; if the \
             channels come first, transpose to [{channels}, {steps}]"
        )),
        _ => {}
    }
    warnings
}
