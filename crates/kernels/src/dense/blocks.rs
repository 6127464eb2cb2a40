//! Products with weights that are too large to be read in place: blocked, packed and shared among threads.

#![expect(unsafe_code, reason = "threads store disjoint columns of the same rows")]

use std::ops::Range;

use crate::arena::PrefetchHint;
use crate::dense::sparsity;
use crate::gate::Gate;
use crate::tile::{
    Kernels, LINE, LastBlock, LinePrefetch, OutputMatrix, PANEL, PANEL_STRIDE, ProductLayout, SparseBlocking,
    SparseRows, Start, StripePrefetch, SumAxis, TileEpilogue, pack_panels, pack_transposed_panels,
    pack_transposed_wide, pack_wide, panels,
};
use crate::{scratch, split};

/// Panels that are packed at a time.
const PANELS_PER_BLOCK: usize = 2;

/// Maximum number of terms per panel, a multiple of the sparse blocks. A panel stays in the second-level cache (240
/// KiB).
const TERMS: usize = 24 * BLOCKING.terms;

/// Block sizes of sparse products.
const BLOCKING: SparseBlocking = SparseBlocking::LONG;

/// Rows for which it pays that another thread packs the same block again.
const MIN_ROWS_PER_PART: usize = 64;

/// Up to this many rows a block is not packed at all: row-major weights are read in place.
const MAX_UNPACKED_ROWS: usize = 28;

/// The second operand of a product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weights<'a> {
    /// A row-major matrix.
    Rows(&'a [f32]),
    /// The transpose of a row-major matrix.
    Transposed(&'a [f32]),
}

impl Weights<'_> {
    /// The memory that starts at a term and a column of a matrix of `size` (terms, columns), and its row stride.
    fn part(&self, size: (usize, usize), (term, column): (usize, usize)) -> (&[f32], usize) {
        match self {
            Self::Rows(w) => (&w[term * size.1 + column..], size.1),
            Self::Transposed(w) => (&w[column * size.0 + term..], size.0),
        }
    }

    /// Packs a block of `terms` by `columns` into panels, or, if `wide`, into one panel for sparse products.
    fn pack(
        self,
        kernels: &Kernels,
        to: &mut [f32],
        size: (usize, usize),
        (terms, columns): (Range<usize>, Range<usize>),
        wide: bool,
    ) {
        let block = (terms.len(), columns.len());
        let (from, stride) = self.part(size, (terms.start, columns.start));
        match (self, wide) {
            (Self::Rows(_), false) => pack_panels(to, from, block, stride),
            (Self::Rows(_), true) => pack_wide(to, from, block, stride),
            (Self::Transposed(_), false) => pack_transposed_panels(kernels, to, from, block, stride),
            (Self::Transposed(_), true) => pack_transposed_wide(kernels, to, from, block, stride),
        }
    }

    /// The prefetch of a block.
    fn stripe_prefetch(
        self,
        size: (usize, usize),
        (terms, columns): (Range<usize>, Range<usize>),
    ) -> StripePrefetch {
        let (from, step) = self.part(size, (terms.start, columns.start));
        let (count, length) = match self {
            Self::Rows(_) => (terms.len(), columns.len()),
            Self::Transposed(_) => (columns.len(), terms.len()),
        };
        StripePrefetch { from: PrefetchHint::of(from), count, lines: length.div_ceil(LINE) + 1, step }
    }

    /// The prefetch of the panel that begins at a term and a column.
    fn line_prefetch(self, size: (usize, usize), (term, column): (usize, usize)) -> LinePrefetch {
        match self {
            // One line per row by each of three tiles, because rows may start anywhere within a cache line.
            Self::Rows(w) => {
                let from = PrefetchHint::of(w).part(term * size.1 + column, PANEL + LINE);
                LinePrefetch { from, term: size.1, tile: LINE }
            }
            Self::Transposed(w) => {
                LinePrefetch::lines(PrefetchHint::of(w).part(column * size.0 + term, PANEL * size.0), size.0)
            }
        }
    }
}

