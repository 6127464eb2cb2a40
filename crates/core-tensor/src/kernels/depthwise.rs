//! Depthwise convolutions: every channel with kernels of its own.
//!
//! Kernel (height, width, channels, multiplier); output channel = channel * multiplier + j.
//!
//! The closures are marked to be inlined: one that is not would be compiled without the caller's instruction set.

use super::conv::ConvShape;
use super::dispatch::multiversion;
use super::epilogue::{Epilogue, Gate, GradientSink, apply_gate_in_place, close_gate, gate_words};
use super::matmul::column_sums;
use super::split;

/// Depthwise convolution.
///
/// # Panics
/// Where a slice is shorter than the shape says.
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

/// Depthwise convolution with bias, function and record of the gate.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn depthwise_fused(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let threads = split::useful(threads, shape.work() * (split::ELEMENT / 4));
    let Epilogue { bias, gate, bits } = epilogue;
    let words = if bits.is_empty() { 0 } else { gate_words(shape.out_h * shape.out_w, shape.out_c) };
    let out = &mut out[..shape.output_len()];
    split::for_chunks2(threads, (out, shape.out_sample()), (bits, words), |i, out, bits| {
        out.fill(0.0);
        forward(out, &x[i * shape.in_sample()..][..shape.in_sample()], &w[..kernel_len(shape)], shape);
        apply_gate_in_place(out, Epilogue { bias, gate, bits }, shape.out_c, 1);
    });
}

/// Gradient of [`depthwise`] for its input.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn depthwise_input_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sink: GradientSink<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let threads = split::useful(threads, shape.work() * (split::ELEMENT / 4));
    let words = gate_words(shape.in_h * shape.in_w, shape.in_c);
    split::for_chunks(threads, &mut dx[..shape.input_len()], shape.in_sample(), |i, dx| {
        if !sink.accumulate {
            dx.fill(0.0);
        }
        backward(dx, &dy[i * shape.out_sample()..][..shape.out_sample()], &w[..kernel_len(shape)], shape);
        if !sink.gate.is_empty() {
            close_gate(dx, &sink.gate[i * words..(i + 1) * words], shape.in_c, 1);
        }
    });
}

/// Gradients of [`depthwise`] for its kernel and, where there is one, its bias.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn depthwise_parameter_gradients(
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    x: &[f32],
    dy: &[f32],
    shape: &ConvShape,
    threads: usize,
) {
    if let Some(db) = db {
        column_sums(&mut db[..shape.out_c], &dy[..shape.output_len()], threads);
    }
    let parts = shape.batch.min(8);
    let threads = split::useful(threads, shape.work() * (split::ELEMENT / 4));
    split::reduce(threads, parts, &mut dw[..kernel_len(shape)], |part, dw| {
        for i in part * shape.batch / parts..(part + 1) * shape.batch / parts {
            let x = &x[i * shape.in_sample()..][..shape.in_sample()];
            weight(dw, x, &dy[i * shape.out_sample()..][..shape.out_sample()], shape);
        }
    });
}

/// [`depthwise_input_gradient_into`] zeros, without a gate.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn depthwise_input_gradient(dx: &mut [f32], dy: &[f32], w: &[f32], shape: &ConvShape, threads: usize) {
    depthwise_input_gradient_into(dx, dy, w, GradientSink::default(), shape, threads);
}

/// [`depthwise_parameter_gradients`] without a bias.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn depthwise_weight_gradient(dw: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape, threads: usize) {
    depthwise_parameter_gradients(dw, None, x, dy, shape, threads);
}

const fn kernel_len(shape: &ConvShape) -> usize {
    shape.kernel_h * shape.kernel_w * shape.out_c
}

