//! Operations on the rows of a matrix: column sums, and vectors that are repeated in every row.

use super::dispatch::multiversion;
use super::elementwise::{fold, wide};
use super::split;

multiversion! {
    pub(super) fn add(sums: &mut [f32], x: &[f32]) {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x;
        }
    }
}

multiversion! {
    /// Sets every row of `out` to `row`.
    pub fn fill_rows(out: &mut [f32], row: &[f32]) {
        for chunk in out.chunks_exact_mut(row.len().max(1)) {
            chunk.copy_from_slice(row);
        }
    }
}

/// Sums of the columns of a row-major matrix, as for the gradient of a bias.
///
/// # Panics
/// If `out` is empty and `x` is not.
pub fn column_sums(out: &mut [f32], x: &[f32], threads: usize) {
    out.fill(0.0);
    add_column_sums(out, x, threads);
}

/// Adds [`column_sums`] to `out`.
///
/// # Panics
/// If `out` is empty and `x` is not.
pub fn add_column_sums(out: &mut [f32], x: &[f32], threads: usize) {
    // Short blocks keep the rounding error of single-precision sums small.
    let wide = wide(out.len());
    let chunk = 256 * wide;
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    split::reduce(threads, x.len().div_ceil(chunk), out, |i, sums| {
        let mut wide = vec![0.0; wide];
        add_wide(&mut wide, &x[i * chunk..((i + 1) * chunk).min(x.len())]);
        fold(sums, &wide);
    });
}

multiversion! {
    fn add_wide(sums: &mut [f32], x: &[f32]) {
        for row in x.chunks(sums.len()) {
            for (sum, v) in sums.iter_mut().zip(row) {
                *sum += v;
            }
        }
    }
}

multiversion! {
    /// Adds `row` to every row of `out`.
    pub fn add_to_rows(out: &mut [f32], row: &[f32]) {
        for chunk in out.chunks_exact_mut(row.len().max(1)) {
            for (y, b) in chunk.iter_mut().zip(row) {
                *y += b;
            }
        }
    }
}
