//! Matrix products over operands that lie where they are: one register tile for dense layers and convolutions, forward
//! and backward, without gathering windows.
//!
//! `c[m, n] (+)= sum over blocks, segments, k of a[m row + block + segment + k step] b[block + segment + k step + n]`.
//! The columns `n` fill vectors, the rows `m` are read one number at a time and spread over the lanes. A tile of up to
//! 14 rows by 2 vectors (AVX-512) stays in registers over the whole sum. What lies where is told by [`Layout`]: for a
//! forward convolution rows are output pixels and segments the lines of its kernel; for a weight gradient rows are
//! the places of a window and segments the output lines.
#![expect(unsafe_code, reason = "vector instructions and operands addressed by strides")]

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
mod finish;
#[cfg(target_arch = "x86_64")]
pub(super) mod integer;
mod nonzero;
mod panel;
pub(super) mod portable;
mod registers;
pub(super) mod simd;

use std::marker::PhantomData;

pub(super) use self::finish::{add_columns, add_some_columns, apply_function, close_rows};
use self::nonzero::MOST;
pub(super) use self::nonzero::{Blocking, Last, Nonzeros, Stripes, WIDTH};
use self::panel::Ahead;
pub(super) use self::panel::{
    LINE, PANEL, pack_panels, pack_wide, panels, part, transpose, turn_into, turn_panels, turn_wide,
};
use self::registers::{Begin, RawEnd};
use super::dispatch::InstructionSet;
use super::gate::Gate;
use crate::arena::PrefetchHint;

/// Where the operands of a product lie within their slices, in elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    /// Rows of `a` and of the product.
    pub(super) rows: usize,
    /// Columns of `b` and of the product.
    pub(super) columns: usize,
    /// From row to row of `a`.
    pub(super) row: usize,
    /// From row to row of the product.
    pub(super) c_row: usize,
    /// Length of the innermost sum, and its steps in `a` and `b`.
    pub(super) sum: Axis,
    /// The sum around it.
    pub(super) segments: Axis,
    /// The outermost sum.
    pub(super) blocks: Axis,
    /// Products of the same kernel one after the other.
    pub(super) lines: Lines,
    /// What is read next: asked for meanwhile, since memory is slow where nobody waits ahead of it.
    pub(super) ahead: [&'a [f32]; 2],
    pub(super) trickle: Trickle,
}

/// What is read after this product. Its tiles of two vectors ask for it, a line of the cache with each term of a sum, so that
/// memory answers between multiplications.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trickle {
    pub(super) from: PrefetchHint,
    /// Elements from the line of one term to that of the next.
    pub(super) term: usize,
    /// Elements from the first line of one tile to that of the next.
    pub(super) tile: usize,
}

impl Trickle {
    /// Nothing.
    pub(super) const NONE: Self = Self { from: PrefetchHint::NONE, term: 0, tile: 0 };

    /// One line after the other, by sums of so many terms.
    pub(super) const fn lines(from: PrefetchHint, terms: usize) -> Self {
        Self { from, term: LINE, tile: LINE * terms }
    }
}

/// Several products that differ in where `a`, `b`, the product and its gate bits start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub(super) count: usize,
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) c: usize,
    pub(super) bits: usize,
}

impl Lines {
    /// One product.
    pub(super) const ONE: Self = Self { count: 1, a: 0, b: 0, c: 0, bits: 0 };
}

/// One axis of a sum: how many terms, and how far apart they lie in `a` and in `b`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) count: usize,
    pub(super) a: usize,
    pub(super) b: usize,
}

impl Axis {
    /// One term.
    pub(super) const ONE: Self = Self { count: 1, a: 0, b: 0 };

    pub(super) const fn new(count: usize, a: usize, b: usize) -> Self {
        Self { count, a, b }
    }
}

/// What the sums are added to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// One value a column.
    Bias(&'a [f32]),
    /// What the product's place holds.
    Old,
}

