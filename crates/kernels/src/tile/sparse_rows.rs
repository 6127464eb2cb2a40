//! Sparse products: sums over the nonzero terms only. After a rectifier about half of all activations and gradients
//! are 0.
//!
//! `c[m, n] = sum over nonzero a[m, k] of a[m, k] b[k, n]`. The result equals that of the dense tiles bit by bit, as
//! long as `b` is finite.
//!
//! Every row skips terms of its own, so `b` is read once per row, from panels that stay in the first-level cache.
//! Loads are therefore the bottleneck: one load per multiplication, where a dense tile needs half a load. Wide panels
//! amortize the reading of the lists, and four offsets are read per load. (Two rows at a time, over the union of
//! their terms or each over its own, were measured and are no faster.)
#![expect(
    unsafe_code,
    reason = "offsets in lists are not checked again, and threads write disjoint parts of one matrix"
)]

use std::ops::Range;

use super::addresses::RawEpilogue;
use super::kernel_table::Kernels;
use super::layout::{Lines, Start, TileEpilogue};
use super::prefetch::StripePrefetch;
use super::product::OutputMatrix;
use super::sizes::{LINE, MAX_TERMS, PANEL_STRIDE, SparseBlocking};
use super::sparse_sums::{OFFSETS_PER_LOAD, RawLastBlock, SparseArguments};

/// The nonzero elements of a matrix, row by row. Memory layout of a row's block: the number of nonzeros (32 bits in a
/// slot of [`OFFSETS_PER_LOAD`] 16-bit words), their [`PANEL_OFFSETS`] (16 bits each), then from `to_values` on their
/// values. Each part has room for the whole block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SparseRows<'a> {
    lists: &'a [f32],
    terms: usize,
    blocking: SparseBlocking,
}

impl<'a> SparseRows<'a> {
    /// Elements that a row of `terms` terms occupies.
    pub(crate) const fn row(terms: usize, blocking: SparseBlocking) -> usize {
        let (whole, rest) = (terms / blocking.terms, terms % blocking.terms);
        whole * Self::length(blocking.terms) + if rest > 0 { Self::length(rest) } else { 0 }
    }

    /// Elements that a block of `terms` terms occupies.
    const fn length(terms: usize) -> usize {
        Self::to_values(terms) + terms.next_multiple_of(LINE)
    }

    /// Elements in front of the values: the count and the offsets, half an element each, padded to a cache line.
    const fn to_values(terms: usize) -> usize {
        (OFFSETS_PER_LOAD + terms.next_multiple_of(LINE)).div_ceil(2).next_multiple_of(LINE)
    }

    /// Compresses a row into a list.
    ///
    /// # Panics
    /// If `list` does not have the row's [length](Self::row).
    pub(crate) fn list(kernels: &Kernels, list: &mut [f32], row: &[f32], blocking: SparseBlocking) {
        assert!(
            blocking.terms <= MAX_TERMS && list.len() == Self::row(row.len(), blocking),
            "a list for the row"
        );
        for (list, row) in list.chunks_mut(Self::length(blocking.terms)).zip(row.chunks(blocking.terms)) {
            let to_values = Self::to_values(row.len());
            // SAFETY: each part of the list has room for the block's elements padded to whole vectors; the table
            // belongs to an instruction set of this processor.
            let count =
                unsafe { (kernels.compress_row)(row.as_ptr(), row.len(), list.as_mut_ptr(), to_values) };
            list[0] = f32::from_bits(count as u32);
        }
    }

    /// Wraps the lists of all rows of a matrix with `terms` columns.
    ///
    /// # Safety
    /// Every list must have been made by [`list`](Self::list) with this `blocking` from a row of `terms` elements.
    /// Their counts and offsets are not checked again.
    pub(crate) unsafe fn new(lists: &'a [f32], terms: usize, blocking: SparseBlocking) -> Self {
        Self { lists, terms, blocking }
    }

    /// Multiplies one block of terms for a range of rows. `sums` holds the accumulators between blocks, in rows of
    /// [`PANEL_STRIDE`]; they start at zero if `fresh`. With `last` the block is the last one, and the results go
    /// there instead. `panel` holds the block's rows of `b`, [`PANEL_STRIDE`] apart, padded with zeros from `columns`
    /// to the next whole vector.
    ///
    /// # Safety
    /// No other thread may access the product's rows and columns during the call.
    ///
    /// # Panics
    /// If a slice is too short.
    pub(crate) unsafe fn multiply(
        &self,
        kernels: &Kernels,
        (rows, block): (Range<usize>, usize),
        (panel, columns): (&[f32], usize),
        (sums, fresh): (&mut [f32], bool),
        last: Option<LastBlock<'_>>,
        upcoming: &StripePrefetch,
    ) {
        let row = Self::row(self.terms, self.blocking);
        let terms = self.blocking.terms.min(self.terms - block * self.blocking.terms);
        assert!(rows.end * row <= self.lists.len(), "lists of all rows");
        assert!(
            0 < columns && columns <= PANEL_STRIDE && terms * PANEL_STRIDE <= panel.len(),
            "a panel of the block"
        );
        assert!(rows.len() * PANEL_STRIDE <= sums.len(), "sums of all rows");
        let vectors = columns.div_ceil(16);
        let lists = &self.lists[rows.start * row + block * Self::length(self.blocking.terms)..];
        let size = (rows.len(), columns);
        let run = SparseArguments {
            lists: lists.as_ptr(),
            row,
            to_values: Self::to_values(terms),
            rows: rows.len(),
            panel: panel.as_ptr(),
            sums: sums.as_mut_ptr(),
            fresh,
            lanes: columns - (vectors - 1) * 16,
            upcoming,
        };
        let last = last.map(|last| last.checked(size));
        // SAFETY: the lists of all rows, the block's rows of the panel and the accumulators were checked above;
        // offsets in a list belong to the block's terms, as `new` requires. `last` was checked against the size of
        // the product. The table belongs to an instruction set of this processor. The caller guarantees that no other
        // thread accesses the place.
        unsafe {
            (kernels.sparse[vectors - 1])(&run, last.as_ref());
            if let Some(RawLastBlock { c, c_row, end: RawEpilogue::Gate { gate, bits, row }, .. }) = last {
                (kernels.finish)(c, c_row, size, gate, bits, row);
            }
        }
    }
}

/// Destination of the sums after the last block: offset `at` of the output, with rows `row` apart.
pub(crate) struct LastBlock<'a> {
    pub(crate) output: &'a OutputMatrix<'a>,
    pub(crate) at: usize,
    pub(crate) row: usize,
    pub(crate) start: Start<'a>,
    pub(crate) end: TileEpilogue<'a>,
}

impl LastBlock<'_> {
    /// Checks that there is room for this many rows and columns.
    fn checked(self, (rows, columns): (usize, usize)) -> RawLastBlock {
        let place = (self.at, self.row);
        let (c, raw_start, _, end) =
            self.output.checked_addresses((rows, columns), place, Lines::ONE, self.start, self.end);
        RawLastBlock { c, c_row: self.row, raw_start, end }
    }
}
