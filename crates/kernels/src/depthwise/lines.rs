//! Forward pass and input gradient, line by line.
#![expect(unsafe_code, reason = "vector instructions")]

use std::cell::Cell;

use super::border::PaddedLine;
use crate::conv::ConvShape;
use crate::epilogue::GradientSink;
use crate::gate::{Gate, gate_words};
use crate::lanes::{self, LANES, by_lanes};
use crate::scratch;
use crate::tile::simd::Simd;

/// Values that are computed at a time, in four vectors.
const BLOCK: usize = 64;

const VECTORS: usize = BLOCK / LANES;

/// A tap: offset of its values in the source lines, and of its weights.
#[derive(Debug, Clone, Copy)]
struct Term {
    source: usize,
    weight: usize,
}

/// Calls `body(weights, bias)` with the weights of every tap, and the bias or zeros, repeated cyclically so that a
/// block can start at any channel.
pub(super) fn with_cyclic(
    w: &[f32],
    bias: Option<&[f32]>,
    shape: &ConvShape,
    body: impl FnOnce(&[f32], &[f32]),
) {
    let (c, taps) = (shape.out_c, shape.kernel_h * shape.kernel_w);
    let step = c + BLOCK;
    scratch::with((taps + 1) * step, |cyclic| {
        let repeat = |to: &mut [f32], from: &[f32]| {
            for part in to.chunks_mut(c) {
                part.copy_from_slice(&from[..part.len()]);
            }
        };
        for (to, from) in cyclic.chunks_exact_mut(step).zip(w[..taps * c].chunks_exact(c)) {
            repeat(to, from);
        }
        let (weights, start) = cyclic.split_at_mut(taps * step);
        match bias {
            Some(bias) => repeat(start, &bias[..c]),
            None => start.fill(0.0),
        }
        body(weights, start);
    });
}

/// `out[j] = start[j % c] + sum over terms of source[term.source + j] weights[term.weight + j % c]`.
///
/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn line<S: Simd>(
    out: &mut [f32],
    source: &[f32],
    (weights, start): (&[f32], &[f32]),
    terms: &[Term],
    c: usize,
) {
    let blocks = out.len().div_ceil(BLOCK);
    let reach = |term: &Term| {
        term.source + blocks * BLOCK <= source.len() && term.weight + c + BLOCK <= weights.len()
    };
    assert!(
        start.len() >= c + BLOCK && terms.iter().all(reach),
        "every block of every term lies within its slice"
    );
    let step = BLOCK % c;
    let mut channel = 0;
    for (i, out) in out.chunks_mut(BLOCK).enumerate() {
        // SAFETY: guaranteed by the caller; blocks were checked to lie within their slices, and the channel is less
        // than `c`.
        unsafe {
            let mut sums = load::<S>(start.as_ptr().add(channel));
            let (source, weights) = (source.as_ptr().add(i * BLOCK), weights.as_ptr().add(channel));
            for term in terms {
                let (x, w) = (load::<S>(source.add(term.source)), load::<S>(weights.add(term.weight)));
                for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                    *sum = S::add(S::multiply(x, w), *sum);
                }
            }
            for (group, sum) in out.chunks_mut(LANES).zip(sums) {
                if group.len() == LANES {
                    S::store(group.as_mut_ptr(), sum);
                } else {
                    S::store_lanes(group.as_mut_ptr(), S::lanes(group.len()), sum);
                }
            }
        }
        channel += step;
        channel = if channel >= c { channel - c } else { channel };
    }
}

/// Loads a block of values.
///
/// # Safety
/// The processor must support the instruction set; the block must be valid for reads.
#[inline(always)]
unsafe fn load<S: Simd>(from: *const f32) -> [S::Vector; VECTORS] {
    // SAFETY: guaranteed by the caller.
    unsafe {
        [S::load(from), S::load(from.add(LANES)), S::load(from.add(2 * LANES)), S::load(from.add(3 * LANES))]
    }
}

/// Computes the forward pass of one sample.
pub(super) fn forward(
    out: &mut [f32],
    x: &[f32],
    weights: (&[f32], &[f32]),
    (gate, bits): (&Gate, &mut [u16]),
    shape: &ConvShape,
) {
    let padded_line = PaddedLine::forward(shape);
    let slots = ((shape.kernel_h - 1) * shape.dilation.0 + 1).min(shape.in_h);
    with_memory(&padded_line, slots, 0, |memory| {
        forward_lines(out, x, weights, (gate, bits), shape, &padded_line, memory);
    });
}

