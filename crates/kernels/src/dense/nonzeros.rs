//! Lists of what is not 0 in an operand, and when they are worth making.
#![expect(unsafe_code, reason = "lists are trusted where they are read")]

use crate::tile::{Blocking, Kernels, LINE, Nonzeros, transpose};
use crate::{scratch, split};

/// Columns whose lists a thread makes at a time: two lines of each row.
const COLUMNS: usize = 32;

/// The part of a matrix's elements that are not 0, by a look at 64 places, if lists of rows of so many `terms` are worth it: it
/// is small enough, and they fit memory that is kept from step to step.
pub(super) fn density(x: &[f32], terms: usize, blocking: Blocking) -> Option<f64> {
    if terms == 0 || x.len() / terms * Nonzeros::row(terms, blocking) > scratch::KEPT {
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
    (density < Kernels::current().most_nonzero).then_some(density)
}

/// Lends `body` lists of the rows of a matrix of rows of `terms`.
pub(super) fn of_rows<R>(
    x: &[f32],
    terms: usize,
    blocking: Blocking,
    body: impl FnOnce(Nonzeros<'_>) -> R,
) -> R {
    scratch::with(x.len() / terms * Nonzeros::row(terms, blocking), |lists| {
        list_rows(lists, x, terms, blocking);
        // SAFETY: all were just made.
        body(unsafe { Nonzeros::new(lists, terms, blocking) })
    })
}

/// The same of the columns of a matrix of some rows by `columns`, made by several threads.
pub(super) fn of_columns<R>(
    x: &[f32],
    columns: usize,
    blocking: Blocking,
    threads: usize,
    body: impl FnOnce(Nonzeros<'_>) -> R,
) -> R {
    let (kernels, terms) = (Kernels::current(), x.len() / columns);
    let row = Nonzeros::row(terms, blocking);
    scratch::with(columns * row, |lists| {
        split::for_chunks(threads, lists, COLUMNS * row, |i, lists| {
            let first = i * COLUMNS;
            let count = COLUMNS.min(columns - first);
            scratch::with(count * terms, |turned| {
                transpose(kernels, turned, &x[first..], (terms, count), columns);
                list_rows(lists, turned, terms, blocking);
            });
        });
        // SAFETY: all were just made.
        body(unsafe { Nonzeros::new(lists, terms, blocking) })
    })
}

/// Lists of as many rows as there is room for.
fn list_rows(lists: &mut [f32], rows: &[f32], terms: usize, blocking: Blocking) {
    let kernels = Kernels::current();
    for (list, row) in lists.chunks_exact_mut(Nonzeros::row(terms, blocking)).zip(rows.chunks_exact(terms)) {
        Nonzeros::list(kernels, list, row, blocking);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKING: Blocking = Blocking::BATCH;

    #[test]
    fn zeros_are_counted_wherever_a_matrix_begins_and_ends() {
        assert_eq!(density(&[], 1, BLOCKING), Some(0.0));
        assert_eq!(density(&[0.0, -0.0], 2, BLOCKING), Some(0.0));
        assert_eq!(density(&[f32::NAN, 0.0, 0.0], 3, BLOCKING), Some(1.0 / 3.0));
        assert_eq!(density(&vec![0.0; 1 << 22], 128, BLOCKING), None, "too many for lists that are kept");
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
