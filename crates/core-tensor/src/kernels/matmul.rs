//! Matrix products over strided views, and the dense layer made of them.
#![expect(unsafe_code, reason = "the gemm crate takes pointers and strides")]

use gemm::Parallelism;

use super::dispatch::multiversion;
use super::elementwise::{fold, wide};
use super::epilogue::{Epilogue, GradientSink, apply_gate_in_place, close_gate};
use super::split;

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
    let block = if work < 1 << 22 { long } else { long.div_ceil(8).next_multiple_of(32).max(96) };
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
    let threads = split::useful(threads, work).min(blocks);
    if threads == 1 {
        (0..blocks).for_each(run);
        return;
    }
    std::thread::scope(|scope| {
        for t in 0..threads {
            let range = t * blocks / threads..(t + 1) * blocks / threads;
            if t + 1 == threads {
                range.for_each(run);
            } else {
                scope.spawn(move || range.for_each(run));
            }
        }
    });
}

/// Dense layer: `out[b, o] = bias[o] + sum_i x[b, i] w[i, o]`; `x` (batch, inputs), `w` (inputs, outputs), row-major.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    if let Some(bias) = bias {
        fill_rows(out, bias);
    }
    let (x, w) = (MatRef::new(x, batch, inputs), MatRef::new(w, inputs, outputs));
    matmul(out, outputs, x, w, bias.is_some(), threads);
}

/// Gradient of [`dense`] for its input: `dx = dy wT`.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_input_gradient(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let (dy, w) = (MatRef::new(dy, batch, outputs), MatRef::new(w, inputs, outputs));
    matmul(dx, inputs, dy, w.t(), false, threads);
}

/// Gradient of [`dense`] for its weights: `dw = xT dy`.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_weight_gradient(
    dw: &mut [f32],
    x: &[f32],
    dy: &[f32],
    (batch, inputs, outputs): (usize, usize, usize),
    threads: usize,
) {
    let (x, dy) = (MatRef::new(x, batch, inputs), MatRef::new(dy, batch, outputs));
    matmul(dw, outputs, x.t(), dy, false, threads);
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
    let (x, w) = (MatRef::new(x, batch, inputs), MatRef::new(w, inputs, outputs));
    matmul(out, outputs, x, w, false, threads);
    apply_gate_in_place(out, epilogue, outputs, threads);
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
    let (dy, w) = (MatRef::new(dy, batch, outputs), MatRef::new(w, inputs, outputs));
    matmul(dx, inputs, dy, w.t(), sink.accumulate, threads);
    close_gate(dx, sink.gate, inputs, threads);
}

/// Gradients of [`dense`] for its weights and, where there is one, its bias. Both are overwritten.
///
/// # Panics
/// Where a slice is shorter than its shape.
pub fn dense_parameter_gradients(
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    x: &[f32],
    dy: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    dense_weight_gradient(dw, x, dy, sizes, threads);
    if let Some(db) = db {
        column_sums(db, &dy[..sizes.0 * sizes.2], threads);
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
    // Short blocks keep the error of single-precision sums small.
    let wide = wide(out.len());
    let chunk = 256 * wide;
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    split::reduce(threads, x.len().div_ceil(chunk), out, |i, sums| {
        let mut wide = vec![0.0; wide];
        add_columns(&mut wide, &x[i * chunk..((i + 1) * chunk).min(x.len())]);
        fold(sums, &wide);
    });
}

multiversion! {
    fn add_columns(sums: &mut [f32], x: &[f32]) {
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
