//! Softmax over the last axis, and its cross-entropy loss.
#![expect(unsafe_code, reason = "vector instructions")]

use super::dispatch::multiversion;
use super::lanes::{LANES, by_lanes};
use super::math::{exp, ln};
use super::split;
use super::tile::simd::Simd;

/// Elements per block of work, which is at least one row.
const BLOCK: usize = 1 << 13;

/// Maximum number of blocks over which the loss of a batch is summed.
const MAX_SUMS: usize = 64;

/// Up to this number of classes, sixteen rows are computed side by side.
const MAX_LANE_CLASSES: usize = 32;

/// `out[r, c] = e^x[r, c] / sum over c of e^x[r, c]`. Subtracts each row's maximum first, which prevents overflow.
///
/// # Panics
/// If `classes` is 0 or `x` shorter than `out`.
pub fn softmax(out: &mut [f32], x: &[f32], classes: usize, threads: usize) {
    let block = rows(classes) * classes;
    split::for_chunks(split::useful(threads, x.len() * split::ELEMENT_COST), out, block, |i, out| {
        softmax_rows(out, &x[i * block..][..out.len()], classes);
    });
}

/// Gradient of [`softmax`], from its output `y`: `dx = y (dy - sum over c of dy y)`.
///
/// # Panics
/// If `classes` is 0 or a slice is shorter than `dx`.
pub fn softmax_gradient(dx: &mut [f32], dy: &[f32], y: &[f32], classes: usize, threads: usize) {
    let block = rows(classes) * classes;
    split::for_chunks(split::useful(threads, y.len() * split::ELEMENT_COST), dx, block, |i, dx| {
        let range = i * block..i * block + dx.len();
        softmax_gradient_rows(dx, &dy[range.clone()], &y[range], classes);
    });
}

