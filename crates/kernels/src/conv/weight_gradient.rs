//! Gradient of a convolution with respect to its kernel and bias: rows of the product are positions within the
//! window, and the sum runs over output pixels.

use std::ops::Range;

use super::border::Border;
use super::shape::ConvShape;
use super::winograd::{self, Algorithm};
use crate::dense::dense_parameter_gradients;
use crate::epilogue::ParameterGradients;
use crate::parts::sum_in_parts;
use crate::tile::{
    Kernels, PANEL, ProductLayout, Start, SumAxis, TileEpilogue, add_columns, pack_panels, panels, part,
    product,
};
use crate::{scratch, split};

/// Output pixels that are summed in registers at a time: their panel stays in the first-level cache (32 KiB).
const PIXELS: usize = 256;

/// Gradient of [`conv2d`](super::conv2d) with respect to its kernel.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d_weight_gradient(dw: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape, threads: usize) {
    conv2d_parameter_gradients(ParameterGradients::of_kernel(dw), x, dy, shape, threads);
}

/// Gradients of [`conv2d`](super::conv2d) with respect to its kernel and its bias, if any.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d_parameter_gradients(
    gradients: ParameterGradients<'_>,
    x: &[f32],
    dy: &[f32],
    shape: &ConvShape,
    threads: usize,
) {
    if shape.is_pointwise() {
        return dense_parameter_gradients(gradients, x, dy, shape.dense_sizes(), threads);
    }
    let gradients = ParameterGradients { kernel: &mut gradients.kernel[..shape.kernel_len()], ..gradients };
    let (x, dy) = (&x[..shape.input_len()], &dy[..shape.output_len()]);
    if let Some(algorithm) = Algorithm::of(shape) {
        return winograd::parameter_gradients(algorithm, gradients, x, dy, shape, threads);
    }
    let kernels = Kernels::current();
    let border = Border::of_input(shape);
    let threads = split::useful(threads, shape.work());
    let rows = gradients.kernel.len() / shape.out_c;
    sum_in_parts(
        threads,
        (shape.batch, shape.work()),
        gradients,
        shape.out_c,
        |samples, first, gradients| {
            let ParameterGradients { kernel: dw, bias: mut db, accumulate } = gradients;
            let rows = first..(first + dw.len() / shape.out_c).min(rows);
            let x = &x[samples.start * shape.in_sample()..];
            let dy = &dy[samples.start * shape.out_sample()..samples.end * shape.out_sample()];
            if let Some(db) = db.as_mut().filter(|_| !accumulate) {
                db.fill(0.0);
            }
            let at_once = PIXELS / (shape.out_h * shape.out_w);
            border.for_samples(x, samples.len(), at_once, |first, count, x, upcoming| {
                let end = (first + count) * shape.out_sample();
                let upcoming = [upcoming, &dy[end..(end + count * shape.out_sample()).min(dy.len())]];
                let dy = &dy[first * shape.out_sample()..][..count * shape.out_sample()];
                if let Some(db) = &mut db {
                    add_columns(kernels, db, dy);
                }
                let start = if first == 0 && !accumulate { Start::Zero } else { Start::Old };
                if shape.out_c <= PANEL || shape.groups > 1 {
                    let filters = (0, shape.out_c);
                    let operands = (x, dy, count, upcoming);
                    return add_samples(kernels, shape, &border, (dw, &rows), filters, operands, start);
                }
                scratch::with(dy.len(), |packed| {
                    let pixels = dy.len() / shape.out_c;
                    pack_panels(packed, dy, (pixels, shape.out_c), shape.out_c);
                    for filters in panels(shape.out_c) {
                        let dy = &packed[filters.0 * pixels..][..filters.1 * pixels];
                        let all = shape.out_c.div_ceil(PANEL);
                        let upcoming = upcoming.map(|upcoming| part(upcoming, filters.0 / PANEL, all));
                        let operands = (x, dy, count, upcoming);
                        add_samples(kernels, shape, &border, (dw, &rows), filters, operands, start);
                    }
                });
            });
        },
    );
}

/// Computes rows of the kernel's gradient from `count` samples, for `width` filters from `filter` on; `dy` holds only
/// these.
fn add_samples(
    kernels: &Kernels,
    shape: &ConvShape,
    border: &Border,
    (dw, rows): (&mut [f32], &Range<usize>),
    (filter, width): (usize, usize),
    (x, dy, count, upcoming): (&[f32], &[f32], usize, [&[f32]; 2]),
    start: Start<'_>,
) {
    let (cg, go) = (shape.group_in(), shape.group_out().min(width));
    // Runs of rows that are adjacent in the input.
    let (run, runs_across) = if shape.is_compact() { (shape.kernel_w * cg, 1) } else { (cg, shape.kernel_w) };
    let runs = rows.len().div_ceil(run) + 1;
    let mut from = rows.start;
    while from < rows.end {
        let (index, within) = (from / run, from % run);
        let to = ((index + 1) * run).min(rows.end);
        let tap = (index / runs_across) * shape.dilation.0 * border.line()
            + (index % runs_across) * shape.dilation.1 * shape.in_c;
        let sum = SumAxis::new(shape.out_w, shape.stride.1 * shape.in_c, width);
        let layout = ProductLayout {
            segments: SumAxis::new(shape.out_h, shape.stride.0 * border.line(), shape.out_w * width),
            blocks: SumAxis::new(count, border.sample(), shape.out_h * shape.out_w * width),
            upcoming: upcoming.map(|upcoming| part(upcoming, (from - rows.start) / run, runs)),
            ..ProductLayout::matrix((to - from, go), (1, shape.out_c), sum)
        };
        for group in 0..shape.groups {
            let operands = (&x[tap + group * cg + within..], &dy[group * go..]);
            let dw = &mut dw[(from - rows.start) * shape.out_c + filter + group * go..];
            product(kernels, &layout, operands, dw, start, TileEpilogue::Store);
        }
        from = to;
    }
}
