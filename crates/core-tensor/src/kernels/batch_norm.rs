//! Batch normalization of row-major (rows, channels), whatever the rows are (batch, or batch and positions).

use super::dispatch::multiversion;
use super::elementwise::{sum_channels, wide, widened};
use super::epilogue::{Epilogue, GradientSink, apply_gate_in_place, close_gate};
use super::matmul::column_sums;
use super::{scratch, split};

/// Mean and biased variance of every channel, in two passes.
///
/// # Panics
/// Where `mean` and `variance` differ in length or are empty.
pub fn moments(mean: &mut [f32], variance: &mut [f32], x: &[f32], threads: usize) {
    let scale = 1.0 / (x.len() / mean.len()) as f32;
    column_sums(mean, x, threads);
    mean.iter_mut().for_each(|m| *m *= scale);
    sum_channels_of_one(variance, x, mean, threads);
    variance.iter_mut().for_each(|v| *v *= scale);
}

fn sum_channels_of_one(sums: &mut [f32], x: &[f32], mean: &[f32], threads: usize) {
    sum_channels(sums, x, x, mean, |_, x, m| (x - m) * (x - m), threads);
}

/// Gradient of [`moments`]: `dx = (d_mean + 2 (x - mean) d_variance) / rows`.
///
/// # Panics
/// Where slices disagree in length.
pub fn moments_gradient(
    dx: &mut [f32],
    x: &[f32],
    mean: &[f32],
    (d_mean, d_variance): (&[f32], &[f32]),
    threads: usize,
) {
    let scale = 1.0 / (x.len() / mean.len()) as f32;
    let shift: Vec<f32> = d_mean.iter().map(|d| d * scale).collect();
    let slope: Vec<f32> = d_variance.iter().map(|d| 2.0 * d * scale).collect();
    let (mean, slope, shift) = (widened(mean), widened(&slope), widened(&shift));
    for_rows(dx, mean.len(), threads, |dx, at| {
        normalize_rows(dx, &x[at..][..dx.len()], &mean, &slope, &shift);
    });
}

/// `out = (x - mean) scale + shift`, each per channel.
///
/// # Panics
/// Where slices disagree in length.
pub fn normalize(out: &mut [f32], x: &[f32], mean: &[f32], (scale, shift): (&[f32], &[f32]), threads: usize) {
    let (mean, scale, shift) = (widened(mean), widened(scale), widened(shift));
    for_rows(out, mean.len(), threads, |out, at| {
        normalize_rows(out, &x[at..][..out.len()], &mean, &scale, &shift);
    });
}