/// Targets of the rows.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// One class index per row.
    Classes(&'a [u32]),
    /// One distribution per row, row-major like the logits.
    Distributions(&'a [f32]),
}

/// Softmax cross-entropy, averaged over rows: `-sum over c of t[c] ln softmax(z)[c]`, with smoothed targets `t (1 -
/// smoothing) + smoothing / classes`. Returns the loss. Unless empty, `gradient` receives the gradient with respect
/// to the logits.
///
/// # Panics
/// If a slice is shorter than `logits` requires, or a class index is out of range.
#[must_use]
pub fn softmax_cross_entropy(
    gradient: &mut [f32],
    logits: &[f32],
    targets: Targets<'_>,
    smoothing: f32,
    classes: usize,
    threads: usize,
) -> f32 {
    let count = logits.len() / classes;
    // One sum per block of rows, added in order.
    let mut sums = [0.0_f64; MAX_SUMS];
    let rows = rows(classes).min(1 << 8).max(count.div_ceil(MAX_SUMS));
    let sums = &mut sums[..count.div_ceil(rows)];
    let scale = 1.0 / count as f32;
    // An exponential takes about 12 times as long as loading and storing an element.
    let threads = split::useful(threads, 12 * logits.len() * split::ELEMENT_COST);
    let step = if gradient.is_empty() { 0 } else { rows * classes };
    split::for_chunks2(threads, (&mut *sums, 1), (gradient, step), |i, sum, gradient| {
        let mine = i * rows..((i + 1) * rows).min(count);
        let logits = &logits[mine.start * classes..mine.end * classes];
        let targets = match targets {
            Targets::Classes(t) => Targets::Classes(&t[mine]),
            Targets::Distributions(t) => Targets::Distributions(&t[mine.start * classes..mine.end * classes]),
        };
        if classes <= MAX_LANE_CLASSES {
            cross_entropy_lanes(&mut sum[0], gradient, logits, targets, (smoothing, scale), classes);
        } else {
            sum[0] = cross_entropy_rows(gradient, logits, targets, (smoothing, scale), classes);
        }
    });
    (sums.iter().sum::<f64>() / count as f64) as f32
}

const fn rows(classes: usize) -> usize {
    let rows = BLOCK / classes;
    if rows == 0 { 1 } else { rows }
}

/// The maximum; NaN if any element is NaN.
#[inline(always)]
fn greatest(row: &[f32]) -> f32 {
    let mut best = f32::NEG_INFINITY;
    for &v in row {
        best = if (v > best) | v.is_nan() { v } else { best };
    }
    best
}

multiversion! {
    fn softmax_rows(out: &mut [f32], x: &[f32], classes: usize) {
        for (out, x) in out.chunks_exact_mut(classes).zip(x.chunks_exact(classes)) {
            let top = greatest(x);
            for (y, &x) in out.iter_mut().zip(x) {
                *y = exp(x - top);
            }
            let scale = 1.0 / out.iter().sum::<f32>();
            out.iter_mut().for_each(|y| *y *= scale);
        }
    }
}

multiversion! {
    fn softmax_gradient_rows(dx: &mut [f32], dy: &[f32], y: &[f32], classes: usize) {
        for ((dx, dy), y) in dx.chunks_exact_mut(classes).zip(dy.chunks_exact(classes)).zip(y.chunks_exact(classes)) {
            let dot: f32 = dy.iter().zip(y).map(|(dy, y)| dy * y).sum();
            for ((dx, dy), y) in dx.iter_mut().zip(dy).zip(y) {
                *dx = y * (dy - dot);
            }
        }
    }
}

multiversion! {
    fn cross_entropy_rows(
        gradient: &mut [f32], logits: &[f32], targets: Targets<'_>, smoothing: (f32, f32), classes: usize,
    ) -> f64 {
        let (smoothing, scale) = smoothing;
        let spread = smoothing / classes as f32;
        let mut total = 0.0_f64;
        for (r, z) in logits.chunks_exact(classes).enumerate() {
            let top = greatest(z);
            let mut sum = 0.0_f32;
            for &z in z {
                sum += exp(z - top);
            }
            let log_sum = top + ln(sum);
            let (mut loss, mut mass) = (0.0_f32, 0.0_f32);
            let mut add = |t: f32, z: f32| {
                let t = t * (1.0 - smoothing) + spread;
                mass += t;
                // A target of 0 contributes nothing, even if the logit is minus infinity.
                loss += if t == 0.0 { 0.0 } else { t * (log_sum - z) };
                t
            };
            let row = if gradient.is_empty() { &mut [][..] } else { &mut gradient[r * classes..(r + 1) * classes] };
            let mut target = |c: usize| match targets {
                Targets::Classes(t) => add(if t[r] as usize == c { 1.0 } else { 0.0 }, z[c]),
                Targets::Distributions(t) => add(t[r * classes + c], z[c]),
            };
            if row.is_empty() {
                for c in 0..classes {
                    target(c);
                }
            } else {
                for (c, g) in row.iter_mut().enumerate() {
                    *g = -target(c);
                }
                let factor = mass / sum;
                for (g, &z) in row.iter_mut().zip(z) {
                    *g = (*g + exp(z - top) * factor) * scale;
                }
            }
            total += f64::from(loss);
        }
        total
    }
}

by_lanes! {
    /// [`cross_entropy_rows`] for few classes, added to `total`, with one row per lane.
    fn cross_entropy_lanes<S>(
        total: &mut f64, gradient: &mut [f32], logits: &[f32], targets: Targets<'_>, smoothing: (f32, f32),
        classes: usize,
    ) {
        let (smoothing, scale) = smoothing;
        let spread = smoothing / classes as f32;
        let keep = 1.0 - smoothing;
        let mut totals = [0.0_f64; LANES];
        // Logits, their exponentials and targets of sixteen rows.
        let mut z = [[0.0_f32; LANES]; MAX_LANE_CLASSES];
        let mut e = [[0.0_f32; LANES]; MAX_LANE_CLASSES];
        let mut t = [[0.0_f32; LANES]; MAX_LANE_CLASSES];
        let rows = logits.len() / classes;
        assert!(gradient.is_empty() || gradient.len() >= rows * classes, "the gradient holds every row");
        for first in (0..rows).step_by(LANES) {
            let count = LANES.min(rows - first);
            let block = first * classes..(first + count) * classes;
            // SAFETY: guaranteed by the caller.
            unsafe { columns::<S>(&mut z, &logits[block.clone()], classes) };
            match targets {
                Targets::Classes(all) => {
                    let mut labels = [0; LANES];
                    labels[..count].copy_from_slice(&all[first..first + count]);
                    assert!(labels.iter().all(|&label| (label as usize) < classes), "labels are valid classes");
                    for (c, t) in t.iter_mut().enumerate().take(classes) {
                        for (t, label) in t.iter_mut().zip(labels) {
                            *t = if label == c as u32 { keep + spread } else { spread };
                        }
                    }
                }
                Targets::Distributions(values) => {
                    // SAFETY: guaranteed by the caller.
                    unsafe { columns::<S>(&mut t, &values[block.clone()], classes) };
                    t[..classes].iter_mut().flatten().for_each(|t| *t = *t * keep + spread);
                }
            }
            let mut top = [f32::NEG_INFINITY; LANES];
            for z in &z[..classes] {
                for (top, &z) in top.iter_mut().zip(z) {
                    *top = if (z > *top) | z.is_nan() { z } else { *top };
                }
            }
            let (mut sum, mut mass, mut loss) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
            for ((e, z), t) in e.iter_mut().zip(&z[..classes]).zip(&t) {
                for lane in 0..LANES {
                    e[lane] = exp(z[lane] - top[lane]);
                    sum[lane] += e[lane];
                    mass[lane] += t[lane];
                }
            }
            let mut log_sum = [0.0_f32; LANES];
            for lane in 0..LANES {
                log_sum[lane] = top[lane] + ln(sum[lane]);
            }
            for (z, t) in z[..classes].iter().zip(&t) {
                for lane in 0..LANES {
                    // A target of 0 contributes nothing, even if the logit is minus infinity.
                    loss[lane] += if t[lane] == 0.0 { 0.0 } else { t[lane] * (log_sum[lane] - z[lane]) };
                }
            }
            for lane in 0..LANES {
                totals[lane] += if lane < count { f64::from(loss[lane]) } else { 0.0 };
            }
            if !gradient.is_empty() {
                for lane in 0..LANES {
                    mass[lane] /= sum[lane];
                }
                let gradient = &mut gradient[block];
                for (c, (e, t)) in e[..classes].iter_mut().zip(&t).enumerate() {
                    for lane in 0..LANES {
                        e[lane] = (e[lane] * mass[lane] - t[lane]) * scale;
                    }
                    // SAFETY: guaranteed by the caller; `count` rows lie in the block.
                    unsafe { S::scatter(gradient.as_mut_ptr().add(c), classes, count, S::load(e.as_ptr())) };
                }
            }
        }
        *total += totals.iter().sum::<f64>();
    }
}

/// Loads up to sixteen rows column by column, with one row per lane.
///
/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn columns<S: Simd>(to: &mut [[f32; LANES]], rows: &[f32], classes: usize) {
    let count = rows.len() / classes;
    assert!((1..=LANES).contains(&count), "a row for each lane");
    for (c, to) in to.iter_mut().enumerate().take(classes) {
        // SAFETY: guaranteed by the caller; `rows` holds `count` rows.
        unsafe { S::store(to.as_mut_ptr(), S::gather(rows.as_ptr().add(c), classes, count)) };
    }
}