/// Computes `out = x w` for row-major `x` (rows, terms) and `w` (terms, columns).
///
/// # Panics
/// If a slice is shorter than its shape.
pub(super) fn product_in_blocks(
    out: &mut [f32],
    (x, w): (&[f32], Weights<'_>),
    (rows, terms, columns): (usize, usize, usize),
    start: Start<'_>,
    end: TileEpilogue<'_>,
    threads: usize,
) {
    if rows == 0 {
        return;
    }
    // Threads share the columns, and the rows too if there are few columns. Neither changes the order of any sum.
    let vectors = columns.div_ceil(16);
    let column_parts = threads.min(vectors);
    let row_parts = threads.div_ceil(column_parts).min(rows.div_ceil(MIN_ROWS_PER_PART));
    let rows_of = |part: usize| split::even(part, row_parts, rows);
    // The calling thread takes the larger part: helpers start later, and the last vector is often incomplete.
    let vectors_of = |column_part: usize| {
        (column_part * vectors).div_ceil(column_parts)..((column_part + 1) * vectors).div_ceil(column_parts)
    };
    let (gate, close, bits) = match end {
        TileEpilogue::Store => (None, &[][..], &mut [][..]),
        TileEpilogue::Gate { gate, bits, .. } => (Some(gate), &[][..], bits),
        TileEpilogue::Close { bits, .. } => (None, bits, &mut [][..]),
    };
    let product = BlockedProduct {
        kernels: Kernels::current(),
        output: OutputMatrix::new(out),
        x,
        w,
        terms,
        columns,
        start,
        gate,
        close,
    };
    let is_sparse = rows > MAX_UNPACKED_ROWS && sparsity::density(x, terms, BLOCKING).is_some();
    // Threads record different words of the same rows, and such words often share a cache line. Each thread therefore
    // writes to rows of its own, which are copied when all threads are done.
    let (most_rows, most_words) = (rows.div_ceil(row_parts), vectors.div_ceil(column_parts));
    let own_bits = if bits.is_empty() { 0 } else { most_rows * most_words };
    let own = own_bits.div_ceil(2).next_multiple_of(LINE).max(LINE);
    scratch::with(column_parts * row_parts * own, |all| {
        split::for_chunks(threads, all, own, |i, own| {
            let own: &mut [u16] = bytemuck::cast_slice_mut(own);
            let (rows, vectors, own) =
                (rows_of(i / column_parts), vectors_of(i % column_parts), &mut own[..own_bits]);
            // SAFETY: each part of the columns of each part of the rows belongs to one thread.
            unsafe {
                if is_sparse {
                    // Each thread compresses its rows itself; lists from another thread would have to come from that
                    // core's cache.
                    let x = &x[rows.start * terms..rows.end * terms];
                    sparsity::with_compressed_rows(x, terms, BLOCKING, |lists| {
                        product.run_sparse(lists, rows, vectors, own);
                    });
                } else {
                    product.run_dense(rows, vectors, own);
                }
            }
        });
        if bits.is_empty() {
            return;
        }
        for (i, own) in all.chunks_exact(own).enumerate() {
            let own: &[u16] = bytemuck::cast_slice(own);
            let (rows, words) = (rows_of(i / column_parts), vectors_of(i % column_parts));
            for (row, own) in rows.zip(own.chunks_exact(words.len())) {
                bits[row * vectors..][words.clone()].copy_from_slice(own);
            }
        }
    });
}

/// Operands that all threads share.
struct BlockedProduct<'a> {
    kernels: &'static Kernels,
    output: OutputMatrix<'a>,
    x: &'a [f32],
    w: Weights<'a>,
    terms: usize,
    columns: usize,
    start: Start<'a>,
    gate: Option<Gate>,
    close: &'a [u16],
}

