//! Depthwise convolutions: every channel has kernels of its own.
//!
//! The kernel is (height, width, channels, multiplier); output channel `channel * multiplier + j`.
//!
//! Small kernels over channels that fill vectors (see `reach`) are computed pixel by pixel, with operands in place.
//!
//! In all other cases, input lines are copied between borders of zeros, with pixels grouped by their position modulo
//! the stride and channels repeated `multiplier` times. Every tap is then a shifted copy of the line, and a line of
//! the output is a sum of products of long contiguous runs, for any number of channels: the weights are repeated
//! cyclically along them.

mod border;
mod lines;
mod pixels;
mod reach;
mod sums;
mod weight;

use super::conv::ConvShape;
use super::epilogue::{Epilogue, GradientSink, ParameterGradients};
use super::gate::{Gate, gate_words};
use super::{scratch, split};

/// Depthwise convolution.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn depthwise(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    shape: &ConvShape,
    threads: usize,
) {
    depthwise_fused(out, x, w, Epilogue { bias, gate: Gate::LINEAR, bits: &mut [] }, shape, threads);
}

/// Depthwise convolution with an epilogue.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn depthwise_fused(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let Epilogue { bias, gate, bits } = epilogue;
    let words = if bits.is_empty() { 0 } else { gate_words(shape.out_h * shape.out_w, shape.out_c) };
    let out = &mut out[..shape.output_len()];
    if reach::fits(shape) {
        let w = &w[..kernel_len(shape)];
        let outputs = ((out, shape.out_sample()), (bits, words));
        return split::for_chunks2(useful(threads, shape), outputs.0, outputs.1, |i, out, bits| {
            let x = &x[i * shape.in_sample()..][..shape.in_sample()];
            pixels::forward(out, x, (w, bias), (&gate, bits), shape);
        });
    }
    lines::with_cyclic(w, bias, shape, |weights, start| {
        let outputs = ((out, shape.out_sample()), (bits, words));
        split::for_chunks2(useful(threads, shape), outputs.0, outputs.1, |i, out, bits| {
            let x = &x[i * shape.in_sample()..][..shape.in_sample()];
            lines::forward(out, x, (weights, start), (&gate, bits), shape);
        });
    });
}

/// Gradient of [`depthwise`] with respect to its input.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn depthwise_input_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sink: GradientSink<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let words = gate_words(shape.in_h * shape.in_w, shape.in_c);
    let (dx, threads) = (&mut dx[..shape.input_len()], useful(threads, shape));
    let sample = |i: usize| {
        let gate = if sink.gate.is_empty() { &[][..] } else { &sink.gate[i * words..(i + 1) * words] };
        (&dy[i * shape.out_sample()..][..shape.out_sample()], GradientSink { gate, ..sink })
    };
    if reach::fits(shape) {
        return pixels::with_rotated(w, shape, |rotated| {
            split::for_chunks(threads, dx, shape.in_sample(), |i, dx| {
                let (dy, sink) = sample(i);
                pixels::backward(dx, dy, rotated, sink, shape);
            });
        });
    }
    lines::with_cyclic(w, None, shape, |weights, start| {
        split::for_chunks(threads, dx, shape.in_sample(), |i, dx| {
            let (dy, sink) = sample(i);
            lines::backward(dx, dy, (weights, start), sink, shape);
        });
    });
}

/// Gradients of [`depthwise`] with respect to its kernel and its bias, if any.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn depthwise_parameter_gradients(
    gradients: ParameterGradients<'_>,
    x: &[f32],
    dy: &[f32],
    shape: &ConvShape,
    threads: usize,
) {
    let ParameterGradients { kernel: dw, bias: db, accumulate } = gradients;
    let parts = shape.batch.min(8);
    let kernel = kernel_len(shape);
    scratch::with(kernel + shape.out_c, |both| {
        both.fill(0.0);
        if accumulate {
            both[..kernel].copy_from_slice(&dw[..kernel]);
            if let Some(db) = &db {
                both[kernel..].copy_from_slice(&db[..shape.out_c]);
            }
        }
        split::reduce(useful(threads, shape), parts, both, |part, both| {
            let samples = split::even(part, parts, shape.batch);
            let x = &x[samples.start * shape.in_sample()..samples.end * shape.in_sample()];
            let dy = &dy[samples.start * shape.out_sample()..samples.end * shape.out_sample()];
            let (dw, db) = both.split_at_mut(kernel);
            if reach::fits_sums(shape) {
                sums::gradients(dw, db, x, dy, shape);
            } else {
                weight::gradients(dw, db, x, dy, shape);
            }
        });
        dw[..kernel].copy_from_slice(&both[..kernel]);
        if let Some(db) = db {
            db[..shape.out_c].copy_from_slice(&both[kernel..]);
        }
    });
}

/// [`depthwise_input_gradient_into`] that overwrites `dx` and applies no gate.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn depthwise_input_gradient(dx: &mut [f32], dy: &[f32], w: &[f32], shape: &ConvShape, threads: usize) {
    depthwise_input_gradient_into(dx, dy, w, GradientSink::default(), shape, threads);
}

/// [`depthwise_parameter_gradients`] without a bias.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn depthwise_weight_gradient(dw: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape, threads: usize) {
    depthwise_parameter_gradients(ParameterGradients::of_kernel(dw), x, dy, shape, threads);
}

/// A multiplication counts four times, because it takes four times as long as one of a matrix product.
fn useful(threads: usize, shape: &ConvShape) -> usize {
    split::useful(threads, shape.batch * shape.out_h * shape.out_w * kernel_len(shape) * 4)
}

const fn kernel_len(shape: &ConvShape) -> usize {
    shape.kernel_h * shape.kernel_w * shape.out_c
}
