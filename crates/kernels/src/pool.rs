//! Pooling over channels-last activations.
//!
//! Closures are marked `inline(always)`: a closure that is not inlined would be compiled without the caller's
//! instruction set.
#![expect(unsafe_code, reason = "vector instructions")]

use super::epilogue::GradientSink;
use super::gate::gate_words;
use super::lanes::{self, LANES, by_lanes, load, store};
use super::split;
use super::tile::simd::Simd;

/// Sizes of a pooling: input (batch, `in_h`, `in_w`, channels), output (batch, `out_h`, `out_w`, channels). Made by
/// [`Pool2dGeometry::resolve`](crate::Pool2dGeometry::resolve).
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
    /// Stride of the window, (height, width).
    pub stride: (usize, usize),
    /// Padding above and to the left.
    pub pad: (usize, usize),
}

impl PoolShape {
    /// Number of elements of the input.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.in_sample()
    }

    /// Number of elements of the output.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.out_sample()
    }

    /// Number of bytes in which [`max_pool`] records the positions of the maxima: one per output, or four if windows
    /// have more than 256 elements.
    #[must_use]
    pub const fn taps_len(&self) -> usize {
        self.output_len() * self.tap_bytes()
    }

    const fn tap_bytes(&self) -> usize {
        if self.window.0 * self.window.1 <= 256 { 1 } else { 4 }
    }

    /// Tells if every element of the input lies in exactly one window.
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
        self.output_len() * self.window.0 * self.window.1 * (split::ELEMENT_COST / 2)
    }
}

/// Maximum of each window. Padding counts as minus infinity, NaN as the greatest value. Unless empty, `taps` receives
/// the position of each maximum within its window, the first of equals ([`PoolShape::taps_len`] bytes).
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn max_pool(out: &mut [f32], taps: &mut [u8], x: &[f32], shape: &PoolShape, threads: usize) {
    let (step, threads) = (shape.out_sample(), split::useful(threads, shape.work()));
    assert!(taps.is_empty() || taps.len() >= shape.taps_len(), "one recorded position per output");
    let tap_step = if taps.is_empty() { 0 } else { step * shape.tap_bytes() };
    split::for_chunks2(threads, (&mut out[..shape.output_len()], step), (taps, tap_step), |i, out, taps| {
        let x = &x[i * shape.in_sample()..][..shape.in_sample()];
        if taps.is_empty() || shape.tap_bytes() == 1 {
            maxima(out, taps, x, shape);
        } else {
            maximum_far_taps(out, taps, x, shape);
        }
    });
}

/// Gradient of [`max_pool`]: the gradient of each output goes to the element recorded in `taps`.
///
/// # Panics
/// If a slice is shorter than the shape says.
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
    for_lines(dx, sink, shape, threads, |line_index, dx, oy, options| {
        let at = line_index * line..(line_index + 1) * line;
        if shape.tap_bytes() == 1 {
            distribute(dx, &dy[at.clone()], &taps[at], oy, shape, options);
        } else {
            distribute_far_maxima(dx, &dy[at.clone()], &far[at], oy, shape, options.add);
        }
    });
}

/// Options of the distribution of gradients: adds them instead of storing, and closes the gate of the sample's `bits`
/// unless empty.
#[derive(Debug, Clone, Copy)]
struct Distribution<'a> {
    add: bool,
    bits: &'a [u16],
}

/// Calls `body(index of the output line, dx of its sample, its index in the sample, options)` for every line of the
/// output. The body stores gradients if windows do not overlap and nothing is accumulated; otherwise it adds to zeros
/// or to the previous content. If windows cover the input exactly, the body closes the gate; otherwise it gets no
/// bits and the gate closes on each group of lines while these are in the cache.
fn for_lines(
    dx: &mut [f32],
    sink: GradientSink<'_>,
    shape: &PoolShape,
    threads: usize,
    body: impl Fn(usize, &mut [f32], usize, Distribution<'_>) + Sync,
) {
    let threads = split::useful(threads, shape.work());
    let covered = shape.is_covered() && shape.tap_bytes() == 1;
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
        let bits = if covered && !sink.gate.is_empty() {
            &sink.gate[i * shape.in_h * words..(i + 1) * shape.in_h * words]
        } else {
            &[]
        };
        for oy in 0..shape.out_h {
            // Input lines from the start of this window to the start of the next.
            let start = |oy: usize| (oy * shape.stride.0).saturating_sub(shape.pad.0).min(shape.in_h);
            let from = if oy == 0 { 0 } else { start(oy) };
            let to = if oy + 1 == shape.out_h { shape.in_h } else { start(oy + 1) };
            if !add && !shape.is_covered() {
                dx[from * line..to * line].fill(0.0);
            }
            body(i * shape.out_h + oy, dx, oy, Distribution { add, bits });
            if apart && !covered {
                close(dx, from, to);
            }
        }
        if !apart {
            close(dx, 0, shape.in_h);
        }
    });
}

