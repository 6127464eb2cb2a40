//! Convolutions with fewer multiplications by Winograd's minimal filtering: 3x3 kernels by `F(4x4, 3x3)` (36 products
//! instead of 144) or `F(2x2, 3x3)` (16 instead of 36), kernels 1x5 by `F(4, 5)` (8 instead of 20) and 1x3 by `F(4,
//! 3)` (6 instead of 12).
//!
//! The input is split into tiles. A tile is transformed into one value per point; at every point a dense product over
//! the channels is computed; the products are transformed into a tile of the output. The result differs from the
//! direct one only by rounding: its error is up to 5 times as large, and sums of few-bit numbers are no longer exact.
//! The kernel's gradient uses the adjoint: products of the transformed inputs and output gradients, summed over
//! tiles.

mod apply;
mod layout;
mod transform;

use std::ops::Range;

use self::apply::{
    Operand, WinogradEpilogue, inverse_transform, transform, transform_kernel, transform_kernel_gradient,
};
pub(super) use self::layout::Algorithm;
use self::layout::{PointLayout, Tiles, kernel_points, stride};
use super::samples::for_samples;
use super::shape::ConvShape;
use crate::epilogue::{Epilogue, GradientSink, ParameterGradients};
use crate::gate::{Gate, GateFunction, gate_words};
use crate::rows::add;
use crate::tile::{
    Kernels, Lines, PANEL, ProductLayout, Start, SumAxis, TileEpilogue, add_columns, apply_function, panels,
    product, transpose,
};
use crate::{scratch, split};

/// Elements of transformed values per block of tiles, which stays in the second-level cache.
const BLOCK: usize = 1 << 16;

/// Rows of a register tile; blocks are made of multiples of it.
const TILE_ROWS: usize = 14;

/// Number of tiles per block, for `elements` elements per tile.
fn block(elements: usize) -> usize {
    (BLOCK / elements / TILE_ROWS).clamp(1, 8) * TILE_ROWS
}

/// A convolution of stride 1 with a transformed kernel `u`.
struct Pass<'a> {
    algorithm: Algorithm,
    source: Tiles,
    target: Tiles,
    u: &'a [f32],
}

impl<'a> Pass<'a> {
    /// From images of size `source` to images of size `target`, each (height, width, channels).
    fn new(
        algorithm: Algorithm,
        source: (usize, usize, usize),
        target: (usize, usize, usize),
        pad: (isize, isize),
        u: &'a [f32],
    ) -> Self {
        let step = algorithm.results();
        let count = (target.0.div_ceil(step.0), target.1.div_ceil(step.1));
        Self {
            algorithm,
            source: Tiles { image: source, count, step, pad },
            target: Tiles { image: target, count, step, pad: (0, 0) },
            u,
        }
    }

    /// Computes all samples of `out`.
    fn run(&self, out: &mut [f32], x: &[f32], mut end: WinogradEpilogue<'_>) {
        let (algorithm, kernels, points) = (self.algorithm, Kernels::current(), self.algorithm.points());
        let (channels, filters) = (self.source.image.2, self.target.image.2);
        let all = out.len() / self.target.sample() * self.target.per_sample();
        let at_once = block(points * (channels + filters.min(PANEL))).min(all);
        let whole = PointLayout { first: 0, count: at_once, width: channels };
        let panel = PointLayout { width: PANEL, ..whole };
        let (v, m) = (whole.len(points, channels), panel.len(points, PANEL));
        scratch::with(v + m + channels, |buffer| {
            let (v, buffer) = buffer.split_at_mut(v);
            let (m, zeros) = buffer.split_at_mut(m);
            zeros.fill(0.0);
            for first in (0..all).step_by(at_once) {
                let count = at_once.min(all - first);
                let tiles = PointLayout { first, count, width: channels };
                transform(algorithm, Operand::Input, v, (x, zeros), &self.source, tiles);
                for (filter, width) in panels(filters) {
                    let tiles = PointLayout { width, ..tiles };
                    let kernel = kernel_points(channels);
                    let layout = ProductLayout {
                        lines: Lines {
                            count: points,
                            a: stride(count * channels),
                            b: kernel.stride(filters, filter),
                            c: tiles.stride(width, 0),
                            bits: 0,
                        },
                        ..ProductLayout::matrix(
                            (count, width),
                            (channels, width),
                            SumAxis::new(channels, 1, width),
                        )
                    };
                    let u = &self.u[kernel.panel(points, filter)..];
                    product(kernels, &layout, (v, u), m, Start::Zero, TileEpilogue::Store);
                    inverse_transform(algorithm, out, m, &self.target, tiles, filter, &mut end);
                }
            }
        });
    }
}

/// [`conv2d_fused`](super::conv2d_fused) with a Winograd algorithm.
pub(super) fn forward(
    algorithm: Algorithm,
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    Epilogue { bias, gate, bits }: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let filters = shape.out_c;
    let bias = bias.unwrap_or_default();
    scratch::with(kernel_points(shape.in_c).len(algorithm.points(), filters), |u| {
        transform_kernel(algorithm, u, w, (shape.in_c, filters));
        let pad = (shape.pad.0 as isize, shape.pad.1 as isize);
        let (source, target) = ((shape.in_h, shape.in_w, shape.in_c), (shape.out_h, shape.out_w, filters));
        let pass = Pass::new(algorithm, source, target, pad, u);
        for_samples(out, x, bits, shape, threads, |out, x, bits| match gate.function {
            GateFunction::Clip { low: floor, high: f32::INFINITY } if gate.open.1 == f32::INFINITY => {
                pass.run(out, x, WinogradEpilogue::Floor { bias, floor, open: gate.open.0, bits });
            }
            _ => {
                pass.run(out, x, WinogradEpilogue::Store { bias });
                if gate != Gate::LINEAR || !bits.is_empty() {
                    apply_function(Kernels::current(), out, filters, gate, bits);
                }
            }
        });
    });
}

