//! Dense layers: products of matrices with all that goes with them, forward and backward.
//!
//! Small weights are read where they lie. Of larger ones a block of columns at a time is packed close together, and products
//! with zero are left out where there are many.

mod blocks;
mod nonzeros;
mod weight_gradient;
mod wide;

use self::blocks::{Weights, product_in_blocks};
pub use self::weight_gradient::{dense_parameter_gradients, dense_weight_gradient};
pub use self::wide::{GradientConsumer, MAX_HINTS, dense_gradient_in_pieces, is_wide};
use super::epilogue::{Epilogue, GradientSink, apply_gate_in_place, close_gate};
use super::gate::Gate;
use super::tile::{Axis, End, Kernels, Layout, Start, product, transpose};
use super::{scratch, split};

/// Weights of more elements are packed; fewer are read where they lie.
const SMALL: usize = 1 << 15;

/// Dense layer: `out[b, o] = bias[o] + sum_i x[b, i] w[i, o]`; `x` (batch, inputs), `w` (inputs, outputs), row-major.
///
/// Where weights are many and a good part of `x` is 0, products with 0 are left out, here as in gradients. No bit changes by
/// that, but an infinite or NaN weight that only zeros meet does not show.
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

/// [`dense`] with everything that follows it before the result is stored.
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
    if inputs * outputs > SMALL {
        let (sizes, end) = ((batch, inputs, outputs), End::Gate { gate, bits, row: words });
        return product_in_blocks(out, (x, Weights::Rows(w)), sizes, start, end, threads);
    }
    let kernels = Kernels::current();
    let rows = batch.div_ceil(threads).max(1);
    split::for_chunks2(threads, (out, rows * outputs), (bits, rows * words), |i, out, bits| {
        let all = out.len() / outputs;
        let x = &x[i * rows * inputs..][..all * inputs];
        for_blocks(x, inputs, |first, x, ahead| {
            let layout = rows_by_columns(x.len() / inputs, (inputs, outputs), ahead);
            let end = End::Gate {
                gate,
                bits: if words == 0 { &mut [] } else { &mut bits[first * words..] },
                row: words,
            };
            product(kernels, &layout, (x, w), &mut out[first * outputs..], start, end);
        });
    });
}

/// `body(first row, rows, what is read next)` over rows of `columns` that stay in the first-level cache (16 KiB), or over all
/// where they stay in the second (512 KiB).
fn for_blocks(x: &[f32], columns: usize, mut body: impl FnMut(usize, &[f32], &[f32])) {
    let all = x.len() / columns;
    if x.len() <= 1 << 17 {
        return body(0, x, &[]);
    }
    let rows = ((1 << 12) / columns).max(56);
    for first in (0..all).step_by(rows) {
        let end = (first + rows).min(all);
        let ahead = &x[end * columns..(end + rows).min(all) * columns];
        body(first, &x[first * columns..end * columns], ahead);
    }
}

/// Rows of `inputs` by a row-major matrix of `inputs` rows and `outputs` columns.
fn rows_by_columns(rows: usize, (inputs, outputs): (usize, usize), ahead: &[f32]) -> Layout<'_> {
    let sum = Axis::new(inputs, 1, outputs);
    Layout { ahead: [ahead, &[]], ..Layout::matrix((rows, outputs), (inputs, outputs), sum) }
}

/// Gradient of [`dense`] for its input: `dx = dy wT`.
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

/// Gradient of [`dense`] for its input, gated and added up as `sink` says.
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
    if inputs * outputs > SMALL {
        let (sizes, end) = ((batch, outputs, inputs), End::Close { bits: sink.gate, row: words });
        return product_in_blocks(dx, (dy, Weights::Turned(w)), sizes, start, end, threads);
    }
    let kernels = Kernels::current();
    let rows = batch.div_ceil(threads).max(1);
    scratch::with(w.len(), |turned| {
        transpose(kernels, turned, w, (inputs, outputs), outputs);
        let turned = &*turned;
        split::for_chunks(threads, dx, rows * inputs, |i, dx| {
            let all = dx.len() / inputs;
            let dy = &dy[i * rows * outputs..][..all * outputs];
            let gate = &sink.gate[i * rows * words..];
            for_blocks(dy, outputs, |first, dy, ahead| {
                let layout = rows_by_columns(dy.len() / outputs, (outputs, inputs), ahead);
                let end = End::Close { bits: &gate[first * words..], row: words };
                product(kernels, &layout, (dy, turned), &mut dx[first * inputs..], start, end);
            });
        });
    });
}
