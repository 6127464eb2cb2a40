//! How operands come to the tile: columns in panels, transposes, lines of the cache in time.

use super::Layout;

/// Columns that a tile covers, hence of a panel.
pub(in crate::kernels) const PANEL: usize = 32;

/// The panels of `columns` columns: first column and width.
pub(in crate::kernels) fn panels(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).step_by(PANEL).map(move |first| (first, PANEL.min(columns - first)))
}

/// Row-major `from` (rows of `columns`) as panels one after the other, each row-major: a tile then reads neighbouring lines
/// of the cache, not every so many of them, which would leave most of it unused. Panel `p` starts at `p.0 * rows`.
pub(in crate::kernels) fn pack_panels(to: &mut [f32], from: &[f32], columns: usize) {
    let rows = from.len() / columns;
    for (first, width) in panels(columns) {
        let to = to[first * rows..][..width * rows].chunks_exact_mut(width);
        for (to, from) in to.zip(from.chunks_exact(columns)) {
            to.copy_from_slice(&from[first..first + width]);
        }
    }
}

/// `to[n, m] = from[m, n]` for `m` rows and `n` columns, the rows of `from` being `stride` apart.
pub(in crate::kernels) fn transpose(to: &mut [f32], from: &[f32], (m, n): (usize, usize), stride: usize) {
    for (column, to) in to.chunks_exact_mut(m).enumerate().take(n) {
        for (to, from) in to.iter_mut().zip(from[column..].iter().step_by(stride)) {
            *to = *from;
        }
    }
}

/// Part `i` of `count` of a slice.
pub(in crate::kernels) fn part(slice: &[f32], i: usize, count: usize) -> &[f32] {
    &slice[i * slice.len() / count..(i + 1) * slice.len() / count]
}

/// What is asked for in advance, in shares for each tile.
pub(super) struct Ahead<'a> {
    slices: [&'a [f32]; 2],
    shares: [usize; 2],
}

impl<'a> Ahead<'a> {
    pub(super) fn new(layout: &Layout<'a>, tiles: usize) -> Self {
        let tiles = layout.lines.count * layout.columns.div_ceil(PANEL) * tiles;
        let shares = layout.ahead.map(|slice| slice.len().div_ceil(tiles * LINE) * LINE);
        Self { slices: layout.ahead, shares }
    }

    #[inline(always)]
    pub(super) fn step(&mut self) {
        for (slice, &share) in self.slices.iter_mut().zip(&self.shares) {
            let (now, rest) = slice.split_at(share.min(slice.len()));
            for at in now.iter().step_by(LINE) {
                prefetch(at);
            }
            *slice = rest;
        }
    }
}

/// Asks for the line of the cache that holds `at`.
#[inline(always)]
fn prefetch(at: &f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has the instruction, which reads nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(std::ptr::from_ref(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Elements of a line of the cache.
const LINE: usize = 16;
