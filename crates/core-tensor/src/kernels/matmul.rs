//! Matrix products over strided views, and the dense layer made of them.
#![expect(unsafe_code, reason = "the gemm crate takes pointers and strides")]

use std::ops::Range;

use gemm::Parallelism;

use super::dispatch::multiversion;
use super::elementwise::{fold, wide};
use super::epilogue::{Epilogue, Gate, GradientSink, ParameterGradients, apply_gate_in_place, close_gate};
use super::tile::{
    Axis, End, Kernels, Layout, Lines, PANEL, Start, add_columns, pack_panels, panels, product, transpose,
};
use super::{scratch, split};

/// A matrix within a slice.
#[derive(Debug, Clone, Copy)]
pub struct MatRef<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> MatRef<'a> {
    /// A row-major matrix.
    ///
    /// # Panics
    /// Where `data` is too short.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols, 1)
    }

    /// A matrix whose element (r, c) is `data[r * row_stride + c * col_stride]`. Elements may overlap.
    ///
    /// # Panics
    /// Where `data` is too short.
    #[must_use]
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Self {
        assert!(extent(rows, cols, row_stride, col_stride) <= data.len(), "the matrix fits its slice");
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// The transpose, without copying.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

fn extent(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 }
}

/// A base pointer that threads may share because each writes other elements.
#[derive(Clone, Copy)]
struct Base(*mut f32);
// SAFETY: `matmul` gives every thread its own rows or columns of the output.
unsafe impl Send for Base {}
// SAFETY: as above.
unsafe impl Sync for Base {}

impl Base {
    fn get(self) -> *mut f32 {
        self.0
    }
}

/// `out = lhs rhs`, or `out += lhs rhs` where `accumulate`; `out` is row-major with rows `out_stride` apart.
///
/// # Panics
/// Where the shapes disagree or `out` is too short.
pub fn matmul(
    out: &mut [f32],
    out_stride: usize,
    lhs: MatRef<'_>,
    rhs: MatRef<'_>,
    accumulate: bool,
    threads: usize,
) {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    assert_eq!(k, rhs.rows, "inner dimensions agree");
    assert!(out_stride >= n || m <= 1, "output rows do not overlap");
    assert!(extent(m, n, out_stride, 1) <= out.len(), "the output holds the product");
    if m == 0 || n == 0 {
        return;
    }
    let work = m * n * k;
    let by_rows = m >= n;
    let long = if by_rows { m } else { n };
    // Blocks depend on the shape alone, so that every number of threads computes the same.
    let part = |parts: usize| long.div_ceil(parts).next_multiple_of(32);
    let block = if work < 1 << 22 { long } else { part(8).max(96).min(part(2)) };
    let base = Base(out.as_mut_ptr());
    let run = |i: usize| {
        let (from, to) = (i * block, ((i + 1) * block).min(long));
        let (r0, r1, c0, c1) = if by_rows { (from, to, 0, n) } else { (0, m, from, to) };
        // SAFETY: rows r0..r1 and columns c0..c1 lie within the views, whose extents were checked against their
        // slices; blocks of different index write different elements of `out`.
        unsafe {
            gemm::gemm(
                r1 - r0,
                c1 - c0,
                k,
                base.get().add(r0 * out_stride + c0),
                1,
                out_stride as isize,
                accumulate,
                lhs.data.as_ptr().wrapping_add(r0 * lhs.row_stride),
                lhs.col_stride as isize,
                lhs.row_stride as isize,
                rhs.data.as_ptr().wrapping_add(c0 * rhs.col_stride),
                rhs.col_stride as isize,
                rhs.row_stride as isize,
                1.0_f32,
                1.0_f32,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    };
    let blocks = long.div_ceil(block);
    split::run(split::useful(threads, work), blocks, run);
}

/// Weights of more elements are multiplied by the `gemm` crate, which packs them; fewer are read where they lie.
const SMALL: usize = 1 << 15;

/// Dense layer: `out[b, o] = bias[o] + sum_i x[b, i] w[i, o]`; `x` (batch, inputs), `w` (inputs, outputs), row-major.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    sizes: (usize, usize, usize),
    threads: usize,
) {
    dense_fused(out, x, w, Epilogue { bias, gate: Gate::LINEAR, bits: &mut [] }, sizes, threads);
}

/// [`dense`] with everything that follows it before the result is stored.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_fused(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let out = &mut out[..batch * outputs];
    if inputs == 0 {
        out.fill(0.0);
        return apply_gate_in_place(out, epilogue, outputs, threads);
    }
    if inputs * outputs > SMALL {
        let (x, w) = (MatRef::new(x, batch, inputs), MatRef::new(w, inputs, outputs));
        matmul(out, outputs, x, w, false, threads);
        return apply_gate_in_place(out, epilogue, outputs, threads);
    }
    let (x, w) = (&x[..batch * inputs], &w[..inputs * outputs]);
    let Epilogue { bias, gate, bits } = epilogue;
    let words = if bits.is_empty() { 0 } else { outputs.div_ceil(16) };
    assert_eq!(bits.len(), batch * words, "gate bits hold the output");
    let kernels = Kernels::current();
    let threads = split::useful(threads, batch * inputs * outputs);
    let rows = batch.div_ceil(threads).max(1);
    split::for_chunks2(threads, (out, rows * outputs), (bits, rows * words), |i, out, bits| {
        let all = out.len() / outputs;
        let x = &x[i * rows * inputs..][..all * inputs];
        for_blocks(x, inputs, |first, x, ahead| {
            let layout = rows_by_columns(x.len() / inputs, (inputs, outputs), ahead);
            let start = bias.map_or(Start::Zero, Start::Bias);
            let end = End::Gate {
                gate,
                bits: if words == 0 { &mut [] } else { &mut bits[first * words..] },
                row: words,
            };
            product(kernels, &layout, (x, w), &mut out[first * outputs..], start, end);
        });
    });
}

