//! Convolutions over channels-last activations, without gathering windows: operands are read where they lie, padded
//! inputs from a copy with a border of zeros.

mod border;
mod input_gradient;
#[cfg(target_arch = "x86_64")]
mod integer;
mod weight_gradient;
mod winograd;

use self::border::Border;
pub(super) use self::input_gradient::Phase;
pub use self::input_gradient::{conv2d_input_gradient, conv2d_input_gradient_into};
pub use self::weight_gradient::{conv2d_parameter_gradients, conv2d_weight_gradient};
use super::dense::dense_fused;
use super::epilogue::{Epilogue, apply_gate_in_place};
use super::gate::{Gate, gate_words};
use super::rows::{add_column_sums, column_sums};
use super::tile::{Axis, End, Kernels, Layout, Lines, PANEL, Start, pack_panels, part, product};
use super::{scratch, split};

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
    /// Whether each product of the definition is taken, so that sums of few-bit numbers have no rounding.
    pub exact: bool,
}

impl ConvShape {
    /// The same for a pass whose sums need not be exact.
    #[must_use]
    pub const fn inexact(self) -> Self {
        Self { exact: false, ..self }
    }

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

    /// Whether windows are the pixels themselves: a dense layer over all of them.
    const fn is_pointwise(&self) -> bool {
        self.kernel_h == 1
            && self.kernel_w == 1
            && self.groups == 1
            && self.stride.0 == 1
            && self.stride.1 == 1
            && self.pad.0 == 0
            && self.pad.1 == 0
            && self.in_h == self.out_h
            && self.in_w == self.out_w
    }

    /// Elements of a window.
    const fn window(&self) -> usize {
        self.kernel_h * self.kernel_w * self.group_in()
    }

    /// As a dense layer, where it is one: rows, inputs, outputs.
    const fn dense_sizes(&self) -> (usize, usize, usize) {
        (self.batch * self.out_h * self.out_w, self.in_c, self.out_c)
    }

    /// How many lines of the output are one, since they continue each other where lines of the input are `step` apart.
    const fn merged_lines(&self, step: usize) -> usize {
        if self.out_w * self.stride.1 * self.in_c == step { self.out_h } else { 1 }
    }

    /// Whether the elements of a line of the kernel lie side by side in the input as they do in the kernel.
    const fn is_compact(&self) -> bool {
        self.dilation.1 == 1 && self.groups == 1
    }
}

/// Convolution: `out[n, y, x, f] = bias[f] + sum over ky, kx, c of in[n, y s + ky d - p, x s + kx d - p, c] w[ky, kx, c, f]`.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    shape: &ConvShape,
    threads: usize,
) {
    conv2d_fused(out, x, w, Epilogue { bias, gate: Gate::LINEAR, bits: &mut [] }, shape, threads);
}

/// [`conv2d`] with everything that follows it before the result is stored.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d_fused(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) {
    let out = &mut out[..shape.output_len()];
    let (x, w) = (&x[..shape.input_len()], &w[..shape.kernel_len()]);
    let Epilogue { bias, gate, bits } = epilogue;
    let words = gate_words(shape.out_h * shape.out_w, shape.out_c);
    assert!(bits.is_empty() || bits.len() == shape.batch * words, "gate bits hold the output");
    #[cfg(target_arch = "x86_64")]
    if integer::forward(out, x, w, Epilogue { bias, gate, bits: &mut *bits }, shape, threads) {
        return;
    }
    if shape.is_pointwise() {
        return dense_fused(out, x, w, Epilogue { bias, gate, bits }, shape.dense_sizes(), threads);
    }
    if let Some(form) = winograd::Form::of(shape) {
        return winograd::forward(form, out, x, w, Epilogue { bias, gate, bits }, shape, threads);
    }
    with_panels(shape, w, |w, panels| {
        let layer =
            Forward { kernels: Kernels::current(), shape, border: Border::of_input(shape), w, panels };
        for_samples(out, x, bits, shape, threads, |out, x, bits| {
            let count = out.len() / shape.out_sample();
            layer.border.for_samples(x, count, 1, |sample, _, x, ahead| {
                let out = &mut out[sample * shape.out_sample()..][..shape.out_sample()];
                let words = bits.len() / count;
                let bits = &mut bits[sample * words..][..words];
                layer.sample(out, x, ahead, Epilogue { bias, gate, bits });
            });
        });
    });
}

/// `body(outputs, inputs, words of gate bits)` over the samples of a forward pass, in one share for each thread that pays.
fn for_samples(
    out: &mut [f32],
    x: &[f32],
    bits: &mut [u16],
    shape: &ConvShape,
    threads: usize,
    body: impl Fn(&mut [f32], &[f32], &mut [u16]) + Sync,
) {
    let threads = split::useful(threads, shape.work());
    let samples = shape.batch.div_ceil(threads).max(1);
    let words = if bits.is_empty() { 0 } else { gate_words(shape.out_h * shape.out_w, shape.out_c) };
    let out = (out, samples * shape.out_sample());
    split::for_chunks2(threads, out, (bits, samples * words), |i, out, bits| {
        body(out, &x[i * samples * shape.in_sample()..], bits);
    });
}