/// Batch normalization in training: `y = gamma (x - mean) / sqrt(variance + epsilon) + beta` with the moments of
/// this batch, which it leaves in `mean` and `variance`.
///
/// # Panics
/// Where slices disagree in length.
pub fn batch_norm(
    out: &mut [f32],
    (mean, variance): (&mut [f32], &mut [f32]),
    x: &[f32],
    (gamma, beta): (&[f32], &[f32]),
    epsilon: f32,
    threads: usize,
) {
    moments(mean, variance, x, threads);
    let scale: Vec<f32> = gamma.iter().zip(&*variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    normalize(out, x, mean, (&scale, beta), threads);
}

/// Gradient of [`batch_norm`] for its input, gamma and beta, through the moments.
///
/// # Panics
/// Where slices disagree in length.
pub fn batch_norm_gradient(
    (dx, d_gamma, d_beta): (&mut [f32], &mut [f32], &mut [f32]),
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    (mean, variance): (&[f32], &[f32]),
    epsilon: f32,
    threads: usize,
) {
    let rows = (x.len() / mean.len()) as f32;
    column_sums(d_beta, dy, threads);
    sum_channels(d_gamma, dy, x, mean, |dy, x, m| dy * (x - m), threads);
    let inverse: Vec<f32> = variance.iter().map(|v| 1.0 / (v + epsilon).sqrt()).collect();
    let scale: Vec<f32> = gamma.iter().zip(&inverse).map(|(g, i)| g * i).collect();
    // dx = scale (dy - mean(dy) - (x - mean) inverse^2 mean(dy (x - mean)))
    let slope: Vec<f32> =
        (0..mean.len()).map(|c| -scale[c] * inverse[c] * inverse[c] * d_gamma[c] / rows).collect();
    let shift: Vec<f32> = (0..mean.len()).map(|c| -scale[c] * d_beta[c] / rows).collect();
    if !dx.is_empty() {
        let (mean, scale, slope, shift) = (widened(mean), widened(&scale), widened(&slope), widened(&shift));
        for_rows(dx, mean.len(), threads, |dx, at| {
            let range = at..at + dx.len();
            gradient_rows(dx, &dy[range.clone()], &x[range], &mean, &scale, &slope, &shift);
        });
    }
    d_gamma.iter_mut().zip(&inverse).for_each(|(d, i)| *d *= i);
}

/// [`batch_norm`] by given moments, with function and record of the gate: in training after [`moments`], in
/// inference with the moving ones.
///
/// # Panics
/// Where slices disagree in length.
pub fn batch_norm_fused(
    out: &mut [f32],
    x: &[f32],
    (gamma, beta): (&[f32], &[f32]),
    (mean, variance): (&[f32], &[f32]),
    epsilon: f32,
    epilogue: Epilogue<'_>,
    threads: usize,
) {
    let scale: Vec<f32> = gamma.iter().zip(variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    normalize(out, x, mean, (&scale, beta), threads);
    apply_gate_in_place(out, epilogue, mean.len(), threads);
}

/// Gradient of batch normalization in training for its input, gamma and beta, through the moments. `bits` are the
/// gate bits of its own output (empty: `dy` is that before the gate already); the sink's are those of its input.
/// Without `dx` (empty) only the parameters' gradients are computed.
///
/// # Panics
/// Where slices disagree in length.
pub fn batch_norm_gradient_into(
    (dx, d_gamma, d_beta): (&mut [f32], &mut [f32], &mut [f32]),
    (dy, bits): (&[f32], &[u16]),
    x: &[f32],
    gamma: &[f32],
    (mean, variance): (&[f32], &[f32]),
    epsilon: f32,
    sink: GradientSink<'_>,
    threads: usize,
) {
    let channels = mean.len();
    scratch::with(dy.len(), |gated| {
        gated.copy_from_slice(dy);
        close_gate(gated, bits, channels, threads);
        scratch::with(dx.len(), |fresh| {
            let gradients = (&mut *fresh, d_gamma, d_beta);
            batch_norm_gradient(gradients, gated, x, gamma, (mean, variance), epsilon, threads);
            for (dx, &fresh) in dx.iter_mut().zip(&*fresh) {
                *dx = if sink.accumulate { *dx + fresh } else { fresh };
            }
        });
    });
    if !dx.is_empty() {
        close_gate(dx, sink.gate, channels, threads);
    }
}

/// `body(rows of out, their offset)` over blocks of whole rows.
fn for_rows(out: &mut [f32], channels: usize, threads: usize, body: impl Fn(&mut [f32], usize) + Sync) {
    let block = ((1 << 15) / wide(channels)).max(1) * wide(channels);
    let threads = split::useful(threads, out.len() * split::ELEMENT);
    split::for_chunks(threads, out, block, |i, out| body(out, i * block));
}

multiversion! {
    fn normalize_rows(out: &mut [f32], x: &[f32], mean: &[f32], scale: &[f32], shift: &[f32]) {
        let c = mean.len();
        for (out, x) in out.chunks_mut(c).zip(x.chunks(c)) {
            for ((((y, x), m), a), b) in out.iter_mut().zip(x).zip(mean).zip(scale).zip(shift) {
                *y = (x - m) * a + b;
            }
        }
    }
}

multiversion! {
    fn gradient_rows(
        dx: &mut [f32], dy: &[f32], x: &[f32], mean: &[f32], scale: &[f32], slope: &[f32], shift: &[f32],
    ) {
        let c = mean.len();
        for ((dx, dy), x) in dx.chunks_mut(c).zip(dy.chunks(c)).zip(x.chunks(c)) {
            let channels = mean.iter().zip(scale).zip(slope).zip(shift);
            for (((dx, dy), x), (((m, a), b), s)) in dx.iter_mut().zip(dy).zip(x).zip(channels) {
                *dx = dy * a + ((x - m) * b + s);
            }
        }
    }
}
