//! Gradients of parameters as sums over parts of a batch.
//!
//! Small gradients are computed per part of the batch, each part into a buffer of its own, and added in the order of
//! the parts. Large gradients are split by rows instead. The number of parts depends on the shape only, never on the
//! number of threads, so the order of additions and the result are the same for any number.

use std::ops::Range;

use super::epilogue::ParameterGradients;
use super::rows::add;
use super::{scratch, split};

/// Maximum number of elements of a gradient that is summed over parts of the batch; larger ones are split by rows.
pub(super) const MAX_PARTIAL: usize = 1 << 13;

/// Multiplications that a part should have at least.
const MIN_WORK_PER_PART: usize = 1 << 18;

/// Sums over a batch into the gradients of a kernel (rows of `row` elements) and a bias, by `body(samples, first row,
/// gradients of these rows)`.
pub(super) fn sum_in_parts(
    threads: usize,
    (batch, work): (usize, usize),
    gradients: ParameterGradients<'_>,
    row: usize,
    body: impl Fn(Range<usize>, usize, ParameterGradients<'_>) + Sync,
) {
    let ParameterGradients { kernel: dw, bias: db, accumulate } = gradients;
    if batch == 0 || dw.is_empty() {
        if !accumulate {
            dw.fill(0.0);
            db.into_iter().for_each(|db| db.fill(0.0));
        }
        return;
    }
    let parts = if dw.len() > MAX_PARTIAL { 1 } else { (work / MIN_WORK_PER_PART).clamp(1, batch.min(4)) };
    let bias = db.is_some();
    let db = db.unwrap_or_default();
    if parts == 1 {
        let rows = (dw.len() / row).div_ceil(threads);
        let chunks = ((dw, rows * row), (&mut *db, row));
        return split::for_chunks2(threads, chunks.0, chunks.1, |i, dw, db| {
            let bias = if bias && i == 0 { Some(db) } else { None };
            body(0..batch, i * rows, ParameterGradients { kernel: dw, bias, accumulate });
        });
    }
    let len = dw.len() + db.len();
    scratch::with(parts * len, |partials| {
        split::for_chunks(threads, partials, len, |i, partial| {
            let samples = split::even(i, parts, batch);
            let (kernel, db) = partial.split_at_mut(len - if bias { row } else { 0 });
            body(samples, 0, ParameterGradients { kernel, bias: bias.then_some(db), accumulate: false });
        });
        for (i, partial) in partials.chunks_exact(len).enumerate() {
            let (part_w, part_b) = partial.split_at(dw.len());
            if i == 0 && !accumulate {
                dw.copy_from_slice(part_w);
                db.copy_from_slice(part_b);
            } else {
                add(dw, part_w);
                add(db, part_b);
            }
        }
    });
}
