//! Convolutions over channels-last activations: tiles of gathered windows, multiplied by the kernel.
//!
//! A tile holds the windows of some output rows, small enough to stay in the second-level cache between being
//! gathered and being multiplied. Kernels of one element are multiplied in place.

use super::dispatch::multiversion;
use super::epilogue::{Epilogue, GradientSink, apply_gate_in_place, close_gate};
use super::matmul::{MatRef, column_sums, fill_rows, matmul};
use super::{scratch, split};

/// Elements of a tile of windows (256 KiB).
const TILE: usize = 1 << 16;

/// All sizes of a convolution. Input (batch, `in_h`, `in_w`, `in_c`), output (batch, `out_h`, `out_w`, `out_c`),
/// kernel (`kernel_h`, `kernel_w`, `in_c` / groups, `out_c`); for depthwise kernels (…, `in_c`, `out_c` / `in_c`).
/// Made by the geometries' `resolve`, which check that the sizes fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named in the summary")]
pub struct ConvShape {
    pub batch: usize,
    pub in_h: usize,
    pub in_w: usize,
    pub in_c: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub out_c: usize,
    pub kernel_h: usize,
    pub kernel_w: usize,
    /// Step of the window, (height, width).
    pub stride: (usize, usize),
    /// Distance of the kernel's elements, (height, width).
    pub dilation: (usize, usize),
    /// Padding above and to the left; what is needed below and to the right is taken as zeros.
    pub pad: (usize, usize),
    pub groups: usize,
}

impl ConvShape {
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

    /// Elements of the kernel.
    #[must_use]
    pub const fn kernel_len(&self) -> usize {
        self.kernel_h * self.kernel_w * (self.in_c / self.groups) * self.out_c
    }

    pub(crate) const fn in_sample(&self) -> usize {
        self.in_h * self.in_w * self.in_c
    }

    pub(crate) const fn out_sample(&self) -> usize {
        self.out_h * self.out_w * self.out_c
    }

    /// Multiplications of one pass.
    pub(crate) const fn work(&self) -> usize {
        self.batch * self.out_h * self.out_w * self.kernel_len()
    }

    const fn group_in(&self) -> usize {
        self.in_c / self.groups
    }

    const fn group_out(&self) -> usize {
        self.out_c / self.groups
    }

    /// Elements of one window within a group.
    const fn window(&self) -> usize {
        self.kernel_h * self.kernel_w * self.group_in()
    }

    /// Whether windows are the pixels themselves, so that there is nothing to gather.
    const fn is_pointwise(&self) -> bool {
        self.kernel_h == 1
            && self.kernel_w == 1
            && self.stride.0 == 1
            && self.stride.1 == 1
            && self.pad.0 == 0
            && self.pad.1 == 0
            && self.in_h == self.out_h
            && self.in_w == self.out_w
    }

    /// Samples that one block of work takes.
    fn block_samples(&self) -> usize {
        (TILE / (self.out_h * self.out_w * self.window()).max(1)).clamp(1, self.batch.max(1))
    }

    /// Output rows (lines of one sample or of several) that one tile takes.
    fn tile_lines(&self) -> usize {
        (TILE / (self.out_w * self.window()).max(1)).max(1)
    }
}

