//! Pooling over channels-last activations.
//!
//! The closures are marked to be inlined: one that is not would be compiled without the caller's instruction set.

use super::dispatch::multiversion;
use super::epilogue::{GradientSink, gate_words};
use super::{lanes, split};

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

    /// Whether every element of the input lies in exactly one window.
    const fn is_covered(&self) -> bool {
        self.window.0 == self.stride.0
            && self.window.1 == self.stride.1
            && self.in_h == self.out_h * self.stride.0
            && self.in_w == self.out_w * self.stride.1
            && self.pad.0 == 0
            && self.pad.1 == 0
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
    let line = shape.out_w * shape.channels;
    let far = taps.as_chunks::<4>().0;
    for_lines(dx, sink, shape, threads, |line_index, dx, oy, add| {
        let at = line_index * line..(line_index + 1) * line;
        if shape.tap_bytes() == 1 {
            spread_maxima(dx, &dy[at.clone()], &taps[at], oy, shape, add);
        } else {
            spread_far_maxima(dx, &dy[at.clone()], &far[at], oy, shape, add);
        }
    });
}

/// Calls `body(number of the output line, dx of its sample, its number in the sample, whether to add)` for every line
/// of the output. Where windows do not overlap and nothing is accumulated, the body stores; else it adds to zeros or to
/// what there is, as the sink says. The gate closes on what is done while it is at hand.
fn for_lines(
    dx: &mut [f32],
    sink: GradientSink<'_>,
    shape: &PoolShape,
    threads: usize,
    body: impl Fn(usize, &mut [f32], usize, bool) + Sync,
) {
    let threads = split::useful(threads, shape.work());
    let (line, words) = (shape.in_w * shape.channels, gate_words(shape.in_w, shape.channels));
    let apart = shape.window.0 <= shape.stride.0 && shape.window.1 <= shape.stride.1;
    let add = sink.accumulate || !apart;
    split::for_chunks(threads, &mut dx[..shape.input_len()], shape.in_sample(), |i, dx| {
        let close = |dx: &mut [f32], from: usize, to: usize| {
            if !sink.gate.is_empty() {
                let bits = &sink.gate[(i * shape.in_h + from) * words..(i * shape.in_h + to) * words];
                lanes::close(&mut dx[from * line..to * line], bits, shape.channels);
            }
        };
        if !apart && !sink.accumulate {
            dx.fill(0.0);
        }
        for oy in 0..shape.out_h {
            // The input lines from this window to the next.
            let start = |oy: usize| (oy * shape.stride.0).saturating_sub(shape.pad.0).min(shape.in_h);
            let from = if oy == 0 { 0 } else { start(oy) };
            let to = if oy + 1 == shape.out_h { shape.in_h } else { start(oy + 1) };
            if !add && !shape.is_covered() {
                dx[from * line..to * line].fill(0.0);
            }
            body(i * shape.out_h + oy, dx, oy, add);
            if apart {
                close(dx, from, to);
            }
        }
        if !apart {
            close(dx, 0, shape.in_h);
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
    let line = shape.out_w * shape.channels;
    for_lines(dx, sink, shape, threads, |i, dx, oy, add| {
        spread(dx, &dy[i * line..(i + 1) * line], oy, shape, add);
    });
}

/// Calls `body(output offset, window)` for every output pixel.
#[inline(always)]
fn for_windows(shape: &PoolShape, mut body: impl FnMut(usize, Window)) {
    for oy in 0..shape.out_h {
        let line = oy * shape.out_w * shape.channels;
        for_line(
            shape,
            oy,
            #[inline(always)]
            |o, window| body(line + o, window),
        );
    }
}

/// Calls `body(offset in the line, window)` for every pixel of an output line.
#[inline(always)]
fn for_line(shape: &PoolShape, oy: usize, mut body: impl FnMut(usize, Window)) {
    let top = oy * shape.stride.0;
    let y =
        shape.pad.0.saturating_sub(top)..shape.window.0.min((shape.in_h + shape.pad.0).saturating_sub(top));
    for ox in 0..shape.out_w {
        let left = ox * shape.stride.1;
        let x = shape.pad.1.saturating_sub(left)
            ..shape.window.1.min((shape.in_w + shape.pad.1).saturating_sub(left));
        body(ox * shape.channels, Window { top, left, y: y.clone(), x });
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

multiversion! {
    fn spread_maxima(dx: &mut [f32], dy: &[f32], taps: &[u8], oy: usize, shape: &PoolShape, add: bool) {
        let c = shape.channels;
        for_line(shape, oy, #[inline(always)] |o, window| {
            let (dy, taps) = (&dy[o..o + c], &taps[o..o + c]);
            window.for_each(shape, #[inline(always)] |tap, i| {
                let tap = tap as u8;
                let values = dx[i..i + c].iter_mut().zip(dy).zip(taps);
                if add {
                    values.for_each(|((dx, &dy), &at)| *dx += if at == tap { dy } else { 0.0 });
                } else {
                    values.for_each(|((dx, &dy), &at)| *dx = if at == tap { dy } else { 0.0 });
                }
            });
        });
    }
}

/// [`spread_maxima`] for taps of four bytes.
fn spread_far_maxima(dx: &mut [f32], dy: &[f32], taps: &[[u8; 4]], oy: usize, shape: &PoolShape, add: bool) {
    let c = shape.channels;
    for_line(shape, oy, |o, window| {
        window.for_each(shape, |tap, i| {
            let values = dx[i..i + c].iter_mut().zip(&dy[o..o + c]).zip(&taps[o..o + c]);
            for ((dx, &dy), at) in values {
                let dy = if u32::from_le_bytes(*at) as usize == tap { dy } else { 0.0 };
                *dx = if add { *dx + dy } else { dy };
            }
        });
    });
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
    fn spread(dx: &mut [f32], dy: &[f32], oy: usize, shape: &PoolShape, add: bool) {
        let c = shape.channels;
        for_line(shape, oy, #[inline(always)] |o, window| {
            let scale = 1.0 / window.count() as f32;
            let dy = &dy[o..o + c];
            window.for_each(shape, #[inline(always)] |_, i| {
                let values = dx[i..i + c].iter_mut().zip(dy);
                if add {
                    values.for_each(|(dx, dy)| *dx += dy * scale);
                } else {
                    values.for_each(|(dx, dy)| *dx = dy * scale);
                }
            });
        });
    }
}
