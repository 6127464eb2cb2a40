//! Layout, start and epilogue of a product.

use super::prefetch::LinePrefetch;
use crate::gate::Gate;

/// Strides and extents of a product's operands, in elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProductLayout<'a> {
    /// Rows of `a` and of `c`.
    pub(crate) rows: usize,
    /// Columns of `b` and of `c`.
    pub(crate) columns: usize,
    /// Stride between rows of `a`.
    pub(crate) row: usize,
    /// Stride between rows of `c`.
    pub(crate) c_row: usize,
    /// The innermost sum: its length and its strides in `a` and `b`.
    pub(crate) sum: SumAxis,
    /// The sum around it.
    pub(crate) segments: SumAxis,
    /// The outermost sum.
    pub(crate) blocks: SumAxis,
    /// Repetitions of the product at other offsets.
    pub(crate) lines: Lines,
    /// Operands of the next product, prefetched in equal parts with each tile of this one.
    pub(crate) upcoming: [&'a [f32]; 2],
    pub(crate) line_prefetch: LinePrefetch,
}

/// Repetitions of a product that differ only in the offsets of `a`, `b`, `c` and the gate bits, such as the lines of
/// an image. Fields but `count` are strides between repetitions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    pub(crate) count: usize,
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) c: usize,
    pub(crate) bits: usize,
}

impl Lines {
    /// A single product.
    pub(crate) const ONE: Self = Self { count: 1, a: 0, b: 0, c: 0, bits: 0 };
}

/// One axis of a sum: its number of terms and its strides in `a` and `b`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SumAxis {
    pub(crate) count: usize,
    pub(crate) a: usize,
    pub(crate) b: usize,
}

impl SumAxis {
    /// A single term.
    pub(crate) const ONE: Self = Self { count: 1, a: 0, b: 0 };

    pub(crate) const fn new(count: usize, a: usize, b: usize) -> Self {
        Self { count, a, b }
    }
}

/// Initial values that are added to the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    Zero,
    /// One value per column.
    Bias(&'a [f32]),
    /// The previous content of `c`.
    Old,
}

/// Operation applied to the sums before they are stored.
#[derive(Debug)]
pub(crate) enum TileEpilogue<'a> {
    Store,
    /// Applies the gate's function. Records gate bits unless `bits` is empty; rows of words are `row` apart.
    Gate {
        gate: Gate,
        bits: &'a mut [u16],
        row: usize,
    },
    /// Zeroes the sums whose gate bit is 0, unless `bits` is empty.
    Close {
        bits: &'a [u16],
        row: usize,
    },
}

impl ProductLayout<'_> {
    /// The layout of a plain matrix product: (rows, columns), strides between rows of (`a`, `c`), and the sum.
    pub(crate) const fn matrix(
        (rows, columns): (usize, usize),
        (row, c_row): (usize, usize),
        sum: SumAxis,
    ) -> Self {
        Self {
            rows,
            columns,
            row,
            c_row,
            sum,
            segments: SumAxis::ONE,
            blocks: SumAxis::ONE,
            lines: Lines::ONE,
            upcoming: [&[], &[]],
            line_prefetch: LinePrefetch::NONE,
        }
    }

    fn terms(&self) -> usize {
        self.sum.count * self.segments.count * self.blocks.count
    }

    /// Lengths of `a` and `b` that the product reads.
    pub(crate) fn extents(&self) -> (usize, usize) {
        let axes = [self.sum, self.segments, self.blocks];
        let reach = |step: fn(&SumAxis) -> usize| -> usize {
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

/// Rows split into tiles as evenly as possible: the first `longer` tiles have one row more than `rows`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowTiling {
    pub(crate) tiles: usize,
    pub(crate) rows: usize,
    pub(crate) longer: usize,
}

impl RowTiling {
    pub(crate) const fn new(rows: usize, max_rows: usize) -> Self {
        let tiles = rows.div_ceil(max_rows);
        Self { tiles, rows: rows / tiles, longer: rows % tiles }
    }
}
