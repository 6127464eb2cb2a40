//! Pooling over channels-last activations.
//!
//! The closures are marked to be inlined: one that is not would be compiled without the caller's instruction set.

use super::dispatch::multiversion;
use super::epilogue::{GradientSink, close_gate, gate_words};
use super::split;

/// All sizes of a pooling: input (batch, `in_h`, `in_w`, channels), output (batch, `out_h`, `out_w`, channels).
/// Made by [`Pool2dGeometry::resolve`](crate::Pool2dGeometry::resolve).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named in the summary")]
pub struct PoolShape {
    pub batch: usize,
    pub in_h: usize,
    pub in_w: usize,
    pub channels: usize,
    pub out_h: usize,
    pub out_w: usize,
    /// Size of the window, (height, width).
    pub window: (usize, usize),
    /// Step of the window, (height, width).
    pub stride: (usize, usize),
    /// Padding above and to the left.
    pub pad: (usize, usize),
}

impl PoolShape {
    /// Elements of the input.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.in_sample()
    }

    /// Elements of the output.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.out_sample()
    }

    /// Bytes of the record that [`max_pool`] keeps of its maxima: one for each output, four where a window has more
    /// than 256 elements.
    #[must_use]
    pub const fn taps_len(&self) -> usize {
        self.output_len() * self.tap_bytes()
    }

    const fn tap_bytes(&self) -> usize {
        if self.window.0 * self.window.1 <= 256 { 1 } else { 4 }
    }

    const fn in_sample(&self) -> usize {
        self.in_h * self.in_w * self.channels
    }

    const fn out_sample(&self) -> usize {
        self.out_h * self.out_w * self.channels
    }

    const fn work(&self) -> usize {
        self.output_len() * self.window.0 * self.window.1 * (split::ELEMENT / 2)
    }
}

/// Maximum of each window; padding counts as minus infinity and NaN as the greatest of all. `taps`, if not empty,
/// receives which element of the window it was, the first of equals ([`PoolShape::taps_len`] bytes).
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn max_pool(out: &mut [f32], taps: &mut [u8], x: &[f32], shape: &PoolShape, threads: usize) {
    let (step, threads) = (shape.out_sample(), split::useful(threads, shape.work()));
    assert!(taps.is_empty() || taps.len() >= shape.taps_len(), "the record holds every output");
    let tap_step = if taps.is_empty() { 0 } else { step * shape.tap_bytes() };
    split::for_chunks2(threads, (&mut out[..shape.output_len()], step), (taps, tap_step), |i, out, taps| {
        let x = &x[i * shape.in_sample()..][..shape.in_sample()];
        if taps.is_empty() {
            maximum(out, x, shape);
        } else if shape.tap_bytes() == 1 {
            maximum_taps(out, taps, x, shape);
        } else {
            maximum_far_taps(out, taps, x, shape);
        }
    });
}

/// Gradient of [`max_pool`]: each output's gradient goes to the element that `taps` names.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn max_pool_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    taps: &[u8],
    sink: GradientSink<'_>,
    shape: &PoolShape,
    threads: usize,
) {
    for_samples(dx, sink, shape, threads, |i, dx| {
        let at = i * shape.out_sample()..(i + 1) * shape.out_sample();
        if shape.tap_bytes() == 1 {
            scatter(dx, &dy[at.clone()], shape, |o| usize::from(taps[at.start + o]));
        } else {
            let taps = taps.as_chunks::<4>().0;
            scatter(dx, &dy[at.clone()], shape, |o| u32::from_le_bytes(taps[at.start + o]) as usize);
        }
    });
}

/// `body(i, dx of sample i)` adds to zeros or to what there is, as the sink says, and then the gate closes.
fn for_samples(
    dx: &mut [f32],
    sink: GradientSink<'_>,
    shape: &PoolShape,
    threads: usize,
    body: impl Fn(usize, &mut [f32]) + Sync,
) {
    let threads = split::useful(threads, shape.work());
    let words = gate_words(shape.in_h * shape.in_w, shape.channels);
    split::for_chunks(threads, &mut dx[..shape.input_len()], shape.in_sample(), |i, dx| {
        if !sink.accumulate {
            dx.fill(0.0);
        }
        body(i, dx);
        if !sink.gate.is_empty() {
            close_gate(dx, &sink.gate[i * words..(i + 1) * words], shape.channels, 1);
        }
    });
}

/// Average of the real elements of each window.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn average_pool(out: &mut [f32], x: &[f32], shape: &PoolShape, threads: usize) {
    let threads = split::useful(threads, shape.work());
    split::for_chunks(threads, &mut out[..shape.output_len()], shape.out_sample(), |i, out| {
        average(out, &x[i * shape.in_sample()..][..shape.in_sample()], shape);
    });
}

/// Gradient of [`average_pool`].
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn average_pool_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    sink: GradientSink<'_>,
    shape: &PoolShape,
    threads: usize,
) {
    for_samples(dx, sink, shape, threads, |i, dx| {
        spread(dx, &dy[i * shape.out_sample()..][..shape.out_sample()], shape);
    });
}

/// Calls `body(output offset, taps)` for every output pixel, `taps` yielding (number, input offset) of the real elements.
#[inline(always)]
fn for_windows(shape: &PoolShape, mut body: impl FnMut(usize, Window)) {
    for oy in 0..shape.out_h {
        for ox in 0..shape.out_w {
            let (top, left) = (oy * shape.stride.0, ox * shape.stride.1);
            let y = shape.pad.0.saturating_sub(top)
                ..shape.window.0.min((shape.in_h + shape.pad.0).saturating_sub(top));
            let x = shape.pad.1.saturating_sub(left)
                ..shape.window.1.min((shape.in_w + shape.pad.1).saturating_sub(left));
            body((oy * shape.out_w + ox) * shape.channels, Window { top, left, y, x });
        }
    }
}

