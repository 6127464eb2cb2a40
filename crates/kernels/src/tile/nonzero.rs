//! Sums without the terms that are 0: after a rectifier half of all numbers are 0, and as many gradients.
//!
//! `c[m, n] = sum over k where a[m, k] is not 0 of a[m, k] b[k, n]`: the other tiles' sums bit by bit, as long as `b` is finite.
//! Every row has terms of its own to leave out, so `b` is read once a row: in panels that stay in the first-level cache. That
//! makes loads the bottleneck, and a product little more than half as fast as multiplications could be: hence wide panels, and
//! four places a load. (Two rows at a time, over the terms of both or each over its own, are no faster.)

use std::ops::Range;

use super::panel::{prefetch, prefetch_near};
use super::registers::{Begin, RawEnd, finish_sums};
use super::simd::Simd;
use super::{End, Kernels, LINE, Lines, Start, Target};
use crate::arena::PrefetchHint;
use crate::split::even;

/// How matrices are cut for sums over lists: so that a panel stays in the first-level cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocking {
    /// Terms of a block, hence rows of a panel. Sums are put down after each.
    pub(crate) terms: usize,
    /// Vectors of a panel. More of them take fewer looks at a list.
    pub(crate) vectors: usize,
}

impl Blocking {
    /// For long sums: panels of 35 KiB.
    pub(crate) const LONG: Self = Self { terms: 80, vectors: MOST };
    /// For sums over a batch, which mostly is one block: panels of 40 KiB.
    pub(crate) const BATCH: Self = Self { terms: 128, vectors: 5 };

    /// How many panels so many vectors of columns are cut into.
    pub(crate) const fn panels(self, vectors: usize) -> usize {
        vectors.div_ceil(self.vectors)
    }

    /// The columns of panel `i` of those that some vectors of a matrix of `columns` are cut into.
    pub(crate) fn panel(self, i: usize, vectors: &Range<usize>, columns: usize) -> Range<usize> {
        let part = even(i, self.panels(vectors.len()), vectors.len());
        (vectors.start + part.start) * LINE..((vectors.start + part.end) * LINE).min(columns)
    }
}

/// Vectors of a panel at most.
pub(super) const MOST: usize = 7;

/// Elements from row to row of a panel. An odd number of lines, so that rows of any length spread over all of the cache.
pub(crate) const WIDTH: usize = MOST * LINE;

/// Terms of a block at most.
const TERMS: usize = 128;

/// Where the row of a panel begins that belongs to each term of a block: 16 bits hold it.
static PLACES: [u32; TERMS] = {
    assert!(TERMS * WIDTH <= 1 << 16, "places of 16 bits");
    let mut places = [0; TERMS];
    let mut term = 0;
    while term < TERMS {
        places[term] = (term * WIDTH) as u32;
        term += 1;
    }
    places
};

/// Places that are read at once, and what their number takes before them.
const FOUR: usize = 4;

/// The elements of a matrix that are not 0. For each row and block: their number, their [`PLACES`] and they themselves, with
/// room for all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nonzeros<'a> {
    lists: &'a [f32],
    terms: usize,
    blocking: Blocking,
}

impl<'a> Nonzeros<'a> {
    /// Elements that a row of so many terms takes, cut like this.
    pub(crate) const fn row(terms: usize, blocking: Blocking) -> usize {
        let (whole, rest) = (terms / blocking.terms, terms % blocking.terms);
        whole * Self::length(blocking.terms) + if rest > 0 { Self::length(rest) } else { 0 }
    }

    /// The same of a block.
    const fn length(terms: usize) -> usize {
        Self::to_values(terms) + terms.next_multiple_of(LINE)
    }

    /// Elements before the values: the number and the places, half an element each.
    const fn to_values(terms: usize) -> usize {
        (FOUR + terms.next_multiple_of(LINE)).div_ceil(2).next_multiple_of(LINE)
    }

    /// Lists those of a row.
    ///
    /// # Panics
    /// If the list has not the row's [length](Self::row).
    pub(crate) fn list(kernels: &Kernels, list: &mut [f32], row: &[f32], blocking: Blocking) {
        assert!(
            blocking.terms <= TERMS && list.len() == Self::row(row.len(), blocking),
            "a list for the row"
        );
        for (list, row) in list.chunks_mut(Self::length(blocking.terms)).zip(row.chunks(blocking.terms)) {
            let to_values = Self::to_values(row.len());
            // SAFETY: a block's elements in whole vectors fit either part of its list; the table is that of an instruction set
            // of this processor.
            let count = unsafe { (kernels.compress)(row.as_ptr(), row.len(), list.as_mut_ptr(), to_values) };
            list[0] = f32::from_bits(count as u32);
        }
    }

