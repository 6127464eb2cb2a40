//! Convolutions with fewer multiplications, by Winograd's minimal filtering: 3x3 kernels by `F(4x4, 3x3)` (36 products in
//! place of 144) or `F(2x2, 3x3)` (16 of 36), lines of 5 by `F(4, 5)` (8 of 20) and of 3 by `F(4, 3)` (6 of 12).
//!
//! The input is cut into tiles; each becomes a value for every point, a dense product over the channels is taken point by
//! point, and the products become a tile of the result. Nothing but rounding tells the result from the direct one: its
//! error is up to 5 times as large, and sums of few-bit numbers are no longer exact. The gradient of the kernel is the
//! adjoint: products of the points of inputs and of the result's gradients, summed over tiles.

mod maps;
mod transform;

use std::ops::Range;

use self::maps::{Fold, Source, fold, fold_kernel, spread, spread_kernel};
use super::{ConvShape, for_samples};
use crate::epilogue::{Epilogue, GradientSink, ParameterGradients};
use crate::gate::{Gate, GateFunction, gate_words};
use crate::lanes::LANES;
use crate::rows::add;
use crate::tile::{
    Axis, End, Kernels, Layout, Lines, PANEL, Start, add_columns, apply_function, panels, product, transpose,
};
use crate::{scratch, split};

/// Which algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `F(2x2, 3x3)`
    Square2,
    /// `F(4x4, 3x3)`
    Square4,
    /// `F(4, 3)` along the width.
    Line3,
    /// `F(4, 5)` along the width.
    Line5,
}

impl Form {
    /// That of a convolution, where one pays.
    pub(super) fn of(shape: &ConvShape) -> Option<Self> {
        let plain = shape.stride == (1, 1) && shape.dilation == (1, 1) && shape.groups == 1;
        // Narrower ones spend more on the way to the points and back than they save; and vectors are whole.
        let whole = shape.in_c.is_multiple_of(LANES) && shape.out_c.is_multiple_of(LANES);
        if shape.exact || !plain || !whole {
            return None;
        }
        match (shape.kernel_h, shape.kernel_w) {
            (3, 3) if shape.out_h.min(shape.out_w).min(shape.in_h).min(shape.in_w) > 2 => Some(Self::Square4),
            (3, 3) => Some(Self::Square2),
            (1, 3) if shape.out_w > 2 => Some(Self::Line3),
            (1, 5) if shape.out_w > 2 => Some(Self::Line5),
            _ => None,
        }
    }

    const fn points(self) -> usize {
        match self {
            Self::Square2 => 16,
            Self::Square4 => 36,
            Self::Line3 => 6,
            Self::Line5 => 8,
        }
    }

    /// Height and width of a tile of the result.
    const fn results(self) -> (usize, usize) {
        match self {
            Self::Square2 => (2, 2),
            Self::Square4 => (4, 4),
            Self::Line3 | Self::Line5 => (1, 4),
        }
    }
}

/// Where tiles of one size lie in images of another.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    /// Height, width, channels of the images.
    image: (usize, usize, usize),
    /// Tiles down and across.
    count: (usize, usize),
    /// From tile to tile.
    step: (usize, usize),
    /// From the first tile's first place to the image's.
    pad: (isize, isize),
}

impl Tiles {
    const fn per_sample(&self) -> usize {
        self.count.0 * self.count.1
    }

    /// Sample of tile `i`, and its first line and column within the image.
    #[inline(always)]
    const fn at(&self, i: usize) -> (usize, isize, isize) {
        let (sample, within) = (i / self.per_sample(), i % self.per_sample());
        let (y, x) = (within / self.count.1, within % self.count.1);
        (sample, (y * self.step.0) as isize - self.pad.0, (x * self.step.1) as isize - self.pad.1)
    }

    const fn sample(&self) -> usize {
        self.image.0 * self.image.1 * self.image.2
    }
}

/// Elements between the matrices of neighbouring points: without them all would lie at multiples of a power of two,
/// where a cache holds few lines.
const GAP: usize = LANES;

/// From one point's matrix to the next, for matrices of `len` elements.
const fn stride(len: usize) -> usize {
    len + GAP
}

/// The points of some tiles: panels of `width` channels, in each a matrix (tile, channel) for every point.
#[derive(Debug, Clone, Copy)]
struct Points {
    first: usize,
    count: usize,
    width: usize,
}

impl Points {
    /// Elements of `points` points of `channels` channels.
    const fn len(&self, points: usize, channels: usize) -> usize {
        points * (self.count * channels + channels.div_ceil(self.width) * GAP)
    }

    /// From point to point in the panel from channel `first` on.
    const fn stride(&self, channels: usize, first: usize) -> usize {
        let left = channels - first;
        stride(self.count * if left < self.width { left } else { self.width })
    }

