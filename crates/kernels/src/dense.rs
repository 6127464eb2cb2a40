//! Dense layers: matrix products with their epilogues, forward and backward.
//!
//! Small weights are read in place. Larger ones are packed into contiguous panels, one block of columns at a time. If
//! many operands are 0, the products with them are skipped.

mod blocks;
mod gradient_sizes;
mod sparsity;
mod weight_gradient;
mod wide;

use self::blocks::{Weights, product_in_blocks};
pub use self::weight_gradient::{dense_parameter_gradients, dense_weight_gradient};
pub use self::wide::{GradientConsumer, MAX_HINTS, dense_gradient_in_pieces, is_wide};
use super::epilogue::{Epilogue, GradientSink, apply_gate_in_place, close_gate};
use super::gate::Gate;
use super::tile::{Kernels, ProductLayout, Start, SumAxis, TileEpilogue, product, transpose};
use super::{scratch, split};

/// Weights with more elements are packed; smaller ones are read in place.
const MAX_UNPACKED_WEIGHTS: usize = 1 << 15;

/// Dense layer: `out[b, o] = bias[o] + sum_i x[b, i] w[i, o]`; `x` is (batch, inputs), `w` (inputs, outputs), both
/// row-major.
///
/// For large weights and sparse `x`, products with 0 are skipped, here as in the gradients. The results stay
/// bit-identical, with one exception: an infinite or NaN weight that is multiplied only by zeros no longer
/// propagates.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn dense(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    sizes: (usize, usize, usize),
    threads: usize,
) {
    dense_fused(out, x, w, Epilogue { bias, gate: Gate::LINEAR, bits: &mut [] }, sizes, threads);
}

/// [`dense`] with an epilogue that is applied before the results are stored.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn dense_fused(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let out = &mut out[..batch * outputs];
    if inputs == 0 {
        out.fill(0.0);
        return apply_gate_in_place(out, epilogue, outputs, threads);
    }
    let (x, w) = (&x[..batch * inputs], &w[..inputs * outputs]);
    let Epilogue { bias, gate, bits } = epilogue;
    let words = if bits.is_empty() { 0 } else { outputs.div_ceil(16) };
    assert_eq!(bits.len(), batch * words, "gate bits hold the output");
    let start = bias.map_or(Start::Zero, Start::Bias);
    let threads = split::useful(threads, batch * inputs * outputs);
    if inputs * outputs > MAX_UNPACKED_WEIGHTS {
        let (sizes, end) = ((batch, inputs, outputs), TileEpilogue::Gate { gate, bits, row: words });
        return product_in_blocks(out, (x, Weights::Rows(w)), sizes, start, end, threads);
    }
    let kernels = Kernels::current();
    let rows = batch.div_ceil(threads).max(1);
    split::for_chunks2(threads, (out, rows * outputs), (bits, rows * words), |i, out, bits| {
        let all = out.len() / outputs;
        let x = &x[i * rows * inputs..][..all * inputs];
        for_blocks(x, inputs, |first, x, upcoming| {
            let layout = rows_by_columns(x.len() / inputs, (inputs, outputs), upcoming);
            let end = TileEpilogue::Gate {
                gate,
                bits: if words == 0 { &mut [] } else { &mut bits[first * words..] },
                row: words,
            };
            product(kernels, &layout, (x, w), &mut out[first * outputs..], start, end);
        });
    });
}

/// Calls `body(first row, rows, rows to prefetch)` for blocks of rows that stay in the first-level cache (16 KiB), or
/// once for all rows if these stay in the second-level cache (512 KiB).
fn for_blocks(x: &[f32], columns: usize, mut body: impl FnMut(usize, &[f32], &[f32])) {
    let all = x.len() / columns;
    if x.len() <= 1 << 17 {
        return body(0, x, &[]);
    }
    let rows = ((1 << 12) / columns).max(56);
    for first in (0..all).step_by(rows) {
        let end = (first + rows).min(all);
        let upcoming = &x[end * columns..(end + rows).min(all) * columns];
        body(first, &x[first * columns..end * columns], upcoming);
    }
}

/// The layout of rows of `inputs` elements times a row-major matrix of `inputs` rows and `outputs` columns.
fn rows_by_columns(rows: usize, (inputs, outputs): (usize, usize), upcoming: &[f32]) -> ProductLayout<'_> {
    let sum = SumAxis::new(inputs, 1, outputs);
    ProductLayout {
        upcoming: [upcoming, &[]],
        ..ProductLayout::matrix((rows, outputs), (inputs, outputs), sum)
    }
}

/// Gradient of [`dense`] with respect to its input: `dx = dy wT`.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn dense_input_gradient(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    dense_input_gradient_into(dx, dy, w, GradientSink::default(), sizes, threads);
}

/// Gradient of [`dense`] with respect to its input, gated and accumulated as `sink` specifies.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn dense_input_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sink: GradientSink<'_>,
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let dx = &mut dx[..batch * inputs];
    if inputs * outputs == 0 {
        if !sink.accumulate {
            dx.fill(0.0);
        }
        return close_gate(dx, sink.gate, inputs, threads);
    }
    let (dy, w) = (&dy[..batch * outputs], &w[..inputs * outputs]);
    let words = if sink.gate.is_empty() { 0 } else { inputs.div_ceil(16) };
    assert_eq!(sink.gate.len(), batch * words, "gate bits hold the input");
    let start = if sink.accumulate { Start::Old } else { Start::Zero };
    let threads = split::useful(threads, batch * inputs * outputs);
    if inputs * outputs > MAX_UNPACKED_WEIGHTS {
        let (sizes, end) = ((batch, outputs, inputs), TileEpilogue::Close { bits: sink.gate, row: words });
        return product_in_blocks(dx, (dy, Weights::Transposed(w)), sizes, start, end, threads);
    }
    let kernels = Kernels::current();
    let rows = batch.div_ceil(threads).max(1);
    scratch::with(w.len(), |transposed| {
        transpose(kernels, transposed, w, (inputs, outputs), outputs);
        let transposed = &*transposed;
        split::for_chunks(threads, dx, rows * inputs, |i, dx| {
            let all = dx.len() / inputs;
            let dy = &dy[i * rows * outputs..][..all * outputs];
            let gate = &sink.gate[i * rows * words..];
            for_blocks(dy, outputs, |first, dy, upcoming| {
                let layout = rows_by_columns(dy.len() / outputs, (outputs, inputs), upcoming);
                let end = TileEpilogue::Close { bits: &gate[first * words..], row: words };
                product(kernels, &layout, (dy, transposed), &mut dx[first * inputs..], start, end);
            });
        });
    });
}
