//! Density of operands, and compression of the sparse ones.
#![expect(unsafe_code, reason = "compressed rows are not checked again")]

use crate::tile::{Kernels, LINE, SparseBlocking, SparseRows, transpose};
use crate::{scratch, split};

/// Columns that a thread compresses at a time: two cache lines of each row.
const COLUMNS_AT_A_TIME: usize = 32;

/// Estimates the fraction of nonzero elements from 64 evenly spaced cache lines. Returns `None` if sparse products
/// over rows of `terms` elements would not pay: the density is above the instruction set's limit, or the lists would
/// exceed the memory that a thread keeps.
pub(super) fn density(x: &[f32], terms: usize, blocking: SparseBlocking) -> Option<f64> {
    if terms == 0 || x.len() / terms * SparseRows::row(terms, blocking) > scratch::MAX_KEPT {
        return None;
    }
    let step = (x.len() / 64).next_multiple_of(LINE).max(LINE);
    let (mut seen, mut nonzero) = (0, 0);
    for x in x.chunks(step) {
        let x = &x[..x.len().min(LINE)];
        seen += x.len();
        nonzero += x.iter().filter(|&&x| x != 0.0).count();
    }
    let density = nonzero as f64 / seen.max(1) as f64;
    (density < Kernels::current().max_density).then_some(density)
}

/// Calls `body` with the compressed rows of a matrix with `terms` columns.
pub(super) fn with_compressed_rows<R>(
    x: &[f32],
    terms: usize,
    blocking: SparseBlocking,
    body: impl FnOnce(SparseRows<'_>) -> R,
) -> R {
    scratch::with(x.len() / terms * SparseRows::row(terms, blocking), |lists| {
        compress_rows(lists, x, terms, blocking);
        // SAFETY: all lists were just made.
        body(unsafe { SparseRows::new(lists, terms, blocking) })
    })
}

/// Calls `body` with the compressed columns of a matrix. Several threads compress them.
pub(super) fn with_compressed_columns<R>(
    x: &[f32],
    columns: usize,
    blocking: SparseBlocking,
    threads: usize,
    body: impl FnOnce(SparseRows<'_>) -> R,
) -> R {
    let (kernels, terms) = (Kernels::current(), x.len() / columns);
    let row = SparseRows::row(terms, blocking);
    scratch::with(columns * row, |lists| {
        split::for_chunks(threads, lists, COLUMNS_AT_A_TIME * row, |i, lists| {
            let first = i * COLUMNS_AT_A_TIME;
            let count = COLUMNS_AT_A_TIME.min(columns - first);
            scratch::with(count * terms, |transposed| {
                transpose(kernels, transposed, &x[first..], (terms, count), columns);
                compress_rows(lists, transposed, terms, blocking);
            });
        });
        // SAFETY: all lists were just made.
        body(unsafe { SparseRows::new(lists, terms, blocking) })
    })
}

/// Compresses as many rows as `lists` has room for.
fn compress_rows(lists: &mut [f32], rows: &[f32], terms: usize, blocking: SparseBlocking) {
    let kernels = Kernels::current();
    for (list, row) in lists.chunks_exact_mut(SparseRows::row(terms, blocking)).zip(rows.chunks_exact(terms))
    {
        SparseRows::list(kernels, list, row, blocking);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKING: SparseBlocking = SparseBlocking::BATCH;

    #[test]
    fn density_counts_zeros_in_all_positions() {
        assert_eq!(density(&[], 1, BLOCKING), Some(0.0));
        assert_eq!(density(&[0.0, -0.0], 2, BLOCKING), Some(0.0));
        assert_eq!(density(&[f32::NAN, 0.0, 0.0], 3, BLOCKING), Some(1.0 / 3.0));
        assert_eq!(density(&vec![0.0; 1 << 22], 128, BLOCKING), None, "lists too long to keep");
        let half = |i: usize| if i.is_multiple_of(2) { 0.0 } else { 1.0 };
        for len in [1000, 4096, 100_003] {
            let x: Vec<f32> = (0..len).map(half).collect();
            let density = density(&x, 100, BLOCKING).expect("worth it");
            assert!((density - 0.5).abs() < 0.01, "{len}: {density}");
            let x: Vec<f32> = x.iter().map(|x| 1.0 - x / 2.0).collect();
            assert_eq!(super::density(&x, 100, BLOCKING), None, "{len}");
        }
    }
}