/// Calls `body(output offset, input offset, kernel offset)` for every pair of an output pixel and a tap within the input.
#[inline(always)]
fn for_taps(shape: &ConvShape, mut body: impl FnMut(usize, usize, usize)) {
    for oy in 0..shape.out_h {
        for ox in 0..shape.out_w {
            let out = (oy * shape.out_w + ox) * shape.out_c;
            for ky in 0..shape.kernel_h {
                let iy = (oy * shape.stride.0 + ky * shape.dilation.0).wrapping_sub(shape.pad.0);
                if iy >= shape.in_h {
                    continue;
                }
                for kx in 0..shape.kernel_w {
                    let ix = (ox * shape.stride.1 + kx * shape.dilation.1).wrapping_sub(shape.pad.1);
                    if ix < shape.in_w {
                        let tap = (ky * shape.kernel_w + kx) * shape.out_c;
                        body(out, (iy * shape.in_w + ix) * shape.in_c, tap);
                    }
                }
            }
        }
    }
}

/// Channels whose sums are kept in registers.
const LANES: usize = 32;

/// The taps of one axis that fall on real elements, for a window that starts at `start - pad`.
#[inline(always)]
fn taps(start: usize, pad: usize, dilation: usize, kernel: usize, size: usize) -> std::ops::Range<usize> {
    // Division is slow and hardly ever needed.
    let taps_over = |n: usize| if dilation == 1 { n } else { n.div_ceil(dilation) };
    let from = taps_over(pad.saturating_sub(start));
    let to = taps_over((size + pad).saturating_sub(start));
    from.min(kernel)..to.min(kernel)
}

/// Calls `body(output pixel, rows of taps, columns of taps, input pixel of tap 0 (wrapping))` for every output pixel.
#[inline(always)]
fn for_pixels(
    shape: &ConvShape,
    mut body: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>, usize),
) {
    for oy in 0..shape.out_h {
        let top = oy * shape.stride.0;
        let ky = taps(top, shape.pad.0, shape.dilation.0, shape.kernel_h, shape.in_h);
        for ox in 0..shape.out_w {
            let left = ox * shape.stride.1;
            let kx = taps(left, shape.pad.1, shape.dilation.1, shape.kernel_w, shape.in_w);
            let first = top.wrapping_sub(shape.pad.0).wrapping_mul(shape.in_w);
            let first = first.wrapping_add(left.wrapping_sub(shape.pad.1));
            body(oy * shape.out_w + ox, ky.clone(), kx, first);
        }
    }
}

multiversion! {
    fn forward(out: &mut [f32], x: &[f32], w: &[f32], shape: &ConvShape) {
        if shape.in_c == shape.out_c {
            forward_single(out, x, w, shape);
        } else {
            forward_multiple(out, x, w, shape);
        }
    }
}