/// Calls `body(first line, lines, windows)` for tiles over the output lines of `samples` samples of `x`.
fn for_tiles(
    shape: &ConvShape,
    x: &[f32],
    samples: usize,
    group: usize,
    mut body: impl FnMut(usize, usize, MatRef<'_>),
) {
    let lines = samples * shape.out_h;
    if shape.is_pointwise() {
        let rows = lines * shape.out_w;
        let view = MatRef::strided(&x[group * shape.group_in()..], rows, shape.group_in(), shape.in_c, 1);
        return body(0, lines, view);
    }
    let step = shape.tile_lines();
    let window = shape.window();
    scratch::with(step.min(lines) * shape.out_w * window, |tile| {
        let mut from = 0;
        while from < lines {
            let count = step.min(lines - from);
            let rows = count * shape.out_w;
            gather(shape, x, group, from, &mut tile[..rows * window]);
            body(from, count, MatRef::new(tile, rows, window));
            from += count;
        }
    });
}

/// The windows of output lines from `first` on, as rows of `tile`.
fn gather(shape: &ConvShape, x: &[f32], group: usize, first: usize, tile: &mut [f32]) {
    let (cg, kw) = (shape.group_in(), shape.kernel_w);
    let (window, line) = (shape.window(), shape.in_w * shape.in_c);
    let segment = kw * cg;
    let whole = shape.dilation.1 == 1 && shape.groups == 1;
    for (i, out_line) in tile.chunks_exact_mut(shape.out_w * window).enumerate() {
        let (sample, oy) = ((first + i) / shape.out_h, (first + i) % shape.out_h);
        for ky in 0..shape.kernel_h {
            let iy = (oy * shape.stride.0 + ky * shape.dilation.0).wrapping_sub(shape.pad.0);
            let rows =
                out_line.chunks_exact_mut(window).map(|row| &mut row[ky * segment..(ky + 1) * segment]);
            if iy >= shape.in_h {
                rows.for_each(|row| row.fill(0.0));
                continue;
            }
            let source = &x[sample * shape.in_sample() + iy * line..][..line];
            for (ox, row) in rows.enumerate() {
                let left = (ox * shape.stride.1).wrapping_sub(shape.pad.1);
                if whole && left < shape.in_w && left + kw <= shape.in_w {
                    copy(row, &source[left * cg..left * cg + segment]);
                } else {
                    for (kx, part) in row.chunks_exact_mut(cg).enumerate() {
                        let ix = left.wrapping_add(kx * shape.dilation.1);
                        if ix < shape.in_w {
                            let at = ix * shape.in_c + group * cg;
                            part.copy_from_slice(&source[at..at + cg]);
                        } else {
                            part.fill(0.0);
                        }
                    }
                }
            }
        }
    }
}

/// A copy that does not call `memcpy` for a few elements.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    if to.len() < 16 {
        for (a, b) in to.iter_mut().zip(from) {
            *a = *b;
        }
    } else {
        to.copy_from_slice(from);
    }
}