/// `body(first row, rows, what is read next)` over rows of `columns` that stay in the first-level cache (16 KiB), or over all
/// where they stay in the second (512 KiB).
fn for_blocks(x: &[f32], columns: usize, mut body: impl FnMut(usize, &[f32], &[f32])) {
    let all = x.len() / columns;
    if x.len() <= 1 << 17 {
        return body(0, x, &[]);
    }
    let rows = ((1 << 12) / columns).max(56);
    for first in (0..all).step_by(rows) {
        let end = (first + rows).min(all);
        let ahead = &x[end * columns..(end + rows).min(all) * columns];
        body(first, &x[first * columns..end * columns], ahead);
    }
}

/// Rows of `inputs` by a row-major matrix of `inputs` rows and `outputs` columns.
fn rows_by_columns(rows: usize, (inputs, outputs): (usize, usize), ahead: &[f32]) -> Layout<'_> {
    Layout {
        rows,
        columns: outputs,
        row: inputs,
        c_row: outputs,
        sum: Axis::new(inputs, 1, outputs),
        segments: Axis::ONE,
        blocks: Axis::ONE,
        lines: Lines::ONE,
        ahead: [ahead, &[]],
    }
}

/// Gradient of [`dense`] for its input: `dx = dy wT`.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_input_gradient(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    dense_input_gradient_into(dx, dy, w, GradientSink::default(), sizes, threads);
}

/// Gradient of [`dense`] for its input, gated and added up as `sink` says.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_input_gradient_into(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    sink: GradientSink<'_>,
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let dx = &mut dx[..batch * inputs];
    if inputs * outputs == 0 {
        if !sink.accumulate {
            dx.fill(0.0);
        }
        return close_gate(dx, sink.gate, inputs, threads);
    }
    if inputs * outputs > SMALL {
        let (dy, w) = (MatRef::new(dy, batch, outputs), MatRef::new(w, inputs, outputs));
        matmul(dx, inputs, dy, w.t(), sink.accumulate, threads);
        return close_gate(dx, sink.gate, inputs, threads);
    }
    let (dy, w) = (&dy[..batch * outputs], &w[..inputs * outputs]);
    let words = if sink.gate.is_empty() { 0 } else { inputs.div_ceil(16) };
    assert_eq!(sink.gate.len(), batch * words, "gate bits hold the input");
    let kernels = Kernels::current();
    let threads = split::useful(threads, batch * inputs * outputs);
    let rows = batch.div_ceil(threads).max(1);
    scratch::with(w.len(), |turned| {
        transpose(turned, w, (inputs, outputs), outputs);
        let turned = &*turned;
        split::for_chunks(threads, dx, rows * inputs, |i, dx| {
            let all = dx.len() / inputs;
            let dy = &dy[i * rows * outputs..][..all * outputs];
            let gate = &sink.gate[i * rows * words..];
            for_blocks(dy, outputs, |first, dy, ahead| {
                let layout = rows_by_columns(dy.len() / outputs, (outputs, inputs), ahead);
                let start = if sink.accumulate { Start::Old } else { Start::Zero };
                let end = End::Close { bits: &gate[first * words..], row: words };
                product(kernels, &layout, (dy, turned), &mut dx[first * inputs..], start, end);
            });
        });
    });
}

