//! The public interface of the data sets, through files in temporary folders, golden files and real data sets.

#![expect(clippy::unwrap_used, reason = "a test ends where a value is missing")]

mod batches;
mod classes;
mod describe;
mod folder;
mod folds;
mod idx;
mod normalize;
mod numpy;
mod real;
mod splits;
mod table;

use std::path::PathBuf;

use tinsmith_data::Dataset;

/// The golden files: the copy in the repository, or all of a larger set where `TINSMITH_GOLDEN` names one.
fn golden(folder: &str) -> PathBuf {
    let root = std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    root.join(folder)
}

/// `labels` with samples of two values each: the row's number, and ten times its class.
fn labelled(labels: &[u32], classes: usize) -> Dataset {
    let samples =
        labels.iter().enumerate().flat_map(|(row, &label)| [row as f32, 10.0 * label as f32]).collect();
    Dataset::labelled("rows", vec![2], samples, labels.to_vec(), classes).unwrap()
}

/// The rows of [`labelled`] that a view shows.
fn numbers(data: &Dataset) -> Vec<usize> {
    (0..data.len()).map(|row| data.sample(row)[0] as usize).collect()
}