/// The real elements of one window: ranges of taps, and where the window starts in the padded input.
struct Window {
    top: usize,
    left: usize,
    y: std::ops::Range<usize>,
    x: std::ops::Range<usize>,
}

impl Window {
    #[inline(always)]
    fn count(&self) -> usize {
        self.y.len() * self.x.len()
    }

    #[inline(always)]
    fn for_each(&self, shape: &PoolShape, mut body: impl FnMut(usize, usize)) {
        for ky in self.y.clone() {
            for kx in self.x.clone() {
                let (iy, ix) = (self.top + ky - shape.pad.0, self.left + kx - shape.pad.1);
                body(ky * shape.window.1 + kx, (iy * shape.in_w + ix) * shape.channels);
            }
        }
    }
}

/// Whether `v` takes the place of `best`: greater, or the first NaN.
#[inline(always)]
#[expect(clippy::eq_op, reason = "a value that differs from itself is NaN")]
fn takes(v: f32, best: f32) -> bool {
    (v > best) | ((v != v) & (best == best))
}

multiversion! {
    fn maximum(out: &mut [f32], x: &[f32], shape: &PoolShape) {
        let c = shape.channels;
        for_windows(shape, #[inline(always)] |o, window| {
            let out = &mut out[o..o + c];
            out.fill(f32::NEG_INFINITY);
            window.for_each(shape, #[inline(always)] |_, i| {
                for (best, &v) in out.iter_mut().zip(&x[i..i + c]) {
                    *best = if takes(v, *best) { v } else { *best };
                }
            });
        });
    }
}

multiversion! {
    fn maximum_taps(out: &mut [f32], taps: &mut [u8], x: &[f32], shape: &PoolShape) {
        let c = shape.channels;
        for_windows(shape, #[inline(always)] |o, window| {
            let (out, taps) = (&mut out[o..o + c], &mut taps[o..o + c]);
            out.fill(f32::NEG_INFINITY);
            // A window of nothing but minus infinity gives its gradient to its first real element.
            taps.fill((window.y.start * shape.window.1 + window.x.start) as u8);
            window.for_each(shape, #[inline(always)] |tap, i| {
                for ((best, at), &v) in out.iter_mut().zip(taps.iter_mut()).zip(&x[i..i + c]) {
                    let take = takes(v, *best);
                    *best = if take { v } else { *best };
                    *at = if take { tap as u8 } else { *at };
                }
            });
        });
    }
}

/// [`maximum_taps`] for windows of more than 256 elements, whose taps take four bytes.
fn maximum_far_taps(out: &mut [f32], taps: &mut [u8], x: &[f32], shape: &PoolShape) {
    let c = shape.channels;
    let taps = taps.as_chunks_mut::<4>().0;
    for_windows(shape, |o, window| {
        for (channel, (best, at)) in out[o..o + c].iter_mut().zip(&mut taps[o..o + c]).enumerate() {
            *best = f32::NEG_INFINITY;
            let mut greatest = window.y.start * shape.window.1 + window.x.start;
            window.for_each(shape, |tap, i| {
                if takes(x[i + channel], *best) {
                    (*best, greatest) = (x[i + channel], tap);
                }
            });
            *at = (greatest as u32).to_le_bytes();
        }
    });
}

/// Adds the gradient of each output to the element that `tap_of` names.
fn scatter(dx: &mut [f32], dy: &[f32], shape: &PoolShape, tap_of: impl Fn(usize) -> usize) {
    let c = shape.channels;
    for (p, dy) in dy.chunks_exact(c).enumerate() {
        let (oy, ox) = (p / shape.out_w, p % shape.out_w);
        // May lie before the slice where the window starts in the padding; adding a real element's place mends it.
        let row = (oy * shape.stride.0).wrapping_sub(shape.pad.0).wrapping_mul(shape.in_w);
        let first = row.wrapping_add((ox * shape.stride.1).wrapping_sub(shape.pad.1)).wrapping_mul(c);
        for (channel, dy) in dy.iter().enumerate() {
            let tap = tap_of(p * c + channel);
            let place = (tap / shape.window.1 * shape.in_w + tap % shape.window.1) * c;
            dx[first.wrapping_add(place).wrapping_add(channel)] += dy;
        }
    }
}

multiversion! {
    fn average(out: &mut [f32], x: &[f32], shape: &PoolShape) {
        let c = shape.channels;
        for_windows(shape, #[inline(always)] |o, window| {
            let out = &mut out[o..o + c];
            out.fill(0.0);
            window.for_each(shape, #[inline(always)] |_, i| {
                for (sum, v) in out.iter_mut().zip(&x[i..i + c]) {
                    *sum += v;
                }
            });
            let scale = 1.0 / window.count() as f32;
            out.iter_mut().for_each(|sum| *sum *= scale);
        });
    }
}

multiversion! {
    fn spread(dx: &mut [f32], dy: &[f32], shape: &PoolShape) {
        let c = shape.channels;
        for_windows(shape, #[inline(always)] |o, window| {
            let scale = 1.0 / window.count() as f32;
            let dy = &dy[o..o + c];
            window.for_each(shape, #[inline(always)] |_, i| {
                for (dx, dy) in dx[i..i + c].iter_mut().zip(dy) {
                    *dx += dy * scale;
                }
            });
        });
    }
}