    /// Where the panel from channel `first` on begins.
    const fn panel(&self, points: usize, first: usize) -> usize {
        first / self.width * points * stride(self.count * self.width)
    }
}

/// How the points of a kernel lie: its channels take the place of tiles, its filters that of channels.
const fn kernel_points(channels: usize) -> Points {
    Points { first: 0, count: channels, width: PANEL }
}

/// Elements of points that are worked on at a time: they stay in the second-level cache.
const BLOCK: usize = 1 << 16;

/// Rows of a register tile, of which blocks are made.
const ROWS: usize = 14;

/// Tiles of a block with `elements` for each.
fn block(elements: usize) -> usize {
    (BLOCK / elements / ROWS).clamp(1, 8) * ROWS
}

/// A convolution of stride 1 whose kernel is spread.
struct Pass<'a> {
    form: Form,
    source: Tiles,
    target: Tiles,
    u: &'a [f32],
}

impl<'a> Pass<'a> {
    /// From images of `source` to images of `target`, (height, width, channels).
    fn new(
        form: Form,
        source: (usize, usize, usize),
        target: (usize, usize, usize),
        pad: (isize, isize),
        u: &'a [f32],
    ) -> Self {
        let step = form.results();
        let count = (target.0.div_ceil(step.0), target.1.div_ceil(step.1));
        Self {
            form,
            source: Tiles { image: source, count, step, pad },
            target: Tiles { image: target, count, step, pad: (0, 0) },
            u,
        }
    }

    /// All samples of `out`.
    fn run(&self, out: &mut [f32], x: &[f32], mut end: Fold<'_>) {
        let (form, kernels, points) = (self.form, Kernels::current(), self.form.points());
        let (channels, filters) = (self.source.image.2, self.target.image.2);
        let all = out.len() / self.target.sample() * self.target.per_sample();
        let at_once = block(points * (channels + filters.min(PANEL))).min(all);
        let whole = Points { first: 0, count: at_once, width: channels };
        let panel = Points { width: PANEL, ..whole };
        let (v, m) = (whole.len(points, channels), panel.len(points, PANEL));
        scratch::with(v + m + channels, |buffer| {
            let (v, buffer) = buffer.split_at_mut(v);
            let (m, zeros) = buffer.split_at_mut(m);
            zeros.fill(0.0);
            for first in (0..all).step_by(at_once) {
                let count = at_once.min(all - first);
                let tiles = Points { first, count, width: channels };
                spread(form, Source::Input, v, (x, zeros), &self.source, tiles);
                for (filter, width) in panels(filters) {
                    let tiles = Points { width, ..tiles };
                    let kernel = kernel_points(channels);
                    let layout = Layout {
                        lines: Lines {
                            count: points,
                            a: stride(count * channels),
                            b: kernel.stride(filters, filter),
                            c: tiles.stride(width, 0),
                            bits: 0,
                        },
                        ..Layout::matrix((count, width), (channels, width), Axis::new(channels, 1, width))
                    };
                    let u = &self.u[kernel.panel(points, filter)..];
                    product(kernels, &layout, (v, u), m, Start::Zero, End::Store);
                    fold(form, out, m, &self.target, tiles, filter, &mut end);
                }
            }
        });
    }
}

/// [`conv2d_fused`](super::conv2d_fused) by `form`.
pub(super) fn forward(
    form: Form,
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    Epilogue { bias, gate, bits }: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let filters = shape.out_c;
    let bias = bias.unwrap_or_default();
    scratch::with(kernel_points(shape.in_c).len(form.points(), filters), |u| {
        spread_kernel(form, u, w, (shape.in_c, filters));
        let pad = (shape.pad.0 as isize, shape.pad.1 as isize);
        let (source, target) = ((shape.in_h, shape.in_w, shape.in_c), (shape.out_h, shape.out_w, filters));
        let pass = Pass::new(form, source, target, pad, u);
        for_samples(out, x, bits, shape, threads, |out, x, bits| match gate.function {
            GateFunction::Clip { low: floor, high: f32::INFINITY } if gate.open.1 == f32::INFINITY => {
                pass.run(out, x, Fold::Floor { bias, floor, open: gate.open.0, bits });
            }
            _ => {
                pass.run(out, x, Fold::Store { bias });
                if gate != Gate::LINEAR || !bits.is_empty() {
                    apply_function(Kernels::current(), out, filters, gate, bits);
                }
            }
        });
    });
}

