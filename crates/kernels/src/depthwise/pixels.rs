//! Forward pass and input gradient pixel by pixel, for small kernels. Sources are read in place; pixels at the border
//! use only the taps that lie within the source.
#![expect(unsafe_code, reason = "vector instructions")]

use super::reach::{ReachAxis, Reaches, by_taps};
use crate::conv::{ConvShape, Phase};
use crate::epilogue::GradientSink;
use crate::gate::{Gate, GateFunction, gate_words};
use crate::lanes::{self, LANES, by_lanes, load, store};
use crate::scratch;
use crate::tile::simd::Simd;

/// Epilogue of a sum. The words of gate bits are those of the pixel, with adjacent words for its channels; null for
/// none.
#[derive(Debug, Clone, Copy)]
enum PixelEpilogue {
    Store,
    /// `max(x, floor)`; the gradient passes above `open`.
    Floor {
        floor: f32,
        open: f32,
        bits: *mut u16,
    },
    /// Adds the previous content if `accumulate`, then closes the gate.
    Sink {
        accumulate: bool,
        bits: *const u16,
    },
}

impl PixelEpilogue {
    /// Advances the address of the gate bits by `words` words.
    const fn at(self, words: usize) -> Self {
        match self {
            Self::Floor { floor, open, bits } if !bits.is_null() => {
                Self::Floor { floor, open, bits: bits.wrapping_add(words) }
            }
            Self::Sink { accumulate, bits } if !bits.is_null() => {
                Self::Sink { accumulate, bits: bits.wrapping_add(words) }
            }
            _ => self,
        }
    }
}

/// A rectangle of pixels that use the same taps, by address.
#[derive(Clone, Copy)]
struct PixelBlock {
    channels: usize,
    /// Loops over lines and over pixels within a line. Strides of the result are in pixels, those of the source in
    /// elements.
    lines: PixelSteps,
    columns: PixelSteps,
    /// Address of the first pixel's first tap, and the strides between taps (down, across).
    x: *const f32,
    taps: (usize, usize),
    /// Weights of the first tap, and the stride between lines of taps.
    w: *const f32,
    w_line: usize,
    /// Initial values of the sums, one per channel; null for zeros.
    start: *const f32,
    end: PixelEpilogue,
}

#[derive(Clone, Copy)]
struct PixelSteps {
    count: usize,
    out: usize,
    x: usize,
}

/// Computes the forward pass of one sample. Records gate bits unless `bits` is empty.
pub(super) fn forward(
    out: &mut [f32],
    x: &[f32],
    (w, bias): (&[f32], Option<&[f32]>),
    (gate, bits): (&Gate, &mut [u16]),
    shape: &ConvShape,
) {
    let c = shape.out_c;
    let pixels = shape.out_h * shape.out_w;
    assert!(bits.is_empty() || bits.len() == gate_words(pixels, c), "gate bits hold the output");
    let at = if bits.is_empty() { std::ptr::null_mut() } else { bits.as_mut_ptr() };
    let floor = match gate.function {
        GateFunction::Clip { low, high: f32::INFINITY } if gate.open.1 == f32::INFINITY => Some(low),
        _ => None,
    };
    let end = floor.map_or(PixelEpilogue::Store, |floor| PixelEpilogue::Floor {
        floor,
        open: gate.open.0,
        bits: at,
    });
    let axes = ReachAxis::forward(shape);
    sample(out, x, (w, bias.unwrap_or_default()), &axes, (c, shape.out_w), end);
    if floor.is_none() && (*gate != Gate::LINEAR || !bits.is_empty()) {
        lanes::apply(out, None, gate, bits, c);
    }
}

/// Calls `body` with the kernel rotated for [`backward`]: phase by phase, with taps in the order of output pixels.
pub(super) fn with_rotated(w: &[f32], shape: &ConvShape, body: impl FnOnce(&[f32])) {
    let c = shape.out_c;
    scratch::with(shape.kernel_h * shape.kernel_w * c, |rotated| {
        let mut to = rotated.chunks_exact_mut(c);
        for y in Phase::all(shape).0 {
            for x in Phase::all(shape).1 {
                let taps = (0..y.taps).flat_map(|i| (0..x.taps).map(move |j| (i, j)));
                for ((i, j), to) in taps.zip(&mut to) {
                    to.copy_from_slice(&w[(y.rotated_tap(i) * shape.kernel_w + x.rotated_tap(j)) * c..][..c]);
                }
            }
        }
        body(rotated);
    });
}

