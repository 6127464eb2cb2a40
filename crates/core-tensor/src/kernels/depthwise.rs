//! Depthwise convolutions: every channel with kernels of its own.
//!
//! Kernel (height, width, channels, multiplier); output channel = channel * multiplier + j.

use super::conv::ConvShape;
use super::dispatch::multiversion;
use super::matmul::fill_rows;
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
    let threads = split::useful(threads, shape.work() * (split::ELEMENT / 4));
    split::for_chunks(threads, &mut out[..shape.output_len()], shape.out_sample(), |i, out| {
        match bias {
            Some(bias) => fill_rows(out, bias),
            None => out.fill(0.0),
        }
        forward(out, &x[i * shape.in_sample()..][..shape.in_sample()], &w[..kernel_len(shape)], shape);
    });
}

/// Gradient of [`depthwise`] for its input.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn depthwise_input_gradient(dx: &mut [f32], dy: &[f32], w: &[f32], shape: &ConvShape, threads: usize) {
    let threads = split::useful(threads, shape.work() * (split::ELEMENT / 4));
    split::for_chunks(threads, &mut dx[..shape.input_len()], shape.in_sample(), |i, dx| {
        dx.fill(0.0);
        backward(dx, &dy[i * shape.out_sample()..][..shape.out_sample()], &w[..kernel_len(shape)], shape);
    });
}

/// Gradient of [`depthwise`] for its kernel.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn depthwise_weight_gradient(dw: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape, threads: usize) {
    let parts = shape.batch.min(8);
    let threads = split::useful(threads, shape.work() * (split::ELEMENT / 4));
    split::reduce(threads, parts, &mut dw[..kernel_len(shape)], |part, dw| {
        for i in part * shape.batch / parts..(part + 1) * shape.batch / parts {
            let x = &x[i * shape.in_sample()..][..shape.in_sample()];
            weight(dw, x, &dy[i * shape.out_sample()..][..shape.out_sample()], shape);
        }
    });
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

multiversion! {
    fn forward(out: &mut [f32], x: &[f32], w: &[f32], shape: &ConvShape) {
        let (c, oc) = (shape.in_c, shape.out_c);
        let m = oc / c;
        for_taps(shape, |o, i, t| {
            let (out, x, w) = (&mut out[o..o + oc], &x[i..i + c], &w[t..t + oc]);
            if m == 1 {
                for ((y, x), w) in out.iter_mut().zip(x).zip(w) {
                    *y += x * w;
                }
            } else {
                for ((y, &x), w) in out.chunks_exact_mut(m).zip(x).zip(w.chunks_exact(m)) {
                    for (y, w) in y.iter_mut().zip(w) {
                        *y += x * w;
                    }
                }
            }
        });
    }
}

multiversion! {
    fn backward(dx: &mut [f32], dy: &[f32], w: &[f32], shape: &ConvShape) {
        let (c, oc) = (shape.in_c, shape.out_c);
        let m = oc / c;
        for_taps(shape, |o, i, t| {
            let (dy, dx, w) = (&dy[o..o + oc], &mut dx[i..i + c], &w[t..t + oc]);
            if m == 1 {
                for ((dx, dy), w) in dx.iter_mut().zip(dy).zip(w) {
                    *dx += dy * w;
                }
            } else {
                for ((dx, dy), w) in dx.iter_mut().zip(dy.chunks_exact(m)).zip(w.chunks_exact(m)) {
                    for (dy, w) in dy.iter().zip(w) {
                        *dx += dy * w;
                    }
                }
            }
        });
    }
}

multiversion! {
    fn weight(dw: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape) {
        let (c, oc) = (shape.in_c, shape.out_c);
        let m = oc / c;
        for_taps(shape, |o, i, t| {
            let (dy, x, dw) = (&dy[o..o + oc], &x[i..i + c], &mut dw[t..t + oc]);
            if m == 1 {
                for ((dw, dy), x) in dw.iter_mut().zip(dy).zip(x) {
                    *dw += dy * x;
                }
            } else {
                for ((dw, dy), &x) in dw.chunks_exact_mut(m).zip(dy.chunks_exact(m)).zip(x) {
                    for (dw, dy) in dw.iter_mut().zip(dy) {
                        *dw += dy * x;
                    }
                }
            }
        });
    }
}