/// Average of the elements of each window; padding does not count.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn average_pool(out: &mut [f32], x: &[f32], shape: &PoolShape, threads: usize) {
    let threads = split::useful(threads, shape.work());
    split::for_chunks(threads, &mut out[..shape.output_len()], shape.out_sample(), |i, out| {
        average(out, &x[i * shape.in_sample()..][..shape.in_sample()], shape);
    });
}

/// Gradient of [`average_pool`].
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn average_pool_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    sink: GradientSink<'_>,
    shape: &PoolShape,
    threads: usize,
) {
    let line = shape.out_w * shape.channels;
    for_lines(dx, sink, shape, threads, |i, dx, oy, options| {
        distribute(dx, &dy[i * line..(i + 1) * line], &[], oy, shape, options);
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

/// The elements of a window that lie within the input: ranges of taps, and the window's start in the padded input.
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

    /// Calls `body(tap, input pixel)` for every element.
    #[inline(always)]
    fn for_each(&self, shape: &PoolShape, mut body: impl FnMut(usize, usize)) {
        for ky in self.y.clone() {
            let line = (self.top + ky - shape.pad.0) * shape.in_w;
            for kx in self.x.clone() {
                body(ky * shape.window.1 + kx, line + self.left + kx - shape.pad.1);
            }
        }
    }
}

/// True if `v` exceeds `best` or is the first NaN.
#[inline(always)]
#[expect(clippy::eq_op, reason = "a value that differs from itself is NaN")]
fn exceeds_or_first_nan(v: f32, best: f32) -> bool {
    (v > best) | ((v != v) & (best == best))
}

/// Calls `$body::<S, vectors, whole>` for all channels, in groups of as many vectors as fit. Each group takes one
/// pass over the window.
macro_rules! for_groups {
    ($channels:expr, $first:ident, $count:ident, $body:ident :: <$s:ident> $args:tt) => {
        let mut $first = 0;
        while $first < $channels {
            let rest = $channels - $first;
            let $count;
            if rest >= 4 * LANES {
                $count = 4 * LANES;
                $body::<$s, 4, true> $args;
            } else if rest >= 2 * LANES {
                $count = 2 * LANES;
                $body::<$s, 2, true> $args;
            } else if rest >= LANES {
                $count = LANES;
                $body::<$s, 1, true> $args;
            } else {
                $count = rest;
                $body::<$s, 1, false> $args;
            }
            $first += $count;
        }
    };
}

by_lanes! {
    /// Computes the maxima of one sample, and their taps unless `taps` is empty.
    fn maxima<S>(out: &mut [f32], taps: &mut [u8], x: &[f32], shape: &PoolShape) {
        assert!(out.len() == shape.out_sample() && x.len() == shape.in_sample(), "samples are complete");
        assert!(taps.is_empty() || taps.len() == out.len(), "one recorded position per output");
        let (x, out) = (x.as_ptr(), out.as_mut_ptr());
        let taps = if taps.is_empty() { std::ptr::null_mut() } else { taps.as_mut_ptr() };
        for_windows(shape, #[inline(always)] |o, window| {
            // SAFETY: guaranteed by the caller; the window's elements lie within the sample, groups within its
            // channels.
            unsafe {
                for_groups!(shape.channels, first, count, maximum::<S>(
                    out.add(o + first),
                    if taps.is_null() { taps } else { taps.add(o + first) },
                    x.add(first),
                    (&window, shape),
                    count
                ));
            }
        });
    }
}

/// Computes the maxima of `count` channels of a window, and their taps unless `taps` is null.
///
/// # Safety
/// The processor must support the instruction set. `count` channels must be valid for reads from `x` on, at every
/// element of the window, and for writes from `out` and `taps` on.
#[inline(always)]
unsafe fn maximum<S: Simd, const V: usize, const WHOLE: bool>(
    out: *mut f32,
    taps: *mut u8,
    x: *const f32,
    (window, shape): (&Window, &PoolShape),
    count: usize,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let lanes = S::lanes(count.min(LANES));
        let mut best = [S::splat(f32::NEG_INFINITY); V];
        // A window of minus infinities passes its gradient to its first element within the input.
        let mut at = [S::splat((window.y.start * shape.window.1 + window.x.start) as f32); V];
        window.for_each(
            shape,
            #[inline(always)]
            |tap, pixel| {
                let (tap, i) = (S::splat(tap as f32), pixel * shape.channels);
                for v in 0..V {
                    let value = load::<S, WHOLE>(x.wrapping_add(i + v * LANES), lanes);
                    let take = S::exceeds_or_first_nan(value, best[v]);
                    best[v] = S::select(take, value, best[v]);
                    at[v] = S::select(take, tap, at[v]);
                }
            },
        );
        for v in 0..V {
            store::<S, WHOLE>(out.add(v * LANES), lanes, best[v]);
            if !taps.is_null() {
                S::store_bytes(taps.add(v * LANES), if WHOLE { LANES } else { count }, at[v]);
            }
        }
    }
}