/// `body(kernel, width of its panels)`: one panel as wide as the kernel where there is but one or groups share them.
fn with_panels(shape: &ConvShape, w: &[f32], body: impl FnOnce(&[f32], usize)) {
    if shape.out_c <= PANEL || shape.groups > 1 {
        return body(w, shape.group_out());
    }
    scratch::with(w.len(), |packed| {
        pack_panels(packed, w, (w.len() / shape.out_c, shape.out_c), shape.out_c);
        body(packed, PANEL);
    });
}

/// What all samples share.
struct Forward<'a> {
    kernels: &'a Kernels,
    shape: &'a ConvShape,
    border: Border,
    w: &'a [f32],
    panels: usize,
}

impl Forward<'_> {
    fn sample(&self, out: &mut [f32], x: &[f32], ahead: &[f32], epilogue: Epilogue<'_>) {
        let Epilogue { bias, gate, bits } = epilogue;
        let (shape, go) = (self.shape, self.shape.group_out());
        for group in 0..shape.groups {
            let x = &x[group * shape.group_in()..];
            for first in (0..go).step_by(self.panels) {
                let width = self.panels.min(go - first);
                let filter = group * go + first;
                let bias = bias.map(|bias| &bias[filter..]);
                let epilogue = Epilogue { bias, gate, bits: &mut *bits };
                let (w, b) = if shape.groups > 1 {
                    (&self.w[filter..], shape.out_c)
                } else {
                    (&self.w[first * shape.window()..], width)
                };
                let all = go.div_ceil(self.panels) * shape.groups;
                let ahead = part(ahead, (group * go.div_ceil(self.panels)) + first / self.panels, all);
                self.panel(out, (x, ahead), (w, b), (filter, width), epilogue);
            }
        }
        if shape.groups > 1 {
            // Groups need not end where words of gate bits do.
            apply_gate_in_place(out, Epilogue { bias: None, gate, bits }, shape.out_c, 1);
        }
    }

    /// `width` filters from `filter` on, whose kernel `w` has rows of `b` elements.
    fn panel(
        &self,
        out: &mut [f32],
        (x, ahead): (&[f32], &[f32]),
        (w, b): (&[f32], usize),
        (filter, width): (usize, usize),
        epilogue: Epilogue<'_>,
    ) {
        let Epilogue { bias, gate, bits } = epilogue;
        let (shape, line, cg) = (self.shape, self.border.line(), self.shape.group_in());
        let lines = |b: usize| Axis::new(shape.kernel_h, shape.dilation.0 * line, b);
        let (sum, segments, blocks) = if shape.is_compact() {
            let across = shape.kernel_w * shape.in_c;
            (Axis::new(across, 1, b), lines(across * b), Axis::ONE)
        } else {
            let segments = Axis::new(shape.kernel_w, shape.dilation.1 * shape.in_c, cg * b);
            (Axis::new(cg, 1, b), segments, lines(shape.kernel_w * cg * b))
        };
        // Lines that continue each other are one.
        let (row, step) = (shape.stride.1 * shape.in_c, shape.stride.0 * line);
        let merged = shape.merged_lines(step);
        let rows = shape.out_w * merged;
        let words = shape.out_c.div_ceil(16);
        let lines =
            Lines { count: shape.out_h / merged, a: step, b: 0, c: rows * shape.out_c, bits: rows * words };
        let ahead = [ahead, &[]];
        let layout = Layout {
            segments,
            blocks,
            lines,
            ahead,
            ..Layout::matrix((rows, width), (row, shape.out_c), sum)
        };
        let start = bias.map_or(Start::Zero, Start::Bias);
        let end = if shape.groups > 1 {
            End::Store
        } else if bits.is_empty() {
            End::Gate { gate, bits: &mut [], row: 0 }
        } else {
            End::Gate { gate, bits: &mut bits[filter / 16..], row: words }
        };
        product(self.kernels, &layout, (x, w), &mut out[filter..], start, end);
    }
}

/// Gradient of a bias: the sum of `dy` over all but the last axis.
///
/// # Panics
/// If `db` is empty and `dy` is not.
pub fn bias_gradient(db: &mut [f32], dy: &[f32], threads: usize) {
    column_sums(db, dy, threads);
}

/// The same added to what `db` holds.
///
/// # Panics
/// If `db` is empty and `dy` is not.
pub fn add_bias_gradient(db: &mut [f32], dy: &[f32], threads: usize) {
    add_column_sums(db, dy, threads);
}