/// Gradient of [`dense`] for its weights: `dw = xT dy`.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_weight_gradient(
    dw: &mut [f32],
    x: &[f32],
    dy: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    dense_parameter_gradients(ParameterGradients::of_kernel(dw), x, dy, sizes, threads);
}

/// Samples that a sum in registers runs over: those of a tile and of its columns stay in the first-level cache.
const SAMPLES: usize = 256;

/// Gradients of [`dense`] for its weights and, where there is one, its bias.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_parameter_gradients(
    gradients: ParameterGradients<'_>,
    x: &[f32],
    dy: &[f32],
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let gradients = ParameterGradients { kernel: &mut gradients.kernel[..inputs * outputs], ..gradients };
    let (x, dy) = (&x[..batch * inputs], &dy[..batch * outputs]);
    if inputs == 0 {
        let sums = if gradients.accumulate { add_column_sums } else { column_sums };
        return gradients.bias.into_iter().for_each(|db| sums(db, dy, threads));
    }
    let kernels = Kernels::current();
    let work = batch * inputs * outputs;
    let threads = split::useful(threads, work);
    in_parts(threads, (batch, work), gradients, outputs, |samples, first, gradients| {
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
            } else if outputs <= 2 * PANEL {
                broad(kernels, dw, (x, inputs), (dy, outputs), start);
            } else {
                scratch::with(dy.len(), |packed| {
                    pack_panels(packed, dy, outputs);
                    broad(kernels, dw, (x, inputs), (packed, outputs), start);
                });
            }
        }
    });
}

/// Outputs too few to fill a vector: inputs fill them instead.
const NARROW: usize = 10;

/// Rows of a weight gradient whose inputs stay in the first-level cache.
const SLAB: usize = 56;

/// `dw (+)= xT dy`, where `dy` is packed in panels if it has more than two and rows of `x` are `inputs` apart.
fn broad(
    kernels: &Kernels,
    dw: &mut [f32],
    (x, inputs): (&[f32], usize),
    (dy, outputs): (&[f32], usize),
    start: Start<'_>,
) {
    let samples = dy.len() / outputs;
    let layout = |rows: usize, step: usize, width: usize| Layout {
        rows,
        columns: width,
        row: 1,
        c_row: outputs,
        sum: Axis::new(samples, step, width),
        segments: Axis::ONE,
        blocks: Axis::ONE,
        lines: Lines::ONE,
        ahead: [&[], &[]],
    };
    if outputs <= 2 * PANEL {
        let layout = layout(dw.len() / outputs, inputs, outputs);
        return product(kernels, &layout, (x, dy), dw, start, End::Store);
    }
    scratch::with(samples * SLAB, |slab| {
        for (i, dw) in dw.chunks_mut(SLAB * outputs).enumerate() {
            let rows = dw.len() / outputs;
            for (to, from) in slab.chunks_exact_mut(rows).zip(x[i * SLAB..].chunks(inputs)) {
                to.copy_from_slice(&from[..rows]);
            }
            for (column, width) in panels(outputs) {
                let operands = (&slab[..samples * rows], &dy[column * samples..]);
                product(kernels, &layout(rows, rows, width), operands, &mut dw[column..], start, End::Store);
            }
        }
    });
}

/// The same for few outputs: the transpose of the product `dyT x`.
fn narrow(
    kernels: &Kernels,
    dw: &mut [f32],
    (x, inputs): (&[f32], usize),
    (dy, outputs): (&[f32], usize),
    start: Start<'_>,
) {
    let rows = dw.len() / outputs;
    let layout = Layout {
        rows: outputs,
        columns: rows,
        row: 1,
        c_row: rows,
        sum: Axis::new(dy.len() / outputs, outputs, inputs),
        segments: Axis::ONE,
        blocks: Axis::ONE,
        lines: Lines::ONE,
        ahead: [&[], &[]],
    };
    scratch::with(dw.len(), |turned| {
        product(kernels, &layout, (dy, x), turned, Start::Zero, End::Store);
        let old = matches!(start, Start::Old);
        for (r, dw) in dw.chunks_exact_mut(outputs).enumerate() {
            for (dw, turned) in dw.iter_mut().zip(turned[r..].iter().step_by(rows)) {
                *dw = if old { *dw + turned } else { *turned };
            }
        }
    });
}

