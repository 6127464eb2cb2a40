//! Gradient of a convolution with respect to its input: convolutions of the output gradient with the rotated kernel,
//! one for each residue of the input position modulo the stride.

use super::border::Border;
use super::shape::ConvShape;
use super::winograd::{self, Algorithm};
use crate::dense::dense_input_gradient_into;
use crate::epilogue::{GradientSink, close_gate};
use crate::gate::gate_words;
use crate::tile::{
    Kernels, Lines, PANEL, ProductLayout, Start, SumAxis, TileEpilogue, panels, part, product, transpose,
};
use crate::{scratch, split};

/// Gradient of [`conv2d`](super::conv2d) with respect to its input; also the transposed convolution of `dy`.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d_input_gradient(dx: &mut [f32], dy: &[f32], w: &[f32], shape: &ConvShape, threads: usize) {
    conv2d_input_gradient_into(dx, dy, w, GradientSink::default(), shape, threads);
}

/// Gradient of [`conv2d`](super::conv2d) with respect to its input, gated and accumulated as `sink` specifies.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d_input_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sink: GradientSink<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    if shape.is_pointwise() {
        return dense_input_gradient_into(dx, dy, w, sink, shape.dense_sizes(), threads);
    }
    let dx = &mut dx[..shape.input_len()];
    let (dy, w) = (&dy[..shape.output_len()], &w[..shape.kernel_len()]);
    let words = gate_words(shape.in_h * shape.in_w, shape.in_c);
    assert!(sink.gate.is_empty() || sink.gate.len() == shape.batch * words, "gate bits hold the input");
    if let Some(algorithm) = Algorithm::of(shape) {
        return winograd::input_gradient(algorithm, dx, dy, w, sink, shape, threads);
    }
    let words = if sink.gate.is_empty() { 0 } else { words };
    let kernels = Kernels::current();
    let pass = InputGradient::new(shape);
    let threads = split::useful(threads, shape.work());
    let samples = shape.batch.div_ceil(threads).max(1);
    scratch::with(shape.kernel_len(), |rotated| {
        pass.rotate(kernels, rotated, w);
        let rotated = &*rotated;
        split::for_chunks(threads, dx, samples * shape.in_sample(), |i, dx| {
            let first = i * samples;
            let count = dx.len() / shape.in_sample();
            pass.border.for_samples(
                &dy[first * shape.out_sample()..],
                count,
                1,
                |sample, _, dy, upcoming| {
                    let gate = &sink.gate[(first + sample) * words..][..words];
                    let dx = &mut dx[sample * shape.in_sample()..][..shape.in_sample()];
                    pass.backward(kernels, dx, (dy, upcoming), rotated, GradientSink { gate, ..sink });
                },
            );
        });
    });
}

/// Input positions along one axis that are equal modulo the stride, and the kernel taps that reach them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phase {
    /// The first position.
    pub(crate) first: usize,
    /// Number of positions.
    pub(crate) count: usize,
    /// Number of taps: `tap` and every `step`-th tap after it.
    pub(crate) taps: usize,
    tap: usize,
    step: usize,
    /// Output position of the last tap at the first input position.
    pub(crate) from: isize,
    /// Distance between the output positions of consecutive taps.
    pub(crate) delta: usize,
}

impl Phase {
    fn new(first: usize, (size, kernel): (usize, usize), stride: usize, dilation: usize, pad: usize) -> Self {
        let step = stride / common_divisor(stride, dilation);
        let delta = dilation * step / stride;
        let fits =
            |tap: &usize| (first + pad) as isize % stride as isize == (tap * dilation % stride) as isize;
        let count = size.saturating_sub(first).div_ceil(stride);
        let Some(tap) = (0..kernel.min(step)).find(fits) else {
            return Self { first, count, ..Self::default() };
        };
        let taps = (kernel - tap).div_ceil(step);
        let last = (tap + (taps - 1) * step) * dilation;
        // The division is exact: a phase consists of the taps for which it is.
        let from = ((first + pad) as isize - last as isize) / stride as isize;
        Self { first, count, taps, tap, step, from, delta }
    }

    /// The phases of height and width.
    pub(crate) fn all(shape: &ConvShape) -> (impl Iterator<Item = Self>, impl Iterator<Item = Self>) {
        let &ConvShape { in_h, in_w, kernel_h, kernel_w, stride, dilation, pad, .. } = shape;
        (
            (0..stride.0).map(move |i| Self::new(i, (in_h, kernel_h), stride.0, dilation.0, pad.0)),
            (0..stride.1).map(move |i| Self::new(i, (in_w, kernel_w), stride.1, dilation.1, pad.1)),
        )
    }

    /// Tap `i` in the order of output positions, which is the reverse of the kernel's order.
    pub(crate) const fn rotated_tap(&self, i: usize) -> usize {
        self.tap + (self.taps - 1 - i) * self.step
    }

    /// Number of zeros needed before the first output position.
    const fn before(&self) -> usize {
        if self.taps > 0 && self.from < 0 { self.from.unsigned_abs() } else { 0 }
    }

    /// The first output position, counted from `before` zeros in front.
    const fn start(&self, before: usize) -> usize {
        (self.from + before as isize) as usize
    }

