//! Batch normalization over channels, for rows of any meaning (samples, or samples and positions).
//!
//! Rows are processed in wide loops: as many complete rows as reach some hundreds of values, next to the channels'
//! values repeated as often. Single-precision sums cover short blocks; the sums of blocks are combined in order.

use super::dispatch::multiversion;
use super::elementwise::{fold, wide, with_repeated};
use super::epilogue::{Epilogue, GradientSink};
use super::gate::{Gate, gate_words};
use super::{lanes, scratch, split};

/// Wide rows per block of sums.
const SHORT: usize = 256;

/// Values that are gated or normalized at a time, few enough to stay in the first-level cache.
const BLOCK: usize = 1 << 12;

/// Length of the [moments](add_moments) of rows: the number of rows, then the mean of each channel, then the sums of
/// squared deviations from the means. All zeros for no rows.
#[must_use]
pub const fn moment_sums(channels: usize) -> usize {
    1 + 2 * channels
}

/// Adds rows of one value per channel to `sums`, the [moments](moment_sums) of earlier rows. Each block is taken
/// relative to its first row, so that values far from zero lose no digits; blocks are combined in double precision.
///
/// # Panics
/// If there are no channels, or `sums` has the wrong length.
pub fn add_moments(sums: &mut [f64], x: &[f32], threads: usize) {
    let c = sums.len() / 2;
    assert!(sums.len() == moment_sums(c) && c > 0, "moments of at least one channel");
    let wide = wide(c);
    let block = SHORT * wide;
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    scratch::with(x.len().div_ceil(block) * 3 * c, |parts| {
        split::for_chunks(threads, parts, 3 * c, |i, part| {
            let x = &x[i * block..((i + 1) * block).min(x.len())];
            let (first, part) = part.split_at_mut(c);
            let (sums, squares) = part.split_at_mut(c);
            first.copy_from_slice(&x[..c]);
            sums.fill(0.0);
            squares.fill(0.0);
            with_repeated([first], |[first]| {
                scratch::with(2 * wide, |memory| {
                    memory.fill(0.0);
                    let (wide_sums, wide_squares) = memory.split_at_mut(wide);
                    deviations(wide_sums, wide_squares, x, first);
                    fold(sums, wide_sums);
                    fold(squares, wide_squares);
                });
            });
        });
        for (i, part) in parts.chunks_exact(3 * c).enumerate() {
            let rows = (((i + 1) * block).min(x.len()) / c - i * block / c) as f64;
            let inverse = 1.0 / rows;
            let (first, part) = part.split_at(c);
            let moments = first.iter().zip(part[..c].iter().zip(&part[c..])).map(|(first, (sum, square))| {
                let (sum, square) = (f64::from(*sum), f64::from(*square));
                (f64::from(*first) + sum * inverse, square - sum * sum * inverse)
            });
            join(sums, rows, moments);
        }
    });
}

/// Adds the [moments](moment_sums) of other rows to `sums`.
///
/// # Panics
/// If the lengths differ.
pub fn join_moments(sums: &mut [f64], more: &[f64]) {
    assert_eq!(sums.len(), more.len(), "moments of equally many channels");
    let c = sums.len() / 2;
    let (means, squares) = more[1..].split_at(c);
    join(sums, more[0], means.iter().copied().zip(squares.iter().copied()));
}

/// Combines the moments of two sets of rows (Chan, Golub and `LeVeque`, 1983).
fn join(sums: &mut [f64], more: f64, moments: impl Iterator<Item = (f64, f64)>) {
    let c = sums.len() / 2;
    let before = sums[0];
    let rows = before + more;
    if more == 0.0 {
        return;
    }
    sums[0] = rows;
    let (fraction, both) = (more / rows, before * more / rows);
    let (means, squares) = sums[1..].split_at_mut(c);
    for ((own, own_squares), (mean, square)) in means.iter_mut().zip(squares).zip(moments) {
        let deviation = mean - *own;
        *own_squares += square + deviation * deviation * both;
        *own += deviation * fraction;
    }
}

/// Computes the mean and the biased variance of each channel from its [moments](moment_sums).
///
/// # Panics
/// If the slices do not have one value per channel.
pub fn finish_moments(sums: &[f64], mean: &mut [f32], variance: &mut [f32]) {
    let (rows, (means, squares)) = (sums[0], sums[1..].split_at(sums.len() / 2));
    assert!(
        mean.len() == means.len() && variance.len() == means.len(),
        "one mean and one variance per channel"
    );
    for (to, from) in mean.iter_mut().zip(means) {
        *to = *from as f32;
    }
    for (to, squares) in variance.iter_mut().zip(squares) {
        *to = (squares / rows) as f32;
    }
}

/// Computes the mean and biased variance of each channel in one pass.
///
/// # Panics
/// If `mean` and `variance` differ in length or are empty.
pub fn moments(mean: &mut [f32], variance: &mut [f32], x: &[f32], threads: usize) {
    let mut sums = vec![0.0; moment_sums(mean.len())];
    add_moments(&mut sums, x, threads);
    finish_moments(&sums, mean, variance);
}

