//! Forward pass and input gradient pixel by pixel, for small kernels: sources are read where they lie, pixels at the
//! border by the taps that reach them.
#![expect(unsafe_code, reason = "vector instructions")]

use super::reach::{Axis, Reaches, by_taps};
use crate::conv::{ConvShape, Phase};
use crate::epilogue::GradientSink;
use crate::gate::{Gate, GateFunction, gate_words};
use crate::lanes::{self, LANES, by_lanes, load, store};
use crate::scratch;
use crate::tile::simd::Simd;

/// What becomes of a sum before it is stored. Words of gate bits are the pixel's, a pixel's next to each other; null:
/// none.
#[derive(Debug, Clone, Copy)]
enum End {
    Store,
    /// `max(x, floor)`, with a gate above `open`.
    Floor {
        floor: f32,
        open: f32,
        bits: *mut u16,
    },
    /// What the place holds is added, then gate bits close.
    Sink {
        accumulate: bool,
        bits: *const u16,
    },
}

impl End {
    /// At another pixel, `words` words further on.
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

/// Pixels that the same taps reach.
#[derive(Clone, Copy)]
struct Part {
    channels: usize,
    /// How many pixels, from one to the next of the result, in pixels, and of the source, in elements: of lines and
    /// within a line.
    lines: Steps,
    columns: Steps,
    /// The first tap of the first pixel, and elements from tap to tap (down, across).
    x: *const f32,
    taps: (usize, usize),
    /// The first tap's weights, and from line to line of them.
    w: *const f32,
    w_line: usize,
    /// What sums start from, one value a channel; null: zeros.
    start: *const f32,
    end: End,
}

#[derive(Clone, Copy)]
struct Steps {
    count: usize,
    out: usize,
    x: usize,
}

/// One sample's forward pass. `bits` receives the record of the gate unless it is empty.
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
    let end = floor.map_or(End::Store, |floor| End::Floor { floor, open: gate.open.0, bits: at });
    let axes = Axis::forward(shape);
    sample(out, x, (w, bias.unwrap_or_default()), &axes, (c, shape.out_w), end);
    if floor.is_none() && (*gate != Gate::LINEAR || !bits.is_empty()) {
        lanes::apply(out, None, gate, bits, c);
    }
}

/// Calls `body` with the kernel turned as [`backward`] wants it: phase by phase, taps in the order of the output's pixels.
pub(super) fn with_turned(w: &[f32], shape: &ConvShape, body: impl FnOnce(&[f32])) {
    let c = shape.out_c;
    scratch::with(shape.kernel_h * shape.kernel_w * c, |turned| {
        let mut to = turned.chunks_exact_mut(c);
        for y in Phase::all(shape).0 {
            for x in Phase::all(shape).1 {
                let taps = (0..y.taps).flat_map(|i| (0..x.taps).map(move |j| (i, j)));
                for ((i, j), to) in taps.zip(&mut to) {
                    to.copy_from_slice(&w[(y.turned(i) * shape.kernel_w + x.turned(j)) * c..][..c]);
                }
            }
        }
        body(turned);
    });
}

/// One sample's input gradient from what [`with_turned`] makes of the kernel.
pub(super) fn backward(
    dx: &mut [f32],
    dy: &[f32],
    turned: &[f32],
    sink: GradientSink<'_>,
    shape: &ConvShape,
) {
    let c = shape.in_c;
    let pixels = shape.in_h * shape.in_w;
    assert!(sink.gate.is_empty() || sink.gate.len() == gate_words(pixels, c), "gate bits hold the input");
    let bits = if sink.gate.is_empty() { std::ptr::null() } else { sink.gate.as_ptr() };
    let end = if sink.accumulate || !bits.is_null() {
        End::Sink { accumulate: sink.accumulate, bits }
    } else {
        End::Store
    };
    let mut at = 0;
    for y in Phase::all(shape).0 {
        for x in Phase::all(shape).1 {
            let len = y.taps * x.taps * c;
            let axes = [
                Axis::backward(&y, shape.stride.0, shape.out_h),
                Axis::backward(&x, shape.stride.1, shape.out_w),
            ];
            sample(dx, dy, (&turned[at..at + len], &[]), &axes, (c, shape.in_w), end);
            at += len;
        }
    }
}

by_lanes! {
    /// Pixels of `out`, lines of `width` pixels of `c` channels, that the axes name. `end`'s words, unless null, are
    /// valid for every pixel of `out`.
    fn sample<S>(
        out: &mut [f32], x: &[f32], weights: (&[f32], &[f32]), axes: &[Axis; 2], sizes: (usize, usize), end: End,
    ) {
        let ((w, start), (c, width), [down, across]) = (weights, sizes, axes);
        if down.count == 0 || across.count == 0 {
            return;
        }
        let last = |axis: &Axis| axis.first + (axis.count - 1) * axis.stride;
        assert!(last(across) < width && (last(down) + 1) * width * c <= out.len(), "pixels lie within the result");
        assert!(down.size * across.size * c <= x.len(), "the source is whole");
        assert!(down.taps * across.taps * c <= w.len(), "every tap has its weights");
        assert!(start.is_empty() || start.len() >= c, "one start a channel");
        let start = if start.is_empty() { std::ptr::null() } else { start.as_ptr() };
        let line = across.size * c;
        Reaches::new(down, across).for_each(c, #[inline(always)] |reach| {
            let (i, j) = (reach.rows.start, reach.columns.start);
            let tap = (reach.tap.0 * across.taps + reach.tap.1) * c;
            let pixel = (down.first + i * down.stride) * width + across.first + j * across.stride;
            let lines = Steps { count: reach.rows.len(), out: down.stride * width, x: down.step * line };
            let columns = Steps { count: reach.columns.len(), out: across.stride, x: across.step * c };
            // The longer loop is the inner one.
            let turn = columns.count == 1;
            let part = Part {
                channels: c,
                lines: if turn { columns } else { lines },
                columns: if turn { lines } else { columns },
                x: x.as_ptr().wrapping_add(reach.source),
                taps: (down.delta * line, across.delta * c),
                w: w.as_ptr().wrapping_add(tap),
                w_line: across.taps * c,
                start,
                end: end.at(pixel * c.div_ceil(LANES)),
            };
            // SAFETY: guaranteed by the caller; taps of a segment lie within the source, as do those of its pixels, and
            // pixels within the result, by the sizes that were checked above.
            unsafe {
                let out = out.as_mut_ptr().add(pixel * c);
                by_taps!(reach.taps.0, reach.taps.1, pixels::<S>(out, &part));
            }
        });
    }
}

/// The pixels of a part, by `H` lines of `W` taps.
///
/// # Safety
/// The processor must support the instruction set; all that the part names may be read, and its pixels and words from `out` and
/// its end on, written.
#[inline(always)]
unsafe fn pixels<S: Simd, const H: usize, const W: usize>(out: *mut f32, part: &Part) {
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

/// Vector `v` of every pixel of a part.
///
/// # Safety
/// As [`pixels`]; the vector's lanes, all where it is whole, lie within the channels.
#[inline(always)]
unsafe fn vectors<S: Simd, const H: usize, const W: usize, const WHOLE: bool>(
    out: *mut f32,
    part: &Part,
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
            End::Store => {
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
            End::Floor { floor, open, bits } => {
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
            End::Sink { accumulate, bits } => {
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

/// The sum over the taps of the pixel at `x`, from `start`.
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