/// [`conv2d_input_gradient_into`](super::conv2d_input_gradient_into) by `form`: a convolution by the turned kernel.
pub(super) fn input_gradient(
    form: Form,
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sink: GradientSink<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let matrix = shape.in_c * shape.out_c;
    let words = if sink.gate.is_empty() { 0 } else { gate_words(shape.in_h * shape.in_w, shape.in_c) };
    let threads = split::useful(threads, shape.work());
    let samples = shape.batch.div_ceil(threads).max(1);
    let kernels = Kernels::current();
    scratch::with(kernel_points(shape.out_c).len(form.points(), shape.in_c), |u| {
        scratch::with(w.len(), |turned| {
            let taps = w.chunks_exact(matrix).rev();
            for (to, from) in turned.chunks_exact_mut(matrix).zip(taps) {
                transpose(kernels, to, from, (shape.in_c, shape.out_c), shape.out_c);
            }
            spread_kernel(form, u, turned, (shape.out_c, shape.in_c));
        });
        let pad = |kernel: usize, pad: usize| kernel as isize - 1 - pad as isize;
        let pad = (pad(shape.kernel_h, shape.pad.0), pad(shape.kernel_w, shape.pad.1));
        let source = (shape.out_h, shape.out_w, shape.out_c);
        let pass = Pass::new(form, source, (shape.in_h, shape.in_w, shape.in_c), pad, u);
        split::for_chunks(threads, dx, samples * shape.in_sample(), |i, dx| {
            let dy = &dy[i * samples * shape.out_sample()..];
            let gate = &sink.gate[i * samples * words..];
            pass.run(dx, dy, Fold::Sink { gate, accumulate: sink.accumulate });
        });
    });
}

/// Tiles that a part of a weight gradient should have at least.
const PART: usize = 512;

/// [`conv2d_parameter_gradients`](super::conv2d_parameter_gradients) by `form`.
pub(super) fn parameter_gradients(
    form: Form,
    ParameterGradients { kernel: dw, bias: db, accumulate }: ParameterGradients<'_>,
    x: &[f32],
    dy: &[f32],
    shape: &ConvShape,
    threads: usize,
) {
    if let Some(db) = db {
        if !accumulate {
            db.fill(0.0);
        }
        add_columns(Kernels::current(), db, dy);
    }
    let (points, matrix) = (form.points(), shape.in_c * shape.out_c);
    let step = form.results();
    let count = (shape.out_h.div_ceil(step.0), shape.out_w.div_ceil(step.1));
    let all = shape.batch * count.0 * count.1;
    // Parts depend on the shape alone, so that every number of threads computes the same.
    let parts = (all / PART).clamp(1, 4);
    let pad = (shape.pad.0 as isize, shape.pad.1 as isize);
    let source = Tiles { image: (shape.in_h, shape.in_w, shape.in_c), count, step, pad };
    let target = Tiles { image: (shape.out_h, shape.out_w, shape.out_c), count, step, pad: (0, 0) };
    let len = points * stride(matrix);
    scratch::with(parts * len, |sums| {
        split::for_chunks(split::useful(threads, shape.work()), sums, len, |i, sums| {
            add_tiles(form, sums, (x, &source), (dy, &target), split::even(i, parts, all));
        });
        let (first, others) = sums.split_at_mut(len);
        for other in others.chunks_exact(len) {
            add(first, other);
        }
        fold_kernel(form, dw, first, matrix, accumulate);
    });
}

/// Gradient of the points of a kernel from some tiles.
fn add_tiles(
    form: Form,
    sums: &mut [f32],
    (x, source): (&[f32], &Tiles),
    (dy, target): (&[f32], &Tiles),
    range: Range<usize>,
) {
    let (kernels, points) = (Kernels::current(), form.points());
    let (channels, filters) = (source.image.2, target.image.2);
    let at_once = block(points * (channels + filters)).min(range.len());
    let whole = Points { first: 0, count: at_once, width: channels };
    let panel = Points { width: PANEL, ..whole };
    let (v, m) = (whole.len(points, channels), panel.len(points, filters));
    scratch::with(v + m + channels.max(filters), |buffer| {
        let (v, buffer) = buffer.split_at_mut(v);
        let (m, zeros) = buffer.split_at_mut(m);
        zeros.fill(0.0);
        for first in range.clone().step_by(at_once) {
            let count = at_once.min(range.end - first);
            let whole = Points { first, count, width: channels };
            let panel = Points { width: PANEL, ..whole };
            spread(form, Source::Input, v, (x, zeros), source, whole);
            spread(form, Source::Gradient, m, (dy, zeros), target, panel);
            let start = if first == range.start { Start::Zero } else { Start::Old };
            for (filter, width) in panels(filters) {
                let layout = Layout {
                    lines: Lines {
                        count: points,
                        a: stride(count * channels),
                        b: panel.stride(filters, filter),
                        c: stride(channels * filters),
                        bits: 0,
                    },
                    ..Layout::matrix((channels, width), (1, filters), Axis::new(count, channels, width))
                };
                let m = &m[panel.panel(points, filter)..];
                product(kernels, &layout, (v, m), &mut sums[filter..], start, End::Store);
            }
        }
    });
}
