//! Products with weights too large to be read where they lie.

#![expect(unsafe_code, reason = "threads store different columns of the same rows")]

use std::ops::Range;

use crate::arena::PrefetchHint;
use crate::dense::nonzeros;
use crate::gate::Gate;
use crate::tile::{
    Axis, Blocking, End, Kernels, LINE, Last, Layout, Nonzeros, PANEL, Start, Stripes, Target, Trickle,
    WIDTH, pack_panels, pack_wide, panels, turn_panels, turn_wide,
};
use crate::{scratch, split};

/// Panels that are packed at a time.
const PANELS: usize = 2;

/// Terms of a sum that a panel holds at most, whole blocks of lists: it stays in the second-level cache (240 KiB).
const TERMS: usize = 24 * BLOCKING.terms;

/// How sums over lists are cut.
const BLOCKING: Blocking = Blocking::LONG;

/// Rows that are worth packing a block for once more.
const ROWS: usize = 64;

/// Rows for which it is not worth packing a block at all: row-major weights are read where they lie.
const FEW: usize = 28;

/// The second operand of a product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weights<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// The transpose of a row-major matrix.
    Turned(&'a [f32]),
}

impl Weights<'_> {
    /// Where a term and a column of a matrix of `size` (terms, columns) lie, and how long rows are there.
    fn part(&self, size: (usize, usize), (term, column): (usize, usize)) -> (&[f32], usize) {
        match self {
            Self::Rows(w) => (&w[term * size.1 + column..], size.1),
            Self::Turned(w) => (&w[column * size.0 + term..], size.0),
        }
    }

    /// A block: `terms` rows of some `columns`, in panels, or `wide`: in one for lists.
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
            (Self::Turned(_), false) => turn_panels(kernels, to, from, block, stride),
            (Self::Turned(_), true) => turn_wide(kernels, to, from, block, stride),
        }
    }

    /// Asks for a block.
    fn stripes(self, size: (usize, usize), (terms, columns): (Range<usize>, Range<usize>)) -> Stripes {
        let (from, step) = self.part(size, (terms.start, columns.start));
        let (count, length) = match self {
            Self::Rows(_) => (terms.len(), columns.len()),
            Self::Turned(_) => (columns.len(), terms.len()),
        };
        Stripes { from: PrefetchHint::of(from), count, lines: length.div_ceil(LINE) + 1, step }
    }

    /// Asks for the panel that begins at a term and a column.
    fn trickle(self, size: (usize, usize), (term, column): (usize, usize)) -> Trickle {
        match self {
            // Of each row one line by each of three tiles: rows begin anywhere in a line.
            Self::Rows(w) => {
                let from = PrefetchHint::of(w).part(term * size.1 + column, PANEL + LINE);
                Trickle { from, term: size.1, tile: LINE }
            }
            Self::Turned(w) => {
                Trickle::lines(PrefetchHint::of(w).part(column * size.0 + term, PANEL * size.0), size.0)
            }
        }
    }
}

/// `out = x w`, for row-major `x` of (rows, terms), `w` of (terms, columns), from `start` and by way of `end`.
///
/// # Panics
/// If a slice is shorter than its shape.
pub(super) fn product_in_blocks(
    out: &mut [f32],
    (x, w): (&[f32], Weights<'_>),
    (rows, terms, columns): (usize, usize, usize),
    start: Start<'_>,
    end: End<'_>,
    threads: usize,
) {
    if rows == 0 {
        return;
    }
    // Threads share the columns, and the rows where columns are few. None of this changes any sum.
    let vectors = columns.div_ceil(16);
    let shares = threads.min(vectors);
    let parts = threads.div_ceil(shares).min(rows.div_ceil(ROWS));
    let rows_of = |part: usize| split::even(part, parts, rows);
    // The caller takes the larger share: its helpers begin later, and the last vector is often not whole.
    let vectors_of =
        |share: usize| (share * vectors).div_ceil(shares)..((share + 1) * vectors).div_ceil(shares);
    let (gate, close, bits) = match end {
        End::Store => (None, &[][..], &mut [][..]),
        End::Gate { gate, bits, .. } => (Some(gate), &[][..], bits),
        End::Close { bits, .. } => (None, bits, &mut [][..]),
    };
    let job = Job {
        kernels: Kernels::current(),
        target: Target::new(out),
        x,
        w,
        terms,
        columns,
        start,
        gate,
        close,
    };
    let few = rows > FEW && nonzeros::density(x, terms, BLOCKING).is_some();
    // Threads record different words of the same rows, which often share a line of the cache: each has rows of its own
    // until all are done.
    let (most_rows, most_words) = (rows.div_ceil(parts), vectors.div_ceil(shares));
    let own_bits = if bits.is_empty() { 0 } else { most_rows * most_words };
    let own = own_bits.div_ceil(2).next_multiple_of(LINE).max(LINE);
    scratch::with(shares * parts * own, |all| {
        split::for_chunks(threads, all, own, |i, own| {
            let own: &mut [u16] = bytemuck::cast_slice_mut(own);
            let (rows, vectors, own) = (rows_of(i / shares), vectors_of(i % shares), &mut own[..own_bits]);
            // SAFETY: each share of the columns of each part of the rows is one thread's.
            unsafe {
                if few {
                    // Its own lists: those that another thread made would have to come from there.
                    let x = &x[rows.start * terms..rows.end * terms];
                    nonzeros::of_rows(x, terms, BLOCKING, |lists| job.run_lists(lists, rows, vectors, own));
                } else {
                    job.run_tiles(rows, vectors, own);
                }
            }
        });
        if bits.is_empty() {
            return;
        }
        for (i, own) in all.chunks_exact(own).enumerate() {
            let own: &[u16] = bytemuck::cast_slice(own);
            let (rows, words) = (rows_of(i / shares), vectors_of(i % shares));
            for (row, own) in rows.zip(own.chunks_exact(words.len())) {
                bits[row * vectors..][words.clone()].copy_from_slice(own);
            }
        }
    });
}

/// What all threads share.
struct Job<'a> {
    kernels: &'static Kernels,
    target: Target<'a>,
    x: &'a [f32],
    w: Weights<'a>,
    terms: usize,
    columns: usize,
    start: Start<'a>,
    gate: Option<Gate>,
    close: &'a [u16],
}