/// [`maxima`] for windows of more than 256 elements, whose taps take four bytes.
fn maximum_far_taps(out: &mut [f32], taps: &mut [u8], x: &[f32], shape: &PoolShape) {
    let c = shape.channels;
    let taps = taps.as_chunks_mut::<4>().0;
    for_windows(shape, |o, window| {
        for (channel, (best, at)) in out[o..o + c].iter_mut().zip(&mut taps[o..o + c]).enumerate() {
            *best = f32::NEG_INFINITY;
            let mut greatest = window.y.start * shape.window.1 + window.x.start;
            window.for_each(shape, |tap, pixel| {
                let v = x[pixel * c + channel];
                if exceeds_or_first_nan(v, *best) {
                    (*best, greatest) = (v, tap);
                }
            });
            *at = (greatest as u32).to_le_bytes();
        }
    });
}

by_lanes! {
    /// Distributes a line of gradients over their windows, or, unless `taps` is empty, to the recorded maxima.
    fn distribute<S>(dx: &mut [f32], dy: &[f32], taps: &[u8], oy: usize, shape: &PoolShape, options: Distribution<'_>) {
        let line = shape.out_w * shape.channels;
        assert!(dx.len() == shape.in_sample() && dy.len() == line, "the sample and the line are complete");
        assert!(taps.is_empty() || taps.len() == line, "one recorded position per output");
        let words = gate_words(shape.in_h * shape.in_w, shape.channels);
        assert!(options.bits.is_empty() || options.bits.len() == words, "gate bits hold the sample");
        let (dx, dy) = (dx.as_mut_ptr(), dy.as_ptr());
        let bits = if options.bits.is_empty() { std::ptr::null() } else { options.bits.as_ptr() };
        let taps = if taps.is_empty() { std::ptr::null() } else { taps.as_ptr() };
        for_line(shape, oy, #[inline(always)] |o, window| {
            // SAFETY: guaranteed by the caller; the window's elements lie within the sample, groups within its
            // channels.
            unsafe {
                for_groups!(shape.channels, first, count, distribute_over::<S>(
                    dx.add(first),
                    dy.add(o + first),
                    if taps.is_null() { taps } else { taps.add(o + first) },
                    if bits.is_null() { bits } else { bits.add(first / LANES) },
                    (&window, shape, options.add),
                    count
                ));
            }
        });
    }
}

