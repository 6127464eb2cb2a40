//! Sizes of tiles, panels and blocks.

use std::ops::Range;

pub(crate) use crate::arena::LINE;
use crate::split::even;

/// Columns of a tile, hence of a panel.
pub(crate) const PANEL: usize = 32;

/// First column and width of each panel of a matrix with `columns` columns.
pub(crate) fn panels(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).step_by(PANEL).map(move |first| (first, PANEL.min(columns - first)))
}

/// Block sizes for sparse products, chosen so that a panel of `b` stays in the first-level cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SparseBlocking {
    /// Terms per block, which is also the number of rows in a panel. Accumulators are stored after each block.
    pub(crate) terms: usize,
    /// Vectors per panel. More vectors mean fewer passes over each list.
    pub(crate) vectors: usize,
}

impl SparseBlocking {
    /// For long sums: panels of 35 KiB.
    pub(crate) const LONG: Self = Self { terms: 80, vectors: MAX_VECTORS };
    /// For sums over a batch, which usually fit one block: panels of 40 KiB.
    pub(crate) const BATCH: Self = Self { terms: 128, vectors: 5 };

    /// Number of panels that cover `vectors` vectors of columns.
    pub(crate) const fn panels(self, vectors: usize) -> usize {
        vectors.div_ceil(self.vectors)
    }

    /// Columns of panel `i`, for the given range of vectors in a matrix of `columns` columns.
    pub(crate) fn panel(self, i: usize, vectors: &Range<usize>, columns: usize) -> Range<usize> {
        let part = even(i, self.panels(vectors.len()), vectors.len());
        (vectors.start + part.start) * LINE..((vectors.start + part.end) * LINE).min(columns)
    }
}

/// Maximum number of vectors per panel.
pub(crate) const MAX_VECTORS: usize = 7;

/// Elements between rows of a panel. An odd number of cache lines, so that rows spread over all sets of the cache.
pub(crate) const PANEL_STRIDE: usize = MAX_VECTORS * LINE;

/// Maximum number of terms per block.
pub(crate) const MAX_TERMS: usize = 128;