    /// Lists of all rows of a matrix of so many terms.
    ///
    /// # Safety
    /// [`list`](Self::list) made each of them, of a row of so many terms, cut like this: what they say is not checked again.
    pub(crate) unsafe fn new(lists: &'a [f32], terms: usize, blocking: Blocking) -> Self {
        Self { lists, terms, blocking }
    }

    /// Adds the terms of a block to the sums of some rows, which it begins where `sums` are `fresh`, and sends them where
    /// `last` says if this is the last block; otherwise they stay in `sums`, rows of [`WIDTH`]. `panel` holds the block's
    /// rows of `b`, [`WIDTH`] apart, and zeros beyond the last of `columns` up to the next vector.
    ///
    /// # Safety
    /// No other thread uses the product's rows and columns meanwhile.
    ///
    /// # Panics
    /// If a slice is too short.
    pub(crate) unsafe fn multiply(
        &self,
        kernels: &Kernels,
        (rows, block): (Range<usize>, usize),
        (panel, columns): (&[f32], usize),
        (sums, fresh): (&mut [f32], bool),
        last: Option<Last<'_>>,
        ahead: &Stripes,
    ) {
        let row = Self::row(self.terms, self.blocking);
        let terms = self.blocking.terms.min(self.terms - block * self.blocking.terms);
        assert!(rows.end * row <= self.lists.len(), "lists of all rows");
        assert!(0 < columns && columns <= WIDTH && terms * WIDTH <= panel.len(), "a panel of the block");
        assert!(rows.len() * WIDTH <= sums.len(), "sums of all rows");
        let vectors = columns.div_ceil(16);
        let lists = &self.lists[rows.start * row + block * Self::length(self.blocking.terms)..];
        let size = (rows.len(), columns);
        let run = Run {
            lists: lists.as_ptr(),
            row,
            to_values: Self::to_values(terms),
            rows: rows.len(),
            panel: panel.as_ptr(),
            sums: sums.as_mut_ptr(),
            fresh,
            lanes: columns - (vectors - 1) * 16,
            ahead,
        };
        let last = last.map(|last| last.checked(size));
        // SAFETY: the lists of all rows, the panel's rows of the block and the sums were checked; places in a list are those of
        // a block's terms. What becomes of the sums was checked against the size of the product. The table is that of an
        // instruction set of this processor. Nobody else uses the place, as the caller promises.
        unsafe {
            (kernels.nonzero[vectors - 1])(&run, last.as_ref());
            if let Some(RawLast { c, c_row, end: RawEnd::Gate { gate, bits, row }, .. }) = last {
                (kernels.finish)(c, c_row, size, gate, bits, row);
            }
        }
    }
}

/// Where sums go after their last block: from element `at` of the target on, rows `row` apart, from `start` and by way of
/// `end`.
pub(crate) struct Last<'a> {
    pub(crate) target: &'a Target<'a>,
    pub(crate) at: usize,
    pub(crate) row: usize,
    pub(crate) start: Start<'a>,
    pub(crate) end: End<'a>,
}

impl Last<'_> {
    /// With room for so many rows and columns.
    fn checked(self, (rows, columns): (usize, usize)) -> RawLast {
        let place = (self.at, self.row);
        let (c, begin, _, end) = self.target.place((rows, columns), place, Lines::ONE, self.start, self.end);
        RawLast { c, c_row: self.row, begin, end }
    }
}

/// What is read later, in stripes of some lines of the cache: asked for while sums are computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stripes {
    pub(crate) from: PrefetchHint,
    pub(crate) count: usize,
    /// Lines of each.
    pub(crate) lines: usize,
    /// Elements from one to the next.
    pub(crate) step: usize,
}

impl Stripes {
    /// Nothing.
    pub(crate) const NONE: Self = Self { from: PrefetchHint::NONE, count: 0, lines: 0, step: 0 };
}