/// [`conv2d_input_gradient_into`](super::conv2d_input_gradient_into) with a Winograd algorithm: a convolution with
/// the rotated kernel.
pub(super) fn input_gradient(
    algorithm: Algorithm,
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
    scratch::with(kernel_points(shape.out_c).len(algorithm.points(), shape.in_c), |u| {
        scratch::with(w.len(), |rotated| {
            let taps = w.chunks_exact(matrix).rev();
            for (to, from) in rotated.chunks_exact_mut(matrix).zip(taps) {
                transpose(kernels, to, from, (shape.in_c, shape.out_c), shape.out_c);
            }
            transform_kernel(algorithm, u, rotated, (shape.out_c, shape.in_c));
        });
        let pad = |kernel: usize, pad: usize| kernel as isize - 1 - pad as isize;
        let pad = (pad(shape.kernel_h, shape.pad.0), pad(shape.kernel_w, shape.pad.1));
        let source = (shape.out_h, shape.out_w, shape.out_c);
        let pass = Pass::new(algorithm, source, (shape.in_h, shape.in_w, shape.in_c), pad, u);
        split::for_chunks(threads, dx, samples * shape.in_sample(), |i, dx| {
            let dy = &dy[i * samples * shape.out_sample()..];
            let gate = &sink.gate[i * samples * words..];
            pass.run(dx, dy, WinogradEpilogue::Sink { gate, accumulate: sink.accumulate });
        });
    });
}

/// Minimum number of tiles per part of a weight gradient.
const MIN_TILES_PER_PART: usize = 512;

/// [`conv2d_parameter_gradients`](super::conv2d_parameter_gradients) with a Winograd algorithm.
pub(super) fn parameter_gradients(
    algorithm: Algorithm,
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
    let (points, matrix) = (algorithm.points(), shape.in_c * shape.out_c);
    let step = algorithm.results();
    let count = (shape.out_h.div_ceil(step.0), shape.out_w.div_ceil(step.1));
    let all = shape.batch * count.0 * count.1;
    // The number of parts depends on the shape only, so every number of threads gives the same bits.
    let parts = (all / MIN_TILES_PER_PART).clamp(1, 4);
    let pad = (shape.pad.0 as isize, shape.pad.1 as isize);
    let source = Tiles { image: (shape.in_h, shape.in_w, shape.in_c), count, step, pad };
    let target = Tiles { image: (shape.out_h, shape.out_w, shape.out_c), count, step, pad: (0, 0) };
    let len = points * stride(matrix);
    scratch::with(parts * len, |sums| {
        split::for_chunks(split::useful(threads, shape.work()), sums, len, |i, sums| {
            add_tiles(algorithm, sums, (x, &source), (dy, &target), split::even(i, parts, all));
        });
        let (first, others) = sums.split_at_mut(len);
        for other in others.chunks_exact(len) {
            add(first, other);
        }
        transform_kernel_gradient(algorithm, dw, first, matrix, accumulate);
    });
}

/// Adds the gradient of a transformed kernel from a range of tiles to `sums`.
fn add_tiles(
    algorithm: Algorithm,
    sums: &mut [f32],
    (x, source): (&[f32], &Tiles),
    (dy, target): (&[f32], &Tiles),
    range: Range<usize>,
) {
    let (kernels, points) = (Kernels::current(), algorithm.points());
    let (channels, filters) = (source.image.2, target.image.2);
    let at_once = block(points * (channels + filters)).min(range.len());
    let whole = PointLayout { first: 0, count: at_once, width: channels };
    let panel = PointLayout { width: PANEL, ..whole };
    let (v, m) = (whole.len(points, channels), panel.len(points, filters));
    scratch::with(v + m + channels.max(filters), |buffer| {
        let (v, buffer) = buffer.split_at_mut(v);
        let (m, zeros) = buffer.split_at_mut(m);
        zeros.fill(0.0);
        for first in range.clone().step_by(at_once) {
            let count = at_once.min(range.end - first);
            let whole = PointLayout { first, count, width: channels };
            let panel = PointLayout { width: PANEL, ..whole };
            transform(algorithm, Operand::Input, v, (x, zeros), source, whole);
            transform(algorithm, Operand::Gradient, m, (dy, zeros), target, panel);
            let start = if first == range.start { Start::Zero } else { Start::Old };
            for (filter, width) in panels(filters) {
                let layout = ProductLayout {
                    lines: Lines {
                        count: points,
                        a: stride(count * channels),
                        b: panel.stride(filters, filter),
                        c: stride(channels * filters),
                        bits: 0,
                    },
                    ..ProductLayout::matrix(
                        (channels, width),
                        (1, filters),
                        SumAxis::new(count, channels, width),
                    )
                };
                let m = &m[panel.panel(points, filter)..];
                product(kernels, &layout, (v, m), &mut sums[filter..], start, TileEpilogue::Store);
            }
        }
    });
}