/// Stores or adds the gradients of `count` channels to all elements of a window, or only to the elements recorded in
/// `taps` unless null. Closes the gate unless `bits` is null.
///
/// # Safety
/// The processor must support the instruction set. `count` channels must be valid for writes from `dx` on, at every
/// element of the window, and for reads from `dy` and `taps` on, as must the elements' gate words.
#[inline(always)]
unsafe fn distribute_over<S: Simd, const V: usize, const WHOLE: bool>(
    dx: *mut f32,
    dy: *const f32,
    taps: *const u8,
    bits: *const u16,
    (window, shape, add): (&Window, &PoolShape, bool),
    count: usize,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let lanes = S::lanes(count.min(LANES));
        let (zero, mut gradient, mut at) = (S::splat(0.0), [S::splat(0.0); V], [S::splat(0.0); V]);
        let scale = S::splat(if taps.is_null() { 1.0 / window.count() as f32 } else { 1.0 });
        for v in 0..V {
            gradient[v] = S::multiply(load::<S, WHOLE>(dy.add(v * LANES), lanes), scale);
            if !taps.is_null() {
                at[v] = S::load_bytes(taps.add(v * LANES), if WHOLE { LANES } else { count });
            }
        }
        window.for_each(
            shape,
            #[inline(always)]
            |tap, pixel| {
                let (tap, i) = (S::splat(tap as f32), pixel * shape.channels);
                let word = pixel * shape.channels.div_ceil(LANES);
                for v in 0..V {
                    let dx = dx.wrapping_add(i + v * LANES);
                    let mut value = gradient[v];
                    if !taps.is_null() {
                        value = S::select(S::equal(at[v], tap), value, zero);
                    }
                    if add {
                        value = S::add(load::<S, WHOLE>(dx, lanes), value);
                    }
                    if !bits.is_null() {
                        value = S::keep(value, *bits.add(word + v));
                    }
                    store::<S, WHOLE>(dx, lanes, value);
                }
            },
        );
    }
}

/// [`distribute`] for taps of four bytes.
fn distribute_far_maxima(
    dx: &mut [f32],
    dy: &[f32],
    taps: &[[u8; 4]],
    oy: usize,
    shape: &PoolShape,
    add: bool,
) {
    let c = shape.channels;
    for_line(shape, oy, |o, window| {
        window.for_each(shape, |tap, pixel| {
            let i = pixel * c;
            let values = dx[i..i + c].iter_mut().zip(&dy[o..o + c]).zip(&taps[o..o + c]);
            for ((dx, &dy), at) in values {
                let dy = if u32::from_le_bytes(*at) as usize == tap { dy } else { 0.0 };
                *dx = if add { *dx + dy } else { dy };
            }
        });
    });
}

by_lanes! {
    /// Computes the averages of one sample.
    fn average<S>(out: &mut [f32], x: &[f32], shape: &PoolShape) {
        assert!(out.len() == shape.out_sample() && x.len() == shape.in_sample(), "samples are complete");
        let (x, out) = (x.as_ptr(), out.as_mut_ptr());
        for_windows(shape, #[inline(always)] |o, window| {
            // SAFETY: guaranteed by the caller; the window's elements lie within the sample, groups within its
            // channels.
            unsafe {
                for_groups!(shape.channels, first, count, mean::<S>(
                    out.add(o + first),
                    x.add(first),
                    (&window, shape),
                    count
                ));
            }
        });
    }
}

/// Computes the averages of `count` channels of a window.
///
/// # Safety
/// As [`maximum`].
#[inline(always)]
unsafe fn mean<S: Simd, const V: usize, const WHOLE: bool>(
    out: *mut f32,
    x: *const f32,
    (window, shape): (&Window, &PoolShape),
    count: usize,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let lanes = S::lanes(count.min(LANES));
        let mut sums = [S::splat(0.0); V];
        window.for_each(
            shape,
            #[inline(always)]
            |_, pixel| {
                let i = pixel * shape.channels;
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = S::add(*sum, load::<S, WHOLE>(x.wrapping_add(i + v * LANES), lanes));
                }
            },
        );
        let scale = S::splat(1.0 / window.count() as f32);
        for (v, sum) in sums.into_iter().enumerate() {
            store::<S, WHOLE>(out.add(v * LANES), lanes, S::multiply(sum, scale));
        }
    }
}