multiversion! {
    /// Adds windows (the gradients of gathered ones) back to where they came from: the transpose of [`gather`].
    fn scatter(shape: &ConvShape, dx: &mut [f32], group: usize, first: usize, tile: &[f32]) {
        let (cg, kw) = (shape.group_in(), shape.kernel_w);
        let (window, line) = (shape.window(), shape.in_w * shape.in_c);
        let segment = kw * cg;
        let whole = shape.dilation.1 == 1 && shape.groups == 1;
        for (i, out_line) in tile.chunks_exact(shape.out_w * window).enumerate() {
            let (sample, oy) = ((first + i) / shape.out_h, (first + i) % shape.out_h);
            for ky in 0..shape.kernel_h {
                let iy = (oy * shape.stride.0 + ky * shape.dilation.0).wrapping_sub(shape.pad.0);
                if iy >= shape.in_h {
                    continue;
                }
                let target = &mut dx[sample * shape.in_sample() + iy * line..][..line];
                for (ox, row) in out_line.chunks_exact(window).enumerate() {
                    let row = &row[ky * segment..(ky + 1) * segment];
                    let left = (ox * shape.stride.1).wrapping_sub(shape.pad.1);
                    if whole && left < shape.in_w && left + kw <= shape.in_w {
                        add(&mut target[left * cg..left * cg + segment], row);
                    } else {
                        for (kx, part) in row.chunks_exact(cg).enumerate() {
                            let ix = left.wrapping_add(kx * shape.dilation.1);
                            if ix < shape.in_w {
                                let at = ix * shape.in_c + group * cg;
                                add(&mut target[at..at + cg], part);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    for (a, b) in to.iter_mut().zip(from) {
        *a += *b;
    }
}

fn kernel_of<'a>(shape: &ConvShape, w: &'a [f32], group: usize) -> MatRef<'a> {
    let go = shape.group_out();
    MatRef::strided(&w[group * go..], shape.window(), go, shape.out_c, 1)
}

/// Convolution: `out[n, y, x, f] = bias[f] + sum over ky, kx, c of in[n, y s + ky d - p, x s + kx d - p, c] w[ky, kx, c, f]`.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn conv2d(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    shape: &ConvShape,
    threads: usize,
) {
    let block = shape.block_samples();
    let threads = split::useful(threads, shape.work());
    split::for_chunks(threads, &mut out[..shape.output_len()], block * shape.out_sample(), |i, out| {
        let samples = out.len() / shape.out_sample();
        let x = &x[i * block * shape.in_sample()..][..samples * shape.in_sample()];
        if let Some(bias) = bias {
            fill_rows(out, bias);
        }
        for group in 0..shape.groups {
            let kernel = kernel_of(shape, w, group);
            for_tiles(shape, x, samples, group, |line, _, windows| {
                let at = line * shape.out_w * shape.out_c + group * shape.group_out();
                matmul(&mut out[at..], shape.out_c, windows, kernel, bias.is_some(), 1);
            });
        }
    });
}

/// Gradient of [`conv2d`] for its input; also the transposed convolution of `dy`.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn conv2d_input_gradient(dx: &mut [f32], dy: &[f32], w: &[f32], shape: &ConvShape, threads: usize) {
    conv2d_input_gradient_into(dx, dy, w, GradientSink::default(), shape, threads);
}

/// Gradient of [`conv2d`] for its input, gated and added up as `sink` says.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn conv2d_input_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sink: GradientSink<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let dx = &mut dx[..shape.input_len()];
    let block = shape.block_samples();
    let threads = split::useful(threads, shape.work());
    let (window, go) = (shape.window(), shape.group_out());
    split::for_chunks(threads, &mut *dx, block * shape.in_sample(), |i, dx| {
        let samples = dx.len() / shape.in_sample();
        let dy = &dy[i * block * shape.out_sample()..][..samples * shape.out_sample()];
        let lines = samples * shape.out_h;
        if shape.is_pointwise() {
            for group in 0..shape.groups {
                let rows = lines * shape.out_w;
                let dy = MatRef::strided(&dy[group * go..], rows, go, shape.out_c, 1);
                let kernel = kernel_of(shape, w, group).t();
                let dx = &mut dx[group * shape.group_in()..];
                matmul(dx, shape.in_c, dy, kernel, sink.accumulate, 1);
            }
            return;
        }
        if !sink.accumulate {
            dx.fill(0.0);
        }
        let step = shape.tile_lines();
        scratch::with(step.min(lines) * shape.out_w * window, |tile| {
            for group in 0..shape.groups {
                let kernel = kernel_of(shape, w, group).t();
                let mut from = 0;
                while from < lines {
                    let count = step.min(lines - from);
                    let rows = count * shape.out_w;
                    let at = from * shape.out_w * shape.out_c + group * go;
                    let dy = MatRef::strided(&dy[at..], rows, go, shape.out_c, 1);
                    matmul(tile, window, dy, kernel, false, 1);
                    scatter(shape, dx, group, from, &tile[..rows * window]);
                    from += count;
                }
            }
        });
    });
    close_gate(dx, sink.gate, shape.in_c, threads);
}

/// [`conv2d`] with everything that follows it before the result is stored.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn conv2d_fused(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    conv2d(out, x, w, None, shape, threads);
    apply_gate_in_place(&mut out[..shape.output_len()], epilogue, shape.out_c, threads);
}

/// Gradients of [`conv2d`] for its kernel and, where there is one, its bias. Both are overwritten.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn conv2d_parameter_gradients(
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    x: &[f32],
    dy: &[f32],
    shape: &ConvShape,
    threads: usize,
) {
    conv2d_weight_gradient(dw, x, dy, shape, threads);
    if let Some(db) = db {
        column_sums(db, &dy[..shape.output_len()], threads);
    }
}

/// Gradient of [`conv2d`] for its kernel.
///
/// # Panics
/// Where a slice is shorter than the shape says.
pub fn conv2d_weight_gradient(dw: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape, threads: usize) {
    let block = shape.block_samples();
    let blocks = shape.batch.div_ceil(block);
    let parts = if shape.work() < 1 << 23 { 1 } else { blocks.min(8) };
    let go = shape.group_out();
    let threads = split::useful(threads, shape.work());
    split::reduce(threads, parts, &mut dw[..shape.kernel_len()], |part, dw| {
        for i in part * blocks / parts..(part + 1) * blocks / parts {
            let samples = block.min(shape.batch - i * block);
            let x = &x[i * block * shape.in_sample()..][..samples * shape.in_sample()];
            let dy = &dy[i * block * shape.out_sample()..][..samples * shape.out_sample()];
            for group in 0..shape.groups {
                for_tiles(shape, x, samples, group, |line, lines, windows| {
                    let at = line * shape.out_w * shape.out_c + group * go;
                    let dy = MatRef::strided(&dy[at..], lines * shape.out_w, go, shape.out_c, 1);
                    matmul(&mut dw[group * go..], shape.out_c, windows.t(), dy, true, 1);
                });
            }
        }
    });
}

/// Gradient of a bias: the sum of `dy` over all but the last axis.
///
/// # Panics
/// Where `db` is empty and `dy` is not.
pub fn bias_gradient(db: &mut [f32], dy: &[f32], threads: usize) {
    column_sums(db, dy, threads);
}