impl BlockedProduct<'_> {
    /// Computes some rows by some vectors of columns with dense tiles. Gate bits go to `own`, in rows of as many
    /// words as there are vectors, unless it is empty.
    ///
    /// # Safety
    /// No other thread may access these rows and columns during the call.
    unsafe fn run_dense(&self, rows: Range<usize>, vectors: Range<usize>, own: &mut [u16]) {
        let &Self { kernels, ref output, x, w, terms, columns, .. } = self;
        let size = (terms, columns);
        // Blocks of similar width, made of whole panels except for the last.
        let panels_all = vectors.len().div_ceil(2);
        let blocks = panels_all.div_ceil(PANELS_PER_BLOCK);
        let block = |i: usize| {
            let vector = |i: usize| (vectors.start + 2 * (i * panels_all / blocks)).min(vectors.end);
            vector(i) * 16..(vector(i + 1) * 16).min(columns)
        };
        for (i, from) in (0..blocks).flat_map(|i| (0..terms).step_by(TERMS).map(move |from| (i, from))) {
            let (columns_of, to) = (block(i), (from + TERMS).min(terms));
            let next = if to < terms {
                Some((to, columns_of.start))
            } else {
                (i + 1 < blocks).then(|| (0, block(i + 1).start))
            };
            let count = to - from;
            let mut multiply = |b: &[f32], from_panel_to_panel: usize, row: Option<usize>| {
                for (column, width) in panels(columns_of.len()) {
                    let first = columns_of.start + column;
                    let line_prefetch = next.map_or(LinePrefetch::NONE, |(term, first)| {
                        w.line_prefetch(size, (term, first + column))
                    });
                    let sum = SumAxis::new(count, 1, row.unwrap_or(width));
                    let layout = ProductLayout {
                        line_prefetch,
                        ..ProductLayout::matrix((rows.len(), width), (terms, columns), sum)
                    };
                    let (start, end) = self.start_and_epilogue(from..to, rows.start, first, (&vectors, own));
                    let operands = (&x[rows.start * terms + from..], &b[column * from_panel_to_panel..]);
                    // SAFETY: guaranteed by the caller.
                    unsafe {
                        output.store_product(
                            kernels,
                            &layout,
                            operands,
                            rows.start * columns + first,
                            start,
                            end,
                        );
                    }
                }
            };
            match w {
                Weights::Rows(w) if rows.len() <= MAX_UNPACKED_ROWS => {
                    multiply(&w[from * columns + columns_of.start..], 1, Some(columns));
                }
                _ => scratch::with(count * columns_of.len(), |packed| {
                    w.pack(kernels, packed, size, (from..to, columns_of.clone()), false);
                    multiply(packed, count, None);
                }),
            }
        }
    }

    /// Computes some rows by some vectors of columns with sparse products over compressed rows.
    ///
    /// # Safety
    /// As [`run_dense`](Self::run_dense).
    unsafe fn run_sparse(
        &self,
        lists: SparseRows<'_>,
        rows: Range<usize>,
        vectors: Range<usize>,
        own: &mut [u16],
    ) {
        let &Self { kernels, ref output, w, terms, columns, .. } = self;
        let size = (terms, columns);
        let panels = BLOCKING.panels(vectors.len());
        let blocks = terms.div_ceil(BLOCKING.terms);
        let part = |i: usize| {
            let from = i % blocks * BLOCKING.terms;
            (from..(from + BLOCKING.terms).min(terms), BLOCKING.panel(i / blocks, &vectors, columns))
        };
        scratch::with(BLOCKING.terms * PANEL_STRIDE, |packed| {
            scratch::with(rows.len() * PANEL_STRIDE, |sums| {
                for i in 0..panels * blocks {
                    let (terms_of, columns_of) = part(i);
                    w.pack(kernels, packed, size, (terms_of.clone(), columns_of.clone()), true);
                    let next = if i + 1 < panels * blocks {
                        w.stripe_prefetch(size, part(i + 1))
                    } else {
                        StripePrefetch::NONE
                    };
                    // The range of terms that the dense tiles sum up at once. Using the same ranges keeps results
                    // bit-identical.
                    let from = terms_of.start / TERMS * TERMS;
                    let to = (from + TERMS).min(terms);
                    let last = (terms_of.end == to).then(|| {
                        let (start, end) =
                            self.start_and_epilogue(from..to, rows.start, columns_of.start, (&vectors, own));
                        let at = rows.start * columns + columns_of.start;
                        LastBlock { output, at, row: columns, start, end }
                    });
                    let (sums, panel) = ((&mut *sums, terms_of.start == from), (&*packed, columns_of.len()));
                    // SAFETY: guaranteed by the caller.
                    unsafe {
                        lists.multiply(kernels, (0..rows.len(), i % blocks), panel, sums, last, &next);
                    }
                }
            });
        });
    }

    /// Initial values and epilogue for the sums over `terms`, for rows from `row` and columns from `first` on. All
    /// but the first range add to previous sums; all but the last store without an epilogue.
    fn start_and_epilogue<'b>(
        &'b self,
        terms: Range<usize>,
        row: usize,
        first: usize,
        (vectors, own): (&Range<usize>, &'b mut [u16]),
    ) -> (Start<'b>, TileEpilogue<'b>) {
        let start = match self.start {
            _ if terms.start > 0 => Start::Old,
            Start::Bias(bias) => Start::Bias(&bias[first..]),
            start => start,
        };
        let word = first / 16;
        let end = match self.gate {
            _ if terms.end < self.terms => TileEpilogue::Store,
            Some(gate) => {
                let bits = if own.is_empty() { own } else { &mut own[word - vectors.start..] };
                TileEpilogue::Gate { gate, bits, row: vectors.len() }
            }
            None => {
                let words = self.columns.div_ceil(16);
                let bits = if self.close.is_empty() { self.close } else { &self.close[row * words + word..] };
                TileEpilogue::Close { bits, row: words }
            }
        };
        (start, end)
    }
}