/// What becomes of the sums.
#[derive(Debug)]
pub(super) enum End<'a> {
    Store,
    /// A function, and words of gate bits unless empty.
    Gate {
        gate: Gate,
        bits: &'a mut [u16],
        row: usize,
    },
    /// Gate bits that close on the sums.
    Close {
        bits: &'a [u16],
        row: usize,
    },
}

impl Layout<'_> {
    /// One product of matrices: rows and columns, from row to row of `a` and of the product, and the sum.
    pub(super) const fn matrix(
        (rows, columns): (usize, usize),
        (row, c_row): (usize, usize),
        sum: Axis,
    ) -> Self {
        Self {
            rows,
            columns,
            row,
            c_row,
            sum,
            segments: Axis::ONE,
            blocks: Axis::ONE,
            lines: Lines::ONE,
            ahead: [&[], &[]],
            trickle: Trickle::NONE,
        }
    }

    fn terms(&self) -> usize {
        self.sum.count * self.segments.count * self.blocks.count
    }

    /// Elements of `a` and `b` up to the last that the product touches.
    fn extents(&self) -> (usize, usize) {
        let axes = [self.sum, self.segments, self.blocks];
        let reach = |step: fn(&Axis) -> usize| -> usize {
            axes.iter().map(|axis| axis.count.saturating_sub(1) * step(axis)).sum()
        };
        if self.terms() == 0 {
            return (0, 0);
        }
        let (rows, lines) = (self.rows.saturating_sub(1), self.lines.count.saturating_sub(1));
        let a = lines * self.lines.a + rows * self.row + reach(|axis| axis.a) + 1;
        (a, lines * self.lines.b + reach(|axis| axis.b) + self.columns)
    }
}

/// Rows cut into tiles as even as can be: the first `longer` have one more than the rest.
#[derive(Debug, Clone, Copy)]
struct Cut {
    tiles: usize,
    rows: usize,
    longer: usize,
}

impl Cut {
    const fn new(rows: usize, most: usize) -> Self {
        let tiles = rows.div_ceil(most);
        Self { tiles, rows: rows / tiles, longer: rows % tiles }
    }
}

/// The product of `a` and `b` as `layout` says, from `start`, stored into `c` by way of `end`.
///
/// # Panics
/// If the layout leaves a slice, or rows of the product overlap.
pub(super) fn product(
    kernels: &Kernels,
    layout: &Layout<'_>,
    operands: (&[f32], &[f32]),
    c: &mut [f32],
    start: Start<'_>,
    end: End<'_>,
) {
    // SAFETY: nobody else writes to `c` while this call borrows it.
    unsafe { Target::new(c).put(kernels, layout, operands, 0, start, end) }
}

/// Where products go: a matrix of which several threads may compute parts side by side.
pub(super) struct Target<'a> {
    c: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: `put` is the only access, and its callers promise that no two threads write to one place.
unsafe impl Sync for Target<'_> {}

impl<'a> Target<'a> {
    pub(super) fn new(c: &'a mut [f32]) -> Self {
        Self { len: c.len(), c: c.as_mut_ptr(), slice: PhantomData }
    }

