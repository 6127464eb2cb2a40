//! Convolutions over channels-last activations with operands in place. Windows are not gathered; padded inputs are
//! read from a copy with a border of zeros.

mod border;
mod input_gradient;
#[cfg(target_arch = "x86_64")]
mod integer;
mod samples;
mod shape;
mod weight_gradient;
mod winograd;

use self::border::Border;
pub(super) use self::input_gradient::Phase;
pub use self::input_gradient::{conv2d_input_gradient, conv2d_input_gradient_into};
use self::samples::for_samples;
pub use self::shape::ConvShape;
pub use self::weight_gradient::{conv2d_parameter_gradients, conv2d_weight_gradient};
use super::dense::dense_fused;
use super::epilogue::{Epilogue, apply_gate_in_place};
use super::gate::{Gate, gate_words};
use super::rows::{add_column_sums, column_sums};
use super::scratch;
use super::tile::{
    Kernels, Lines, PANEL, ProductLayout, Start, SumAxis, TileEpilogue, pack_panels, part, product,
};

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

/// [`conv2d`] with an epilogue that is applied before the results are stored.
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
    if let Some(algorithm) = winograd::Algorithm::of(shape) {
        return winograd::forward(algorithm, out, x, w, Epilogue { bias, gate, bits }, shape, threads);
    }
    with_panels(shape, w, |w, panels| {
        let layer =
            Forward { kernels: Kernels::current(), shape, border: Border::of_input(shape), w, panels };
        for_samples(out, x, bits, shape, threads, |out, x, bits| {
            let count = out.len() / shape.out_sample();
            layer.border.for_samples(x, count, 1, |sample, _, x, upcoming| {
                let out = &mut out[sample * shape.out_sample()..][..shape.out_sample()];
                let words = bits.len() / count;
                let bits = &mut bits[sample * words..][..words];
                layer.sample(out, x, upcoming, Epilogue { bias, gate, bits });
            });
        });
    });
}

/// Calls `body(kernel, width of its panels)`. The kernel is one panel if it is narrow or grouped.
fn with_panels(shape: &ConvShape, w: &[f32], body: impl FnOnce(&[f32], usize)) {
    if shape.out_c <= PANEL || shape.groups > 1 {
        return body(w, shape.group_out());
    }
    scratch::with(w.len(), |packed| {
        pack_panels(packed, w, (w.len() / shape.out_c, shape.out_c), shape.out_c);
        body(packed, PANEL);
    });
}

/// Operands that all samples share.
struct Forward<'a> {
    kernels: &'a Kernels,
    shape: &'a ConvShape,
    border: Border,
    w: &'a [f32],
    panels: usize,
}

impl Forward<'_> {
    fn sample(&self, out: &mut [f32], x: &[f32], upcoming: &[f32], epilogue: Epilogue<'_>) {
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
                let upcoming = part(upcoming, (group * go.div_ceil(self.panels)) + first / self.panels, all);
                self.panel(out, (x, upcoming), (w, b), (filter, width), epilogue);
            }
        }
        if shape.groups > 1 {
            // Groups need not end at word boundaries of the gate bits.
            apply_gate_in_place(out, Epilogue { bias: None, gate, bits }, shape.out_c, 1);
        }
    }

    /// Computes `width` filters from `filter` on. Rows of `w` are `b` elements apart.
    fn panel(
        &self,
        out: &mut [f32],
        (x, upcoming): (&[f32], &[f32]),
        (w, b): (&[f32], usize),
        (filter, width): (usize, usize),
        epilogue: Epilogue<'_>,
    ) {
        let Epilogue { bias, gate, bits } = epilogue;
        let (shape, line, cg) = (self.shape, self.border.line(), self.shape.group_in());
        let lines = |b: usize| SumAxis::new(shape.kernel_h, shape.dilation.0 * line, b);
        let (sum, segments, blocks) = if shape.is_compact() {
            let across = shape.kernel_w * shape.in_c;
            (SumAxis::new(across, 1, b), lines(across * b), SumAxis::ONE)
        } else {
            let segments = SumAxis::new(shape.kernel_w, shape.dilation.1 * shape.in_c, cg * b);
            (SumAxis::new(cg, 1, b), segments, lines(shape.kernel_w * cg * b))
        };
        // Contiguous lines are merged into one.
        let (row, step) = (shape.stride.1 * shape.in_c, shape.stride.0 * line);
        let merged = shape.merged_lines(step);
        let rows = shape.out_w * merged;
        let words = shape.out_c.div_ceil(16);
        let lines =
            Lines { count: shape.out_h / merged, a: step, b: 0, c: rows * shape.out_c, bits: rows * words };
        let upcoming = [upcoming, &[]];
        let layout = ProductLayout {
            segments,
            blocks,
            lines,
            upcoming,
            ..ProductLayout::matrix((rows, width), (row, shape.out_c), sum)
        };
        let start = bias.map_or(Start::Zero, Start::Bias);
        let end = if shape.groups > 1 {
            TileEpilogue::Store
        } else if bits.is_empty() {
            TileEpilogue::Gate { gate, bits: &mut [], row: 0 }
        } else {
            TileEpilogue::Gate { gate, bits: &mut bits[filter / 16..], row: words }
        };
        product(self.kernels, &layout, (x, w), &mut out[filter..], start, end);
    }
}

/// Gradient of a bias: the sum of `dy` over all axes but the last.
///
/// # Panics
/// If `db` is empty and `dy` is not.
pub fn bias_gradient(db: &mut [f32], dy: &[f32], threads: usize) {
    column_sums(db, dy, threads);
}

/// Adds the gradient of a bias to `db`.
///
/// # Panics
/// If `db` is empty and `dy` is not.
pub fn add_bias_gradient(db: &mut [f32], dy: &[f32], threads: usize) {
    add_column_sums(db, dy, threads);
}