/// Gradient of [`moments`]: `dx = (d_mean + 2 (x - mean) d_variance) / rows`.
///
/// # Panics
/// If slices differ in length.
pub fn moments_gradient(
    dx: &mut [f32],
    x: &[f32],
    mean: &[f32],
    (d_mean, d_variance): (&[f32], &[f32]),
    threads: usize,
) {
    let rows = 1.0 / (x.len() / mean.len()) as f32;
    scratch::with(2 * mean.len(), |memory| {
        let (shift, slope) = memory.split_at_mut(mean.len());
        shift.iter_mut().zip(d_mean).for_each(|(to, d)| *to = d * rows);
        slope.iter_mut().zip(d_variance).for_each(|(to, d)| *to = 2.0 * d * rows);
        normalize(dx, x, mean, (slope, shift), threads);
    });
}

/// `out = (x - mean) scale + shift`, each per channel.
///
/// # Panics
/// If slices differ in length.
pub fn normalize(out: &mut [f32], x: &[f32], mean: &[f32], affine: (&[f32], &[f32]), threads: usize) {
    let epilogue = Epilogue { bias: None, gate: Gate::LINEAR, bits: &mut [] };
    normalize_gated(out, x, mean, affine, epilogue, threads);
}

fn normalize_gated(
    out: &mut [f32],
    x: &[f32],
    mean: &[f32],
    (scale, shift): (&[f32], &[f32]),
    epilogue: Epilogue<'_>,
    threads: usize,
) {
    let Epilogue { bias, gate, bits } = epilogue;
    let c = mean.len();
    let block = block(c);
    let words = if bits.is_empty() { 0 } else { gate_words(block / c, c) };
    let plain = gate == Gate::LINEAR && bias.is_none() && words == 0;
    let threads = split::useful(threads, out.len() * split::ELEMENT_COST);
    with_repeated([mean, scale, shift], |[mean, scale, shift]| {
        split::for_chunks2(threads, (out, block), (bits, words), |i, out, bits| {
            normalize_rows(out, &x[i * block..][..out.len()], mean, scale, shift);
            if !plain {
                lanes::apply(out, bias, &gate, bits, c);
            }
        });
    });
}

/// Batch normalization in training: `y = gamma (x - mean) / sqrt(variance + epsilon) + beta` with the moments of this
/// batch, which are returned in `mean` and `variance`.
///
/// # Panics
/// If slices differ in length.
pub fn batch_norm(
    out: &mut [f32],
    (mean, variance): (&mut [f32], &mut [f32]),
    x: &[f32],
    affine: (&[f32], &[f32]),
    epsilon: f32,
    threads: usize,
) {
    moments(mean, variance, x, threads);
    let epilogue = Epilogue { bias: None, gate: Gate::LINEAR, bits: &mut [] };
    batch_norm_fused(out, x, affine, (mean, variance), epsilon, epilogue, threads);
}

/// [`batch_norm`] with given moments and an epilogue: in training after [`moments`], in inference with the moving
/// averages.
///
/// # Panics
/// If slices differ in length.
pub fn batch_norm_fused(
    out: &mut [f32],
    x: &[f32],
    (gamma, beta): (&[f32], &[f32]),
    (mean, variance): (&[f32], &[f32]),
    epsilon: f32,
    epilogue: Epilogue<'_>,
    threads: usize,
) {
    scratch::with(mean.len(), |scale| {
        for (scale, (gamma, variance)) in scale.iter_mut().zip(gamma.iter().zip(variance)) {
            *scale = gamma / (variance + epsilon).sqrt();
        }
        normalize_gated(out, x, mean, (scale, beta), epilogue, threads);
    });
}

/// Gradient of [`batch_norm`] with respect to its input, gamma and beta, through the moments.
///
/// # Panics
/// If slices differ in length.
pub fn batch_norm_gradient(
    (dx, d_gamma, d_beta): (&mut [f32], &mut [f32], &mut [f32]),
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    moments: (&[f32], &[f32]),
    epsilon: f32,
    threads: usize,
) {
    let c = gamma.len();
    let rows = x.len() / c.max(1);
    let mut sums = vec![0.0; 2 * c];
    add_gradient_sums(&mut sums, dy, x, moments.0, threads);
    parameter_gradients((d_gamma, d_beta), &sums, moments.1, epsilon);
    let sink = GradientSink::default();
    input_gradient_into(dx, dy, x, gamma, moments, (&sums, rows), epsilon, sink, threads);
}

/// Adds the sums over rows that the gradient of batch normalization needs: the sum of `dy` per channel, followed by
/// the sums of `dy (x - mean)`.
///
/// # Panics
/// If slices differ in length.
pub fn add_gradient_sums(sums: &mut [f64], dy: &[f32], x: &[f32], mean: &[f32], threads: usize) {
    let c = mean.len();
    assert_eq!(sums.len(), 2 * c, "two sums per channel");
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    with_repeated([mean], |[mean]| {
        let wide = mean.len();
        let block = SHORT * wide;
        scratch::with(x.len().div_ceil(block) * 2 * c, |parts| {
            parts.fill(0.0);
            split::for_chunks(threads, parts, 2 * c, |i, part| {
                scratch::with(2 * wide, |memory| {
                    memory.fill(0.0);
                    let (wide_sums, products) = memory.split_at_mut(wide);
                    let range = i * block..((i + 1) * block).min(x.len());
                    sum_products(wide_sums, products, &dy[range.clone()], &x[range], mean);
                    let (beta, gamma) = part.split_at_mut(c);
                    fold(beta, wide_sums);
                    fold(gamma, products);
                });
            });
            for part in parts.chunks_exact(2 * c) {
                sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += f64::from(*part));
            }
        });
    });
}