by_lanes! {
    fn forward_lines<S>(
        out: &mut [f32], x: &[f32], weights: (&[f32], &[f32]), gate: (&Gate, &mut [u16]), shape: &ConvShape,
        padded_line: &PaddedLine, memory: Memory<'_>,
    ) {
        let (gate, bits) = gate;
        let Memory { ring, terms, .. } = memory;
        let c = shape.out_c;
        let words = if bits.is_empty() { 0 } else { gate_words(shape.out_w, c) };
        let mut ring = Ring::new(ring, padded_line, (x, shape.in_w * shape.in_c));
        for (oy, out) in out.chunks_exact_mut(shape.out_w * c).enumerate() {
            terms.clear();
            for ky in 0..shape.kernel_h {
                let padded = oy * shape.stride.0 + ky * shape.dilation.0;
                let Some(iy) = padded.checked_sub(shape.pad.0) else { continue };
                if iy >= shape.in_h {
                    break;
                }
                let at = ring.line(iy);
                for kx in 0..shape.kernel_w {
                    let source = at + padded_line.place(kx * shape.dilation.1);
                    terms.push(Term { source, weight: (ky * shape.kernel_w + kx) * (c + BLOCK) });
                }
            }
            // SAFETY: guaranteed by the caller.
            unsafe { line::<S>(out, ring.lines, weights, terms, c) };
            if *gate != Gate::LINEAR || words > 0 {
                lanes::apply(out, None, gate, &mut bits[oy * words..(oy + 1) * words], c);
            }
        }
    }
}

/// Computes the input gradient of one sample.
pub(super) fn backward(
    dx: &mut [f32],
    dy: &[f32],
    weights: (&[f32], &[f32]),
    sink: GradientSink<'_>,
    shape: &ConvShape,
) {
    let padded_line = PaddedLine::backward(shape);
    let slots = ((shape.kernel_h - 1) * shape.dilation.0 / shape.stride.0 + 1).min(shape.out_h);
    let fresh = if is_direct(sink, shape) { 0 } else { shape.in_w.div_ceil(shape.stride.1) * shape.out_c };
    with_memory(&padded_line, slots, fresh, |memory| {
        backward_lines(dx, dy, weights, sink, shape, &padded_line, memory);
    });
}

/// Tells if lines of the input gradient can be computed in place.
fn is_direct(sink: GradientSink<'_>, shape: &ConvShape) -> bool {
    shape.stride.1 == 1 && shape.in_c == shape.out_c && !sink.accumulate
}

by_lanes! {
    fn backward_lines<S>(
        dx: &mut [f32], dy: &[f32], weights: (&[f32], &[f32]), sink: GradientSink<'_>, shape: &ConvShape,
        padded_line: &PaddedLine, memory: Memory<'_>,
    ) {
        let Memory { ring, fresh, terms } = memory;
        let (c, copies) = (shape.out_c, shape.out_c / shape.in_c);
        let (stride, dilation, pad) = (shape.stride, shape.dilation, shape.pad);
        let words = if sink.gate.is_empty() { 0 } else { gate_words(shape.in_w, shape.in_c) };
        let mut ring = Ring::new(ring, padded_line, (dy, shape.out_w * c));
        for (iy, dx) in dx.chunks_exact_mut(shape.in_w * shape.in_c).enumerate() {
            // Input pixels `phase`, `phase + stride` and so on use the same taps.
            for phase in 0..stride.1.min(shape.in_w) {
                terms.clear();
                for ky in (0..shape.kernel_h).rev() {
                    let Some(oy) = met(iy + pad.0, ky * dilation.0, stride.0) else { continue };
                    if oy >= shape.out_h {
                        break;
                    }
                    let at = ring.line(oy);
                    for kx in 0..shape.kernel_w {
                        // The border is added in whole strides, which keeps the position from becoming negative.
                        let padded = phase + pad.1 + padded_line.before * stride.1;
                        if let Some(place) = met(padded, kx * dilation.1, stride.1) {
                            let weight = (ky * shape.kernel_w + kx) * (c + BLOCK);
                            terms.push(Term { source: at + place * c, weight });
                        }
                    }
                }
                if fresh.is_empty() {
                    // SAFETY: guaranteed by the caller.
                    unsafe { line::<S>(dx, ring.lines, weights, terms, c) };
                    continue;
                }
                let count = (shape.in_w - phase).div_ceil(stride.1);
                let fresh = &mut fresh[..count * c];
                // SAFETY: guaranteed by the caller.
                unsafe { line::<S>(fresh, ring.lines, weights, terms, c) };
                for (i, fresh) in fresh.chunks_exact(c).enumerate() {
                    let at = (phase + i * stride.1) * shape.in_c;
                    add_pixel(&mut dx[at..at + shape.in_c], fresh, sink.accumulate, copies);
                }
            }
            if words > 0 {
                lanes::close(dx, &sink.gate[iy * words..(iy + 1) * words], shape.in_c);
            }
        }
    }
}