/// Gradients of at most so many elements are summed over parts of the batch side by side; larger ones are split by rows.
const PARTIAL: usize = 1 << 13;

/// Multiplications that one part should have.
const PART: usize = 1 << 18;

/// A sum over the samples of a batch into the gradients of a kernel (rows of `row` elements) and a bias, split so that
/// the result does not depend on `threads`: `body(samples, first row, gradients of these rows)`.
pub(super) fn in_parts(
    threads: usize,
    (batch, work): (usize, usize),
    gradients: ParameterGradients<'_>,
    row: usize,
    body: impl Fn(Range<usize>, usize, ParameterGradients<'_>) + Sync,
) {
    let ParameterGradients { kernel: dw, bias: db, accumulate } = gradients;
    if batch == 0 || dw.is_empty() {
        if !accumulate {
            dw.fill(0.0);
            db.into_iter().for_each(|db| db.fill(0.0));
        }
        return;
    }
    let parts = if dw.len() > PARTIAL { 1 } else { (work / PART).clamp(1, batch.min(4)) };
    let bias = db.is_some();
    let db = db.unwrap_or_default();
    if parts == 1 {
        let rows = (dw.len() / row).div_ceil(threads);
        let chunks = ((dw, rows * row), (&mut *db, row));
        return split::for_chunks2(threads, chunks.0, chunks.1, |i, dw, db| {
            let bias = if bias && i == 0 { Some(db) } else { None };
            body(0..batch, i * rows, ParameterGradients { kernel: dw, bias, accumulate });
        });
    }
    let len = dw.len() + db.len();
    scratch::with(parts * len, |partials| {
        split::for_chunks(threads, partials, len, |i, partial| {
            let samples = i * batch / parts..(i + 1) * batch / parts;
            let (kernel, db) = partial.split_at_mut(len - if bias { row } else { 0 });
            body(samples, 0, ParameterGradients { kernel, bias: bias.then_some(db), accumulate: false });
        });
        for (i, partial) in partials.chunks_exact(len).enumerate() {
            let (part_w, part_b) = partial.split_at(dw.len());
            if i == 0 && !accumulate {
                dw.copy_from_slice(part_w);
                db.copy_from_slice(part_b);
            } else {
                add(dw, part_w);
                add(db, part_b);
            }
        }
    });
}

multiversion! {
    pub(super) fn add(sums: &mut [f32], x: &[f32]) {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x;
        }
    }
}

multiversion! {
    /// Every row of `out` becomes `row`.
    pub fn fill_rows(out: &mut [f32], row: &[f32]) {
        for chunk in out.chunks_exact_mut(row.len().max(1)) {
            chunk.copy_from_slice(row);
        }
    }
}

/// Sums of the columns of a row-major matrix: the gradient of a bias.
///
/// # Panics
/// Where `out` is empty and `x` is not.
pub fn column_sums(out: &mut [f32], x: &[f32], threads: usize) {
    out.fill(0.0);
    add_column_sums(out, x, threads);
}

/// [`column_sums`] added to what `out` holds.
///
/// # Panics
/// Where `out` is empty and `x` is not.
pub fn add_column_sums(out: &mut [f32], x: &[f32], threads: usize) {
    // Short blocks keep the error of single-precision sums small.
    let wide = wide(out.len());
    let chunk = 256 * wide;
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    split::reduce(threads, x.len().div_ceil(chunk), out, |i, sums| {
        let mut wide = vec![0.0; wide];
        add_wide(&mut wide, &x[i * chunk..((i + 1) * chunk).min(x.len())]);
        fold(sums, &wide);
    });
}

multiversion! {
    fn add_wide(sums: &mut [f32], x: &[f32]) {
        for row in x.chunks(sums.len()) {
            for (sum, v) in sums.iter_mut().zip(row) {
                *sum += v;
            }
        }
    }
}

multiversion! {
    /// Adds `row` to every row of `out`.
    pub fn add_to_rows(out: &mut [f32], row: &[f32]) {
        for chunk in out.chunks_exact_mut(row.len().max(1)) {
            for (y, b) in chunk.iter_mut().zip(row) {
                *y += b;
            }
        }
    }
}
