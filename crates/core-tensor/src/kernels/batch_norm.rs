//! Batch normalization over channels, whatever the rows are (batch, or batch and positions).
//!
//! Rows are passed over in wide loops: as many whole rows as reach some hundreds of values, with the channels' values
//! repeated alongside. Sums in single precision are those of short blocks; blocks are put together in their order.

use super::dispatch::multiversion;
use super::elementwise::{fold, wide, with_repeated};
use super::epilogue::{Epilogue, Gate, GradientSink, gate_words};
use super::{lanes, scratch, split};

/// Wide rows whose sums are one block.
const SHORT: usize = 256;

/// Values that are gated or normalized at a time, small enough to stay in the first-level cache.
const BLOCK: usize = 1 << 12;

/// Mean and biased variance of every channel, in one pass: each block's moments are taken about its first row, so that
/// values far from zero lose no digits, and put together in double precision (Chan, Golub and `LeVeque`, 1983).
///
/// # Panics
/// Where `mean` and `variance` differ in length or are empty.
pub fn moments(mean: &mut [f32], variance: &mut [f32], x: &[f32], threads: usize) {
    assert!(mean.len() == variance.len(), "one mean and one variance a channel");
    let (c, wide) = (mean.len(), wide(mean.len()));
    let block = SHORT * wide;
    let threads = split::useful(threads, x.len() * split::ELEMENT);
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
        let rows_of = |i: usize| ((i + 1) * block).min(x.len()) / c - i * block / c;
        for (channel, (mean, variance)) in mean.iter_mut().zip(variance).enumerate() {
            let (mut rows, mut middle, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
            for (i, part) in parts.chunks_exact(3 * c).enumerate() {
                let [first, sum, square] = [0, c, 2 * c].map(|at| f64::from(part[at + channel]));
                let more = rows_of(i) as f64;
                let deviation = first + sum / more - middle;
                squares += square - sum * sum / more + deviation * deviation * rows * more / (rows + more);
                rows += more;
                middle += deviation * more / rows;
            }
            *mean = middle as f32;
            *variance = (squares / rows) as f32;
        }
    });
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
/// Where slices disagree in length.
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
    let threads = split::useful(threads, out.len() * split::ELEMENT);
    with_repeated([mean, scale, shift], |[mean, scale, shift]| {
        split::for_chunks2(threads, (out, block), (bits, words), |i, out, bits| {
            normalize_rows(out, &x[i * block..][..out.len()], mean, scale, shift);
            if !plain {
                lanes::apply(out, bias, &gate, bits, c);
            }
        });
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
    affine: (&[f32], &[f32]),
    epsilon: f32,
    threads: usize,
) {
    moments(mean, variance, x, threads);
    let epilogue = Epilogue { bias: None, gate: Gate::LINEAR, bits: &mut [] };
    batch_norm_fused(out, x, affine, (mean, variance), epsilon, epilogue, threads);
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
    scratch::with(mean.len(), |scale| {
        for (scale, (gamma, variance)) in scale.iter_mut().zip(gamma.iter().zip(variance)) {
            *scale = gamma / (variance + epsilon).sqrt();
        }
        normalize_gated(out, x, mean, (scale, beta), epilogue, threads);
    });
}

/// Gradient of [`batch_norm`] for its input, gamma and beta, through the moments.
///
/// # Panics
/// Where slices disagree in length.
pub fn batch_norm_gradient(
    gradients: (&mut [f32], &mut [f32], &mut [f32]),
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    moments: (&[f32], &[f32]),
    epsilon: f32,
    threads: usize,
) {
    let sink = GradientSink::default();
    batch_norm_gradient_into(gradients, (dy, &[]), x, gamma, moments, epsilon, sink, threads);
}

/// Gradient of batch normalization in training for its input, gamma and beta, through the moments. `bits` are the
/// gate bits of its own output (empty: `dy` is that before the gate already); the sink's are those of its input.
/// Without `dx` (empty) only the parameters' gradients are computed.
///
/// # Panics
/// Where slices disagree in length.
#[expect(clippy::too_many_arguments, reason = "a gradient has as many operands")]
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
    let c = mean.len();
    let rows = (x.len() / c) as f32;
    let dy = Gated { values: dy, bits, channels: c };
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    scratch::with(4 * c, |memory| {
        let (both, memory) = memory.split_at_mut(2 * c);
        with_repeated([mean], |[mean]| product_sums(both, dy, x, mean, c, threads));
        d_beta.copy_from_slice(&both[..c]);
        d_gamma.copy_from_slice(&both[c..]);
        // dx = scale (dy - mean(dy) - (x - mean) inverse^2 mean(dy (x - mean)))
        let (scale, inverse) = memory.split_at_mut(c);
        let (shift, slope) = both.split_at_mut(c);
        for channel in 0..c {
            inverse[channel] = 1.0 / (variance[channel] + epsilon).sqrt();
            scale[channel] = gamma[channel] * inverse[channel];
            slope[channel] = -scale[channel] * inverse[channel] * inverse[channel] * d_gamma[channel] / rows;
            shift[channel] = -scale[channel] * d_beta[channel] / rows;
            d_gamma[channel] *= inverse[channel];
        }
        if !dx.is_empty() {
            with_repeated([mean, scale, slope, shift], |channels| {
                let block = block(c);
                split::for_chunks(threads, dx, block, |i, dx| {
                    let (from, to) = (i * block, i * block + dx.len());
                    dy.with(from, to, |dy| {
                        gradient_rows(dx, dy, &x[from..to], channels, sink.accumulate);
                    });
                    if !sink.gate.is_empty() {
                        lanes::close(dx, &sink.gate[gate_words(from / c, c)..gate_words(to / c, c)], c);
                    }
                });
            });
        }
    });
}

/// A gradient whose gate may have to be closed on it first.
#[derive(Clone, Copy)]
struct Gated<'a> {
    values: &'a [f32],
    bits: &'a [u16],
    channels: usize,
}

impl Gated<'_> {
    /// Calls `body` with the values `from..to`, whole rows, behind the gate.
    fn with<R>(&self, from: usize, to: usize, body: impl FnOnce(&[f32]) -> R) -> R {
        let (values, c) = (&self.values[from..to], self.channels);
        if self.bits.is_empty() {
            return body(values);
        }
        scratch::with(values.len(), |gated| {
            lanes::close_into(gated, values, &self.bits[gate_words(from / c, c)..gate_words(to / c, c)], c);
            body(gated)
        })
    }
}

/// Sums of `dy` and of `dy (x - mean)` of every channel, one after the other.
fn product_sums(both: &mut [f32], dy: Gated<'_>, x: &[f32], mean: &[f32], c: usize, threads: usize) {
    let (wide, part) = (mean.len(), block(c));
    let block = SHORT * wide;
    split::reduce(threads, x.len().div_ceil(block), both, |i, both| {
        scratch::with(2 * wide, |memory| {
            memory.fill(0.0);
            let (sums, products) = memory.split_at_mut(wide);
            let end = ((i + 1) * block).min(x.len());
            for from in (i * block..end).step_by(part) {
                let to = (from + part).min(end);
                dy.with(from, to, |dy| sum_products(sums, products, dy, &x[from..to], mean));
            }
            let (beta, gamma) = both.split_at_mut(c);
            fold(beta, sums);
            fold(gamma, products);
        });
    });
}

/// Values of whole wide rows near [`BLOCK`].
fn block(channels: usize) -> usize {
    (BLOCK / wide(channels)).max(1) * wide(channels)
}

multiversion! {
    /// Sums of the deviations from `first`, and of their squares.
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
