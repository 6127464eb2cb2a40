//! Dense products: checks of all operands, and the loop over tiles.
#![expect(unsafe_code, reason = "threads write disjoint parts of one matrix")]

use std::marker::PhantomData;

use super::addresses::{RawEpilogue, RawStart};
use super::kernel_table::Kernels;
use super::layout::{Lines, ProductLayout, RowTiling, Start, TileEpilogue};
use super::prefetch::SlicePrefetch;
use super::sizes::{PANEL, panels};

/// Computes the product of `a` and `b` into `c`.
///
/// # Panics
/// If the layout exceeds a slice, or rows of `c` overlap.
pub(crate) fn product(
    kernels: &Kernels,
    layout: &ProductLayout<'_>,
    operands: (&[f32], &[f32]),
    c: &mut [f32],
    start: Start<'_>,
    end: TileEpilogue<'_>,
) {
    // SAFETY: this call borrows `c` mutably, so no other thread writes to it.
    unsafe { OutputMatrix::new(c).store_product(kernels, layout, operands, 0, start, end) }
}

/// Output matrix of products, of which several threads may compute disjoint parts at the same time.
pub(crate) struct OutputMatrix<'a> {
    c: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: `store_product` and the sparse products are the only access, and their callers guarantee that no two
// threads write to the same element.
unsafe impl Sync for OutputMatrix<'_> {}

impl<'a> OutputMatrix<'a> {
    pub(crate) fn new(c: &'a mut [f32]) -> Self {
        Self { len: c.len(), c: c.as_mut_ptr(), slice: PhantomData }
    }

    /// Checks that a product of this size fits the output at offset `at` with rows `c_row` apart. Returns the address
    /// of its first element, the address of its initial values, their stride between repetitions, and the epilogue by
    /// address.
    ///
    /// # Panics
    /// If the product, a bias or gate bits exceed their slices.
    pub(crate) fn checked_addresses(
        &self,
        (rows, columns): (usize, usize),
        (at, c_row): (usize, usize),
        lines: Lines,
        start: Start<'_>,
        end: TileEpilogue<'_>,
    ) -> (*mut f32, RawStart, usize, RawEpilogue) {
        let last_line = lines.count - 1;
        let c_len = last_line * lines.c + (rows - 1) * c_row + columns;
        assert!(at + c_len <= self.len, "the product lies within its slice");
        let (bits, row) = match &end {
            TileEpilogue::Store => (0, 0),
            TileEpilogue::Gate { bits, row, .. } => (bits.len(), *row),
            TileEpilogue::Close { bits, row } => (bits.len(), *row),
        };
        let words = last_line * lines.bits + (rows - 1) * row + columns.div_ceil(16);
        assert!(bits == 0 || words <= bits, "gate bits hold all rows");
        let c = self.c.wrapping_add(at);
        let (from, row, line) = match start {
            Start::Zero => (std::ptr::null(), 0, 0),
            Start::Bias(bias) => {
                assert!(columns <= bias.len(), "one bias per column");
                (bias.as_ptr(), 0, 0)
            }
            Start::Old => (c.cast_const(), c_row, lines.c),
        };
        (c, RawStart { from, row, upcoming: std::ptr::null(), upcoming_step: 0 }, line, RawEpilogue::new(end))
    }

    /// Computes the product of `a` and `b` and stores it at offset `at`.
    ///
    /// # Safety
    /// No other thread may access the product's rows and columns during the call.
    ///
    /// # Panics
    /// If the layout exceeds a slice, or rows of the product overlap.
    pub(crate) unsafe fn store_product(
        &self,
        kernels: &Kernels,
        layout: &ProductLayout<'_>,
        (a, b): (&[f32], &[f32]),
        at: usize,
        start: Start<'_>,
        end: TileEpilogue<'_>,
    ) {
        let &ProductLayout { rows, columns, row, c_row, lines, .. } = layout;
        if rows == 0 || columns == 0 || lines.count == 0 {
            return;
        }
        let (a_len, b_len) = layout.extents();
        assert!(a_len <= a.len() && b_len <= b.len(), "the operands lie within their slices");
        let (c, raw_start, start_line, end) =
            self.checked_addresses((rows, columns), (at, c_row), lines, start, end);
        let (a, b) = (a.as_ptr(), b.as_ptr());
        let tiles = if row == 1 { &kernels.unit } else { &kernels.strided };
        let tilings = [0, 1].map(|i| RowTiling::new(rows, tiles[i].len()));
        // The prefetched slices are divided by the number of tiles of this product, so that loads spread over its
        // whole duration.
        let mut upcoming = SlicePrefetch::new(
            layout.upcoming,
            lines.count * columns.div_ceil(PANEL) * tilings[usize::from(columns > 16)].tiles,
        );
        for line in 0..lines.count {
            for (column, width) in panels(columns) {
                let vectors = width.div_ceil(16);
                let (tiles, tiling) = (tiles[vectors - 1], tilings[vectors - 1]);
                let mut first = 0;
                for i in 0..tiling.tiles {
                    let tile_rows = tiling.rows + usize::from(i < tiling.longer);
                    upcoming.step();
                    // SAFETY: rows first..first + tile_rows and columns column..column + width lie within the layout,
                    // and the layout's extents were checked against the slices, as were those of the bias and the
                    // gate bits. The table belongs to an instruction set of this processor and has a tile for every
                    // number of rows up to its length. The caller guarantees that no other thread accesses the place.
                    unsafe {
                        // Addresses outside an operand are only formed with `wrapping_add`: with zero terms `a` and
                        // `b` may be empty.
                        let c = c.add(line * lines.c + first * c_row + column);
                        let raw_start = raw_start.skip(line * start_line + first * raw_start.row + column);
                        // Tiles prefetch unconditionally. Without anything to prefetch they request the start of `b`, which is cached.
                        let hint = layout.line_prefetch.from.part(i * layout.line_prefetch.tile, 1);
                        let (upcoming, upcoming_step) =
                            if hint.len > 0 { (hint.from, layout.line_prefetch.term) } else { (b, 0) };
                        let raw_start = RawStart { upcoming, upcoming_step, ..raw_start };
                        let a = a.wrapping_add(line * lines.a + first * row);
                        let b = b.wrapping_add(line * lines.b + column);
                        let end = end.at(line * lines.bits, first, column / 16);
                        tiles[tile_rows - 1](a, b, c, raw_start, &end, width - (vectors - 1) * 16, layout);
                        // Only functions that the tile cannot fuse; it was stored with `Store` semantics, and is
                        // still in the cache.
                        if let RawEpilogue::Gate { gate, bits, row } = end {
                            (kernels.finish)(c, c_row, (tile_rows, width), gate, bits, row);
                        }
                    }
                    first += tile_rows;
                }
            }
        }
    }
}