/// Computes the input gradient of one sample from a kernel rotated by [`with_rotated`].
pub(super) fn backward(
    dx: &mut [f32],
    dy: &[f32],
    rotated: &[f32],
    sink: GradientSink<'_>,
    shape: &ConvShape,
) {
    let c = shape.in_c;
    let pixels = shape.in_h * shape.in_w;
    assert!(sink.gate.is_empty() || sink.gate.len() == gate_words(pixels, c), "gate bits hold the input");
    let bits = if sink.gate.is_empty() { std::ptr::null() } else { sink.gate.as_ptr() };
    let end = if sink.accumulate || !bits.is_null() {
        PixelEpilogue::Sink { accumulate: sink.accumulate, bits }
    } else {
        PixelEpilogue::Store
    };
    let mut at = 0;
    for y in Phase::all(shape).0 {
        for x in Phase::all(shape).1 {
            let len = y.taps * x.taps * c;
            let axes = [
                ReachAxis::backward(&y, shape.stride.0, shape.out_h),
                ReachAxis::backward(&x, shape.stride.1, shape.out_w),
            ];
            sample(dx, dy, (&rotated[at..at + len], &[]), &axes, (c, shape.in_w), end);
            at += len;
        }
    }
}

by_lanes! {
    /// Computes the pixels of `out` that the axes describe. `sizes` are the channels and the pixels per line of
    /// `out`. The words of `end`, unless null, must be valid for every pixel of `out`.
    fn sample<S>(
        out: &mut [f32], x: &[f32], weights: (&[f32], &[f32]), axes: &[ReachAxis; 2], sizes: (usize, usize), end: PixelEpilogue,
    ) {
        let ((w, start), (c, width), [down, across]) = (weights, sizes, axes);
        if down.count == 0 || across.count == 0 {
            return;
        }
        let last = |axis: &ReachAxis| axis.first + (axis.count - 1) * axis.stride;
        assert!(last(across) < width && (last(down) + 1) * width * c <= out.len(), "pixels lie within the result");
        assert!(down.size * across.size * c <= x.len(), "the source is complete");
        assert!(down.taps * across.taps * c <= w.len(), "every tap has its weights");
        assert!(start.is_empty() || start.len() >= c, "one initial value per channel");
        let start = if start.is_empty() { std::ptr::null() } else { start.as_ptr() };
        let line = across.size * c;
        Reaches::new(down, across).for_each(c, #[inline(always)] |reach| {
            let (i, j) = (reach.rows.start, reach.columns.start);
            let tap = (reach.tap.0 * across.taps + reach.tap.1) * c;
            let pixel = (down.first + i * down.stride) * width + across.first + j * across.stride;
            let lines = PixelSteps { count: reach.rows.len(), out: down.stride * width, x: down.step * line };
            let columns = PixelSteps { count: reach.columns.len(), out: across.stride, x: across.step * c };
            // The longer loop becomes the inner one.
            let swap = columns.count == 1;
            let part = PixelBlock {
                channels: c,
                lines: if swap { columns } else { lines },
                columns: if swap { lines } else { columns },
                x: x.as_ptr().wrapping_add(reach.source),
                taps: (down.delta * line, across.delta * c),
                w: w.as_ptr().wrapping_add(tap),
                w_line: across.taps * c,
                start,
                end: end.at(pixel * c.div_ceil(LANES)),
            };
            // SAFETY: guaranteed by the caller; the taps of all pixels lie within the source, and the pixels within
            // the result, by the sizes checked above.
            unsafe {
                let out = out.as_mut_ptr().add(pixel * c);
                by_taps!(reach.taps.0, reach.taps.1, pixels::<S>(out, &part));
            }
        });
    }
}

/// Computes the pixels of a part with `H` lines of `W` taps.
///
/// # Safety
/// The processor must support the instruction set. All addresses of the part must be valid for reads; its pixels from
/// `out` on, and its gate words, for writes.
#[inline(always)]
unsafe fn pixels<S: Simd, const H: usize, const W: usize>(out: *mut f32, part: &PixelBlock) {
    let (whole, rest) = (part.channels / LANES, part.channels % LANES);
    // SAFETY: guaranteed by the caller; vectors lie within a pixel's channels.
    unsafe {
        for v in 0..whole {
            vectors::<S, H, W, true>(out, part, v, S::lanes(LANES));
        }
        if rest > 0 {
            vectors::<S, H, W, false>(out, part, whole, S::lanes(rest));
        }
    }
}