    /// Number of output positions that are read, including `before` zeros in front.
    const fn reach(&self, before: usize) -> usize {
        if self.taps == 0 || self.count == 0 {
            return 0;
        }
        self.start(before) + self.count + (self.taps - 1) * self.delta
    }
}

const fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Values that depend on the shape only.
struct InputGradient<'a> {
    shape: &'a ConvShape,
    border: Border,
    before: (usize, usize),
}

impl<'a> InputGradient<'a> {
    fn new(shape: &'a ConvShape) -> Self {
        let mut before = (0, 0);
        for phase in Phase::all(shape).0 {
            before.0 = phase.before().max(before.0);
        }
        for phase in Phase::all(shape).1 {
            before.1 = phase.before().max(before.1);
        }
        let mut whole = (1, 1);
        for phase in Phase::all(shape).0 {
            whole.0 = phase.reach(before.0).max(whole.0);
        }
        for phase in Phase::all(shape).1 {
            whole.1 = phase.reach(before.1).max(whole.1);
        }
        let border = Border::new((shape.out_h, shape.out_w, shape.out_c), before, whole);
        Self { shape, border, before }
    }

    /// Calls `body(phase of height, phase of width, group, offset of their taps in the rotated kernel)`.
    fn for_phases(&self, mut body: impl FnMut(&Phase, &Phase, usize, usize)) {
        let shape = self.shape;
        let mut at = 0;
        for group in 0..shape.groups {
            for y in Phase::all(shape).0 {
                for x in Phase::all(shape).1 {
                    body(&y, &x, group, at);
                    at += y.taps * x.taps * shape.group_in() * shape.group_out();
                }
            }
        }
    }

    /// Rotates the kernel: ordered by groups, phases and panels of input channels, taps reversed, each tap transposed
    /// to (output, input) channels.
    fn rotate(&self, kernels: &Kernels, rotated: &mut [f32], w: &[f32]) {
        let shape = self.shape;
        let (cg, go) = (shape.group_in(), shape.group_out());
        self.for_phases(|y, x, group, at| {
            let taps = y.taps * x.taps;
            for (first, width) in panels(cg) {
                let to = &mut rotated[at + first * taps * go..][..width * taps * go];
                for (i, to) in to.chunks_exact_mut(width * go).enumerate() {
                    let tap = y.rotated_tap(i / x.taps) * shape.kernel_w + x.rotated_tap(i % x.taps);
                    let from = &w[(tap * cg + first) * shape.out_c + group * go..];
                    transpose(kernels, to, from, (width, go), shape.out_c);
                }
            }
        });
    }

    /// Computes one sample.
    fn backward(
        &self,
        kernels: &Kernels,
        dx: &mut [f32],
        (dy, upcoming): (&[f32], &[f32]),
        rotated: &[f32],
        sink: GradientSink<'_>,
    ) {
        let shape = self.shape;
        let (cg, go, line) = (shape.group_in(), shape.group_out(), self.border.line());
        let words = shape.in_c.div_ceil(16);
        let start = if sink.accumulate { Start::Old } else { Start::Zero };
        self.for_phases(|y, x, group, at| {
            for (first, width) in panels(cg) {
                let (sum, segments, blocks) = if x.delta == 1 && shape.groups == 1 {
                    let across = x.taps * go;
                    let segments = SumAxis::new(y.taps, y.delta * line, across * width);
                    (SumAxis::new(across, 1, width), segments, SumAxis::ONE)
                } else {
                    let segments = SumAxis::new(x.taps, x.delta * shape.out_c, go * width);
                    let blocks = SumAxis::new(y.taps, y.delta * line, x.taps * go * width);
                    (SumAxis::new(go, 1, width), segments, blocks)
                };
                let lines = Lines {
                    count: y.count,
                    a: line,
                    b: 0,
                    c: shape.stride.0 * shape.in_w * shape.in_c,
                    bits: shape.stride.0 * shape.in_w * words,
                };
                let layout = ProductLayout {
                    segments,
                    blocks,
                    lines,
                    // The first phase prefetches the next sample.
                    upcoming: [
                        if at == 0 { part(upcoming, first / PANEL, cg.div_ceil(PANEL)) } else { &[] },
                        &[],
                    ],
                    ..ProductLayout::matrix((x.count, width), (shape.out_c, shape.stride.1 * shape.in_c), sum)
                };
                if x.count == 0 || y.count == 0 {
                    continue;
                }
                let pixel = y.first * shape.in_w + x.first;
                let end = if shape.groups > 1 || sink.gate.is_empty() {
                    TileEpilogue::Store
                } else {
                    TileEpilogue::Close {
                        bits: &sink.gate[pixel * words + first / 16..],
                        row: shape.stride.1 * words,
                    }
                };
                let taps = y.taps * x.taps;
                let dy = if taps == 0 {
                    &[]
                } else {
                    let from = y.start(self.before.0) * line + x.start(self.before.1) * shape.out_c;
                    &dy[from + group * go..]
                };
                let operands = (dy, &rotated[at + first * taps * go..]);
                let dx = &mut dx[pixel * shape.in_c + group * cg + first..];
                product(kernels, &layout, operands, dx, start, end);
            }
        });
        if shape.groups > 1 {
            // Groups need not end at word boundaries of the gate bits.
            close_gate(dx, sink.gate, shape.in_c, 1);
        }
    }
}