/// Gradients of gamma and beta from the sums over all rows (see [`add_gradient_sums`]).
///
/// # Panics
/// If slices differ in length.
pub fn parameter_gradients(
    (d_gamma, d_beta): (&mut [f32], &mut [f32]),
    sums: &[f64],
    variance: &[f32],
    epsilon: f32,
) {
    let (beta, gamma) = sums.split_at(variance.len());
    d_beta.iter_mut().zip(beta).for_each(|(to, from)| *to = *from as f32);
    for ((to, from), variance) in d_gamma.iter_mut().zip(gamma).zip(variance) {
        *to = *from as f32 / (variance + epsilon).sqrt();
    }
}

/// Gradient of batch normalization in training with respect to its input, through the moments, from the sums over all
/// `rows` (see [`add_gradient_sums`]). The gate bits of `sink` are those of the input.
///
/// # Panics
/// If slices differ in length.
#[expect(clippy::too_many_arguments, reason = "a gradient has as many operands")]
pub fn input_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    (mean, variance): (&[f32], &[f32]),
    (sums, rows): (&[f64], usize),
    epsilon: f32,
    sink: GradientSink<'_>,
    threads: usize,
) {
    let c = mean.len();
    let rows = rows as f32;
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    let (d_beta, d_gamma) = sums.split_at(c);
    scratch::with(3 * c, |memory| {
        // dx = scale (dy - mean(dy) - (x - mean) inverse^2 mean(dy (x - mean)))
        let (scale, memory) = memory.split_at_mut(c);
        let (shift, slope) = memory.split_at_mut(c);
        for channel in 0..c {
            let inverse = 1.0 / (variance[channel] + epsilon).sqrt();
            scale[channel] = gamma[channel] * inverse;
            slope[channel] = -scale[channel] * inverse * inverse * d_gamma[channel] as f32 / rows;
            shift[channel] = -scale[channel] * d_beta[channel] as f32 / rows;
        }
        with_repeated([mean, scale, slope, shift], |channels| {
            let block = block(c);
            split::for_chunks(threads, dx, block, |i, dx| {
                let (from, to) = (i * block, i * block + dx.len());
                gradient_rows(dx, &dy[from..to], &x[from..to], channels, sink.accumulate);
                if !sink.gate.is_empty() {
                    lanes::close(dx, &sink.gate[gate_words(from / c, c)..gate_words(to / c, c)], c);
                }
            });
        });
    });
}

/// Values of complete wide rows close to [`BLOCK`].
fn block(channels: usize) -> usize {
    (BLOCK / wide(channels)).max(1) * wide(channels)
}

multiversion! {
    /// Adds the deviations from `first` to `sums`, and their squares to `squares`.
    fn deviations(sums: &mut [f32], squares: &mut [f32], x: &[f32], first: &[f32]) {
        for x in x.chunks(first.len()) {
            for (((sum, square), x), first) in sums.iter_mut().zip(&mut *squares).zip(x).zip(first) {
                let deviation = x - first;
                *sum += deviation;
                *square += deviation * deviation;
            }
        }
    }
}

multiversion! {
    fn sum_products(sums: &mut [f32], products: &mut [f32], dy: &[f32], x: &[f32], mean: &[f32]) {
        let c = mean.len();
        for (dy, x) in dy.chunks(c).zip(x.chunks(c)) {
            let channels = sums.iter_mut().zip(&mut *products).zip(mean);
            for (((sum, product), mean), (dy, x)) in channels.zip(dy.iter().zip(x)) {
                *sum += dy;
                *product += dy * (x - mean);
            }
        }
    }
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
    fn gradient_rows(dx: &mut [f32], dy: &[f32], x: &[f32], channels: [&[f32]; 4], accumulate: bool) {
        let [mean, scale, slope, shift] = channels;
        let c = mean.len();
        for ((dx, dy), x) in dx.chunks_mut(c).zip(dy.chunks(c)).zip(x.chunks(c)) {
            let channels = mean.iter().zip(scale).zip(slope).zip(shift);
            if accumulate {
                for (((dx, dy), x), (((m, a), b), s)) in dx.iter_mut().zip(dy).zip(x).zip(channels) {
                    *dx += dy * a + ((x - m) * b + s);
                }
            } else {
                for (((dx, dy), x), (((m, a), b), s)) in dx.iter_mut().zip(dy).zip(x).zip(channels) {
                    *dx = dy * a + ((x - m) * b + s);
                }
            }
        }
    }
}