impl Job<'_> {
    /// Some rows by some vectors of columns; their gate bits go to `own`, rows of as many words as there are vectors, unless it
    /// is empty.
    ///
    /// # Safety
    /// No other thread uses these rows and columns meanwhile.
    unsafe fn run_tiles(&self, rows: Range<usize>, vectors: Range<usize>, own: &mut [u16]) {
        let &Self { kernels, ref target, x, w, terms, columns, .. } = self;
        let size = (terms, columns);
        // All of about one width, of whole panels but for the last.
        let panels_all = vectors.len().div_ceil(2);
        let blocks = panels_all.div_ceil(PANELS);
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
                    let trickle =
                        next.map_or(Trickle::NONE, |(term, first)| w.trickle(size, (term, first + column)));
                    let sum = Axis::new(count, 1, row.unwrap_or(width));
                    let layout =
                        Layout { trickle, ..Layout::matrix((rows.len(), width), (terms, columns), sum) };
                    let (start, end) = self.bounds(from..to, rows.start, first, (&vectors, own));
                    let operands = (&x[rows.start * terms + from..], &b[column * from_panel_to_panel..]);
                    // SAFETY: guaranteed by the caller.
                    unsafe {
                        target.put(kernels, &layout, operands, rows.start * columns + first, start, end);
                    }
                }
            };
            match w {
                Weights::Rows(w) if rows.len() <= FEW => {
                    multiply(&w[from * columns + columns_of.start..], 1, Some(columns));
                }
                _ => scratch::with(count * columns_of.len(), |packed| {
                    w.pack(kernels, packed, size, (from..to, columns_of.clone()), false);
                    multiply(packed, count, None);
                }),
            }
        }
    }

    /// The same from lists of what is not 0 in these rows.
    ///
    /// # Safety
    /// As above.
    unsafe fn run_lists(
        &self,
        lists: Nonzeros<'_>,
        rows: Range<usize>,
        vectors: Range<usize>,
        own: &mut [u16],
    ) {
        let &Self { kernels, ref target, w, terms, columns, .. } = self;
        let size = (terms, columns);
        let panels = BLOCKING.panels(vectors.len());
        let blocks = terms.div_ceil(BLOCKING.terms);
        let part = |i: usize| {
            let from = i % blocks * BLOCKING.terms;
            (from..(from + BLOCKING.terms).min(terms), BLOCKING.panel(i / blocks, &vectors, columns))
        };
        scratch::with(BLOCKING.terms * WIDTH, |packed| {
            scratch::with(rows.len() * WIDTH, |sums| {
                for i in 0..panels * blocks {
                    let (terms_of, columns_of) = part(i);
                    w.pack(kernels, packed, size, (terms_of.clone(), columns_of.clone()), true);
                    let next =
                        if i + 1 < panels * blocks { w.stripes(size, part(i + 1)) } else { Stripes::NONE };
                    // What the other way sums up at once.
                    let from = terms_of.start / TERMS * TERMS;
                    let to = (from + TERMS).min(terms);
                    let last = (terms_of.end == to).then(|| {
                        let (start, end) =
                            self.bounds(from..to, rows.start, columns_of.start, (&vectors, own));
                        let at = rows.start * columns + columns_of.start;
                        Last { target, at, row: columns, start, end }
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

    /// From what sums over the `terms` start that belong to rows from `row` and columns from `first` on, and what becomes of
    /// them.
    fn bounds<'b>(
        &'b self,
        terms: Range<usize>,
        row: usize,
        first: usize,
        (vectors, own): (&Range<usize>, &'b mut [u16]),
    ) -> (Start<'b>, End<'b>) {
        let start = match self.start {
            _ if terms.start > 0 => Start::Old,
            Start::Bias(bias) => Start::Bias(&bias[first..]),
            start => start,
        };
        let word = first / 16;
        let end = match self.gate {
            _ if terms.end < self.terms => End::Store,
            Some(gate) => {
                let bits = own.get_mut(word - vectors.start..).unwrap_or_default();
                End::Gate { gate, bits, row: vectors.len() }
            }
            None => {
                let words = self.columns.div_ceil(16);
                let bits = self.close.get(row * words + word..).unwrap_or_default();
                End::Close { bits, row: words }
            }
        };
        (start, end)
    }
}