/// One kernel for each channel: blocks of channels are summed over all taps before they are stored.
#[inline(always)]
fn forward_single(out: &mut [f32], x: &[f32], w: &[f32], shape: &ConvShape) {
    let c = shape.in_c;
    for_pixels(
        shape,
        #[inline(always)]
        |pixel, ky, kx, first| {
            let out = &mut out[pixel * c..(pixel + 1) * c];
            let places = |ky: usize, kx: usize| {
                let place = ky * shape.dilation.0 * shape.in_w + kx * shape.dilation.1;
                (first.wrapping_add(place) * c, (ky * shape.kernel_w + kx) * c)
            };
            let (blocks, rest) = out.as_chunks_mut::<LANES>();
            let done = c - rest.len();
            for (i, block) in blocks.iter_mut().enumerate() {
                let mut sums = *block;
                for ky in ky.clone() {
                    for kx in kx.clone() {
                        let (at, tap) = places(ky, kx);
                        let x = x[at + i * LANES..].first_chunk::<LANES>();
                        let w = w[tap + i * LANES..].first_chunk::<LANES>();
                        if let (Some(x), Some(w)) = (x, w) {
                            for lane in 0..LANES {
                                sums[lane] += x[lane] * w[lane];
                            }
                        }
                    }
                }
                *block = sums;
            }
            if rest.is_empty() {
                return;
            }
            for ky in ky {
                for kx in kx.clone() {
                    let (at, tap) = places(ky, kx);
                    let (x, w) = (&x[at + done..at + c], &w[tap + done..tap + c]);
                    for ((sum, x), w) in rest.iter_mut().zip(x).zip(w) {
                        *sum += x * w;
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn forward_multiple(out: &mut [f32], x: &[f32], w: &[f32], shape: &ConvShape) {
    let (c, oc) = (shape.in_c, shape.out_c);
    let m = oc / c;
    for_taps(
        shape,
        #[inline(always)]
        |o, i, t| {
            let (out, x, w) = (&mut out[o..o + oc], &x[i..i + c], &w[t..t + oc]);
            for ((y, &x), w) in out.chunks_exact_mut(m).zip(x).zip(w.chunks_exact(m)) {
                for (y, w) in y.iter_mut().zip(w) {
                    *y += x * w;
                }
            }
        },
    );
}

/// Calls `body(output offset, input offset, kernel offset, channels)` for blocks of at most [`LANES`] channels of every
/// pair of an output pixel and a tap within the input; the taps of a block follow each other.
#[inline(always)]
fn for_blocks(shape: &ConvShape, mut body: impl FnMut(usize, usize, usize, usize)) {
    let c = shape.in_c;
    for_pixels(
        shape,
        #[inline(always)]
        |pixel, ky, kx, first| {
            for from in (0..c).step_by(LANES) {
                let len = LANES.min(c - from);
                for ky in ky.clone() {
                    for kx in kx.clone() {
                        let place = ky * shape.dilation.0 * shape.in_w + kx * shape.dilation.1;
                        let input = first.wrapping_add(place) * c + from;
                        body(pixel * c + from, input, (ky * shape.kernel_w + kx) * c + from, len);
                    }
                }
            }
        },
    );
}

/// `sums += a * b`, without a loop's overhead where the length is [`LANES`].
#[inline(always)]
fn add_products(sums: &mut [f32], a: &[f32], b: &[f32]) {
    if let (Some(sums), Some(a), Some(b)) =
        (sums.first_chunk_mut::<LANES>(), a.first_chunk::<LANES>(), b.first_chunk::<LANES>())
    {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
        return;
    }
    for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
        *sum += a * b;
    }
}

multiversion! {
    fn backward(dx: &mut [f32], dy: &[f32], w: &[f32], shape: &ConvShape) {
        let (c, oc) = (shape.in_c, shape.out_c);
        let m = oc / c;
        if m == 1 {
            for_blocks(shape, #[inline(always)] |o, i, t, len| {
                add_products(&mut dx[i..i + len], &dy[o..o + len], &w[t..t + len]);
            });
            return;
        }
        for_taps(shape, #[inline(always)] |o, i, t| {
            let (dy, dx, w) = (&dy[o..o + oc], &mut dx[i..i + c], &w[t..t + oc]);
            for ((dx, dy), w) in dx.iter_mut().zip(dy.chunks_exact(m)).zip(w.chunks_exact(m)) {
                for (dy, w) in dy.iter().zip(w) {
                    *dx += dy * w;
                }
            }
        });
    }
}

multiversion! {
    fn weight(dw: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape) {
        let (c, oc) = (shape.in_c, shape.out_c);
        let m = oc / c;
        if m == 1 {
            for_blocks(shape, #[inline(always)] |o, i, t, len| {
                add_products(&mut dw[t..t + len], &x[i..i + len], &dy[o..o + len]);
            });
            return;
        }
        for_taps(shape, #[inline(always)] |o, i, t| {
            let (dy, x, dw) = (&dy[o..o + oc], &x[i..i + c], &mut dw[t..t + oc]);
            for ((dw, dy), &x) in dw.chunks_exact_mut(m).zip(dy.chunks_exact(m)).zip(x) {
                for (dw, dy) in dw.iter_mut().zip(dy) {
                    *dw += dy * x;
                }
            }
        });
    }
}