/// [`Nonzeros::multiply`] by addresses: those of the first rows, and steps in elements.
pub(super) struct Run<'a> {
    lists: *const f32,
    row: usize,
    to_values: usize,
    rows: usize,
    panel: *const f32,
    sums: *mut f32,
    fresh: bool,
    lanes: usize,
    ahead: &'a Stripes,
}

/// [`Last`] by addresses.
pub(super) struct RawLast {
    c: *mut f32,
    c_row: usize,
    begin: Begin,
    end: RawEnd,
}

/// The sums of all rows, in `V` vectors.
///
/// # Safety
/// The processor must support the instruction set; what the run and `last` point to is valid for all rows.
#[inline(always)]
pub(super) unsafe fn nonzero<S: Simd, const V: usize>(run: &Run<'_>, last: Option<&RawLast>) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let lanes = S::lanes(run.lanes);
        let (mut ahead, mut due) = (run.ahead.from.from, 0);
        for r in 0..run.rows {
            due += run.ahead.count;
            while due >= run.rows {
                for line in 0..run.ahead.lines {
                    prefetch(ahead.wrapping_add(line * LINE));
                }
                ahead = ahead.wrapping_add(run.ahead.step);
                due -= run.rows;
            }
            let list = run.lists.add(r * run.row);
            let count = *list.cast::<u32>() as usize;
            let (places, values) = (list.cast::<u16>().add(FOUR), list.add(run.to_values));
            // The next row's list begins anew elsewhere.
            for part in [0, run.to_values] {
                let next = list.wrapping_add(run.row + part);
                prefetch_near(next);
                prefetch_near(next.wrapping_add(LINE));
                prefetch_near(next.wrapping_add(2 * LINE));
            }
            let kept = run.sums.add(r * WIDTH);
            let mut sums: [S::Vector; V] =
                std::array::from_fn(|v| if run.fresh { S::splat(0.0) } else { S::load(kept.add(v * 16)) });
            let whole = count / FOUR * FOUR;
            for i in (0..whole).step_by(FOUR) {
                let four = places.add(i).cast::<u64>().read_unaligned();
                for j in 0..FOUR {
                    let shift = 16 * if cfg!(target_endian = "little") { j } else { FOUR - 1 - j };
                    let place = (four >> shift) as u16;
                    add_term::<S, V>(&mut sums, run.panel.add(place.into()), *values.add(i + j));
                }
            }
            for i in whole..count {
                add_term::<S, V>(&mut sums, run.panel.add((*places.add(i)).into()), *values.add(i));
            }
            if let Some(last) = last {
                let begin = last.begin.skip(r * last.begin.row);
                let (c, end) = (last.c.add(r * last.c_row), last.end.at(0, r, 0));
                finish_sums::<S, 1, V>([sums], (c, 0), begin, &end, lanes);
            } else {
                for (v, sum) in sums.into_iter().enumerate() {
                    S::store(kept.add(v * 16), sum);
                }
            }
        }
    }
}

/// Adds `x` times a row of a panel to the sums.
///
/// # Safety
/// The processor must support the instruction set; the row is valid for all vectors.
#[inline(always)]
unsafe fn add_term<S: Simd, const V: usize>(sums: &mut [S::Vector; V], row: *const f32, x: f32) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Hidden: added once, not in the address of every load.
        let (row, x) = (S::hide_pointer(row), S::splat(x));
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = S::multiply_add(x, S::load(row.add(v * 16)), *sum);
        }
    }
}

/// Lists those of up to [`TERMS`] elements that are not 0 from element `to_values` of `list` on, and their places before them;
/// returns their number.
///
/// # Safety
/// The processor must support the instruction set; the row is valid for `terms`, the list for `to_values` elements, the places of a
/// block's terms, and for as many as the row has in whole vectors.
#[inline(always)]
pub(super) unsafe fn compress<S: Simd>(
    row: *const f32,
    terms: usize,
    list: *mut f32,
    to_values: usize,
) -> usize {
    // SAFETY: guaranteed by the caller; there are never more than were looked at.
    unsafe {
        let (places, values) = (list.cast::<u16>().add(FOUR), list.add(to_values));
        let mut count = 0;
        for first in (0..terms).step_by(16) {
            let x = S::load_lanes(row.add(first), S::lanes((terms - first).min(16)));
            let bits = S::nonzero(x);
            S::pack(values.add(count), x, bits);
            S::pack_halves(places.add(count), PLACES.as_ptr().add(first), bits);
            count += bits.count_ones() as usize;
        }
        count
    }
}