    /// Where products of this size begin that are stored from element `at` on, rows `c_row` apart: they themselves, what they
    /// are added to and how far apart that lies from line to line, and what becomes of them.
    ///
    /// # Panics
    /// If they leave a slice.
    fn place(
        &self,
        (rows, columns): (usize, usize),
        (at, c_row): (usize, usize),
        lines: Lines,
        start: Start<'_>,
        end: End<'_>,
    ) -> (*mut f32, Begin, usize, RawEnd) {
        let last_line = lines.count - 1;
        let c_len = last_line * lines.c + (rows - 1) * c_row + columns;
        assert!(at + c_len <= self.len, "the product lies within its slice");
        let (bits, row) = match &end {
            End::Store => (0, 0),
            End::Gate { bits, row, .. } => (bits.len(), *row),
            End::Close { bits, row } => (bits.len(), *row),
        };
        let words = last_line * lines.bits + (rows - 1) * row + columns.div_ceil(16);
        assert!(bits == 0 || words <= bits, "gate bits hold all rows");
        let c = self.c.wrapping_add(at);
        let (from, row, line) = match start {
            Start::Zero => (std::ptr::null(), 0, 0),
            Start::Bias(bias) => {
                assert!(columns <= bias.len(), "one bias a column");
                (bias.as_ptr(), 0, 0)
            }
            Start::Old => (c.cast_const(), c_row, lines.c),
        };
        (c, Begin { from, row, ahead: std::ptr::null(), ahead_step: 0 }, line, RawEnd::new(end))
    }

    /// The product of `a` and `b` as `layout` says, from `start`, stored from element `at` on by way of `end`.
    ///
    /// # Safety
    /// No other thread uses the product's rows and columns meanwhile.
    ///
    /// # Panics
    /// If the layout leaves a slice, or rows of the product overlap.
    pub(super) unsafe fn put(
        &self,
        kernels: &Kernels,
        layout: &Layout<'_>,
        (a, b): (&[f32], &[f32]),
        at: usize,
        start: Start<'_>,
        end: End<'_>,
    ) {
        let &Layout { rows, columns, row, c_row, lines, .. } = layout;
        if rows == 0 || columns == 0 || lines.count == 0 {
            return;
        }
        let (a_len, b_len) = layout.extents();
        assert!(a_len <= a.len() && b_len <= b.len(), "the operands lie within their slices");
        let (c, begin, start_line, end) = self.place((rows, columns), (at, c_row), lines, start, end);
        let (a, b) = (a.as_ptr(), b.as_ptr());
        let tiles = if row == 1 { &kernels.unit } else { &kernels.strided };
        let cuts = [0, 1].map(|i| Cut::new(rows, tiles[i].len()));
        let mut ahead = Ahead::new(layout, cuts[usize::from(columns > 16)].tiles);
        for line in 0..lines.count {
            for (column, width) in panels(columns) {
                let vectors = width.div_ceil(16);
                let (tiles, cut) = (tiles[vectors - 1], cuts[vectors - 1]);
                let mut first = 0;
                for i in 0..cut.tiles {
                    let tile_rows = cut.rows + usize::from(i < cut.longer);
                    ahead.step();
                    // SAFETY: rows first..first + tile_rows and columns column..column + width are within the layout,
                    // whose extents were checked against the slices, as were those of the bias and the gate bits. The
                    // table is that of an instruction set of this processor; it has a tile of each number of rows up
                    // to its length. Nobody else uses the place, as the caller promises.
                    unsafe {
                        let c = c.add(line * lines.c + first * c_row + column);
                        let begin = begin.skip(line * start_line + first * begin.row + column);
                        let asked = layout.trickle.from.part(i * layout.trickle.tile, 1);
                        let (ahead, ahead_step) =
                            if asked.len > 0 { (asked.from, layout.trickle.term) } else { (b, 0) };
                        let begin = Begin { ahead, ahead_step, ..begin };
                        let a = a.wrapping_add(line * lines.a + first * row);
                        let b = b.wrapping_add(line * lines.b + column);
                        let end = end.at(line * lines.bits, first, column / 16);
                        tiles[tile_rows - 1](a, b, c, begin, &end, width - (vectors - 1) * 16, layout);
                        if let RawEnd::Gate { gate, bits, row } = end {
                            (kernels.finish)(c, c_row, (tile_rows, width), gate, bits, row);
                        }
                    }
                    first += tile_rows;
                }
            }
        }
    }
}

