//! Gradients of a dense layer with respect to its weights and bias.

use super::gradient_sizes::SAMPLES;
use super::wide::{WideGradient, is_wide};
use crate::epilogue::ParameterGradients;
use crate::parts::sum_in_parts;
use crate::tile::{
    Kernels, LINE, ProductLayout, Start, SumAxis, TileEpilogue, add_columns, add_some_columns, product,
};
use crate::{scratch, split};

/// Gradient of [`dense`](super::dense) with respect to its weights: `dw = xT dy`.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn dense_weight_gradient(
    dw: &mut [f32],
    x: &[f32],
    dy: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    dense_parameter_gradients(ParameterGradients::of_kernel(dw), x, dy, sizes, threads);
}

/// Gradients of [`dense`](super::dense) with respect to its weights (unless their slice is empty) and its bias, if
/// any.
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn dense_parameter_gradients(
    gradients: ParameterGradients<'_>,
    x: &[f32],
    dy: &[f32],
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let (x, dy) = (&x[..batch * inputs], &dy[..batch * outputs]);
    if inputs == 0 || gradients.kernel.is_empty() {
        return bias_gradient(gradients.bias, dy, gradients.accumulate, threads);
    }
    let gradients = ParameterGradients { kernel: &mut gradients.kernel[..inputs * outputs], ..gradients };
    let kernels = Kernels::current();
    let work = batch * inputs * outputs;
    let threads = split::useful(threads, work);
    if is_wide(inputs, outputs) {
        return wide_gradients(gradients, x, dy, (batch, inputs, outputs), threads);
    }
    sum_in_parts(threads, (batch, work), gradients, outputs, |samples, first, gradients| {
        let ParameterGradients { kernel: dw, bias: mut db, accumulate } = gradients;
        if let Some(db) = db.as_mut().filter(|_| !accumulate) {
            db.fill(0.0);
        }
        for from in samples.clone().step_by(SAMPLES) {
            let count = SAMPLES.min(samples.end - from);
            let dy = &dy[from * outputs..][..count * outputs];
            if let Some(db) = &mut db {
                add_columns(kernels, db, dy);
            }
            let start = if from == samples.start && !accumulate { Start::Zero } else { Start::Old };
            let x = &x[from * inputs + first..];
            if outputs < NARROW {
                narrow(kernels, dw, (x, inputs), (dy, outputs), start);
            } else {
                let rows = dw.len() / outputs;
                let layout = ProductLayout::matrix(
                    (rows, outputs),
                    (1, outputs),
                    SumAxis::new(count, inputs, outputs),
                );
                product(kernels, &layout, (x, dy), dw, start, TileEpilogue::Store);
            }
        }
    });
}

/// Below this number of outputs vectors would stay mostly empty, so inputs fill them instead.
const NARROW: usize = 10;

/// Multiplications of a matrix product that take as long as one of these strided additions.
const STRIDED_ADDITION_COST: usize = 8;

/// Adds up the columns of `dy`, in the order of the samples.
fn bias_gradient(db: Option<&mut [f32]>, dy: &[f32], accumulate: bool, threads: usize) {
    let Some(db) = db.filter(|db| !db.is_empty()) else { return };
    if !accumulate {
        db.fill(0.0);
    }
    let (kernels, columns) = (Kernels::current(), db.len());
    let threads = split::useful(threads, dy.len() * STRIDED_ADDITION_COST);
    let columns_per_thread = columns.div_ceil(threads).next_multiple_of(LINE);
    for dy in dy.chunks(SAMPLES * columns) {
        split::for_chunks(threads, db, columns_per_thread, |i, db| {
            add_some_columns(kernels, db, &dy[i * columns_per_thread..], columns);
        });
    }
}

/// [`dense_parameter_gradients`] for [wide](is_wide) weights.
fn wide_gradients(
    gradients: ParameterGradients<'_>,
    x: &[f32],
    dy: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    let ParameterGradients { kernel: dw, bias, accumulate } = gradients;
    bias_gradient(bias, dy, accumulate, threads);
    WideGradient::with(x, dy, sizes, threads, |wide| {
        let (group, parts) = wide.slabs(threads);
        split::for_parts(threads, dw, (group * sizes.2, parts), |i, dw| {
            let first = wide.slab(i, (group, parts)).start;
            wide.rows(first, dw, accumulate, None);
        });
    });
}

/// `dw (+)= xT dy` for few outputs, computed as the transpose of `dyT x`.
fn narrow(
    kernels: &Kernels,
    dw: &mut [f32],
    (x, inputs): (&[f32], usize),
    (dy, outputs): (&[f32], usize),
    start: Start<'_>,
) {
    let rows = dw.len() / outputs;
    let sum = SumAxis::new(dy.len() / outputs, outputs, inputs);
    let layout = ProductLayout::matrix((outputs, rows), (1, rows), sum);
    scratch::with(dw.len(), |transposed| {
        product(kernels, &layout, (dy, x), transposed, Start::Zero, TileEpilogue::Store);
        let old = matches!(start, Start::Old);
        for (r, dw) in dw.chunks_exact_mut(outputs).enumerate() {
            for (dw, transposed) in dw.iter_mut().zip(transposed[r..].iter().step_by(rows)) {
                *dw = if old { *dw + transposed } else { *transposed };
            }
        }
    });
}