/// Ring buffer of the padded lines that the taps of one output line reach. Lines are filled on demand, in ascending
/// order.
struct Ring<'a> {
    lines: &'a mut [f32],
    padded_line: &'a PaddedLine,
    /// Lines without borders, and their length.
    source: (&'a [f32], usize),
    slots: usize,
    filled: usize,
}

impl<'a> Ring<'a> {
    #[inline(always)]
    fn new(lines: &'a mut [f32], padded_line: &'a PaddedLine, source: (&'a [f32], usize)) -> Self {
        let slots = (lines.len() - BLOCK) / padded_line.line();
        Self { lines, padded_line, source, slots, filled: 0 }
    }

    /// Fills line `y` if necessary and returns its offset.
    #[inline(always)]
    fn line(&mut self, y: usize) -> usize {
        let (source, len) = self.source;
        self.filled = self.filled.max((y + 1).saturating_sub(self.slots));
        while self.filled <= y {
            let at = self.filled % self.slots * self.padded_line.line();
            self.padded_line.fill(&mut self.lines[at..], &source[self.filled * len..][..len]);
            self.filled += 1;
        }
        y % self.slots * self.padded_line.line()
    }
}

/// The output line or pixel that reaches padded input position `at` through a tap at `offset`, if any.
#[inline(always)]
fn met(at: usize, offset: usize, stride: usize) -> Option<usize> {
    let distance = at.checked_sub(offset)?;
    if stride == 1 {
        return Some(distance);
    }
    distance.is_multiple_of(stride).then(|| distance / stride)
}

/// Stores or adds the gradient of a pixel; repeated channels are summed up.
#[inline(always)]
fn add_pixel(dx: &mut [f32], fresh: &[f32], accumulate: bool, copies: usize) {
    if copies == 1 {
        if accumulate {
            dx.iter_mut().zip(fresh).for_each(|(dx, fresh)| *dx += fresh);
        } else {
            lanes::copy(dx, fresh);
        }
        return;
    }
    for (dx, fresh) in dx.iter_mut().zip(fresh.chunks_exact(copies)) {
        let sum: f32 = fresh.iter().sum();
        *dx = if accumulate { *dx + sum } else { sum };
    }
}

/// Working memory of a pass over one sample.
struct Memory<'a> {
    /// Padded lines, followed by a block of zeros.
    ring: &'a mut [f32],
    /// A line of the result before it is scattered to its pixels.
    fresh: &'a mut [f32],
    terms: &'a mut Vec<Term>,
}

/// Calls `body` with memory for `slots` padded lines and `fresh` values.
fn with_memory(padded_line: &PaddedLine, slots: usize, fresh: usize, body: impl FnOnce(Memory<'_>)) {
    thread_local! {
        static TERMS: Cell<Vec<Term>> = const { Cell::new(Vec::new()) };
    }
    let len = slots * padded_line.line();
    let mut terms = TERMS.take();
    scratch::with(len + BLOCK + fresh, |memory| {
        let (ring, fresh) = memory.split_at_mut(len + BLOCK);
        // Blocks may read beyond the last line; the values read there are not used.
        ring[len..].fill(0.0);
        body(Memory { ring, fresh, terms: &mut terms });
    });
    TERMS.set(terms);
}