/// Computes vector `v` of every pixel of a part.
///
/// # Safety
/// As [`pixels`]; the lanes (all if `WHOLE`) must lie within the channels.
#[inline(always)]
unsafe fn vectors<S: Simd, const H: usize, const W: usize, const WHOLE: bool>(
    out: *mut f32,
    part: &PixelBlock,
    v: usize,
    lanes: S::Lanes,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let (c, from) = (part.channels, v * LANES);
        let mut w = [[S::splat(0.0); W]; H];
        for (ky, w) in w.iter_mut().enumerate() {
            for (kx, w) in w.iter_mut().enumerate() {
                *w = load::<S, WHOLE>(part.w.wrapping_add(ky * part.w_line + kx * c + from), lanes);
            }
        }
        let start =
            if part.start.is_null() { S::splat(0.0) } else { load::<S, WHOLE>(part.start.add(from), lanes) };
        let words = c.div_ceil(LANES);
        match part.end {
            PixelEpilogue::Store => {
                for line in 0..part.lines.count {
                    let mut x = part.x.wrapping_add(line * part.lines.x + from);
                    let mut out = out.add(line * part.lines.out * c + from);
                    for _ in 0..part.columns.count {
                        store::<S, WHOLE>(out, lanes, sum::<S, H, W, WHOLE>(x, part.taps, &w, start, lanes));
                        x = x.wrapping_add(part.columns.x);
                        out = out.wrapping_add(part.columns.out * c);
                    }
                }
            }
            PixelEpilogue::Floor { floor, open, bits } => {
                let (floor, open) = (S::splat(floor), S::splat(open));
                for line in 0..part.lines.count {
                    let mut x = part.x.wrapping_add(line * part.lines.x + from);
                    let mut out = out.add(line * part.lines.out * c + from);
                    for i in 0..part.columns.count {
                        let sum = sum::<S, H, W, WHOLE>(x, part.taps, &w, start, lanes);
                        if !bits.is_null() {
                            let pixel = line * part.lines.out + i * part.columns.out;
                            *bits.add(pixel * words + v) = S::greater(sum, open, lanes);
                        }
                        store::<S, WHOLE>(out, lanes, S::at_least(sum, floor));
                        x = x.wrapping_add(part.columns.x);
                        out = out.wrapping_add(part.columns.out * c);
                    }
                }
            }
            PixelEpilogue::Sink { accumulate, bits } => {
                for line in 0..part.lines.count {
                    let mut x = part.x.wrapping_add(line * part.lines.x + from);
                    let mut out = out.add(line * part.lines.out * c + from);
                    for i in 0..part.columns.count {
                        let mut sum = sum::<S, H, W, WHOLE>(x, part.taps, &w, start, lanes);
                        if accumulate {
                            sum = S::add(sum, load::<S, WHOLE>(out, lanes));
                        }
                        if !bits.is_null() {
                            let pixel = line * part.lines.out + i * part.columns.out;
                            sum = S::keep(sum, *bits.add(pixel * words + v));
                        }
                        store::<S, WHOLE>(out, lanes, sum);
                        x = x.wrapping_add(part.columns.x);
                        out = out.wrapping_add(part.columns.out * c);
                    }
                }
            }
        }
    }
}

/// The sum over the taps of the pixel at `x`, added to `start`.
///
/// # Safety
/// As [`vectors`].
#[inline(always)]
unsafe fn sum<S: Simd, const H: usize, const W: usize, const WHOLE: bool>(
    x: *const f32,
    taps: (usize, usize),
    w: &[[S::Vector; W]; H],
    start: S::Vector,
    lanes: S::Lanes,
) -> S::Vector {
    let mut sum = start;
    for (ky, w) in w.iter().enumerate() {
        let x = x.wrapping_add(ky * taps.0);
        // SAFETY: guaranteed by the caller. Lines are summed by themselves, which leaves less to wait for.
        unsafe {
            let mut line = S::multiply(load::<S, WHOLE>(x, lanes), w[0]);
            for (kx, &w) in w.iter().enumerate().skip(1) {
                line = S::add(line, S::multiply(load::<S, WHOLE>(x.wrapping_add(kx * taps.1), lanes), w));
            }
            sum = S::add(sum, line);
        }
    }
    sum
}