type Tile = unsafe fn(*const f32, *const f32, *mut f32, Begin, &RawEnd, usize, &Layout<'_>);
type Close = unsafe fn(*mut f32, usize, (usize, usize), *const u16, usize);
type Turn = unsafe fn(*mut f32, usize, *const f32, usize, (usize, usize));
type Finish = unsafe fn(*mut f32, usize, (usize, usize), Gate, *mut u16, usize);

/// The kernels of one instruction set.
#[derive(Debug)]
pub(super) struct Kernels {
    /// Tiles of 1 and of 2 vectors; each by its rows less one.
    strided: [&'static [Tile]; 2],
    /// The same for rows that follow each other element by element.
    unit: [&'static [Tile]; 2],
    /// Of 1 and more vectors, by their number less one.
    nonzero: [unsafe fn(&nonzero::Run<'_>, Option<&nonzero::RawLast>); MOST],
    /// Up to which part of a matrix that is not 0 lists of it are worth it.
    pub(super) most_nonzero: f64,
    compress: unsafe fn(*const f32, usize, *mut f32, usize) -> usize,
    finish: Finish,
    close: Close,
    sums: unsafe fn(*mut f32, *const f32, (usize, usize), usize),
    turn: Turn,
}

impl Kernels {
    /// Those of the widest instruction set that this thread may use.
    pub(super) fn current() -> &'static Self {
        match InstructionSet::current() {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => &avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => &avx2::KERNELS,
            _ => &portable::KERNELS,
        }
    }
}

/// Defines `KERNELS` for an implementation of [`Simd`], compiled for the named features: tiles of the given numbers of
/// rows (1 and up) of 1 vector with strided rows, with adjacent rows, and of 2 vectors.
macro_rules! kernels {
    ($simd:ty, $($features:literal,)? [$($one:literal)*], [$($unit:literal)*], [$($two:literal)*]) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn tile<const R: usize, const V: usize, const UNIT: bool>(
            a: *const f32,
            b: *const f32,
            c: *mut f32,
            start: super::Begin,
            end: &super::RawEnd,
            lanes: usize,
            layout: &super::Layout<'_>,
        ) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::registers::tile::<$simd, R, V, UNIT>(a, b, c, start, end, lanes, layout) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn nonzero<const V: usize>(
            run: &super::nonzero::Run<'_>,
            last: Option<&super::nonzero::RawLast>,
        ) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::nonzero::nonzero::<$simd, V>(run, last) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn compress(row: *const f32, terms: usize, list: *mut f32, to_values: usize) -> usize {
            // SAFETY: guaranteed by the caller.
            unsafe { super::nonzero::compress::<$simd>(row, terms, list, to_values) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn finish(
            c: *mut f32,
            c_row: usize,
            size: (usize, usize),
            gate: super::Gate,
            bits: *mut u16,
            row: usize,
        ) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::finish::finish::<$simd>(c, c_row, size, gate, bits, row) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn close(c: *mut f32, c_row: usize, size: (usize, usize), bits: *const u16, row: usize) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::finish::close::<$simd>(c, c_row, size, bits, row) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn sums(out: *mut f32, x: *const f32, size: (usize, usize), stride: usize) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::finish::sums::<$simd>(out, x, size, stride) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn turn(to: *mut f32, to_row: usize, from: *const f32, from_row: usize, size: (usize, usize)) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::panel::turn::<$simd>(to, to_row, from, from_row, size) }
        }

        pub(super) static KERNELS: super::Kernels = super::Kernels {
            strided: [&[$(tile::<$one, 1, false>),*], &[$(tile::<$two, 2, false>),*]],
            unit: [&[$(tile::<$unit, 1, true>),*], &[$(tile::<$two, 2, true>),*]],
            nonzero: [
                nonzero::<1>, nonzero::<2>, nonzero::<3>, nonzero::<4>, nonzero::<5>, nonzero::<6>, nonzero::<7>,
            ],
            most_nonzero: <$simd as super::simd::Simd>::MOST_NONZERO,
            compress,
            finish,
            close,
            sums,
            turn,
        };
    };
}
use kernels;
